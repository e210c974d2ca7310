"""``nuncius token``: what programs send to be let in, for operators, straight on the database."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape

from broker.cli.context import err, out, print_json
from broker.cli.people import AsDocument, User, database
from broker.cli.tables import show_table

__all__ = ["app"]

app = typer.Typer(help="API tokens: what programs send to be let in.", no_args_is_help=True)


@app.command("add")
def add(
    ctx: typer.Context,
    user: User,
    scope: Annotated[
        list[str],
        typer.Option(help="read, write:filters, write:watchlists, write:subscriptions or admin; may be given often."),
    ],
    days: Annotated[float, typer.Option(min=0, max=3660, help="How long it is good; 0 is for ever.")] = 90,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Make a token and print it, this once: only its hash is kept.

    Example: `nuncius token add hypatia --scope read --scope write:filters --note "laptop"`
    """
    end = datetime.now(UTC) + timedelta(days=days) if days else None
    with database(ctx) as store:
        from broker.store import tokens

        secret, token = tokens.make(store, user, scope, note=note, expires=end)
    sys.stdout.write(f"{secret}\n")
    until = f"until {token.expires:%Y-%m-%d}" if token.expires else "for ever"
    err.print(
        f"good {until}; it cannot be shown again. Send it as the header Authorization: Bearer ...",
        highlight=False,
        soft_wrap=True,
    )


@app.command("list")
def listing(
    ctx: typer.Context,
    user: Annotated[str | None, typer.Argument(help="Only those of this account.")] = None,
    as_document: AsDocument = False,
) -> None:
    """Tokens, the newest first, without their secrets.

    Example: `nuncius token list --json`
    """
    with database(ctx, only_reads=True) as store:
        from broker.store import people, tokens

        if user is not None:
            people.get(store, user)
        found = tokens.listing(store, user)
    if as_document:
        print_json([asdict(token) for token in found])
        return
    rows = [
        (
            token.id,
            token.user,
            " ".join(token.scopes),
            f"{token.created:%Y-%m-%d}",
            f"revoked {token.revoked:%Y-%m-%d}" if token.revoked else f"{token.expires:%Y-%m-%d}" if token.expires else "never",
            f"{token.last_used:%Y-%m-%d %H:%M}" if token.last_used else "never",
            escape(token.note),
        )
        for token in found
    ]
    show_table(out, ("id", "account", "scopes", "made", "ends", "last used", "note"), rows, prose={"scopes": 16, "note": 16})


@app.command("revoke")
def revoke(ctx: typer.Context, token: Annotated[str, typer.Argument(help="Its id, or its beginning, ncs_<id>.")]) -> None:
    """Let a token be good no more, at once.

    Example: `nuncius token revoke 0a1b2c3d4e5f`
    """
    with database(ctx) as store:
        from broker.store import tokens

        tokens.revoke(store, token)
    err.print("the token is revoked")
