"""``nuncius access``: who may read which filters' topics on a Kafka that asks for passwords."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from broker.cli.context import busy, context, err, opened, out, print_json
from broker.cli.people import AsDocument
from broker.cli.tables import show_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broker.store.engine import Store

__all__ = ["app"]

app = typer.Typer(help="Who may read which filters' topics on a Kafka that asks for passwords.", no_args_is_help=True)

User = Annotated[str, typer.Argument(help="Name on Kafka: lower-case letters, digits, dots, underscores.")]


@app.command("grant")
def grant(
    ctx: typer.Context,
    user: User,
    filters: Annotated[list[str], typer.Argument(help="Names of filters.", metavar="FILTER...")],
    rotate: Annotated[bool, typer.Option("--rotate", help="Replace the password; the one before is good no more.")] = False,
    as_document: AsDocument = False,
) -> None:
    """Let somebody read the matches of filters. Who is new gets a password, printed this once: nobody keeps it.

    Example: `nuncius access grant hypatia ztf_bright_transients`
    """
    options = context(ctx)
    settings, folder = options.settings(), options.kept()
    with busy("open"):
        from broker.wiring import access
    access.cluster(settings)  # tells at once where there is no Kafka
    with opened(settings, folder) as parts:
        warnings = list(_not_theirs(parts.store, user, filters))
    with busy("Kafka"):
        made = access.grant(settings, user, filters, rotate=rotate)
    for text in warnings:
        err.print(f"[yellow]warning:[/] {escape(text)}", highlight=False, soft_wrap=True)
    properties = access.client_properties(settings, made)
    if as_document:
        print_json(
            {"user": user, "password": made.password, "filters": filters, "groups": f"{user}-", "properties": properties}
        )
        return
    if made.password is None:
        err.print(f"{user} may read {', '.join(filters)}; the password stays (--rotate replaces it)", soft_wrap=True)
        return
    sys.stdout.write(f"{made.password}\n")
    shown = "".join(f"\n  {name}={value}" for name, value in properties.items())
    err.print(
        escape(
            f"the password of {user}; it cannot be shown again. Clients are set to{shown}\n  sasl.password=...\n"
            f"and take group names that begin with {user}-"
        ),
        highlight=False,
        soft_wrap=True,
    )


@app.command("list")
def listing(ctx: typer.Context, as_document: AsDocument = False) -> None:
    """Everybody who was granted something.

    Example: `nuncius access list --json`
    """
    settings = context(ctx).settings()
    with busy("Kafka"):
        from broker.wiring import access

        found = access.listing(settings)
    if as_document:
        print_json(
            [
                {"user": one.user, "filters": access.filters_of(one), "groups": one.groups, "password": one.password}
                for one in found
            ]
        )
        return
    rows = [
        (one.user, ", ".join(access.filters_of(one)), f"{one.groups}...", "set" if one.password else "none: grant it again")
        for one in found
    ]
    show_table(out, ("user", "filters", "groups", "password"), rows, prose={"filters": 20})


@app.command("revoke")
def revoke(
    ctx: typer.Context,
    user: User,
    filters: Annotated[list[str] | None, typer.Argument(help="Only these filters [default: all, and the password]")] = None,
) -> None:
    """Take somebody's leave to read back, at once, also on connections that are open.

    Example: `nuncius access revoke hypatia`
    """
    settings = context(ctx).settings()
    with busy("Kafka"):
        from broker.wiring import access

        access.revoke(settings, user, filters or ())
    err.print(f"{user} reads {', '.join(filters)} no more" if filters else f"{user} is gone from Kafka", soft_wrap=True)


def _not_theirs(store: Store, user: str, names: Iterable[str]) -> Iterable[str]:
    """Warnings of filters that an account of that name could not see; `NotFoundError` for one that is none.

    The command line is the operator's, who may share what they like.
    """
    from broker.errors import NotFoundError
    from broker.store import filters, people

    whose = filters.whose(store)
    try:
        account = people.get(store, user)
    except NotFoundError:
        account = None
    for name in names:
        filters.versions(store, name)  # tells of a name that is like it
        one = whose[name]
        member = account is not None and (account.name == one.owner or account.admin)
        member |= account is not None and one.visibility == "team" and one.team in account.teams
        if one.visibility != "public" and not member:
            whom = one.owner or one.team or "nobody"
            yield f"filter {name} is {one.visibility}, of {whom}: {user} can read its matches all the same"
