"""The loop: poll a batch, do the work, publish the outputs and the batch's offsets at once.

What went wrong and may pass is waited out and the whole batch is done again, from the offsets it began at; the work must
therefore give the same result when done again. Whatever else goes wrong is a bug, ends the loop, and has published nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from broker import topics
from broker.alert import Batch
from broker.errors import TransientError
from broker.record import Message, Record, TopicPartition
from broker.stream.deadletter import dead_letter
from broker.stream.halts import HaltRule, Halts
from broker.stream.log import Consumer, Publisher
from broker.telemetry import RETRIES, get_logger

__all__ = ["BackOff", "HaltRule", "Limits", "OnBatch", "Outcome", "Work", "run"]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch closes.

    Parameters
    ----------
    max_records, max_bytes
        A batch this large closes at once.
    linger
        Seconds a batch that is not may take to fill; it closes earlier when nothing comes for a quarter of that.
    """

    max_records: int = 2000
    max_bytes: int = 64 << 20
    linger: float = 0.02


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long to wait before a batch is done again: a random time up to a bound that doubles from `first` to `longest`."""

    first: float = 0.1
    longest: float = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one stream's part of a batch: the batch after the last step, and what to publish besides dead letters."""

    batch: Batch
    messages: Sequence[Message]


Work = Callable[[str, list[Record]], Outcome]
OnBatch = Callable[[list[Outcome], dict[TopicPartition, int]], None]

DEFAULT_LIMITS = Limits()
DEFAULT_HALT = HaltRule()
DEFAULT_BACK_OFF = BackOff()
POLL_SECONDS = 0.5


@dataclass(slots=True)
class _Turn:
    """One batch on its way: its records by partition, and what came of them."""

    records: dict[TopicPartition, list[Record]] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    handed: bool = False  # to the publisher

    def offsets(self) -> dict[TopicPartition, int]:
        return {place: records[-1].offset + 1 for place, records in self.records.items()}


@dataclass(slots=True)
class _State:
    """What the loop keeps from one batch to the next: the batch left open, if any, and the group's offsets as far as known."""

    halts: Halts
    turn: _Turn | None = None
    known: dict[TopicPartition, int] = field(default_factory=dict)


def run(
    consumer: Consumer,
    publisher: Publisher,
    work: Work,
    *,
    on_batch: OnBatch,
    stop: threading.Event,
    limits: Limits = DEFAULT_LIMITS,
    halt: HaltRule = DEFAULT_HALT,
    drain: bool = False,
    back_off: BackOff = DEFAULT_BACK_OFF,
    on_halt: Callable[[str], None] = lambda _stream: None,
) -> frozenset[str]:
    """Process batch after batch.

    Parameters
    ----------
    consumer
        Member of a group, on ``raw.`` topics.
    work
        Makes a stream's records into alerts; called again with the same records when a batch is done again.
    on_batch
        Told of each batch once it is published, with the offsets it went up to.
    stop
        Set it to end the loop after the batch in hand.
    drain
        Return when nothing is left to read, but in halted streams.
    on_halt
        Told of each stream that halts.

    Returns
    -------
    frozenset
        Streams that have halted.

    Raises
    ------
    Exception
        Whatever `work` raises but `TransientError`: the batch is unpublished and its offsets are as before.
    """
    state = _State(Halts(halt, on_halt))

    def sleep(seconds: float) -> None:
        stop.wait(seconds)

    attempts = Retrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_random_exponential(multiplier=back_off.first, max=back_off.longest),
        sleep=sleep,
        stop=lambda _: stop.is_set(),
        before_sleep=_log_retry,
        reraise=True,
    )
    while not stop.is_set():
        try:
            busy = attempts(_attempt, state, consumer, publisher, work, on_batch=on_batch, limits=limits)
            if not busy and drain and attempts(_drained, state, consumer):
                break
        except TransientError:
            if not stop.is_set():
                raise
    return frozenset(state.halts.streams)


def _attempt(state: _State, consumer: Consumer, publisher: Publisher, work: Work, *, on_batch: OnBatch, limits: Limits) -> bool:
    """Settle what an earlier attempt left open, else do a batch. False if there was nothing to do."""
    state.halts.tell()
    if state.turn is not None:
        settled = state.turn
        for place in consumer.lost():
            settled.records.pop(place, None)
        if _went_through(state, settled, consumer, publisher):
            _finish(state, settled, consumer, on_batch)
            return True
        _rewind(settled, consumer)
    turn = state.turn = _Turn()
    _fill(state, turn, consumer, limits)
    if not turn.records:
        state.turn = None
        _pass_markers(state, consumer)
        return False
    _work(turn, work)
    offsets = turn.offsets()
    fresh = offsets.keys() - state.known.keys()
    if fresh:
        state.known |= dict.fromkeys(fresh, -1) | consumer.committed(fresh)
    messages = [message for outcome in turn.outcomes for message in (*outcome.messages, *dead_letter(outcome.batch))]
    turn.handed = True
    publisher.publish(messages, consumer, offsets)
    _finish(state, turn, consumer, on_batch)
    return True


