"""Packets shaped like ZTF's: one alert in an Avro container file with its schema, history and three gzipped cutouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from broker.simulate.packed import FlatField, Packed, flat_fields, pack, text, varint
from broker.simulate.sky import KINDS, Floats
from broker.simulate.stamps import look_of, stamps
from broker.simulate.survey import ZTF, Field, Packet, datetime_of, make_field, mjd_of
from broker.simulate.ztf_columns import candids, earlier, forced, object_ids, triggers
from broker.simulate.ztf_schema import VERSION, record, schema_json

__all__ = ["Encoder", "encoder", "packets"]

Integers = npt.NDArray[np.int64]

_FORCED = 15  # epochs of forced photometry a packet has
_STAMP = 63


def _fields(name: str) -> tuple[FlatField, ...]:
    return flat_fields(record(name))


@dataclass(frozen=True, slots=True)
class Encoder:
    """A field's packets, visit by visit; the history is encoded once and cut to measure.

    Parameters
    ----------
    length
        Earlier epochs a packet has at most.
    cutouts
        Whether packets carry images.
    """

    field: Field
    seed: int
    length: int
    cutouts: bool
    earlier: Packed
    forced: Packed
    candid: Integers
    names: npt.NDArray[np.bytes_]

    def visit(self, number: int) -> Iterator[Packet]:
        """Packets of a visit, in time order."""
        field, rows = self.field, self.field.alerts(number)
        if not len(rows):
            return
        candidates = pack(_fields("candidate"), triggers(field, self.candid, rows, number, self.seed), len(rows))
        snr = np.clip(np.abs(field.flux[rows, number]) / field.error[rows, number], 5, 200)
        step = np.exp2(np.round(np.log2(snr))).astype(int)
        ready = datetime_of(float(field.mjd[number])) + timedelta(seconds=field.survey.exposure + 10.0)
        spread = timedelta(seconds=field.survey.cadence / 4) / len(rows)
        visits, first, measured = len(field.mjd), max(0, number - self.length), max(0, number - _FORCED)
        head = b"".join([text(VERSION.encode()), text(b"Nuncius simulator")])
        for place, row in enumerate(rows.tolist()):
            candid = int(self.candid[row, number])
            body = b"".join(
                [
                    head,
                    text(bytes(self.names[row])),
                    varint(candid),
                    candidates.rows(place, place + 1),
                    _array(number - first, self.earlier.rows(row * visits + first, row * visits + number)),
                    _array(number - measured, self.forced.rows(row * visits + measured, row * visits + number)),
                    self._cutouts(row, number, candid, int(step[place])),
                ]
            )
            yield Packet(ready + place * spread, "ztf", _container(body, candid, self.seed), str(candid), ".avro")

    def _cutouts(self, row: int, number: int, candid: int, snr: int) -> bytes:
        if not self.cutouts:
            return varint(0) * 3
        source = self.field.sources
        look, variant = look_of(KINDS[source.kind[row]], int(source.seed[row]))
        images = stamps(look, variant, snr, positive=bool(self.field.flux[row, number] > 0), size=_STAMP, zipped=True)
        name = f"candid{candid}_pid{candid // 10**6}_targ_"
        kinds = ("sci", "ref", "scimref")
        return b"".join(
            varint(1) + text(f"{name}{kind}.fits.gz".encode()) + text(image) for kind, image in zip(kinds, images, strict=True)
        )


def encoder(field: Field, seed: int, *, length: int = 35, cutouts: bool = True) -> Encoder:
    """Encode a field's history and make ready for its visits."""
    count, visits = field.seen.shape
    candid = candids(field)
    epochs = pack(_fields("prv_candidate"), earlier(field, candid), count * visits)
    measured = pack(_fields("fp_hist"), forced(field), count * visits)
    return Encoder(field, seed, length, cutouts, epochs, measured, candid, object_ids(field))


def packets(
    seed: int,
    count: int,
    start: datetime,
    *,
    alerts_per_visit: float = 400.0,
    history: int = 35,
    cutouts: bool = True,
    galaxies: Floats | None = None,
) -> Iterator[Packet]:
    """Packets one visit after another, as many as wanted.

    Parameters
    ----------
    start
        Start of the first exposure, UTC.
    history
        Earlier epochs a packet has at most.
    cutouts
        Whether packets carry images (some 40 kB of the 76).
    galaxies
        Shape (n, 2 or more): ra and dec in degrees of galaxies that transients are put near.
    """
    rng = np.random.default_rng([seed, 1])
    mjd, made, number = mjd_of(start), 0, 200
    while made < count:
        visits = mjd + np.arange(4) * ZTF.cadence / 86400
        mjd = float(visits[-1]) + ZTF.cadence / 86400
        centre = (float(rng.uniform(0, 360)), float(np.degrees(np.arcsin(rng.uniform(*np.sin(np.radians(ZTF.dec)))))))
        wanted = min(alerts_per_visit, count - made + 50)
        field = make_field(ZTF, rng, number, centre, visits, alerts_per_visit=wanted, history=history, galaxies=galaxies)
        number = 200 + (number - 199) % 1600
        night = encoder(field, seed, length=history, cutouts=cutouts)
        for visit in range(field.history, len(field.mjd)):
            for packet in night.visit(visit):
                if made == count:
                    return
                made += 1
                yield packet


def _array(count: int, data: bytes) -> bytes:
    return varint(1) + varint(count) + data + varint(0) if count else varint(0)


def _container(body: bytes, candid: int, seed: int) -> bytes:
    sync = blake2b(f"{seed}/{candid}".encode(), digest_size=16).digest()
    return b"".join([_HEADER, sync, varint(1), varint(len(body)), body, sync])


_HEADER = b"".join(
    [b"Obj\x01", varint(2), text(b"avro.codec"), text(b"null"), text(b"avro.schema"), text(schema_json()), varint(0)]
)
