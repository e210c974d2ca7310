"""A small sky to serve from: a real SQLite store, a real embedded log, alerts with light curves and cutouts made here."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import healpy as hp
import numpy as np
import polars as pl
import uvicorn
from astropy.io import fits

from broker.alert import COMMON, SKYMAPS_DTYPE, Batch, conform
from broker.api.app import create_app
from broker.api.services import Cell, ExpressionQuery, PublishedSchema, Services
from broker.api.subscribing import Made, Subscribing
from broker.deliver.publish import encode
from broker.deliver.schema import ALERT, load_published
from broker.filtering.definition import FilterSpec, parse_filter
from broker.filtering.expression import compile_expression
from broker.paths import shipped
from broker.record import Message, Record
from broker.science.skymap import from_cone
from broker.science.skyplot import Candidate
from broker.store import alerts, events, filter_life, matches, subscriptions
from broker.store.archive import Address
from broker.store.engine import Store, close, open_store, transaction
from broker.store.migrate import migrate
from broker.stream.embedded import EmbeddedLog
from broker.topics import matched
from broker.wiring.filter_book import FilterBook
from broker.wiring.subscribing import shown

IVORN = "gcn:ivo://nasa.gsfc.gcn/Fermi#GBM_Alert_2024-04-22T21:35:13.42_735514518_0-384"
NOTICE = b'<?xml version="1.0"?>\n<voe:VOEvent ivorn="ivo://nasa.gsfc.gcn/Fermi#GBM_Alert" role="observation"/>\n'
BIG = 2445391170915015005
NOW = datetime(2024, 4, 22, 21, 35, 13, tzinfo=UTC)
AVRO = [entry.schema for entry in load_published(shipped("schemas")) if entry.name == ALERT][-1]
SCHEMAS = (
    PublishedSchema(7, "nuncius.alert", 1, json.dumps(AVRO)),
    PublishedSchema(8, "nuncius.alert", 2, json.dumps(AVRO | {"doc": "second"})),
    PublishedSchema(9, "nuncius.problem", 1, '{"type": "object"}', "JSON"),
)
BRIGHT = """
name = "bright-transient"
version = 1
stream = ["ztf", "lsst"]
description = "Anything brighter than 19 and likely real"
where = "mag < 19 AND reliability > 0.5"
"""
FRESH = """
name = "young-supernova"
version = 3
stream = "ztf"
description = "Close to a known galaxy and not a star"
where = "reliability > 0.9 AND gaia.sep IS NULL"
"""
BURST = """
name = "gamma-ray-burst"
version = 1
stream = "gcn"
description = "Any burst"
where = "messenger = 'EM'"
"""


def stamp(seed: int, *, hole: bool = False) -> bytes:
    """FITS of a star on a noisy sky."""
    noise = np.random.default_rng(seed)
    y, x = np.mgrid[:63, :63]
    image = noise.normal(100, 6, (63, 63)) + 900 * np.exp(-((x - 31) ** 2 + (y - 31) ** 2) / 8)
    image += 320 * np.exp(-((x - 40) ** 2 / 60 + (y - 24) ** 2 / 22))
    if hole:
        image[:6, :] = np.nan
    buffer = io.BytesIO()
    fits.PrimaryHDU(image.astype(np.float32)).writeto(buffer)
    return buffer.getvalue()


def survey_alert(number: int, *, mag: float = 18.0, minutes: float = 0.0) -> dict[str, Any]:
    """An alert of the survey, at a place that its number decides."""
    ra = (number * 47.3) % 360
    dec = float(np.degrees(np.arcsin(np.sin(number * 1.7) * 0.9)))
    return {
        "alert_id": f"ztf:{BIG + number}",
        "stream": "ztf",
        "object_id": f"ZTF24aa{number:05d}",
        "time": NOW + timedelta(minutes=minutes - number),
        "ra": ra,
        "dec": dec,
        "hpx": int(hp.ang2pix(1 << 29, ra, dec, nest=True, lonlat=True)),
        "mag": mag + (number % 9) * 0.3,
        "mag_err": 0.08,
        "band": "gri"[number % 3],
        "reliability": 0.5 + (number % 5) / 10,
        "positive": number % 7 != 0,
        "gaia.sep": 0.42 if number % 2 else None,
        "gaia.phot_g_mean_mag": 17.2 if number % 2 else None,
        "candidate.candid": BIG + number,
    }


def burst() -> dict[str, Any]:
    """A gamma-ray burst with an error circle."""
    return {
        "alert_id": IVORN,
        "stream": "gcn",
        "object_id": "GRB240422A",
        "time": NOW,
        "ra": 133.2,
        "dec": 42.7,
        "ra_dec_error": 9.5,
        "containment_probability": 0.9,
        "hpx": int(hp.ang2pix(1 << 29, 133.2, 42.7, nest=True, lonlat=True)),
        "event_name": "GRB240422A",
        "messenger": "EM",
        "mission": "Fermi",
        "instrument": "GBM",
        "alert_type": "initial",
        "alert_tense": "current",
        "far": 1e-9,
    }


def merger() -> dict[str, Any]:
    """A gravitational-wave event, whose position is a map."""
    return {
        "alert_id": "lvk:S240422ed-2-Initial",
        "stream": "lvk",
        "object_id": "S240422ed",
        "time": NOW - timedelta(hours=1),
        "event_name": "S240422ed",
        "messenger": "GW",
        "mission": "LVK",
        "alert_type": "initial",
        "alert_tense": "current",
        "classification": "NSBH",
        "far": 3e-13,
        "skymap.area90": 259.0,
    }


def frame_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Frame as a batch has it."""
    frame = conform(pl.DataFrame(rows, infer_schema_length=None))
    return frame.with_columns(
        pl.Series("_record", range(len(rows)), dtype=pl.UInt32),
        pl.lit(0, dtype=pl.UInt32).alias("_unit"),
        pl.Series("skymaps", [_maps(row) for row in rows], dtype=SKYMAPS_DTYPE),
    )


