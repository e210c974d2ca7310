"""Notices made for tests, and the way from their bytes into events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from broker.decode.notices import decode_notices
from broker.process.dedupe import dedupe
from broker.record import Record
from broker.store import alerts, claims, revisions
from broker.store.engine import Store, transaction
from broker.store.revisions import EventChange

NOON = 1_780_000_000_000  # milliseconds


def voevent(
    ivorn: str,
    *,
    role: str = "observation",
    cites: Sequence[tuple[str, str]] = (),
    place: tuple[float, float, float] | None = None,
    time: str = "2026-05-23T03:25:45.67",
    sent: str = "2026-05-23T03:26:00",
    **params: object,
) -> bytes:
    """A VOEvent 2.0."""
    what = "".join(f'<Param name="{name}" value="{value}"/>' for name, value in params.items())
    where = ""
    if place is not None:
        ra, dec, error = place
        value = f"<Value2><C1>{ra}</C1><C2>{dec}</C2></Value2><Error2Radius>{error}</Error2Radius>"
        where = f'<Position2D unit="deg">{value}</Position2D>'
    cited = "".join(f'<EventIVORN cite="{how}">{of}</EventIVORN>' for how, of in cites)
    return (
        '<?xml version="1.0"?><voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0" version="2.0" '
        f'role="{role}" ivorn="{ivorn}"><Who><AuthorIVORN>ivo://a</AuthorIVORN><Date>{sent}</Date></Who><What>{what}</What>'
        '<WhereWhen><ObsDataLocation><ObservatoryLocation id="GEOLUN"/>'
        '<ObservationLocation><AstroCoordSystem id="UTC-FK5-GEO"/>'
        f'<AstroCoords coord_system_id="UTC-FK5-GEO"><Time><TimeInstant><ISOTime>{time}</ISOTime></TimeInstant></Time>{where}'
        "</AstroCoords></ObservationLocation></ObsDataLocation></WhereWhen>"
        f"{f'<Citations>{cited}</Citations>' if cited else ''}</voe:VOEvent>"
    ).encode()


def igwn(name: str, kind: str, created: str, **event: Any) -> bytes:
    """An LVK alert without a map."""
    body = {"time": "2026-05-23T03:25:45.670Z", "far": 1e-9, "significant": True, "instruments": ["H1", "L1"], "group": "CBC"}
    alert = {
        "superevent_id": name,
        "alert_type": kind,
        "time_created": created,
        "urls": {},
        "event": None if kind == "RETRACTION" else body | {"classification": {"BNS": 0.9, "Terrestrial": 0.1}} | event,
        "external_coinc": None,
    }
    return json.dumps(alert).encode()


def unified(**fields: Any) -> bytes:
    """A notice of GCN's unified schema."""
    return json.dumps({"alert_datetime": "2026-05-23T03:26:00Z", "trigger_time": "2026-05-23T03:25:45Z"} | fields).encode()


def circular(number: int, subject: str, *, event_id: str | None = None, body: str = "Text.", **fields: Any) -> bytes:
    """A circular."""
    said = {"circularId": number, "subject": subject, "body": body, "submitter": "A B", "createdOn": 1_779_999_000_000}
    return json.dumps(said | ({"eventId": event_id} if event_id else {}) | fields).encode()


def tell(store: Store, *values: bytes, stream: str = "gcn", first: int = 0, received: int | None = None) -> list[EventChange]:
    """Into the database as `process` does it, each record received a second after the one before.

    Parameters
    ----------
    first
        Offset of the first record.
    received
        Seconds after `NOON` of the first record; its offset unless given.
    """
    began = first if received is None else received
    records = [
        Record(f"raw.{stream}", 0, first + index, NOON + 1000 * (began + index), None, value)
        for index, value in enumerate(values)
    ]
    batch = decode_notices(stream, records, frozenset())
    assert not batch.rejected, batch.rejected
    batch = dedupe(lambda ids, origins, digests: claims.claim(store, ids, origins, digests))(batch)
    with transaction(store) as conn:
        alerts.write(conn, batch.frame, batch.records)
        return revisions.upsert_notices(conn, batch.frame, batch.records)
