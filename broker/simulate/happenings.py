"""What happens in a simulated night: a merger, a burst and a neutrino, and the sources they leave on the sky."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from broker.simulate import gcn, lvk
from broker.simulate.sky import Floats, Sources, galaxies_near, offset, one
from broker.simulate.skymap import credible_level
from broker.simulate.survey import Packet, mjd_of

__all__ = ["LONGITUDE", "Happening", "Truth", "happen", "meridian"]

LONGITUDE = {"ztf": -116.86, "lsst": -70.75}
"""Of the telescopes, degrees east."""

_REACH = (-14.0, 4.0)  # declinations both surveys see, degrees


@dataclass(frozen=True, slots=True)
class Truth:
    """What is behind some of the packets.

    Parameters
    ----------
    kind
        ``gw``, ``grb`` or ``neutrino`` for an event; ``kilonova``, ``afterglow`` or ``tde`` for its counterpart in a survey.
    stream
        Where it shows.
    name
        Of the event, as followers call it (a burst by mission and trigger number), or the survey's object.
    time
        Of the event, UTC.
    ra, dec
        True position, degrees, ICRS.
    packets
        Names of the packets it made, `Packet.name`: candidate and source numbers for the surveys.
    event
        Name of the event a counterpart belongs to; for an event its own.
    level
        Credible level of the place in the last sky map, where there is one.
    """

    kind: str
    stream: str
    name: str
    time: datetime
    ra: float
    dec: float
    packets: tuple[str, ...]
    event: str
    level: float | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of the night with its notices and the source it leaves on the sky."""

    truth: Truth
    notices: tuple[Packet, ...]
    source: Sources


def happen(
    rng: np.random.Generator, start: datetime, duration: float, galaxies: Floats | None, tense: str
) -> tuple[Happening, Happening, Happening]:
    """Merger, burst and neutrino, in this order, each in a part of the sky the surveys will look at."""
    squeeze = min(1.0, duration / 3600.0)
    merger, trigger, arrival = (start + timedelta(seconds=part * duration) for part in (0.12, 0.05, 0.2))
    places = [_place(rng, start) for _ in range(3)]
    host = _host(rng, places[0], galaxies)
    place = offset(*host, rng.uniform(4, 12) / 3600, rng.uniform(0, 360))
    at = (float(place[0]), float(place[1]))
    event = lvk.make_event(
        rng, merger, place=at, distance=float(rng.uniform(40, 120)), width=0.9, length=5.0, mock=tense == "test"
    )
    delays = tuple(delay * squeeze for delay in (-8.0, 35.0, 300.0, 1500.0))
    sent = tuple(lvk.notices(event, delays=delays))
    level = credible_level(lvk.sky_maps(event)[-1], *at)
    gw = Truth("gw", "lvk", event.name, merger, *at, tuple(packet.name for packet in sent), event.name, level)
    kilonova = one("kilonova", *at, peak_mjd=mjd_of(merger), peak_mag=18.6, host_sep=8.0, seed=int(rng.integers(2**48)))

    name = f"Fermi {gcn.burst_number(trigger)}"
    delays = tuple(delay * squeeze for delay in gcn.GBM_DELAYS)
    told = tuple(gcn.burst(rng, trigger, places[1], tense=tense, delays=delays))
    grb = Truth("grb", "gcn", name, trigger, *places[1], tuple(packet.name for packet in told), name)
    glow = one("afterglow", *places[1], peak_mjd=mjd_of(trigger), peak_mag=17.2, host_sep=0.6, seed=int(rng.integers(2**48)))

    track = gcn.icecube(rng, arrival, places[2], tense=tense)
    track = track._replace(time=arrival + timedelta(seconds=45 * squeeze))
    neutrino = Truth(
        "neutrino", "gcn", f"IceCube-{arrival:%y%m%d}A", arrival, *places[2], (track.name,), f"IceCube-{arrival:%y%m%d}A"
    )
    peak = mjd_of(start) - 20
    flare = one("tde", *places[2], peak_mjd=peak, peak_mag=17.8, host_sep=0.1, seed=int(rng.integers(2**48)))
    return Happening(gw, sent, kilonova), Happening(grb, told, glow), Happening(neutrino, (track,), flare)


def meridian(time: datetime, longitude: float) -> float:
    """Local sidereal time in degrees, to a minute or so (Astronomical Almanac, low precision)."""
    return (280.46062 + 360.98564737 * (mjd_of(time) - 51544.5) + longitude) % 360.0


def _place(rng: np.random.Generator, start: datetime) -> tuple[float, float]:
    middle = meridian(start, sum(LONGITUDE.values()) / 2)
    return float((middle + rng.uniform(-35, 35)) % 360.0), float(rng.uniform(*_REACH))


def _host(rng: np.random.Generator, place: tuple[float, float], galaxies: Floats | None) -> tuple[float, float]:
    """A galaxy near a place, or the place where there is none."""
    near = galaxies_near(galaxies, *place, 6.0) if galaxies is not None else np.empty((0, 2))
    near = near[(near[:, 1] > _REACH[0]) & (near[:, 1] < _REACH[1])]
    if not len(near):
        return place
    chosen = near[rng.integers(len(near))]
    return float(chosen[0]), float(chosen[1])
