"""Pointings for the Gravitational Wave Treasure Map (Wyatt et al. 2020, ApJ 894, 127), ``POST /api/v1/pointings``.

A completed pointing has a time, a band, a depth and its unit; a planned one a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from consumers.errors import RequestError, UnavailableError
from consumers.report.exchange import post
from consumers.report.rectangle import turned

__all__ = ["BANDS", "URL", "Outcome", "of_one", "payloads", "pointing", "send"]

URL = "https://treasuremap.space"
AT_ONCE: Final = 100
BANDS: Final = (
    *(
        "U",
        "B",
        "V",
        "R",
        "I",
        "J",
        "H",
        "K",
        "u",
        "g",
        "r",
        "i",
        "z",
        "UVW1",
        "UVW2",
        "UVM2",
        "XRT",
        "clear",
        "open",
        "UHF",
        "VHF",
    ),
    *("L", "S", "C", "X", "other", "TESS", "BAT", "HESS", "WISEL", "q"),
)
"""Names of bands that it knows."""
_SAME: Final = {"Ks": "K", "y": "other", "Y": "other", "white": "clear", "unfiltered": "clear"}
_THERE: Final = "already submitted"
_CHOSEN: Final = {"telescope": "--telescope", "reporter": "--reporter", "instrument": "--only-instrument"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of pointings that were sent.

    Parameters
    ----------
    ids
        Of those it has taken.
    known
        How many it had before.
    errors
        Why it has not taken others.
    """

    ids: tuple[int, ...]
    known: int
    errors: tuple[str, ...]


def pointing(observation: Mapping[str, Any], instrument: int, pos_angle: float | None = None) -> dict[str, Any]:
    """A pointing of an observation as Nuncius has it.

    Parameters
    ----------
    instrument
        Treasure Map's number of it.
    pos_angle
        Degrees by which the camera was turned; unless given, by the corners of the footprint.

    Notes
    -----
    Treasure Map draws the instrument's own footprint, turned by ``pos_angle`` from north to west (``project_footprint`` of its
    sources), so that is what it is told: the negative of the position angle as astronomers count it.

    Raises
    ------
    RequestError
        It lacks what Treasure Map asks for; the text says what.
    """
    status = observation["status"]
    made: dict[str, Any] = {
        "ra": observation["ra"],
        "dec": observation["dec"],
        "instrumentid": instrument,
        "time": _time(observation["time"]),
        "status": status,
        "pos_angle": _turn(observation) if pos_angle is None else pos_angle,
    }
    band = observation.get("band")
    if band:
        bare = band.removesuffix("'")
        made["band"] = next((name for name in (bare, _SAME.get(bare, "")) if name in BANDS), "other")
    if observation.get("depth") is not None:
        made |= {"depth": observation["depth"], "depth_unit": observation.get("depth_unit") or "ab_mag"}
    lacking = [name for name in ("band", "depth", "depth_unit") if name not in made] if status == "completed" else []
    if lacking:
        raise RequestError(
            f"observation {_name(observation)} is completed and has no {' and no '.join(lacking)}: Treasure Map asks for it"
        )
    return made


def of_one(rows: Sequence[Mapping[str, Any]], instrument: int) -> None:
    """Refuse observations of several telescopes, instruments or reporters: Treasure Map draws all with one footprint.

    Raises
    ------
    RequestError
        They are of several.
    """
    for name, option in _CHOSEN.items():
        found = sorted({str(row.get(name) or "none named") for row in rows if row.get("status") != "cancelled"})
        if len(found) > 1:
            raise RequestError(
                f"observations of more than one {name} ({', '.join(found)}) cannot all be of instrument {instrument}: choose "
                f"yours with {option}"
            )


def payloads(
    graceid: str,
    observations: Iterable[Mapping[str, Any]],
    instrument: int,
    *,
    request_doi: bool = False,
    pos_angle: float | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Requests for observations, and why some are left out; cancelled ones are."""
    made, left_out = [], []
    for each in observations:
        if each["status"] == "cancelled":
            continue
        try:
            made.append(pointing(each, instrument, pos_angle))
        except RequestError as error:
            left_out.append(str(error))
    bodies: list[dict[str, Any]] = []
    for first in range(0, len(made), AT_ONCE):
        some = made[first : first + AT_ONCE]
        bodies.append({"graceid": graceid, "pointings": some, "request_doi": request_doi})
    return bodies, left_out


def send(
    url: str, token: str, bodies: Sequence[Mapping[str, Any]], say: Callable[[str], None], *, timeout: float = 60.0
) -> Outcome:
    """Send requests made by `payloads`.

    Raises
    ------
    RequestError, UnavailableError
        As `consumers.report.exchange.post`.
    """
    ids: list[int] = []
    errors: list[str] = []
    known = 0
    with httpx.Client(headers={"api_token": token}, timeout=timeout) as client:
        for number, body in enumerate(bodies, 1):
            what = f"pointings, part {number} of {len(bodies)}"
            answer = post(client, f"{url.rstrip('/')}/api/v1/pointings", what=what, say=say, json=dict(body))
            try:
                document = answer.json()
                ids += [int(one) for one in document["pointing_ids"]]
                told = [str(one) for one in document.get("ERRORS") or []]
            except (ValueError, KeyError, TypeError) as error:
                raise UnavailableError(f"{url} answers no document of Treasure Map: {answer.text[:200]}") from error
            known += sum(_THERE in one for one in told)
            errors += [one for one in told if _THERE not in one]
    return Outcome(tuple(ids), known, tuple(errors))


def _time(text: str) -> str:
    time = datetime.fromisoformat(text)
    utc = time.astimezone(UTC) if time.tzinfo else time
    return utc.strftime("%Y-%m-%dT%H:%M:%S.%f")


def _turn(observation: Mapping[str, Any]) -> float:
    footprint = observation.get("footprint") or {}
    if footprint.get("type") != "polygon":
        return 0.0
    found = turned(observation["ra"], observation["dec"], footprint["vertices"])
    if found is None:
        raise RequestError(
            f"observation {_name(observation)} has a footprint that is no rectangle, which does not tell how the camera was "
            f"turned: give --pos-angle"
        )
    return round(found, 4) + 0.0  # never -0.0


def _name(observation: Mapping[str, Any]) -> Any:
    return observation.get("id") or observation.get("observation_id")
