"""The command line of ``python -m consumers.visibility``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers import sites, terminal
from consumers.api import DEFAULT, Api
from consumers.errors import RequestError
from consumers.times import night_date

if TYPE_CHECKING:
    from astropy.time import Time

    from consumers.sites import Site
    from consumers.visibility.look import MapSight, Sight

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def visibility(  # noqa: PLR0917 - typer makes options of them
    target: Annotated[str | None, typer.Argument(help="An object or alert of the API, such as ZTF23aaxeydp.")] = None,
    ra: Annotated[float | None, typer.Option(min=-360, max=360, help="Degrees, ICRS.")] = None,
    dec: Annotated[float | None, typer.Option(min=-90, max=90, help="Degrees, ICRS.")] = None,
    event: Annotated[str | None, typer.Option(help="An event of the API: how much of its map is up.")] = None,
    site: Annotated[
        list[str] | None,
        typer.Option(help="A name of astropy's list, of --config, or name=longitude,latitude,height. Repeatable."),
    ] = None,
    date: Annotated[str | None, typer.Option(help="The night of this evening, or under way at this time (UTC).")] = None,
    least: Annotated[float, typer.Option("--min-altitude", min=-5, max=90, help="Degrees.")] = 30.0,
    sun: Annotated[
        float, typer.Option("--sun", min=-30, max=0, help="It is night with the Sun below so many degrees.")
    ] = -18.0,
    config: Annotated[Path | None, typer.Option(help=r"TOML with tables \[sites.<name>], such as nuncius.toml.")] = None,
    api: Annotated[str, typer.Option(help="Of Nuncius.", metavar="URL")] = DEFAULT,
    plot: Annotated[Path | None, typer.Option(help="Write a picture, PNG.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """When a target or the map of an event is up tonight, at one or more sites.

    Example: `python -m consumers.visibility --ra 83.63 --dec 22.01 --site paranal --site palomar --date 2026-11-21`
    """
    with terminal.complaints():
        named = [target is not None, ra is not None or dec is not None, event is not None]
        if sum(named) != 1 or (ra is None) != (dec is None):
            raise RequestError("say what to look at: an object or alert, --ra with --dec, or --event; one of them")
        own = sites.load(config) if config else {}
        if not site:
            raise RequestError(f"say where from: --site, one or more of {', '.join(sites.names(own))}, or name=lon,lat,height")
        places = [sites.find(name, own) for name in site]
        with terminal.busy("look"):
            document, seen, drawing = _looked_up(places, (target, ra, dec, event), (date, least, sun), api)
            if plot is not None:
                plot.write_bytes(drawing())
        if as_json:
            terminal.print_json(document)
        else:
            _print(document["title"], seen)


def _looked_up(
    places: Sequence[Site],
    what: tuple[str | None, float | None, float | None, str | None],
    how: tuple[str | None, float, float],
    url: str,
) -> tuple[dict[str, Any], Sequence[Sight | MapSight], Any]:
    from consumers import night  # noqa: PLC0415 - help, and what is wrong with a command line, are told at once
    from consumers.visibility import look, plot  # noqa: PLC0415

    target, ra, dec, event = what
    date, least, sun = how
    nights = [_night(night, place, date, sun) for place in places]
    told: dict[str, Any] = {"min_altitude": least, "sun_limit": sun}
    if event is not None:
        from consumers.cells import read  # noqa: PLC0415

        with Api(url) as api:
            name = str(api.json("events", event)["name"])
            cells = read(api.content("events", name, "skymap"))
        maps = [look.map_sight(place, cells, dark, least, sun) for place, dark in zip(places, nights, strict=True)]
        document = {"title": name, "event": name, **told, "sites": [one.document() for one in maps]}
        return document, maps, lambda: plot.map_picture(name, cells, maps, least)
    if target is not None:
        ra, dec = _position(target, url)
    assert ra is not None
    assert dec is not None
    title = target or f"{ra:g} {dec:+g}"
    seen = [look.sight(place, (ra, dec), dark, least, sun) for place, dark in zip(places, nights, strict=True)]
    document = {"title": title, "target": target, "ra": ra, "dec": dec, **told, "sites": [one.document() for one in seen]}
    return document, seen, lambda: plot.target_picture(title, (ra, dec), seen, least, sun)


def _night(night: Any, place: Site, date: str | None, sun: float) -> tuple[Time, Time] | None:
    from astropy.time import Time  # noqa: PLC0415

    if date is None:
        return night.tonight(place, Time.now(), sun)  # type: ignore[no-any-return]
    when = night_date("--date", date, "date")
    if date == "now" or len(date) > len("2026-11-21"):
        return night.tonight(place, Time(when), sun)  # type: ignore[no-any-return]
    return night.dark(place, night.evening(place, when.strftime("%Y-%m-%d")), sun)  # type: ignore[no-any-return]


def _position(name: str, url: str) -> tuple[float, float]:
    with Api(url) as api:
        found = api.json("alerts", name) if ":" in name else api.json("objects", name)
    if found.get("ra") is None or found.get("dec") is None:
        raise RequestError(f"{name} has no position: give --ra and --dec")
    return float(found["ra"]), float(found["dec"])


def _print(title: str, seen: Sequence[Any]) -> None:
    terminal.out.print(title, style="bold", markup=False, highlight=False)
    first = seen[0]
    rows: list[tuple[str, ...]]
    if hasattr(first, "probability"):
        columns: tuple[str, ...] = ("site", "night (UTC)", "probability up", "from", "until", "best", "then up", "Moon lit")
        rows = [_map_row(one) for one in seen]
    else:
        columns = ("site", "night (UTC)", "rise", "set", "best", "altitude", "airmass", "Moon away", "Moon lit")
        rows = [_row(one) for one in seen]
    terminal.show(columns, rows)
    for one in seen:
        if one.why:
            terminal.out.print(one.why, markup=False, highlight=False, soft_wrap=True)


def _clock(time: Time | None) -> str:
    from astropy.time import TimeDelta  # noqa: PLC0415

    return "" if time is None else str((time + TimeDelta(30.0, format="sec")).strftime("%H:%M"))


def _dark(span: tuple[Time, Time] | None) -> str:
    return "none" if span is None else f"{span[0].strftime('%Y-%m-%d')} {_clock(span[0])} - {_clock(span[1])}"


def _row(one: Sight) -> tuple[str, ...]:
    if not one.windows:
        return (one.site.name, _dark(one.night), "never up", *[""] * 6)
    return (
        one.site.name,
        _dark(one.night),
        ", ".join(_clock(start) for start, _ in one.windows),
        ", ".join(_clock(end) for _, end in one.windows),
        _clock(one.best),
        f"{one.altitude:.1f}°",
        f"{one.airmass:.2f}",
        f"{one.moon_separation:.0f}°",
        f"{one.moon_illumination:.0%}",
    )


def _map_row(one: MapSight) -> tuple[str, ...]:
    if one.best is None or one.up is None:
        return (one.site.name, _dark(one.night), "never up", *[""] * 5)
    start, end = one.window or (None, None)
    return (
        one.site.name,
        _dark(one.night),
        f"{one.probability:.1%}",
        _clock(start),
        _clock(end),
        _clock(one.best),
        f"{one.up.max():.1%}",
        f"{one.moon_illumination:.0%}",
    )
