"""Observations out of files: a plan of `consumers.scheduler`, JSON as Nuncius has it, or CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from consumers.errors import RequestError

__all__ = ["Defaults", "read"]

_NUMBERS: Final = ("ra", "dec", "depth", "exposure", "band_min", "band_max", "radius")
_KEPT: Final = (
    *("id", "status", "time", "ra", "dec", "footprint", "telescope", "instrument", "band", "band_min", "band_max", "band_unit"),
    *("depth", "depth_unit", "exposure", "photometry", "reference", "note", "reporter"),
)
# What else a field of a plan can be called.
_ALSO: Final = {"start": "time", "filter": "band", "exposure_time": "exposure", "exptime": "exposure", "limiting_mag": "depth"}
PLAN: Final = "nuncius.schedule/"
"""How the schemas of `consumers.scheduler` begin."""
_AHEAD: Final = timedelta(minutes=5)  # by which the clock of an observatory may be ahead of ours
_LISTS: Final = ("observations", "items", "fields", "tiles", "pointings", "targets")

Defaults = Mapping[str, Any]
"""What holds for all observations where they do not say otherwise."""


def read(path: Path, defaults: Defaults, *, only: Collection[str] = ()) -> list[dict[str, Any]]:
    """Observations of a file, as ``POST /events/{name}/observations`` takes them.

    Parameters
    ----------
    defaults
        ``status``, ``telescope``, ``instrument``, ``band``, ``depth``, ``depth_unit``, ``exposure``, ``time``, ``radius``
        (degrees, of a round field) and ``reporter``; ``status`` counts for all.
    only
        Ids or numbers (from 1) of those wanted; all where there is none.

    Returns
    -------
    list of dict
        Each with an ``id``: its own behind the plan's digest, so that what was planned is found again when it is done.

    Raises
    ------
    RequestError
        The file holds no observations, one lacks what it needs, or is to be completed and has not begun.
    """
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is no text: give a plan (JSON), observations (JSON) or a table (CSV)") from error
    document = _parsed(path, text)
    rows = _planned(path, document) if _is_plan(document) else _rows(path, document)
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True, default=str).encode()).hexdigest()[:10]
    common = _common(document) | {name: value for name, value in defaults.items() if value is not None}
    found = []
    for number, row in enumerate(rows, 1):
        ident = str(row.get("id") or number)
        if only and not {ident, str(number)} & set(only):
            continue
        found.append(_observation(path, number, dict(row), common) | {"id": ident if "/" in ident else f"{digest}/{ident}"})
    if not found:
        raise RequestError(f"{path} has none of the observations {', '.join(sorted(only))}: it has {len(rows)}")
    return found


def _parsed(path: Path, text: str) -> Any:
    if path.suffix.lower() == ".csv" or (text.lstrip()[:1] not in {"{", "["}):
        return list(csv.DictReader(io.StringIO(text)))
    try:
        return json.loads(text)
    except ValueError as error:
        raise RequestError(f"{path} is no JSON: {error}") from error


def _rows(path: Path, document: Any) -> Sequence[Mapping[str, Any]]:
    found = document
    if isinstance(document, Mapping):
        found = next((document[name] for name in _LISTS if isinstance(document.get(name), list)), [])
    if not isinstance(found, list) or not found or not all(isinstance(row, Mapping) for row in found):
        raise RequestError(f"{path} holds no observations: a plan, a list of them, or a table with ra, dec and time")
    return found


def _is_plan(document: Any) -> bool:
    return isinstance(document, Mapping) and str(document.get("schema", "")).startswith(PLAN)


def _planned(path: Path, plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Exposures of a plan of `consumers.scheduler`, in order of time."""
    try:
        field = plan["field"]
        rows = []
        for tile in plan["tiles"]:
            shape = {"type": "polygon", "vertices": tile["vertices"]}
            if field["circle"]:
                shape = {"type": "circle", "radius": field["width"] / 2.0}
            for one in tile["observations"]:
                said = {"ra": tile["ra"], "dec": tile["dec"], "footprint": shape, "note": f"field {tile['field_id']}"}
                more = {"id": str(one["number"]), "time": one["start"], "band": one["filter"], "exposure": one["exposure"]}
                rows.append(said | more)
    except (KeyError, TypeError) as error:
        raise RequestError(f"{path} is a plan of schema {plan['schema']} and lacks {error}: make it anew") from error
    if not rows:
        raise RequestError(f"{path} is a plan without exposures: {plan.get('reason') or 'nothing was planned'}")
    return sorted(rows, key=lambda row: int(row["id"]))


def _common(document: Any) -> dict[str, Any]:
    """What a plan says of all of its fields."""
    if not isinstance(document, Mapping):
        return {}
    if _is_plan(document):
        return {"telescope": document["site"]["name"], "status": "planned"}  # nothing of it is observed until that is said
    found = {
        name: document[name]
        for name in ("telescope", "instrument", "band", "depth", "depth_unit", "exposure")
        if name in document
    }
    return found | {
        also: document[name] for name, also in _ALSO.items() if document.get(name) is not None and also not in found
    }


def _observation(path: Path, number: int, row: dict[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    for name, also in _ALSO.items():
        if name in row and row.get(also) in {None, ""}:
            row[also] = row.pop(name)
    row = {name: value for name, value in row.items() if value not in (None, "")}
    for name in _NUMBERS:
        if isinstance(row.get(name), str):
            try:
                row[name] = float(row[name])
            except ValueError as error:
                raise RequestError(f"{path}, observation {number}: {name} is {row[name]!r}, which is no number") from error
    made = {**common, **row, "status": common.get("status") or row.get("status") or "completed"}
    if made.get("footprint") is None and made.get("radius") is not None:
        made["footprint"] = {"type": "circle", "radius": made["radius"]}
    corners = made.get("vertices") or made.get("corners")
    if made.get("footprint") is None and corners:
        made["footprint"] = {"type": "polygon", "vertices": corners}
    lacking = [name for name in ("ra", "dec", "time", "telescope") if made.get(name) is None]
    if lacking:
        raise RequestError(f"{path}, observation {number}: no {', '.join(lacking)}; the options of the same names hold for all")
    if made["status"] == "completed" and _begins(made["time"]) > datetime.now(UTC) + _AHEAD:
        raise RequestError(
            f"{path}, observation {number}: it begins at {made['time']}, and cannot be completed yet: --status planned"
        )
    return {name: made[name] for name in _KEPT if made.get(name) is not None}


def _begins(time: Any) -> datetime:
    """When an observation begins; long ago where we cannot read it, and Nuncius has to say what it makes of it."""
    try:
        found = datetime.fromisoformat(str(time))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
