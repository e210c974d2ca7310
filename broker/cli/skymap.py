"""``nuncius skymap``: what a sky map says, pictures of it, its regions in other forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from broker.cli import event_galaxies, skymap_make
from broker.cli.context import busy, err, out, print_json
from broker.cli.points import numbers, read_points
from broker.cli.skymap_files import MapFile, Out, read_map, write_bytes
from broker.errors import SkyMapError, UsageError

if TYPE_CHECKING:
    from broker.science.skyplot import Candidate

__all__ = ["app"]

app = typer.Typer(help="Sky maps: what one says, its regions, pictures of it.", no_args_is_help=True)
app.command("galaxies")(event_galaxies.of_file)
app.command()(skymap_make.convert)
app.command()(skymap_make.make)

AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Level = Annotated[float, typer.Option(help="Probability inside.", min=1e-6, max=1.0)]


@app.command()
def info(file: MapFile, as_json: AsJson = False) -> None:
    """Order, areas of the 50 and 90 % regions, distance, and whether it is normalised; exit status 1 for a map that is refused.

    Example: `nuncius skymap info bayestar.multiorder.fits --json`
    """
    try:
        with busy(f"measure {file.name}"):
            from broker.science.skymap_info import info as info_of
            from broker.wiring.maps import map_of_file

            found = info_of(map_of_file(file))
    except SkyMapError as error:
        if as_json:
            print_json({"error": str(error)})
        raise
    if as_json:
        print_json(found)
        return
    units = {"area50": "deg²", "area90": "deg²", "distmean": "Mpc", "diststd": "Mpc", "ra": "deg", "dec": "deg"}
    for name, value in found.items():
        shown = f"{value:.6g} {units.get(name, '')}" if isinstance(value, float) else f"{'' if value is None else value}"
        out.print(f"{name:12} {shown}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def level(
    file: MapFile,
    points: Annotated[
        Path, typer.Argument(metavar="POINTS.csv", exists=True, dir_okay=False, help="Columns ra,dec[,distance].")
    ],
    target: Out = None,
) -> None:
    """Credible level of points, in area and, in a map with distances, in volume; columns of the file are kept.

    Right ascension and declination are in degrees, distances in Mpc. The level is the probability of the smallest region that
    holds the point: 0.9 and less is inside the 90 % region.

    Example: `nuncius skymap level bayestar.multiorder.fits galaxies.csv --out levels.csv`
    """
    table = read_points(points)
    ra, dec = (numbers(points, table, name, needed=True).to_numpy() for name in ("ra", "dec"))
    far = numbers(points, table, "distance", needed=False) if "distance" in table.columns else None
    skymap = read_map(file)
    with busy(f"look up {table.height:,} points"):
        import polars as pl

        from broker.science.sky import radec_to_hpx
        from broker.science.skymap import levels_at
        from broker.science.volume import volume_levels_at

        hpx = radec_to_hpx(ra, dec)
        added = [pl.Series("credible_level", levels_at(skymap, hpx)[0])]
        if far is not None and skymap.is_3d:
            distance = far.fill_null(float("nan")).to_numpy()
            added.append(pl.Series("credible_level_volume", volume_levels_at(skymap, hpx, distance)))
        table = table.with_columns(column.fill_nan(None) for column in added)
        write_bytes(table.write_csv().encode(), target)


@app.command()
def overlap(a: MapFile, b: MapFile, as_json: AsJson = False) -> None:
    """How far two maps agree: 4 pi times the integral of their product; 1 beside a map that says nothing, 0 for none.

    Example: `nuncius skymap overlap bayestar.multiorder.fits glg_healpix_all.fit --json`
    """
    first, second = read_map(a), read_map(b)
    with busy("overlap"):
        from broker.science.overlap import overlap as overlap_of

        found = overlap_of(first, second)
    if as_json:
        print_json({"overlap": found})
    else:
        out.print(f"{found:.6g}", highlight=False)


@app.command()
def plot(  # noqa: PLR0917  typer makes options of them
    file: MapFile,
    target: Annotated[Path, typer.Option("--out", help="Picture to write: .png or .svg.", dir_okay=False)],
    zoom: Annotated[bool, typer.Option("--zoom", help="Only the part of the sky where the map is.")] = False,
    radius: Annotated[float | None, typer.Option(help="With --zoom: half the width, degrees.", min=1e-3, max=90.0)] = None,
    points: Annotated[
        Path | None, typer.Option(help="CSV of candidates: ra,dec[,name], degrees.", exists=True, dir_okay=False)
    ] = None,
    time: Annotated[str, typer.Option(help="For Sun and Moon: ISO 8601 or MJD, UTC [default: the map's]")] = "",
    title: Annotated[str, typer.Option(help="Above the picture [default: the event's name]")] = "",
) -> None:
    """Picture with the 50 and 90 % contours, galactic plane, Sun, Moon and candidates; of the whole sky or a part.

    Example: `nuncius skymap plot bayestar.multiorder.fits --out map.png --zoom --points candidates.csv`
    """
    from broker.api.params import instant

    fmt = _ending(target)
    when = instant(time, "--time") if time else None
    candidates = _candidates(points) if points else []
    skymap = read_map(file)
    if when is None and skymap.facts.time:
        try:
            when = instant(skymap.facts.time, "DATE-OBS")
        except UsageError as error:
            err.print(f"the map's own time is no time, so there is no Sun and no Moon: {error}", markup=False, soft_wrap=True)
    with busy("draw"):
        from broker.science.skyplot import View, draw

        write_bytes(draw(skymap, fmt, View(zoom or radius is not None, radius, when, candidates, title)), target)


def _ending(target: Path) -> Literal["png", "svg"]:
    match target.suffix.lower():
        case ".png":
            return "png"
        case ".svg":
            return "svg"
        case _:
            raise UsageError(f"--out {target}: pictures are .png or .svg")


def _candidates(file: Path) -> list[Candidate]:
    from broker.science.skyplot import Candidate

    table = read_points(file)
    ra, dec = (numbers(file, table, name, needed=True) for name in ("ra", "dec"))
    names = table["name"].fill_null("") if "name" in table.columns else [""] * table.height
    return [Candidate(name, *place) for name, *place in zip(names, ra, dec, strict=True)]


@app.command("moc")
def coverage(
    file: MapFile,
    level: Level = 0.9,
    fmt: Annotated[Literal["fits", "json", "ascii"], typer.Option("--format", help="How to write it.")] = "ascii",
    target: Out = None,
) -> None:
    """Credible region as a coverage map (MOC).

    Example: `nuncius skymap moc bayestar.multiorder.fits --level 0.9 --format fits --out region.fits`
    """
    skymap = read_map(file)
    with busy("region"):
        from broker.science import moc

        found = moc.moc_of(skymap, level)
        match fmt:
            case "fits":
                body = moc.to_fits(found)
            case "json":
                body = (json.dumps(moc.to_json(found)) + "\n").encode()
            case "ascii":
                body = moc.to_ascii(found).encode()
    write_bytes(body, target)


@app.command()
def contour(
    file: MapFile,
    levels: Annotated[list[float] | None, typer.Option("--level", help="May be given again [default: 0.5 0.9]")] = None,
    target: Out = None,
) -> None:
    """Contours of credible levels as GeoJSON, right ascension for longitude.

    Example: `nuncius skymap contour bayestar.multiorder.fits --level 0.5 --level 0.9 --out contours.json`
    """
    asked = levels or [0.5, 0.9]
    if wrong := [value for value in asked if not 0.0 < value <= 1.0]:
        raise UsageError(f"--level {wrong[0]}: a level is a probability between 0 and 1")
    skymap = read_map(file)
    with busy("contours"):
        from broker.science import moc

        body = json.dumps(moc.to_geojson(skymap, asked)) + "\n"
    write_bytes(body.encode(), target)


@app.command()
def probability(
    file: MapFile,
    cone: Annotated[tuple[float, float, float] | None, typer.Option(help="RA DEC RADIUS, degrees.")] = None,
    polygon: Annotated[str, typer.Option(help="Corners, degrees: 'RA,DEC RA,DEC RA,DEC ...'")] = "",
    as_json: AsJson = False,
) -> None:
    """Probability in a region of the sky: a circle or a polygon, such as a telescope's field.

    Example: `nuncius skymap probability bayestar.multiorder.fits --cone 197.45 -23.38 1.5`
    """
    if (cone is None) == (not polygon):
        raise UsageError("one region is wanted: --cone RA DEC RADIUS or --polygon 'RA,DEC RA,DEC RA,DEC'")
    with busy("region"):
        from broker.science import moc
    ranges = moc.disc_ranges(*cone) if cone is not None else moc.polygon_ranges(_corners(polygon))
    skymap = read_map(file)
    found = moc.contains(ranges, skymap)
    if as_json:
        print_json({"probability": found})
    else:
        out.print(f"{found:.6g}", highlight=False)


def _corners(text: str) -> list[tuple[float, float]]:
    try:
        return [(float(ra), float(dec)) for ra, dec in (corner.split(",") for corner in text.split())]
    except ValueError:
        raise UsageError(f"--polygon {text!r}: corners are RA,DEC in degrees, with spaces between corners") from None