def _pass_markers(state: _State, consumer: Consumer) -> None:
    """Commit where we are behind what is no record: Kafka counts the markers of transactions as waiting until somebody does."""
    held = consumer.assignment()
    behind = {place: at for place, at in consumer.positions().items() if place in held and 0 <= state.known.get(place, -1) < at}
    if behind:
        consumer.commit(behind)
        state.known |= behind


def _fill(state: _State, turn: _Turn, consumer: Consumer, limits: Limits) -> None:
    """Poll until the batch closes."""
    count = size = 0
    wait, deadline = POLL_SECONDS, 0.0
    while count < limits.max_records and size < limits.max_bytes:
        polled = consumer.poll(limits.max_records - count, limits.max_bytes - size, wait)
        for place in consumer.lost():  # somebody else does these now
            turn.records.pop(place, None)
            state.known.pop(place, None)
        for record in polled:
            if topics.stream_of(record.topic) not in state.halts.streams:
                turn.records.setdefault(record.place, []).append(record)
        _hold(state, polled, consumer)
        if not polled:
            return
        count += len(polled)
        size += sum(len(record.value) for record in polled)
        moment = time.monotonic()
        deadline = deadline or moment + limits.linger
        if moment >= deadline:
            return
        wait = min(deadline - moment, limits.linger / 4)


def _hold(state: _State, polled: list[Record], consumer: Consumer) -> None:
    """Put back what was read of halted streams, and read no more of it."""
    first: dict[TopicPartition, int] = {}
    for record in polled:
        if topics.stream_of(record.topic) in state.halts.streams:
            first.setdefault(record.place, record.offset)
    for place, offset in first.items():
        consumer.seek(place, offset)
    if first:
        consumer.pause(first)


def _work(turn: _Turn, work: Work) -> None:
    by_stream: dict[str, list[Record]] = {}
    for place, records in turn.records.items():
        by_stream.setdefault(topics.stream_of(place.topic), []).extend(records)
    for stream, records in by_stream.items():
        try:
            turn.outcomes.append(work(stream, records))
        except TransientError:
            raise
        except Exception:
            ends = {f"{place.topic}/{place.partition}": offset for place, offset in turn.offsets().items()}
            log.exception("batch_failed", stream=stream, records=len(records), offsets=ends)
            raise


def _went_through(state: _State, turn: _Turn, consumer: Consumer, publisher: Publisher) -> bool:
    """Whether the batch was published although that ended with an error, as when only Kafka's answer was lost."""
    if not turn.handed:
        return False
    publisher.publish(())
    offsets = turn.offsets()
    held = offsets.keys() & consumer.assignment()
    told = {place: offsets[place] for place in held if state.known.get(place) != offsets[place]}
    committed = consumer.committed(told)
    return bool(told) and all(committed.get(place) == offset for place, offset in told.items())


def _rewind(turn: _Turn, consumer: Consumer) -> None:
    """Read the batch again, but for what is no longer ours."""
    held = consumer.assignment()
    for place, records in turn.records.items():
        if place in held:
            consumer.seek(place, records[0].offset)


def _finish(state: _State, turn: _Turn, consumer: Consumer, on_batch: OnBatch) -> None:
    offsets = turn.offsets()
    on_batch(turn.outcomes, offsets)
    state.turn = None
    state.known |= offsets
    before = set(state.halts.streams)
    for outcome in turn.outcomes:
        state.halts.count(outcome.batch)
    halted = state.halts.streams - before
    if halted:
        held = consumer.assignment()
        consumer.pause(place for place in offsets if topics.stream_of(place.topic) in halted and place in held)
    state.halts.tell()


def _drained(state: _State, consumer: Consumer) -> bool:
    lag = consumer.lag()
    return not any(behind for place, behind in lag.items() if topics.stream_of(place.topic) not in state.halts.streams)


def _log_retry(attempt: RetryCallState) -> None:
    fault = attempt.outcome.exception() if attempt.outcome else None
    wait = attempt.next_action.sleep if attempt.next_action else 0.0
    RETRIES.labels(type(fault).__name__).inc()
    log.warning("batch_again", fault=str(fault), attempt=attempt.attempt_number, wait_seconds=round(wait, 2))