def _maps(row: dict[str, Any]) -> list[dict[str, Any]]:
    if not row["alert_id"].endswith("8"):
        return []
    return [{"event": "S240422ed", "revision": 1, "credible_level": 0.31, "density": 2.5, "dt": 3600.0}]


@dataclass(frozen=True)
class World:
    """What is served, and how to make something happen in it."""

    store: Store
    log: EmbeddedLog
    frame: pl.DataFrame
    filters: tuple[FilterSpec, ...]
    ledger: dict[str, Any]
    services: Services

    def message(self, row: dict[str, Any], filter_name: str) -> Message:
        """A match as it is published."""
        spec = replace(self.filters[0], name=filter_name)
        record = Record(f"raw.{row['stream']}", 0, 0, 0, None, b"")
        batch = Batch(row["stream"], (record,), frame_of([row]), 1, matches={filter_name: np.array([0])})
        made = encode(batch, [spec], [Address("a.avro", 0, 1)], schema_id=7)
        return next(message for message in made if message.topic == matched(filter_name))

    def publish(self, row: dict[str, Any], filter_name: str = "bright-transient") -> None:
        """Write an alert and its match to the database, then to the log: as `process` does."""
        write(self.store, [row], {filter_name: [row["alert_id"]]})
        self.log.append([self.message(row, filter_name)])


def write(store: Store, rows: list[dict[str, Any]], picked: dict[str, list[str]]) -> pl.DataFrame:
    """Alerts and matches into the database."""
    frame = frame_of(rows)
    stamp_ms = int(NOW.timestamp() * 1000)
    records = [Record(f"raw.{row['stream']}", 0, number, stamp_ms, None, b"") for number, row in enumerate(rows)]
    notices = frame.filter(pl.col("event_name").is_not_null())
    with transaction(store) as conn:
        alerts.write(conn, frame, records)
        if notices.height:
            maps = {row["alert_id"]: "a map" for row in rows if row["stream"] == "lvk"}
            events.upsert_notices(conn, notices, records, maps)
        found = [matches.Match(name, "1", alert_id) for name, ids in picked.items() for alert_id in ids]
        matches.write(conn, found)
    return frame


def _light_curve(object_id: str) -> pl.DataFrame:
    seed = sum(object_id.encode())
    noise = np.random.default_rng(seed)
    rows = []
    for day in np.arange(-34.0, 12.0, 1.7):
        band = "gri"[int(noise.integers(3))]
        mag = 18.4 + 0.004 * day**2 + 0.25 * "gri".index(band) + noise.normal(0, 0.05)
        kind = "limit" if day < -14 else "forced" if day < -9 else "detection"
        faint = 20.4 + noise.normal(0, 0.2)
        rows.append((60422.0 + day, float(faint if kind == "limit" else mag), None if kind == "limit" else 0.07, band, kind))
    return pl.DataFrame(rows, schema=["time", "mag", "mag_err", "band", "kind"], orient="row")


def _region(name: str, _level: float) -> list[Cell]:
    if name != "S240422ed":
        return []
    centre = hp.ang2vec(118.0, -24.0, lonlat=True)
    near = hp.query_disc(1 << 5, centre, np.radians(11), nest=True, inclusive=False)
    far = hp.query_disc(1 << 5, hp.ang2vec(133.0, -35.0, lonlat=True), np.radians(8), nest=True)
    return [(5, int(index)) for index in {*near, *far}]


