"""Packets shaped like Rubin's: Confluent-framed Avro on whatever version of the official schema is handed in."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from broker.errors import UsageError
from broker.simulate.lsst_columns import forced, measured, objects, source_ids
from broker.simulate.packed import FlatField, Packed, flat_fields, pack, text, varint
from broker.simulate.sky import KINDS, Floats
from broker.simulate.stamps import look_of, stamps
from broker.simulate.survey import LSST, Field, Packet, datetime_of, make_field, mjd_of

__all__ = ["Encoder", "Layout", "encoder", "layout", "packets"]

Integers = npt.NDArray[np.int64]

_STAMPS = {"cutoutScience": 0, "cutoutTemplate": 1, "cutoutDifference": 2}


@dataclass(frozen=True, slots=True)
class Layout:
    """An official alert schema, taken apart.

    Parameters
    ----------
    schema_id
        Of the Confluent frame: major x 100 + minor.
    top
        Names of the top-level fields, in order.
    records
        Fields of the record behind a top-level field.
    """

    schema_id: int
    top: tuple[str, ...]
    records: Mapping[str, tuple[FlatField, ...]]


def layout(schema: Mapping[str, Any]) -> Layout:
    """Take a parsed alert schema apart.

    Parameters
    ----------
    schema
        ``lsst.vM_m.alert`` with its named types in place, as ``fastavro.schema.load_schema`` gives it.

    Raises
    ------
    UsageError
        It is no LSST alert schema.
    """
    version = re.search(r"v(\d+)_(\d+)", f"{schema.get('namespace', '')}.{schema['name']}")
    if version is None:
        raise UsageError(f"schema {schema['name']} is no LSST alert schema: expected a name like lsst.v10_0.alert")
    named: dict[str, Mapping[str, Any]] = {}
    _collect(schema, named)
    records = {}
    for field in schema["fields"]:
        kind = field["type"][-1] if isinstance(field["type"], list) else field["type"]
        kind = kind["items"] if isinstance(kind, dict) and kind["type"] == "array" else kind
        kind = kind["name"] if isinstance(kind, dict) and kind["type"] == "record" else kind
        if isinstance(kind, str) and kind in named:
            records[field["name"]] = flat_fields(named[kind])
    top = tuple(field["name"] for field in schema["fields"])
    return Layout(int(version[1]) * 100 + int(version[2]), top, records)


def _collect(kind: Any, named: dict[str, Mapping[str, Any]]) -> None:
    if isinstance(kind, list):
        for branch in kind:
            _collect(branch, named)
    elif isinstance(kind, dict):
        if kind["type"] == "array":
            _collect(kind["items"], named)
        if kind["type"] == "record":
            named[kind["name"]] = kind
            for field in kind["fields"]:
                _collect(field["type"], named)


@dataclass(frozen=True, slots=True)
class Encoder:
    """A field's packets, visit by visit; the history is encoded once and cut to measure.

    Parameters
    ----------
    length
        Earlier epochs a packet has at most.
    stamp
        Pixels a side of the cutouts; 0 for none.
    """

    field: Field
    layout: Layout
    length: int
    stamp: int
    measured: Packed
    forced: Packed
    ids: Integers
    before: Integers  # rows of `measured` before (source, visit)

    def visit(self, number: int) -> Iterator[Packet]:
        """Packets of a visit, in time order."""
        field, rows = self.field, self.field.alerts(number)
        if not len(rows):
            return
        described = pack(self.layout.records["diaObject"], objects(field, rows, number), len(rows))
        ready = datetime_of(float(field.mjd[number])) + timedelta(seconds=field.survey.exposure + 10.0)
        spread = timedelta(seconds=field.survey.cadence / 4) / len(rows)
        moving = field.sources.kind == KINDS.index("moving")
        snr = np.clip(np.abs(field.flux[:, number]) / field.error[:, number], 5, 200)
        step = np.exp2(np.round(np.log2(snr))).astype(int)
        for place, row in enumerate(rows.tolist()):
            own = {
                "diaSourceId": varint(int(self.ids[row, number])),
                "observation_reason": varint(1) + text(b"field_survey"),
                "target_name": varint(1) + text(b"simulated"),
                **self._history(row, number),
            }
            if not moving[row]:
                own["diaObject"] = varint(1) + described.rows(place, place + 1)
            if self.stamp:
                own |= self._cutouts(row, number, int(step[row]))
            body = b"".join(own.get(name, b"\x00") for name in self.layout.top)
            frame = struct.pack(">bI", 0, self.layout.schema_id)
            yield Packet(ready + place * spread, "lsst", frame + body, str(self.ids[row, number]), ".bin")

    def _history(self, row: int, number: int) -> dict[str, bytes]:
        visits, mine = len(self.field.mjd), int(self.before[row, number])
        start = int(self.before[row, max(0, number - self.length)])
        first = max(number - self.length, int(np.argmax(self.field.seen[row])))
        own = {"diaSource": self.measured.rows(mine, mine + 1)}
        if mine > start:
            own["prvDiaSources"] = _array(mine - start, self.measured.rows(start, mine))
        if number > first:
            own["prvDiaForcedSources"] = _array(number - first, self.forced.rows(row * visits + first, row * visits + number))
        return own

    def _cutouts(self, row: int, number: int, snr: int) -> dict[str, bytes]:
        source = self.field.sources
        look, variant = look_of(KINDS[source.kind[row]], int(source.seed[row]))
        positive = bool(self.field.flux[row, number] > 0)
        images = stamps(look, variant, snr, positive=positive, size=self.stamp, zipped=False)
        return {name: varint(1) + text(images[place]) for name, place in _STAMPS.items()}


def encoder(field: Field, schema: Layout, *, length: int = 40, stamp: int = 64) -> Encoder:
    """Encode a field's history and make ready for its visits."""
    ids = source_ids(field)
    before: Integers = np.cumsum(field.seen.ravel()).reshape(field.seen.shape) - field.seen
    kinds = {name: schema.records[name] for name in ("diaSource", "prvDiaForcedSources")}
    seen = pack(kinds["diaSource"], measured(field, ids, kinds["diaSource"]), int(field.seen.sum()))
    everywhere = pack(kinds["prvDiaForcedSources"], forced(field, ids), field.seen.size)
    return Encoder(field, schema, length, stamp, seen, everywhere, ids, before)


