"""A whole night: survey visits, a gamma-ray burst, a gravitational-wave event, a neutrino, and what is behind them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from broker.errors import UsageError
from broker.simulate import gcn, lsst, ztf
from broker.simulate.happenings import LONGITUDE, Happening, Truth, happen, meridian
from broker.simulate.lsst_columns import object_ids as lsst_objects
from broker.simulate.lsst_columns import source_ids
from broker.simulate.sky import Floats, Sources, offset
from broker.simulate.survey import LSST, ZTF, Field, Packet, Survey, make_field, mjd_of
from broker.simulate.ztf_columns import candids
from broker.simulate.ztf_columns import object_ids as ztf_objects

__all__ = ["Night", "Truth", "make_night"]

_SURVEYS = {"ztf": ZTF, "lsst": LSST}
_ROUNDS = 4  # visits a field gets


@dataclass(frozen=True, slots=True)
class Night:
    """A planned night.

    Parameters
    ----------
    truth
        The events and their counterparts.
    counts
        Packets it has, by stream.
    """

    truth: tuple[Truth, ...]
    counts: Mapping[str, int]
    _notices: tuple[Packet, ...]
    _surveys: tuple[Callable[[], Iterator[Packet]], ...]

    def packets(self) -> Iterator[Packet]:
        """Every packet in time order; each call makes the same ones again."""
        survey = (make() for make in self._surveys)
        return heapq.merge(*survey, iter(self._notices), key=lambda packet: packet.time)


def make_night(
    seed: int,
    start: datetime,
    duration: float,
    rates: Mapping[str, float],
    *,
    lsst_schema: Mapping[str, Any] | None = None,
    galaxies: Floats | None = None,
    tense: str = "current",
    history: int = 35,
    cutouts: bool = True,
) -> Night:
    """Plan a night.

    Parameters
    ----------
    seed
        Everything follows from it.
    start, duration
        Start, UTC, and length in seconds. Notices keep their true delays in a night of an hour or more; a shorter one
        shortens them in proportion.
    rates
        Alerts a second of ``ztf`` and ``lsst`` on average, and unrelated notices a second of ``gcn``; what is missing is 0.
    lsst_schema
        Parsed alert schema, wanted where ``lsst`` has a rate.
    galaxies
        Shape (n, 2 or more): ra and dec in degrees of galaxies; the kilonova lies in the outskirts of one of them.
    tense
        ``alert_tense`` of the notices.
    history
        Earlier epochs a survey packet has at most.
    cutouts
        Whether survey packets carry images.

    Raises
    ------
    UsageError
        An unknown stream has a rate, or ``lsst`` has one and no schema is given.
    """
    if unknown := set(rates) - {"ztf", "lsst", "gcn"}:
        raise UsageError(f"no rate can be given for {', '.join(sorted(unknown))}: only for ztf, lsst and gcn")
    if rates.get("lsst") and lsst_schema is None:
        raise UsageError("rates name lsst but no lsst_schema is given: hand in the parsed alert schema")
    rng = np.random.default_rng([seed, 5])
    happenings = happen(rng, start, duration, galaxies, tense)
    notices = [packet for happening in happenings for packet in happening.notices]
    spare = round(rates.get("gcn", 0.0) * duration)
    step = timedelta(seconds=duration / max(spare, 1))
    # Of earlier days, and late: their triggers are not to be taken for tonight's burst.
    other = gcn.packets(seed + 1, spare, start - timedelta(hours=spare + 24), tense=tense)
    notices += [packet._replace(time=start + number * step) for number, packet in enumerate(other)]
    notices.sort(key=lambda packet: (packet.time, packet.name))

    truths, makers = [happening.truth for happening in happenings], []
    counts = {stream: sum(packet.stream == stream for packet in notices) for stream in ("gcn", "lvk")}
    for stream, survey in _SURVEYS.items():
        if not rates.get(stream):
            continue
        visits, fields = _schedule(
            rng,
            stream,
            survey,
            start=start,
            duration=duration,
            rate=rates[stream],
            happenings=happenings,
            history=history,
            galaxies=galaxies,
        )
        counts[stream] = sum(int(field.seen[:, field.history :].sum()) for field in fields)
        encode = _encode(stream, seed, history, cutouts=cutouts, schema=lsst_schema)
        makers.append(_maker(visits, fields, encode))
        truths += [_seen(stream, field, happening.truth) for field, happening in zip(fields, happenings, strict=False)]
    return Night(tuple(truths), counts, tuple(notices), tuple(makers))


def _schedule(
    rng: np.random.Generator,
    stream: str,
    survey: Survey,
    *,
    start: datetime,
    duration: float,
    rate: float,
    happenings: Sequence[Happening],
    history: int,
    galaxies: Floats | None,
) -> tuple[list[tuple[int, int]], list[Field]]:
    """Order of visits as (field, visit), and the fields; the first ones hold the happenings' sources."""
    count = max(len(happenings), round(duration / survey.cadence / _ROUNDS))
    # Room at the end, so that the last visit's alerts are out within the night.
    cadence = min(survey.cadence, max(duration - survey.exposure - 10.0, duration / 2) / (count * _ROUNDS + 0.25))
    survey, first, fields = replace(survey, cadence=cadence), mjd_of(start), []
    for number in range(count):
        extra: list[Sources] = []
        if number < len(happenings):
            truth = happenings[number].truth
            spot = offset(truth.ra, truth.dec, 0.4 * survey.radius * rng.random(), rng.uniform(0, 360))
            centre, extra = (float(spot[0]), float(spot[1])), [happenings[number].source]
        else:
            ra = meridian(start, LONGITUDE[stream]) + rng.uniform(-50, 50)
            centre = (float(ra % 360), float(np.degrees(np.arcsin(rng.uniform(*np.sin(np.radians(survey.dec)))))))
        visits = first + (np.arange(_ROUNDS) * count + number) * cadence / 86400
        wanted = rate * duration / (count * _ROUNDS)
        fields.append(
            make_field(
                survey,
                rng,
                300 + number,
                centre,
                visits,
                alerts_per_visit=wanted,
                history=history,
                extra=extra,
                galaxies=galaxies,
            )
        )
    order = [(number, turn) for turn in range(_ROUNDS) for number in range(count)]
    return order, fields


