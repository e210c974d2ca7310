"""``nuncius skymap convert`` and ``nuncius skymap make``: maps written as multi-order FITS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from broker.cli.context import busy
from broker.cli.skymap_files import MapFile, read_map, write_bytes
from broker.errors import SkyMapError, UsageError

__all__ = ["convert", "make"]


def convert(file: MapFile, target: Annotated[Path, typer.Option("--out", help="FITS file to write.", dir_okay=False)]) -> None:
    """Write a map of any kind as multi-order FITS, scaled to a sum of 1.

    Example: `nuncius skymap convert bayestar.fits.gz --out bayestar.multiorder.fits`
    """
    skymap = read_map(file)
    with busy("write"):
        from broker.science.skymap_write import write_skymap

        write_bytes(write_skymap(skymap), target)


def make(
    target: Annotated[Path, typer.Option("--out", help="FITS file to write, multi-order.", dir_okay=False)],
    circle: Annotated[tuple[float, float, float] | None, typer.Option(help="RA DEC RADIUS, degrees: an error circle.")] = None,
    containment: Annotated[float, typer.Option(help="Probability the circle holds.")] = 0.9,
    annulus: Annotated[
        tuple[float, float, float, float] | None, typer.Option(help="RA DEC RADIUS HALF-WIDTH, degrees: an IPN annulus.")
    ] = None,
    sigmas: Annotated[float, typer.Option(help="Standard deviations the half-width is.")] = 3.0,
) -> None:
    """Make a map from a position with an error circle, or from an annulus.

    Example: `nuncius skymap make --annulus 123.4 -45.6 62.1 0.35 --sigmas 3 --out annulus.fits`
    """
    if (circle is None) == (annulus is None):
        raise UsageError("one of the two is wanted: --circle RA DEC RADIUS or --annulus RA DEC RADIUS HALF-WIDTH")
    try:
        with busy("make"):
            from broker.science.annulus import from_annulus
            from broker.science.skymap import from_cone

            made = from_cone(*circle, containment) if circle else from_annulus(*annulus, sigmas) if annulus else None
    except SkyMapError as error:
        raise UsageError(str(error)) from error
    assert made is not None
    with busy("write"):
        from broker.science.skymap_write import write_skymap

        write_bytes(write_skymap(made), target)
