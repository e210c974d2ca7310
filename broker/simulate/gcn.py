"""GCN notices in the unified schema: a gamma-ray burst as Fermi GBM tells it, Swift, Einstein Probe, an IceCube track.

Topics and field names are those of gcn.nasa.gov's schema; nothing here happened. `tense` goes into ``alert_tense``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from broker.simulate.sky import offset
from broker.simulate.survey import Packet
from broker.simulate.voevent import gbm_position

__all__ = ["GBM_DELAYS", "burst", "burst_name", "burst_number", "einstein_probe", "icecube", "packets", "swift"]

_SCHEMA = "https://gcn.nasa.gov/schema/main/gcn/notices"
_MET_ZERO = datetime(2001, 1, 1, tzinfo=UTC)

GBM_DELAYS = (6.0, 14.0, 45.0, 560.0)
"""Seconds from the trigger to GBM's alert, flight, ground and final position."""

_GBM_STEPS = (
    # subtype, alert_type, one-sigma position error in degrees, significance
    ("INITIAL_ALERT", "initial", None, 5.8),
    ("FLIGHT_POSITION", "update", 8.0, 9.4),
    ("GROUND_POSITION", "update", 3.2, 16.6),
    ("FINAL_POSITION", "update", 1.4, 21.3),
)


def _iso(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 10000:02d}Z"


def burst_name(time: datetime) -> str:
    """``bnYYMMDDfff`` of GBM: the day and the thousandth of the day."""
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
    return f"bn{time:%y%m%d}{(time - midnight) * 1000 // timedelta(days=1):03d}"


def burst_number(time: datetime) -> str:
    """Trigger number: seconds since the first of 2001."""
    return str(int((time - _MET_ZERO).total_seconds()))


def _notice(time: datetime, name: str, body: dict[str, Any]) -> Packet:
    ordered = {"$schema": body.pop("$schema"), "alert_datetime": _iso(time), **body}
    return Packet(time, "gcn", json.dumps(ordered).encode(), name, ".json")


def burst(
    rng: np.random.Generator,
    trigger: datetime,
    place: tuple[float, float],
    *,
    tense: str = "test",
    long: bool = True,
    delays: Sequence[float] = GBM_DELAYS,
) -> Iterator[Packet]:
    """Fermi GBM's notices of one burst: alert, flight, ground and final position, each closer.

    Parameters
    ----------
    place
        True position, degrees, ICRS; each notice's is off by a draw from its error.
    tense
        ``alert_tense``, such as ``test`` or ``current``.
    long
        Whether it lasts longer than 2 s.
    delays
        Seconds from the trigger to each notice.
    """
    number = burst_number(trigger)
    name = burst_name(trigger)
    folder = f"https://heasarc.invalid/fermi/gbm/triggers/{trigger:%Y}/{name}"
    for step, ((subtype, kind, error, snr), delay) in enumerate(zip(_GBM_STEPS, delays, strict=True)):
        body: dict[str, Any] = {
            "$schema": f"{_SCHEMA}/fermi/gbm/trigger.schema.json",
            "alert_tense": tense,
            "alert_type": kind,
            "data_archive_page": folder,
            "ground_generated_notice": step >= 2,
            "human_in_the_loop": step == 3,
            "id": [number, name],
            "instrument": "GBM",
            "messenger": "EM",
            "mission": "Fermi",
            "rate_duration": 2.048 if long else 0.128,
            "rate_snr": round(snr * float(rng.uniform(0.9, 1.3)), 1),
            "record_number": step + 1,
            "subtype": subtype,
            "trigger_time": _iso(trigger),
            "trigger_type": "rate",
        }
        if error is None:
            body["rate_energy_range"] = [47, 291]
        else:
            # 68 % radius of a circular Gaussian of that sigma per axis is 1.51 sigma.
            ra, dec = offset(*place, error / 1.51 * float(rng.rayleigh(0.8)), float(rng.uniform(0, 360)))
            body |= {
                "ra": round(float(ra), 3),
                "dec": round(float(dec), 3),
                "ra_dec_error": error,
                "containment_probability": 0.68,
                "systematic_included": step == 1,
            }
        if step == 1:
            body["classification"] = {"GRB": 0.96, "DISTPAR": 0.04}
        if step >= 2:
            body["duration_class"] = "LONG" if long else "SHORT"
        yield _notice(trigger + timedelta(seconds=delay), f"{name}-{step + 1}-{subtype}", body)