def _encode(
    stream: str, seed: int, history: int, *, cutouts: bool, schema: Mapping[str, Any] | None
) -> Callable[[Field], Callable[[int], Iterator[Packet]]]:
    if stream == "ztf":
        return lambda field: ztf.encoder(field, seed, length=history, cutouts=cutouts).visit
    shape = lsst.layout(schema or {})
    return lambda field: lsst.encoder(field, shape, length=history, stamp=64 if cutouts else 0).visit


def _maker(
    visits: Sequence[tuple[int, int]], fields: Sequence[Field], encode: Callable[[Field], Callable[[int], Iterator[Packet]]]
) -> Callable[[], Iterator[Packet]]:
    def packets() -> Iterator[Packet]:
        ready: dict[int, Callable[[int], Iterator[Packet]]] = {}
        for number, turn in visits:
            if number not in ready:
                ready[number] = encode(fields[number])
            yield from ready[number](fields[number].history + turn)
            if turn == _ROUNDS - 1:
                del ready[number]

    return packets


def _seen(stream: str, field: Field, event: Truth) -> Truth:
    """The counterpart of an event in a survey: the last source of its field."""
    kind = {"gw": "kilonova", "grb": "afterglow", "neutrino": "tde"}[event.kind]
    numbers = (candids if stream == "ztf" else source_ids)(field)[-1]
    name = bytes(ztf_objects(field)[-1]).decode() if stream == "ztf" else str(lsst_objects(field)[-1])
    tonight = field.seen[-1] & (np.arange(len(field.mjd)) >= field.history)
    return Truth(
        kind,
        stream,
        name,
        event.time,
        event.ra,
        event.dec,
        tuple(str(number) for number in numbers[tonight]),
        event.name,
        event.level,
    )
