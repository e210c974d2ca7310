"""LVK's own alerts (``igwn.gwalert``): JSON as GCN sends it, Avro as SCiMMA does, and the dialects of earlier years."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ctypes import string_at
from io import BytesIO
from typing import Any

import fastavro

from broker.decode.notice import Notice, Scalar, digest, name_event
from broker.decode.notice_json import as_number, as_text, flatten, unpack_map
from broker.decode.notice_time import parse_time
from broker.decode.ocf import find_spans, header_of
from broker.decode.weightless import refuse_weightless
from broker.errors import DecodeError
from broker.identifiers import LVK, is_mock, mission_named, superevent

__all__ = ["from_igwn", "read_ocf"]

_STAGES = {
    "EARLYWARNING": "early_warning",
    "PRELIMINARY": "preliminary",
    "INITIAL": "initial",
    "UPDATE": "update",
    "RETRACTION": "retracted",
}
_TYPES = {
    "EARLYWARNING": "initial",
    "PRELIMINARY": "initial",
    "INITIAL": "initial",
    "UPDATE": "update",
    "RETRACTION": "retraction",
}


def read_ocf(data: bytes) -> tuple[list[dict[str, Any]], str | None]:
    """Alerts of an Avro container, block by block, and why it could not be read to its end.

    A block counts only with the sync marker after it; a record may be a list of alerts, as hop clients write them.
    """
    alerts: list[dict[str, Any]] = []
    reason: str | None = None
    try:
        header = header_of(data)
        refuse_weightless(header.schema)
        schema = fastavro.parse_schema(header.schema, _force=True)
        spans = find_spans([data], header)
        reason = spans.failed.get(0)
        for address, size, count in zip(spans.address.tolist(), spans.size.tolist(), spans.count.tolist(), strict=True):
            for record in _records(string_at(address, size), count, schema):
                alerts += [alert for alert in (record if isinstance(record, list) else [record]) if isinstance(alert, dict)]
    except Exception as error:  # noqa: BLE001 - fastavro lets whatever its reading meets escape
        return alerts, f"Avro container cannot be read: {type(error).__name__}: {str(error)[:150]}"
    if reason is not None:
        reason = f"Avro container cannot be read: {reason}"
    return alerts, reason or (None if alerts else "Avro container without an alert")


def _records(block: bytes, count: int, schema: Any) -> list[Any]:
    stream = BytesIO(block)
    records = [fastavro.schemaless_reader(stream, schema, None) for _ in range(min(count, len(block)))]
    if stream.tell() != len(block) or len(records) != count:
        raise DecodeError(f"its block of {count} records is not {count} records")
    return records


def from_igwn(value: Mapping[str, Any]) -> Notice:
    """Notice of an alert, from JSON or from Avro.

    Raises
    ------
    DecodeError
        If it has no superevent_id.
    """
    identifier = as_text(value.get("superevent_id"))
    if identifier is None:
        raise DecodeError("no superevent_id: an LVK alert is known by it")
    event_name = superevent(identifier)
    notes: list[str] = []
    if event_name is None:
        notes.append(f"superevent_id {identifier[:40]!r} can be no superevent's: it belongs to no event")
    name = event_name or identifier
    stated = as_text(value.get("alert_type")) or "UNKNOWN"
    kind = stated.upper().replace("_", "")
    if kind not in _TYPES:
        notes.append(f"alert_type {stated!r} is not one of {', '.join(_TYPES)}")
    elif kind != stated:
        notes.append(f"alert_type {stated!r} in an older spelling of {kind}")
    event = value.get("event")
    event = event if isinstance(event, Mapping) else {}
    if not event and kind != "RETRACTION":
        notes.append("no event, though it is no retraction")
    created = parse_time(as_text(value.get("time_created")))
    time = parse_time(as_text(event.get("time")))
    if time is None and created is not None:
        time = created
        if event:
            notes.append("no event time: time of the message taken")
    if event and "significant" not in event:
        notes.append("significant is missing")
    skymap, odd = unpack_map(event.get("skymap"), "skymap")
    notes += odd
    classes = event.get("classification")
    instruments = event.get("instruments")
    when = created.strftime("%Y-%m-%dT%H:%M:%SZ") if created else as_text(value.get("time_created")) or "undated"
    return Notice(
        native_id=f"{name}-{kind}-{when}",
        event_name=event_name,
        related=_coincident(value.get("external_coinc")),
        issued=created,
        significant=event["significant"] if isinstance(event.get("significant"), bool) else None,
        stage=_STAGES.get(kind),
        mark=_mark(value),
        time=time,
        messenger="GW",
        mission=LVK,
        instrument=",".join(map(str, instruments)) if isinstance(instruments, list) else as_text(instruments),
        alert_type=_TYPES.get(kind),
        alert_tense="test" if is_mock(name) else "injection" if value.get("is_injection") is True else "current",
        far=as_number(event.get("far")),
        p_astro=_p_astro(classes),
        classification=_likeliest(classes),
        skymap=skymap,
        deviations=tuple(notes),
        fields=_fields(value, event, kind),
    )


def _mark(value: Mapping[str, Any]) -> bytes:
    """Digest of what the alert says: the same from JSON and from Avro, which has nulls for what JSON leaves out."""
    text = json.dumps(_plain(value), sort_keys=True, default=lambda item: digest(item).hex() if isinstance(item, bytes) else "")
    return digest(text.encode("utf-8", "replace"))


def _plain(value: object, name: str = "") -> object:
    if isinstance(value, Mapping):
        parts = {str(key): _plain(item, str(key)) for key, item in value.items()}
        return {key: item for key, item in parts.items() if item not in (None, "", {}, [])}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if name in {"skymap", "combined_skymap"}:
        return unpack_map(value, name)[0] or value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if name == "gcn_notice_id" else float(value)
    return value


def _coincident(coinc: object) -> tuple[str, ...]:
    """The event of others that LVK found in coincidence: another event, and only named."""
    if not isinstance(coinc, Mapping):
        return ()
    whose = as_text(coinc.get("observatory"))
    name = name_event(mission_named(whose) or whose, as_text(coinc.get("gcn_notice_id")))
    return (name,) if name else ()


def _numbers(classes: object) -> dict[str, float]:
    items = classes.items() if isinstance(classes, Mapping) else ()
    return {name: number for name, item in items if (number := as_number(item)) is not None}


def _likeliest(classes: object) -> str | None:
    numbers = _numbers(classes)
    return max(numbers, key=numbers.__getitem__) if numbers else None


def _p_astro(classes: object) -> float | None:
    numbers = _numbers(classes)
    return 1.0 - numbers["Terrestrial"] if 0.0 <= numbers.get("Terrestrial", -1.0) <= 1.0 else None


def _fields(value: Mapping[str, Any], event: Mapping[str, Any], kind: str) -> dict[str, Scalar]:
    """Fields by their full names, and those of the event by their own (``significant``, ``classification.BNS``)."""
    bare = {key: item for key, item in event.items() if key != "skymap"}
    coinc = value.get("external_coinc")
    coinc = {key: item for key, item in coinc.items() if key != "combined_skymap"} if isinstance(coinc, Mapping) else None
    if coinc and "gcn_notice_id" in coinc:
        coinc["gcn_notice_id"] = as_text(coinc["gcn_notice_id"])
    rest = {key: item for key, item in value.items() if key not in {"event", "external_coinc"}}
    whole = {**bare, **rest, "event": bare, "external_coinc": coinc}
    return flatten(whole) | {"notice_type": kind}
