"""``nuncius event galaxies`` and ``nuncius skymap galaxies``: galaxies ranked as hosts."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from broker.api.render.formats import Format as FileFormat
from broker.cli.context import busy, context, err, opened, out, print_json
from broker.cli.skymap_files import read_map
from broker.errors import UsageError

if TYPE_CHECKING:
    from broker.api.services import Galaxies, GalaxyQuery, Weight

__all__ = ["of_event", "of_file"]


class Format(StrEnum):
    """How to write them."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"
    votable = "votable"


class Weigh(StrEnum):
    """What galaxies are weighed by."""

    luminosity = "luminosity"
    none = "none"


_WEIGHTS: dict[Weigh | None, Weight | None] = {None: None, Weigh.luminosity: "luminosity", Weigh.none: "none"}

Limit = Annotated[int, typer.Option(help="Galaxies at most, the likeliest first.", min=1)]
Weighing = Annotated[
    Weigh | None, typer.Option(help="Weigh galaxies by their luminosity [default: luminosity where the map has distances]")
]
Level = Annotated[float, typer.Option(help="Look in the region of the sky that holds this much of the probability.")]
CatalogName = Annotated[str, typer.Option(help="Catalogue of galaxies.")]
Shape = Annotated[Format, typer.Option("--format", help="How to write them.")]


def of_event(  # noqa: PLR0917  typer makes options of them
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Event, such as S240422ed.")],
    limit: Limit = 50,
    weight: Weighing = None,
    level: Level = 0.99,
    catalog: CatalogName = "glade",
    fmt: Shape = Format.table,
) -> None:
    """Galaxies ranked by their probability to host an event, by its latest sky map: see docs/hosts.md.

    Example: `nuncius event galaxies S240422ed --limit 20 --format csv`
    """
    options = context(ctx)
    asked = _asked(limit, weight, level, catalog)
    with opened(options.settings(), options.kept()) as parts, busy("rank galaxies"):
        from broker.wiring import hosts

        found = hosts.of_event(parts, name, asked)
    _write(found, fmt)


def of_file(  # noqa: PLR0917  typer makes options of them
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="FITS sky map, or a notice that brings one.", exists=True, dir_okay=False)],
    limit: Limit = 50,
    weight: Weighing = None,
    level: Level = 0.99,
    catalog: CatalogName = "glade",
    fmt: Shape = Format.table,
) -> None:
    """Galaxies ranked by their probability to lie where a sky map says: see docs/hosts.md.

    Example: `nuncius skymap galaxies bayestar.multiorder.fits --limit 20`
    """
    options = context(ctx)
    options.settings()
    asked = _asked(limit, weight, level, catalog)
    skymap = read_map(file)
    with busy("rank galaxies"):
        from broker.wiring import hosts

        found = hosts.of_map(skymap, options.data / "catalogs", asked)
    _write(found, fmt)


def _asked(limit: int, weight: Weigh | None, level: float, catalog: str) -> GalaxyQuery:
    if not 0.0 < level < 1.0:
        raise UsageError(f"a credible level of {level:g} is impossible: give one between 0 and 1, such as 0.99")
    from broker.api.services import GalaxyQuery

    return GalaxyQuery(limit, level, _WEIGHTS[weight], catalog)


def _write(found: Galaxies, fmt: Format) -> None:
    from broker.api.galaxies import as_document
    from broker.api.render.table import render

    if fmt is Format.json:
        print_json(as_document(found))
        return
    if fmt is Format.table:
        out.print(_table(found))
    else:
        written = render(found.frame, FileFormat(fmt.value), name="galaxies", description="Galaxies ranked as hosts")
        sys.stdout.buffer.write(written.body)
        sys.stdout.buffer.flush()
    for key in ("completeness", "luminosity_ratio"):
        if found.facts[key] is not None:
            err.print(f"{key.replace('_', ' ')}: {found.facts[key]:.2f}", highlight=False)


def _table(found: Galaxies) -> Table:
    """What is asked for first; the other formats have all that the catalogue says."""
    facts = found.facts
    said = f"{found.frame.height:,} of {facts['galaxies']:,} galaxies of {facts['catalog']}, weight {facts['weight']}"
    if facts["ranked_2d"]:
        said += f"; {facts['ranked_2d']:,} ranked by the sky alone"
    table = Table(title=said, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    for head in ("rank", "galaxy", "ra", "dec", "Mpc", "prob.", "level", "volume"):
        table.add_column(head, justify="left" if head == "galaxy" else "right", no_wrap=True)
    for row in found.frame.iter_rows(named=True):
        name = row.get("name") or f"{facts['catalog']} {row.get('id') or ''}"
        far = "" if row["dist"] is None else f"{row['dist']:.1f}"
        shares = ["" if row[key] is None else f"{row[key]:.3f}" for key in ("probability", "credible_level", "volume_level")]
        table.add_row(str(row["rank"]), name, f"{row['ra']:.4f}", f"{row['dec']:+.4f}", far, *shares)
    return table
