"""``nuncius reports``: what observers sent back about an event, and taking out what should never have been sent."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from broker.cli.context import err, out, print_json
from broker.cli.people import AsDocument, database
from broker.cli.tables import show_table
from broker.errors import UsageError

__all__ = ["app"]

app = typer.Typer(help="Reports of observers: what they sent, and taking it out.", no_args_is_help=True)


@app.command("list")
def listing(
    ctx: typer.Context,
    event: Annotated[str, typer.Argument(help="Name of an event, or any alias of it.")],
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=10_000)] = 1000,
    as_document: AsDocument = False,
) -> None:
    """Observations of an event, the first one first, with who sent them.

    Example: `nuncius reports list S240422ed`
    """
    with database(ctx, only_reads=True) as store:
        from broker.store import events, observations

        found = observations.page(store, events.canonical_name(store, event), limit=limit).observations
    if as_document:
        print_json(found)
        return
    columns = ("id", "who", "telescope", "status", "time (UTC)", "ra", "dec", "band", "depth")
    rows = [
        (
            one["id"],
            escape(one["who"]),
            escape(one["telescope"]),
            one["status"],
            f"{one['time']:%Y-%m-%d %H:%M:%S}",
            f"{one['ra']:.4f}",
            f"{one['dec']:+.4f}",
            escape(one["band"] or ""),
            "" if one["depth"] is None else f"{one['depth']:g}",
        )
        for one in found
    ]
    show_table(out, columns, rows)


@app.command("remove")
def remove(
    ctx: typer.Context,
    idents: Annotated[list[str], typer.Argument(help="Such as obs_0a1b2c3d4e5f0a1b2c3d4e5f, cls_...", metavar="ID...")],
) -> None:
    """Take out observations (obs_...) and classifications (cls_...), whoever sent them: nothing of them is kept.

    Example: `nuncius reports remove obs_0a1b2c3d4e5f0a1b2c3d4e5f`
    """
    with database(ctx, only_reads=True) as store:
        from broker.store import classifications, observations

        kept = {"obs": observations, "cls": classifications}
        odd = [ident for ident in idents if ident.partition("_")[0] not in kept]
        if odd:
            raise UsageError(f"{odd[0][:80]!r} is no id of a report: they begin with obs_ or cls_")
        for ident in dict.fromkeys(idents):
            kept[ident.partition("_")[0]].get(store, ident)  # all of them, or none
        for ident in dict.fromkeys(idents):
            kept[ident.partition("_")[0]].remove(store, ident)
    err.print(f"{len(set(idents))} taken out")
