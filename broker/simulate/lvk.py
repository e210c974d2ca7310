"""Notices of a gravitational-wave event, as on ``igwn.gwalert``: JSON with a multi-order map in base64."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from broker.simulate.sky import offset
from broker.simulate.skymap import Shape, SkyMap, build, to_fits
from broker.simulate.survey import Packet

__all__ = ["DELAYS", "Event", "make_event", "notices", "packets", "sky_maps"]

_TYPES = ("EARLYWARNING", "PRELIMINARY", "INITIAL", "UPDATE", "RETRACTION")

DELAYS = (-8.0, 35.0, 1500.0, 12000.0, 90000.0)
"""Seconds from the merger to each notice of `_TYPES`."""

# How much wider than the last map each one is, across and along.
_SCALE = ((3.0, 2.0), (1.5, 1.3), (1.3, 1.2), (1.0, 1.0))
_INSTRUMENTS = ("H1", "L1", "V1")


@dataclass(frozen=True, slots=True)
class Event:
    """A merger.

    Parameters
    ----------
    name
        Superevent id, such as ``S261121ab``; mock events start with ``MS``.
    time
        Of the merger, UTC.
    ra, dec, distance
        Where it truly is, degrees and Mpc.
    shape
        Of the last and best map.
    classification
        Probability of BNS, NSBH, BBH and Terrestrial.
    """

    name: str
    time: datetime
    ra: float
    dec: float
    distance: float
    shape: Shape
    classification: tuple[float, float, float, float]


def make_event(
    rng: np.random.Generator,
    time: datetime,
    *,
    place: tuple[float, float] | None = None,
    distance: float | None = None,
    width: float = 1.5,
    length: float = 12.0,
    mock: bool = False,
) -> Event:
    """An event with its true place within two sigma of the map's middle, so inside the 90 % region.

    Parameters
    ----------
    place
        Degrees, ICRS; at random where not given.
    distance
        Mpc; 40 to 250 where not given.
    width, length
        One sigma of the map across and along, degrees.
    mock
        Whether it is one of the test events sent around the clock.
    """
    ra, dec = place or (float(rng.uniform(0, 360)), float(np.degrees(np.arcsin(rng.uniform(-1, 1)))))
    far = distance or float(rng.uniform(40, 250))
    bearing, radius = float(rng.uniform(0, 360)), float(rng.uniform(50, 90))
    # Along the arc, at right angles to the pole: the ring bends away by less than its width over this much.
    shift = rng.uniform(-0.7, 0.7, 2) * (min(length, 3 * width), width)
    middle = offset(*offset(ra, dec, abs(shift[0]), bearing + 90 * np.sign(shift[0])), abs(shift[1]), bearing)
    letters = "".join(chr(ord("a") + int(digit)) for digit in rng.integers(0, 26, int(rng.integers(1, 3))))
    bns = float(rng.uniform(0.85, 0.99))
    rest = 1 - bns
    shape = Shape(float(middle[0]), float(middle[1]), radius, bearing, width, length, far, 0.2 * far)
    name = f"{'MS' if mock else 'S'}{time:%y%m%d}{letters}"
    return Event(name, time, ra, dec, far, shape, (bns, rest * 0.6, rest * 0.1, rest * 0.3))


def sky_maps(event: Event, *, start_order: int = 3) -> tuple[SkyMap, ...]:
    """Maps of the early warning, preliminary, initial and update notice, each better than the last."""
    shape = event.shape
    scaled = [replace(shape, width=shape.width * across, length=shape.length * along) for across, along in _SCALE]
    return tuple(build(one, start_order=start_order) for one in scaled)


def notices(event: Event, *, delays: Sequence[float] = DELAYS, retract: bool = False, start_order: int = 3) -> Iterator[Packet]:
    """Notices of an event in time order.

    Parameters
    ----------
    delays
        Seconds from the merger to the early warning, preliminary, initial and update notice and the retraction.
    retract
        Whether a retraction follows.
    start_order
        See `broker.simulate.skymap.build`: 3 makes notices of 270 kB, 4 of 1 MB.
    """
    maps = sky_maps(event, start_order=start_order)
    for number, kind in enumerate(_TYPES if retract else _TYPES[:4]):
        created = event.time + timedelta(seconds=delays[number])
        notice = {
            "alert_type": kind,
            "time_created": f"{created:%Y-%m-%dT%H:%M:%SZ}",
            "superevent_id": event.name,
            "urls": {"gracedb": f"https://gracedb.invalid/superevents/{event.name}/view/"},
            "event": None if kind == "RETRACTION" else _body(event, maps[number], created, number),
            "external_coinc": None,
        }
        yield Packet(created, "lvk", json.dumps(notice).encode(), f"{event.name}-{number + 1}-{kind}", ".json")


def _body(event: Event, sky: SkyMap, created: datetime, number: int) -> dict[str, Any]:
    bns, nsbh, bbh, noise = event.classification
    creator = "BILBY" if number == 3 else "BAYESTAR"
    data = to_fits(sky, name=event.name, time=event.time, made=created, instruments=_INSTRUMENTS, creator=creator)
    return {
        "time": f"{event.time:%Y-%m-%dT%H:%M:%S}.{event.time.microsecond // 1000:03d}Z",
        "far": 1e-8 if number == 0 else 9.1e-14,
        "significant": True,
        "instruments": list(_INSTRUMENTS),
        "group": "CBC",
        "pipeline": "gstlal",
        "search": "MDC" if event.name.startswith("M") else ("EarlyWarning" if number == 0 else "AllSky"),
        "properties": {"HasNS": round(bns + nsbh, 4), "HasRemnant": round(bns, 4), "HasMassGap": 0.01, "HasSSM": 0.0},
        "classification": {"BNS": bns, "NSBH": nsbh, "BBH": bbh, "Terrestrial": noise},
        "duration": None,
        "central_frequency": None,
        "skymap": base64.b64encode(data).decode(),
    }


def packets(seed: int, count: int, start: datetime, *, mock: bool = False, start_order: int = 3) -> Iterator[Packet]:
    """Notices of one event after another, a day apart, as many as wanted; every fourth event is retracted."""
    rng = np.random.default_rng([seed, 3])
    made = number = 0
    while made < count:
        event = make_event(rng, start + timedelta(days=2 * number), mock=mock)
        for packet in notices(event, retract=number % 4 == 3, start_order=start_order):
            if made == count:
                return
            made += 1
            yield packet
        number += 1
