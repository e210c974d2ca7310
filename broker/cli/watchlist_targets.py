"""``nuncius watchlist``: single targets put and taken away, and all of them written."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from broker.cli.context import busy, context, err, opened
from broker.cli.lists import ListName, who
from broker.cli.skymap_files import Out, write_bytes

__all__ = ["Format", "export", "put_target", "remove_target"]


class Format(StrEnum):
    """How to write targets."""

    csv = "csv"
    votable = "votable"
    parquet = "parquet"


def put_target(  # noqa: PLR0917 - each is an option of the command line
    ctx: typer.Context,
    name: ListName,
    ident: Annotated[str, typer.Argument(metavar="ID", help="What it is called; another of that name is replaced.")],
    ra: Annotated[str, typer.Argument(help="Degrees, or hh:mm:ss.")],
    dec: Annotated[str, typer.Argument(help="Degrees, or dd:mm:ss.")],
    radius: Annotated[float | None, typer.Option(help="Arcseconds; the list's own unless given.")] = None,
) -> None:
    """Put a target into a watchlist: its next version.

    Example: `nuncius watchlist put-target supernovae SN2023ixf 210.9107 54.3117 --radius 5`
    """
    options = context(ctx)
    folder = options.kept()
    with busy("open"):
        from broker.api.params import angle_dec, angle_ra
        from broker.store import watchlist_changes
    lon, lat = angle_ra(ra), angle_dec(dec)
    with opened(options.settings(), folder) as parts:
        made = watchlist_changes.put_target(parts.store, name, ident, ra=lon, dec=lat, radius=radius, who=who())
    err.print(f"watchlist {name}, version {made.newest.version}: {made.newest.targets:,} targets", highlight=False)


def remove_target(
    ctx: typer.Context,
    name: ListName,
    ident: Annotated[str, typer.Argument(metavar="ID", help="What it is called.")],
) -> None:
    """Take a target out of a watchlist: its next version.

    Example: `nuncius watchlist remove-target supernovae SN2023ixf`
    """
    options = context(ctx)
    folder = options.kept()
    with opened(options.settings(), folder) as parts:
        from broker.store import watchlist_changes

        made = watchlist_changes.remove_target(parts.store, name, ident, who=who())
    err.print(f"watchlist {name}, version {made.newest.version}: {made.newest.targets:,} targets", highlight=False)


def export(
    ctx: typer.Context,
    name: ListName,
    fmt: Annotated[Format, typer.Option("--format", help="How to write them.")] = Format.csv,
    version: Annotated[int | None, typer.Option(help="Which version [default: the newest]", min=1)] = None,
    target: Out = None,
) -> None:
    """Write the targets of a watchlist; a radius that is empty is the list's own.

    Example: `nuncius watchlist export supernovae --format votable --out supernovae.vot`
    """
    options = context(ctx)
    folder = options.kept()
    with opened(options.settings(), folder) as parts:
        from broker.api.render.formats import Format as Shape
        from broker.api.render.table import render
        from broker.api.watchlists import written
        from broker.store import watchlists

        found, frame = watchlists.targets(parts.store, name, version)
        body = render(
            written(frame), Shape(fmt.value), name=name, description=f"Watchlist {name}, version {found.version}"
        ).body
    write_bytes(bytes(body), target)