def swift(rng: np.random.Generator, trigger: datetime, place: tuple[float, float], *, tense: str = "test") -> Packet:
    """Swift BAT-GUANO's arcminute position of a burst, some three hours later."""
    time, number = trigger + timedelta(hours=3), burst_number(trigger)
    ra, dec = offset(*place, 0.04 * float(rng.rayleigh(0.5)), float(rng.uniform(0, 360)))
    body = {
        "$schema": f"{_SCHEMA}/swift/bat/Guano.schema.json",
        "mission": "Swift",
        "instrument": "BAT-GUANO",
        "messenger": "EM",
        "record_number": 2,
        "alert_tense": tense,
        "alert_type": "update",
        "trigger_time": _iso(trigger),
        "ra": round(float(ra), 4),
        "dec": round(float(dec), 4),
        "ra_dec_error": 0.08,
        "containment_probability": 0.9,
        "systematic_included": True,
        "rate_snr": round(float(rng.uniform(7, 20)), 1),
        "rate_duration": 0.256,
        "rate_energy_range": [15, 350],
        "image_snr": round(float(rng.uniform(7, 15)), 2),
        "image_duration": 0.256,
        "image_energy_range": [15, 350],
        "classification": {"GRB": 1},
        "far": 1e-5,
        "id": [number],
    }
    return _notice(time, f"guano-{number}", body)


def einstein_probe(rng: np.random.Generator, trigger: datetime, place: tuple[float, float], *, tense: str = "test") -> Packet:
    """Einstein Probe WXT's notice of an X-ray transient."""
    number = f"{int((trigger - _MET_ZERO).total_seconds()):011d}"
    ra, dec = offset(*place, 0.03 * float(rng.rayleigh(0.6)), float(rng.uniform(0, 360)))
    body = {
        "$schema": f"{_SCHEMA}/einstein_probe/wxt/alert.schema.json",
        "mission": "Einstein Probe",
        "instrument": "WXT",
        "messenger": "EM",
        "alert_tense": tense,
        "alert_type": "initial",
        "trigger_time": _iso(trigger),
        "id": [number],
        "ra": round(float(ra), 4),
        "dec": round(float(dec), 4),
        "ra_dec_error": 0.05,
        "containment_probability": 0.9,
        "image_energy_range": [0.5, 4],
        "net_count_rate": round(float(rng.uniform(0.5, 8)), 2),
        "image_snr": round(float(rng.uniform(7, 30)), 1),
    }
    return _notice(trigger + timedelta(seconds=70), f"wxt-{number}", body)


def icecube(rng: np.random.Generator, trigger: datetime, place: tuple[float, float], *, tense: str = "test") -> Packet:
    """IceCube's gold track near a place."""
    error = float(rng.uniform(0.4, 0.9))
    ra, dec = offset(*place, 0.5 * error, float(rng.uniform(0, 360)))
    run, number = int(rng.integers(140000, 149999)), int(rng.integers(10**7, 9 * 10**7))
    body = {
        "$schema": f"{_SCHEMA}/icecube/single_neutrino_alerts.schema.json",
        "mission": "IceCube",
        "instrument": "IC86",
        "messenger": "Neutrino",
        "pipeline": "Gold Track Alert",
        "record_number": 1,
        "event_name": [f"IceCube-{trigger:%y%m%d}A"],
        "id": [f"{run}_{number}"],
        "alert_tense": tense,
        "alert_type": "initial",
        "alert_topology": "Track",
        "number_of_events": 1,
        "ra": round(float(ra), 2),
        "dec": round(float(dec), 2),
        "ra_dec_error": round(error, 2),
        "containment_probability": 0.9,
        "systematic_included": False,
        "trigger_time": _iso(trigger),
        "nu_energy": round(float(rng.uniform(180, 400)), 2),
        "p_astro": round(float(rng.uniform(0.55, 0.9)), 5),
        "far": 1.2e-8,
    }
    return _notice(trigger + timedelta(seconds=45), f"icecube-{run}_{number}", body)


def packets(seed: int, count: int, start: datetime, *, tense: str = "test", voevents: bool = False) -> Iterator[Packet]:
    """Notices of one event after another, an hour apart, as many as wanted; event by event, not sorted in time.

    Parameters
    ----------
    tense
        ``alert_tense``, such as ``test`` or ``current``.
    voevents
        Whether bursts come as VOEvent 2.0 packets instead.
    """
    rng = np.random.default_rng([seed, 4])
    made = number = 0
    while made < count:
        place = (float(rng.uniform(0, 360)), float(np.degrees(np.arcsin(rng.uniform(-1, 1)))))
        trigger = start + timedelta(hours=number, seconds=float(rng.uniform(0, 60)))
        kind = number % 4
        if kind:
            some = [(swift, einstein_probe, icecube)[kind - 1](rng, trigger, place, tense=tense)]
        elif voevents:
            some = [gbm_position(trigger, place, 3.2, number=int(burst_number(trigger)), tense=tense)]
        else:
            some = list(burst(rng, trigger, place, tense=tense, long=bool(rng.random() < 0.8)))
        yield from some[: count - made]
        made += len(some)
        number += 1
