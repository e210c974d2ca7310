"""The command line of ``python -m consumers.scheduler``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers import sites, terminal
from consumers.api import DEFAULT, Api
from consumers.errors import RequestError
from consumers.times import night_date

if TYPE_CHECKING:
    from astropy.time import Time

    from consumers.scheduler.plan import Outcome
    from consumers.scheduler.request import Limits
    from consumers.sites import Site

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def schedule(  # noqa: PLR0917 - typer makes options of them
    event: Annotated[str, typer.Argument(help="Name of an event of the API, such as S240422ed.")],
    site: Annotated[str, typer.Option(help="A name of astropy's list, of --config, or name=longitude,latitude,height.")],
    fov: Annotated[str, typer.Option(help="Field of view in degrees: 1.5, or 3x2 for width x height.")],
    circle: Annotated[bool, typer.Option("--circle", help="The field is round, --fov its diameter.")] = False,
    fields: Annotated[Path | None, typer.Option(help="CSV with id,ra,dec: the telescope's own fields.", metavar="FILE")] = None,
    galaxies: Annotated[int | None, typer.Option(min=1, max=2000, help="Look at so many of the likeliest galaxies.")] = None,
    catalog: Annotated[str, typer.Option(help="Of galaxies, among those of `nuncius catalog list`.")] = "glade",
    level: Annotated[float, typer.Option(min=0.01, max=0.999, help="Cover the region that holds so much.")] = 0.9,
    overlap: Annotated[float, typer.Option(min=0, max=0.9, help="Of neighbouring fields, as part of a side.")] = 0.0,
    filters: Annotated[str, typer.Option(help="Taken one after another at each visit, such as g,r.")] = "r",
    exposure: Annotated[float, typer.Option(min=0.001, max=36000, help="Seconds, in each filter.")] = 30.0,
    readout: Annotated[float, typer.Option(min=0, max=3600, help="Seconds after each exposure.")] = 10.0,
    change: Annotated[float, typer.Option("--filter-change", min=0, max=3600, help="Seconds between two filters.")] = 0.0,
    slew: Annotated[float, typer.Option(min=0.001, max=100, help="Degrees a second.")] = 1.0,
    settle: Annotated[float, typer.Option(min=0, max=3600, help="Seconds after each slew.")] = 5.0,
    repeat: Annotated[int, typer.Option(min=1, max=20, help="Visits to each field.")] = 1,
    gap: Annotated[float, typer.Option(min=0, max=1440, help="Minutes from one visit to the next at the least.")] = 30.0,
    least: Annotated[float, typer.Option("--min-altitude", min=0, max=90, help="Degrees.")] = 30.0,
    airmass: Annotated[float, typer.Option("--max-airmass", min=1, max=40, help="Secant of the zenith distance.")] = 2.5,
    moon: Annotated[float, typer.Option("--moon", min=0, max=180, help="Degrees off the Moon while it is up.")] = 20.0,
    sun: Annotated[
        float, typer.Option("--sun", min=-30, max=0, help="It is night with the Sun below so many degrees.")
    ] = -18.0,
    date: Annotated[str | None, typer.Option(help="The night of this evening; else the one under way, or the next.")] = None,
    start: Annotated[str | None, typer.Option(help="Not before this time (UTC). [default: now, or dusk of --date]")] = None,
    end: Annotated[str | None, typer.Option(help="Not after this time (UTC). [default: dawn]")] = None,
    most: Annotated[int, typer.Option("--max-fields", min=1, max=2500, help="Fields at most.")] = 1000,
    planned: Annotated[bool, typer.Option("--planned", help="Leave out what others plan to observe, too.")] = False,
    ignore: Annotated[bool, typer.Option("--ignore-observed", help="Plan as if nothing had been observed.")] = False,
    even_retracted: Annotated[bool, typer.Option("--even-retracted", help="Plan for a retracted event.")] = False,
    config: Annotated[Path | None, typer.Option(help=r"TOML with tables \[sites.<name>], such as nuncius.toml.")] = None,
    api: Annotated[str, typer.Option(help="Of Nuncius.", metavar="URL")] = DEFAULT,
    out: Annotated[Path | None, typer.Option(help="Write the plan as JSON.", metavar="FILE")] = None,
    table: Annotated[Path | None, typer.Option("--csv", help="Write its exposures as CSV.", metavar="FILE")] = None,
    queue: Annotated[Path | None, typer.Option(help="Write it as a SkyPortal queue.", metavar="FILE")] = None,
    program_pi: Annotated[str, typer.Option(help="For the queue.")] = "",
    plot: Annotated[Path | None, typer.Option(help="Write a picture of it over the map, PNG.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The plan on standard output.")] = False,
) -> None:
    """A telescope's night for the map of an event: which fields, in which order. It points nothing: it writes plans.

    Example: `python -m consumers.scheduler S240422ed --site palomar --fov 7.4x6.6 --filters g,r --out plan.json`
    """
    with terminal.complaints():
        if fields is not None and galaxies is not None:
            raise RequestError("--fields and --galaxies are two ways to choose fields: give one")
        place = sites.find(site, sites.load(config) if config else {})
        bands = tuple(name.strip() for name in filters.split(","))
        if not all(bands):
            raise RequestError(f"--filters {filters!r}: write them like g,r")
        with terminal.busy("load"):
            from consumers.scheduler import inputs, output, picture  # noqa: PLC0415 - wrong use is told at once
            from consumers.scheduler.fields import field_of  # noqa: PLC0415
            from consumers.scheduler.observed import footprints  # noqa: PLC0415
            from consumers.scheduler.order import Timing  # noqa: PLC0415
            from consumers.scheduler.plan import make  # noqa: PLC0415
            from consumers.scheduler.request import Limits, Request  # noqa: PLC0415

        from astropy.time import Time  # noqa: PLC0415

        limits = Limits(least, airmass, moon, sun)
        field = field_of(fov, circle=circle)
        window, closed = _window(place, date, start, end, limits)
        places = inputs.read_fields(fields) if fields is not None else None
        with terminal.busy("read the event"), Api(api) as connection:
            found = inputs.fetch(connection, event, even_retracted=even_retracted, observed=not ignore)
            if galaxies is not None:
                places = inputs.galaxies(connection, str(found.facts["name"]), galaxies, catalog)
        timing = Timing(exposure, readout, bands, change, slew, settle, repeat, gap * 60.0)
        request = Request(place, field, timing, limits, places, galaxies is not None, level, overlap, most)
        prints = footprints(found.observations, planned=planned)
        with terminal.busy("plan"):
            outcome = make(found.cells, request, window, prints, closed)
            document = output.document(dict(found.facts), outcome, request, Time.now())
            name = str(found.facts["name"])
            _write(out, json.dumps(document, indent=2) + "\n")
            _write(table, output.table(outcome, request))
            queued = output.queue(f"{name}-{place.name}", outcome, request, program_pi)
            _write(queue, json.dumps(queued, indent=2) + "\n")
            if plot is not None:
                plot.write_bytes(picture.draw(name, found.cells, outcome, request, prints))
        if as_json:
            terminal.print_json(document)
        else:
            _print(document, outcome)


def _window(
    place: Site, date: str | None, start: str | None, end: str | None, limits: Limits
) -> tuple[tuple[Time, Time] | None, str]:
    """The time to fill; none, with the reason in words where it is not for want of a night."""
    from astropy.time import Time  # noqa: PLC0415

    from consumers import night  # noqa: PLC0415

    first = Time(night_date("--start", start)) if start else None
    last = Time(night_date("--end", end)) if end else None
    if first is not None and last is not None and first >= last:
        raise RequestError(f"--start {start} is not before --end {end}")
    if date is not None:
        day = night_date("--date", date).strftime("%Y-%m-%d")
        dark, now = night.dark(place, night.evening(place, day), limits.sun), Time.now()
        if first is None and dark is not None and dark[0] < now < dark[1]:
            first = now  # what is over of a night that is under way cannot be planned
    else:
        first = first or Time.now()
        dark = night.tonight(place, first, limits.sun)
    if dark is None:
        return None, ""
    begin, close = dark if first is None else (max(dark[0], first), dark[1])
    close = close if last is None else min(close, last)
    if begin >= close:
        return None, f"nothing of the night at {place.name} is left: it is dark from {dark[0].isot[:16]} to {dark[1].isot[:16]}"
    return (begin, close), ""


def _write(file: Path | None, text: str) -> None:
    if file is not None:
        file.write_text(text, "utf-8")


def _print(document: dict[str, Any], outcome: Outcome) -> None:
    told = document["probability"]
    name, window = document["event"]["name"], document["window"]
    begin = f", {window['start']} to {window['end']}" if window else ""
    terminal.out.print(f"{name} at {document['site']['name']}{begin}", style="bold", markup=False, highlight=False)
    for note in outcome.notes:
        terminal.out.print(note, markup=False, highlight=False, soft_wrap=True)
    if outcome.reason:
        terminal.out.print(f"nothing to observe: {outcome.reason}", markup=False, highlight=False, soft_wrap=True)
        return
    rows = [
        (
            str(tile["number"]),
            str(tile["field_id"]),
            f"{tile['ra']:.4f}",
            f"{tile['dec']:+.4f}",
            f"{tile['probability']:.2%}",
            ", ".join(f"{one['start'][11:16]} {one['filter']}" for one in tile["observations"]),
            f"{min(one['airmass'] for one in tile['observations']):.2f}",
        )
        for tile in document["tiles"]
    ]
    terminal.show(("", "field", "ra", "dec", "probability", "UTC", "airmass"), rows)
    fields = "1 field holds" if len(rows) == 1 else f"{len(rows)} fields hold"
    said = f"{fields} {told['plan']:.2%} of the probability; {told['visible']:.2%} can be seen in the night"
    if told["observed"]:
        said += f"; {told['observed']:.2%} was observed before, {told['new']:.2%} is new"
    terminal.out.print(said, markup=False, highlight=False, soft_wrap=True)
