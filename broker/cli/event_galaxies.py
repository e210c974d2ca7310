"""``nuncius event galaxies`` and ``nuncius skymap galaxies``: galaxies ranked as hosts."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from broker.api.galaxies import as_document
from broker.api.render.table import Format, render
from broker.api.services import Galaxies, GalaxyQuery, Weight
from broker.cli.context import context, err, print_json
from broker.errors import UsageError
from broker.wiring import hosts
from broker.wiring.maps import map_of_file
from broker.wiring.parts import open_parts

__all__ = ["of_event", "of_file"]


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
    fmt: Shape = Format.json,
) -> None:
    """Galaxies ranked by their probability to host an event, by its latest sky map: see docs/hosts.md.

    Example: `nuncius event galaxies S240422ed --limit 20 --format csv`
    """
    options = context(ctx)
    asked = _asked(limit, weight, level, catalog)
    with open_parts(options.settings(), options.kept()) as parts:
        found = hosts.of_event(parts, name, asked)
    _write(found, fmt)


def of_file(  # noqa: PLR0917  typer makes options of them
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="FITS sky map, or a notice that brings one.", exists=True, dir_okay=False)],
    limit: Limit = 50,
    weight: Weighing = None,
    level: Level = 0.99,
    catalog: CatalogName = "glade",
    fmt: Shape = Format.json,
) -> None:
    """Galaxies ranked by their probability to lie where a sky map says: see docs/hosts.md.

    Example: `nuncius skymap galaxies bayestar.multiorder.fits --limit 20`
    """
    options = context(ctx)
    options.settings()
    asked = _asked(limit, weight, level, catalog)
    _write(hosts.of_map(map_of_file(file), options.data / "catalogs", asked), fmt)


def _asked(limit: int, weight: Weigh | None, level: float, catalog: str) -> GalaxyQuery:
    if not 0.0 < level < 1.0:
        raise UsageError(f"a credible level of {level:g} is impossible: give one between 0 and 1, such as 0.99")
    return GalaxyQuery(limit, level, _WEIGHTS[weight], catalog)


def _write(found: Galaxies, fmt: Format) -> None:
    if fmt is Format.json:
        print_json(as_document(found))
        return
    written = render(found.frame, fmt, name="galaxies", description="Galaxies ranked as hosts")
    sys.stdout.buffer.write(written.body)
    sys.stdout.buffer.flush()
    for key in ("completeness", "luminosity_ratio"):
        if found.facts[key] is not None:
            err.print(f"{key.replace('_', ' ')}: {found.facts[key]:.2f}", highlight=False)