def packets(
    schema: Mapping[str, Any],
    seed: int,
    count: int,
    start: datetime,
    *,
    alerts_per_visit: float = 400.0,
    history: int = 40,
    stamp: int = 64,
    galaxies: Floats | None = None,
) -> Iterator[Packet]:
    """Packets one visit after another, as many as wanted.

    Parameters
    ----------
    schema
        Parsed alert schema, see `layout`.
    start
        Start of the first exposure, UTC.
    history
        Earlier epochs a packet has at most.
    stamp
        Pixels a side of the cutouts, three images of 4 bytes a pixel: 64 makes packets of some 70 kB, 0 of some 10 kB.
    galaxies
        Shape (n, 2 or more): ra and dec in degrees of galaxies that transients are put near.
    """
    shape, rng = layout(schema), np.random.default_rng([seed, 2])
    mjd, made, number = mjd_of(start), 0, 1
    while made < count:
        visits = mjd + np.arange(6) * LSST.cadence / 86400
        mjd = float(visits[-1]) + LSST.cadence / 86400
        centre = (float(rng.uniform(0, 360)), float(np.degrees(np.arcsin(rng.uniform(*np.sin(np.radians(LSST.dec)))))))
        wanted = min(alerts_per_visit, count - made + 50)
        field = make_field(LSST, rng, number, centre, visits, alerts_per_visit=wanted, history=history, galaxies=galaxies)
        number += 1
        night = encoder(field, shape, length=history, stamp=stamp)
        for visit in range(field.history, len(field.mjd)):
            for packet in night.visit(visit):
                if made == count:
                    return
                made += 1
                yield packet


def _array(count: int, data: bytes) -> bytes:
    return varint(1) + varint(count) + data + varint(0)