def status_of(ledger: dict[str, Any]) -> dict[str, Any]:
    """What wiring would say."""
    total = {name: sum(row[name] for row in ledger.values()) for name in ("received", "published", "duplicate", "rejected")}
    return {
        "uptime": 4220.0,
        "ledger": {"total": total, "streams": {name: dict(row) for name, row in ledger.items()}},
        "lag": [{"group": "process", "topic": "raw.ztf", "partition": 0, "records": 12}],
        "halted": [],
        "rates": {"ztf": 312.5},
        "since": NOW,
    }


def _query(frame: pl.DataFrame, asked: ExpressionQuery) -> pl.DataFrame:
    found = frame.filter(compile_expression(asked.where, frame.schema).expr)
    if asked.streams:
        found = found.filter(pl.col("stream").is_in(asked.streams))
    if asked.start is not None:
        found = found.filter(pl.col("time") >= asked.start)
    if asked.before is not None:
        time, alert_id = asked.before
        found = found.filter((pl.col("time") < time) | ((pl.col("time") == time) & (pl.col("alert_id") < alert_id)))
    names = [*COMMON, *(name for name in asked.columns if name in frame.columns and name not in COMMON)]
    return found.sort("time", "alert_id", descending=True).head(asked.limit).select(names)


def _subscribing(store: Store) -> Subscribing:
    """Subscriptions that are kept, wherever they may go."""

    def remove(ident: str) -> None:
        subscriptions.remove(store, ident)

    return Subscribing(
        add=lambda values: Made(subscriptions.add(store, **values)),
        change=lambda ident, values: Made(subscriptions.change(store, ident, **values)),
        remove=remove,
        shown=shown,
    )


def build(folder: Path, *, count: int = 60) -> World:
    """The world, in a folder of its own."""
    store = open_store(f"sqlite:///{folder / 'nuncius.sqlite'}", synchronous="off")
    migrate(store)
    rows = [survey_alert(number) for number in range(count)] + [burst(), merger()]
    bright = [row["alert_id"] for row in rows[:count] if row["mag"] < 19 and row["reliability"] > 0.5]
    young = [row["alert_id"] for row in rows[:count] if row["reliability"] > 0.85]
    frame = write(store, rows, {"bright-transient": bright, "young-supernova": young, "gamma-ray-burst": [IVORN]})
    for text in (BRIGHT, BURST, FRESH):
        kept = filter_life.add(store, text, "tester")
        filter_life.go_live(store, kept.name, kept.version, "tester", lambda _spec: None)
    log = EmbeddedLog(folder / "log", durable=False)
    ledger = {
        "ztf": {"received": 1204, "published": 1190, "duplicate": 9, "rejected": 5},
        "gcn": {"received": 12, "published": 12, "duplicate": 0, "rejected": 0},
    }
    filters = tuple(parse_filter(text) for text in (BRIGHT, BURST, FRESH))

    def packet(alert_id: str) -> bytes:
        stored = alerts.get(store, alert_id)
        return NOTICE if stored["stream"] == "gcn" else b"Obj\x01" + alert_id.encode()

    def fields(alert_id: str) -> dict[str, Any]:
        alerts.get(store, alert_id)
        return {
            "objectId": "ZTF24",
            "candidate": {"candid": BIG, "rb": float("nan"), "field": 500, "pid": 2**60},
            "stamp": b"\x00\x01",
        }

    def cutout(alert_id: str, kind: str) -> bytes | None:
        stored = alerts.get(store, alert_id)
        kinds = ["science", "template", "difference"]
        return stamp(kinds.index(kind), hole=kind == "difference") if stored["stream"] == "ztf" else None

    def light_curve(object_id: str) -> pl.DataFrame:
        curve = _light_curve(object_id)
        return curve if object_id.startswith("ZTF") else curve.clear()

    services = Services(
        store=store,
        log=log,
        packet=packet,
        packet_fields=fields,
        cutout=cutout,
        light_curve=light_curve,
        query=lambda asked: _query(frame, asked),
        status=lambda: status_of(ledger),
        filters=FilterBook(store).now,
        schemas=SCHEMAS,
        region=_region,
        skymap=lambda _path: from_cone(250.0, -20.0, 9.0),
        candidates=lambda _event: [Candidate("ZTF24aa00008", 251.0, -19.0)],
        subscribing=_subscribing(store),
        max_upload=3_000_000,
        version="0.1.0",
        live_readers=4,
        heartbeat=1.0,
    )
    return World(store, log, frame, filters, ledger, services)


@contextmanager
def served(services: Services) -> Iterator[str]:
    """The application under uvicorn on a port of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(services), log_level="error", timeout_graceful_shutdown=1, access_log=False)
        server = uvicorn.Server(config)
        free.listen(64)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [free]}, daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{free.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """The world, closed afterwards."""
    made = build(folder)
    try:
        yield made
    finally:
        made.log.close()
        close(made.store)


def broken(made: World, **changes: Any) -> Services:
    """The same services, some of them otherwise."""
    return replace(made.services, **changes)
