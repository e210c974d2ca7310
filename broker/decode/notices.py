"""Notices of every format, one batch at a time: bytes to a frame, with a reason for each that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence

from broker import topics
from broker.alert import Batch, Rejection
from broker.decode.circular import from_circular, parse_circular_mail
from broker.decode.coincidence import from_coincidence, is_coincidence
from broker.decode.gcn_binary import LENGTH, parse_binary
from broker.decode.gcn_json import from_unified
from broker.decode.gcn_text import parse_text
from broker.decode.hop import unwrap
from broker.decode.lvk import from_igwn, read_ocf
from broker.decode.notice import ALIVE, Notice, Placed, digest, notice_frame
from broker.decode.notice_json import parse_object
from broker.decode.skymap_file import parse_skymap_file
from broker.decode.sniff import CIRCULAR_MAIL, TEXT, sniff_notice
from broker.decode.voevent import parse_voevent
from broker.errors import DecodeError
from broker.record import Record, header
from broker.telemetry import get_logger

__all__ = ["decode_notices"]

STAGE = "decode"
_log = get_logger(__name__)
_KAFKA_ERRORS = (b"Broker: ", b"Local: ", b"Subscribed topic not available")
_BOM = b"\xef\xbb\xbf"


def decode_notices(stream: str, records: Sequence[Record], wanted: frozenset[str]) -> Batch:
    """Batch of a stream's notices; each record's format is told from its bytes, whatever topic brought it.

    Parameters
    ----------
    wanted
        Further fields the frame is to have, by dotted name.
    """
    placed: list[Placed] = []
    rejected: list[Rejection] = []
    received = 0
    for index, record in enumerate(records):
        found, reasons = _decode(record)
        outcomes: list[Notice | str] = [*found, *reasons]
        mark = digest(record.value)
        for unit, outcome in enumerate(outcomes):
            if outcome is ALIVE:  # a sign of life is no alert: whoever follows the upstream keeps count of them
                continue
            received += 1
            if isinstance(outcome, str):
                rejected.append(Rejection(index, outcome, STAGE, unit))
            else:
                placed.append(Placed(outcome, index, unit, outcome.mark or mark))
    frame = notice_frame(stream, placed, wanted)
    return Batch(stream, tuple(records), frame, received, tuple(rejected))


def _decode(record: Record) -> tuple[list[Notice], list[str]]:
    """Notices of a record, and the reasons of what in it is none."""
    data = record.value
    try:
        if data.startswith(b"Obj\x01"):
            return _decode_ocf(data)
        return [_decode_one(data, header(record, topics.HEADER_ORIGIN))], []
    except DecodeError as error:
        return [], [str(error)]
    except Exception as error:  # noqa: BLE001 - a fault of ours in one notice must not cost the others of the batch
        _log.exception("notice decoder failed", topic=record.topic, partition=record.partition, offset=record.offset)
        return [], [f"decoder failed: {type(error).__name__}: {str(error)[:150]}"]


def _decode_ocf(data: bytes) -> tuple[list[Notice], list[str]]:
    alerts, reason = read_ocf(data)
    found: list[Notice] = []
    reasons = [] if reason is None else [reason]
    for alert in alerts:
        try:
            found.append(from_igwn(alert))
        except DecodeError as error:
            reasons.append(str(error))
    return found, reasons


def _decode_one(data: bytes, origin: str | None) -> Notice:
    """The notice that some bytes hold.

    Raises
    ------
    DecodeError
        With what is wrong.
    """
    text = data.removeprefix(_BOM).lstrip()
    if not text:
        raise DecodeError("empty message")
    if text.startswith((b"<", b"\xff\xfe", b"\xfe\xff", b"\0<")):
        return parse_voevent(data.removeprefix(_BOM))
    if text.startswith((b"{", b"[")):
        return _decode_json(data)
    if data.startswith((b"SIMPLE  =", b"\x1f\x8b")):
        return parse_skymap_file(data, origin)
    kind = sniff_notice(data)
    if kind is not None and kind.content_type == CIRCULAR_MAIL:
        return parse_circular_mail(text)
    if kind is not None and kind.content_type == TEXT:
        return parse_text(data)
    if data.startswith(_KAFKA_ERRORS):
        raise DecodeError(f"an error of the upstream Kafka client, not a notice: {data[:100].decode('utf-8', 'replace')}")
    if len(data) == LENGTH or data.startswith(b"\0\0"):
        return parse_binary(data)
    raise DecodeError(f"not a notice of any known form: begins with {data[:24]!r}")


def _decode_json(data: bytes) -> Notice:
    value = parse_object(data)
    if (wrapped := unwrap(value)) is not None:
        return _decode_one(wrapped, None)
    if is_coincidence(value):
        return from_coincidence(value)
    if "superevent_id" in value:
        return from_igwn(value)
    if "circularId" in value or {"eventId", "subject", "body"} <= value.keys():
        return from_circular(value)
    if value.get("type") == "record" and "fields" in value:
        raise DecodeError("an Avro schema, not a notice")
    return from_unified(value)
