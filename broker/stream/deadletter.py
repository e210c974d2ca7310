"""Dead letters: what can never be processed, kept with the reason."""

from __future__ import annotations

from broker import topics
from broker.alert import Batch, Rejection
from broker.record import Headers, Message, Record

__all__ = ["dead_letter", "letter_of"]

REASON_BYTES = 2000
NAMED_UNITS = 5  # of a container, with their own reasons


def dead_letter(batch: Batch) -> list[Message]:
    """One message for each record with rejected alerts: its bytes, key and headers as they came, and what was wrong.

    A container with several rejected alerts is kept once; the reason then names the first few of them and
    `topics.HEADER_DEAD_UNITS` counts all.
    """
    by_record: dict[int, list[Rejection]] = {}
    for rejection in batch.rejected:
        by_record.setdefault(rejection.record, []).append(rejection)
    return [_letter(batch, index, rejections) for index, rejections in sorted(by_record.items())]


def letter_of(record: Record, stage: str, reason: str, units: int = 1, more: Headers = ()) -> Message:
    """One message for a record: its bytes, key and headers as they came, and what was wrong.

    Parameters
    ----------
    units
        How many of its alerts were rejected.
    more
        Headers beside those of all letters.
    """
    ours = {
        topics.HEADER_DEAD_REASON: reason,
        topics.HEADER_DEAD_STAGE: stage,
        topics.HEADER_DEAD_TOPIC: record.topic,
        topics.HEADER_DEAD_PARTITION: str(record.partition),
        topics.HEADER_DEAD_OFFSET: str(record.offset),
        topics.HEADER_DEAD_UNITS: str(units),
    }
    # Ours first, for the first of a name counts: whoever wrote the record may have used a name of ours.
    headers = (*((name, _cut(text)) for name, text in ours.items()), *more, *record.headers)
    return Message(topics.DEAD_LETTER, record.value, record.key, headers)


def _letter(batch: Batch, index: int, rejections: list[Rejection]) -> Message:
    return letter_of(batch.records[index], rejections[0].stage, _reason(rejections), len(rejections))


def _reason(rejections: list[Rejection]) -> str:
    if len(rejections) == 1:
        return rejections[0].reason
    told = [f"alert {rejection.unit}: {rejection.reason}" for rejection in rejections[:NAMED_UNITS]]
    more = len(rejections) - len(told)
    return "; ".join([*told, f"and {more} more"] if more else told)


def _cut(text: str) -> bytes:
    """The text's bytes, not so many that the letter outgrows what the log takes."""
    return text.encode("utf-8", "replace")[:REASON_BYTES].decode("utf-8", "ignore").encode()
