"""What a plan is made from: the event, its map, what was observed of it, galaxies, the telescope's own fields."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumers.api import Api, MissingError
from consumers.cells import Cells, read
from consumers.errors import RequestError
from consumers.scheduler.request import Place

__all__ = ["Event", "fetch", "galaxies", "read_fields"]


@dataclass(frozen=True)
class Event:
    """An event as the API tells it.

    Parameters
    ----------
    facts
        Its name, state, revision and time.
    cells
        Its map.
    observations
        What was observed of it, or is planned.
    """

    facts: Mapping[str, Any]
    cells: Cells
    observations: Sequence[Mapping[str, Any]]


def fetch(api: Api, name: str, *, even_retracted: bool = False, observed: bool = True) -> Event:
    """An event with its map and observations.

    Raises
    ------
    RequestError
        There is no such event, it has no map, it is retracted, or what was observed of it is not told.
    """
    event = api.json("events", name)
    name = event["name"]
    if event["retracted"] and not even_retracted:
        raise RequestError(
            f"event {name} is retracted: there is nothing to look for; --even-retracted plans for it all the same"
        )
    if not event["has_map"]:
        raise RequestError(
            f"event {name} has no sky map, so there is nothing to cover: use `python -m consumers.visibility` for a place"
        )
    cells = read(api.content("events", name, "skymap"))
    facts = {key: event.get(key) for key in ("name", "state", "revision", "map_revision", "time")}
    return Event(facts, cells, _observations(api, name) if observed else [])


def _observations(api: Api, name: str) -> list[Mapping[str, Any]]:
    try:
        return list(api.items("events", name, "observations"))
    except MissingError as error:  # which is not to say that nothing was observed
        raise RequestError(f"{error}; --ignore-observed plans as if nothing had been observed") from error


def galaxies(api: Api, name: str, count: int, catalog: str) -> list[Place]:
    """The likeliest galaxies of an event, the likeliest first.

    Raises
    ------
    RequestError
        There are none: no such catalogue is served, or none of its galaxies is in the map.
    """
    found = api.json("events", name, "galaxies", limit=count, catalog=catalog)["items"]
    if not found:
        raise RequestError(f"no galaxy of {catalog} lies in the map of {name}: leave out --galaxies")
    names = [str(one.get("name") or one.get("id") or f"galaxy {one['rank']}") for one in found]
    return [
        Place(
            called if names.count(called) == 1 else f"{called} ({one['rank']})",
            float(one["ra"]),
            float(one["dec"]),
            float(one.get("probability") or 0.0),
        )
        for called, one in zip(names, found, strict=True)
    ]


def read_fields(file: Path) -> list[Place]:
    """Fields of a telescope from a CSV file with the columns id, ra and dec (degrees, ICRS); others are left out.

    Raises
    ------
    RequestError
        A column is missing, a line is wrong, or two fields have one id.
    """
    with file.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines)
        named = {name.strip().lower(): name for name in table.fieldnames or [] if name}
        if missing := {"id", "ra", "dec"} - set(named):
            raise RequestError(f"{file}: no column {', '.join(sorted(missing))}: the first line names id, ra and dec")
        found: dict[str | int, Place] = {}
        for row in table:
            try:
                place = _place(*(row[named[name]] for name in ("id", "ra", "dec")))
            except (TypeError, ValueError, AttributeError) as error:
                raise RequestError(f"{file}, line {table.line_num}: {error}") from error
            if place.name in found:
                raise RequestError(f"{file}, line {table.line_num}: field {place.name} is there twice")
            found[place.name] = place
    if not found:
        raise RequestError(f"{file} has no fields")
    return list(found.values())


def _place(ident: str, ra: str, dec: str) -> Place:
    place = Place(_ident(ident), float(ra), float(dec))
    if not (-360.0 <= place.ra <= 360.0 and -90.0 <= place.dec <= 90.0):
        raise ValueError(f"{place.ra:g} {place.dec:g} is no place on the sky")
    return place


def _ident(text: str) -> str | int:
    """A field's id: a number where it is one, ``256`` or ``256.0``."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        if not text:
            raise ValueError("a field has no id") from None
        return text
    return int(number) if number.is_integer() else text
