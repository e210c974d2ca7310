"""Matches taken in for subscribers: read from ``matched.*``, written to the database, committed when it has them.

A batch that is done again after a crash writes what is there already.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from broker import topics
from broker.api.framed import match_reader
from broker.api.hidden import Hidden
from broker.api.models import Match
from broker.deliver.pace import next_due
from broker.errors import PoisonError, TransientError, UsageError
from broker.record import Record, header
from broker.store import delivery_intake as kept
from broker.store import subscriptions
from broker.store.delivery import CANCELLED, PENDING, Change, delivery_id
from broker.store.delivery_intake import Made, Told
from broker.store.engine import transaction
from broker.store.subscription import Subscription
from broker.store.times import now, to_micros
from broker.stream.deadletter import letter_of
from broker.telemetry import DEAD_LETTERS, get_logger
from broker.wiring.deliver_book import Book, Rights
from broker.wiring.deliver_room import Room
from broker.wiring.deliver_words import body_of, links_of, object_of
from broker.wiring.inbox import Inbox
from broker.wiring.parts import Parts
from broker.wiring.published import published
from broker.wiring.updates import RETRACTED

__all__ = ["Intake", "follow"]

log = get_logger(__name__)

PATTERN: Final = "^matched[.].+"
RECORDS, BYTES = 500, 16 << 20

# Of what stands in a record; anything else is a fault of ours or of the database, and nothing may be left out for it.
_BAD: Final = (ArithmeticError, DataError, IntegrityError, LookupError, PoisonError, TypeError, UsageError, ValueError)

Wake = Callable[[Mapping[str, int]], None]
"""Told when the first of what was written is due, microseconds, by subscription."""


@dataclass(frozen=True, slots=True)
class _Word:
    """A record, and whom it is for."""

    match: Match
    event: str | None
    revision: int | None
    at: int
    readers: tuple[Subscription, ...]

    @property
    def key(self) -> tuple[str, str]:
        return self.match.filter, self.match.alert.alert_id


def follow(parts: Parts, intake: Intake, stop: threading.Event, *, wait: float = 60.0) -> None:
    """Batch after batch until told to stop; what fails and may pass is waited out, and done again.

    Parameters
    ----------
    wait
        Longest pause between tries while the log or the database is away, seconds.
    """

    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("matches for subscribers wait", error=str(error), attempt=state.attempt_number)

    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_random_exponential(max=wait),
        before_sleep=note,
        sleep=lambda seconds: (stop.wait(seconds), None)[1],
        stop=lambda _state: stop.is_set(),
        reraise=True,
    )
    try:
        # From the earliest: what was published since a subscription was made is its, whether or not anybody sent anything then.
        with closing(parts.log.consumer(parts.settings.deliver.group, [PATTERN], "earliest")) as consumer:
            inbox = Inbox(consumer, most_records=RECORDS, most_bytes=BYTES)
            while not stop.is_set():
                records = retrying(inbox.take)
                retrying(intake.take, records)
                inbox.done(records)
                retrying(inbox.commit)
    except TransientError:
        if not stop.is_set():
            raise


class Intake:
    """Writes what subscribers are to be told."""

    def __init__(self, parts: Parts, book: Book, rights: Rights, wake: Wake, by: str) -> None:
        self._parts, self._book, self._rights, self._wake, self._by = parts, book, rights, wake, by
        self._read, self._room = match_reader(published()), Room(parts.settings.deliver.most_waiting)

    def take(self, records: Sequence[Record]) -> None:
        """Write what these records say to whom; done again, it changes nothing.

        A record that cannot be written goes to the dead letters: what is behind it does not wait for ever.

        Raises
        ------
        TransientError
            The database or the log is away.
        """
        if not records:
            return
        try:
            self._take(records)
        except _BAD as error:
            if len(records) > 1:
                for record in records:
                    self.take([record])
                return
            self._reject(records[0], error)

    def _reject(self, record: Record, error: Exception) -> None:
        why = getattr(error, "orig", None) or error  # SQLAlchemy's own words have the whole statement in them
        reason = f"its subscribers cannot be told of it: {type(why).__name__}: {str(why).strip()}"
        when = datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat()
        received = ((topics.HEADER_RECEIVED, when.encode()),)  # by which is told whose it is, when it is put back
        self._parts.log.append([letter_of(record, topics.DELIVER, reason, more=received)])
        alert_id = header(record, topics.HEADER_ALERT_ID) or ""
        DEAD_LETTERS.labels(alert_id.partition(":")[0] or "unknown", topics.DELIVER).inc()
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        log.error("a match cannot be told to its subscribers: it is a dead letter", **place, exc_info=error)

    def _take(self, records: Sequence[Record]) -> None:
        words = list(self._words(records))
        if not words:
            return
        first: dict[str, int] = {}
        self._room.left_out()  # of a try that came to nothing
        with transaction(self._parts.store) as conn:
            received = kept.received(conn, [word.match.alert.alert_id for word in words])
            for run in _runs(words):
                rows = self._again(conn, run, received) if run[0].match.update is not None else self._new(run, received)
                rows = self._room.within(conn, rows)
                alone = {one.id for word in run for one in word.readers if one.only_first}
                matches = [row for row in rows if row.change == "match" and row.subscription in alone]
                others = [row for row in rows if row.change != "match" or row.subscription not in alone]
                written = [*others, *kept.firsts(conn, matches)]
                kept.write(conn, written, self._by)
                for row in written:
                    if row.state == PENDING:
                        first[row.subscription] = min(row.due, first.get(row.subscription, row.due))
        self._wake(first)
        if left_out := self._room.left_out():
            # By itself: whoever changes a subscription takes it before its deliveries, and this would come after them.
            subscriptions.leave_out(self._parts.store, left_out)

    def _words(self, records: Sequence[Record]) -> Iterator[_Word]:
        by_filter = self._book.now().by_filter
        for record in records:
            name = header(record, topics.HEADER_FILTER) or record.topic.removeprefix(topics.matched(""))
            # The log's clock has milliseconds.
            readers = [one for one in by_filter.get(name, ()) if record.timestamp >= to_micros(one.created) // 1000]
            readers = [one for one in readers if self._sees(one, name)]
            match = self._read(record) if readers else None
            if match is not None:
                match.alert.alert_id = match.alert.alert_id.replace("\0", "")  # as the table of alerts has it
                revision = header(record, topics.HEADER_REVISION) or ""
                number = int(revision) if revision.isdecimal() else None
                event = (header(record, topics.HEADER_EVENT) or "").replace("\0", "") or None
                yield _Word(match, event, number, record.timestamp * 1000, tuple(readers))

    def _sees(self, one: Subscription, filter_name: str) -> bool:
        hidden = self._rights.hidden_from(one.owner)
        return hidden is not None and filter_name not in hidden.filters

    def _new(self, run: Sequence[_Word], received: Mapping[str, int]) -> list[Made]:
        maker = _Maker(self._parts.settings.deliver.api, self._rights, received)
        return [maker.make(word, one, "match") for word in run for one in word.readers]

    def _again(self, conn: Connection, run: Sequence[_Word], received: Mapping[str, int]) -> list[Made]:
        """What later words on matches come to: nothing, for who was not told of the match."""
        ids = [word.match.alert.alert_id for word in run]
        known, picked = kept.told(conn, ids), kept.matched_at(conn, ids)
        maker = _Maker(self._parts.settings.deliver.api, self._rights, received)
        rows: list[Made] = []
        cancelled: list[Told] = []
        for word in run:
            for one in word.readers:
                there = known.get((one.id, *word.key), [])
                if word.match.update == RETRACTED:
                    waiting = [each for each in there if each.state == PENDING]
                    cancelled += waiting
                    if any(each.heard for each in there) and one.updates != "none":
                        rows.append(maker.make(word, one, "retraction"))
                    continue
                change = _change(word, one, there, picked.get(word.key))
                if change is not None:
                    rows.append(maker.make(word, one, change))
        kept.cancel(conn, cancelled, "the match was retracted before it was delivered")
        return rows


def _change(word: _Word, one: Subscription, there: Sequence[Told], picked: int | None) -> Change | None:
    """What a match that was scored again is to a subscription.

    An alert that a filter picks only now, as a map came to hold it, comes as scored again, too: it is a match for who has
    subscribed before it was picked.
    """
    matches = [each for each in there if each.change == "match"]
    itself = delivery_id(one.id, *word.key, "match", word.event, word.revision)
    if any(each.id == itself for each in matches):
        return "match"  # done again
    if any(each.state == PENDING or each.heard for each in matches):
        return "update" if one.updates == "all" else None
    if any(each.state != CANCELLED for each in matches):
        return None
    return "match" if picked is not None and picked >= to_micros(one.created) else None


@dataclass(slots=True)
class _Maker:
    """Makes deliveries of words; what several subscriptions are told alike is written out once."""

    api: str
    rights: Rights
    received: Mapping[str, int]
    said: tuple[_Word, Hidden | None, bool, str] | None = None

    def make(self, word: _Word, one: Subscription, change: Change) -> Made:
        alert, at = word.match.alert, now()
        event, revision = (word.event, word.revision) if word.match.update is not None else (None, None)
        ident = delivery_id(one.id, *word.key, change, event, revision)
        body = body_of(self._say(word, one, change), ident, one.id, links_of(word.match, self.api))
        # A map may come days after the alert: how long it then takes to tell of it counts from the map on.
        received = self.received.get(alert.alert_id, word.at) if word.match.update is None else word.at
        due = next_due(datetime.fromtimestamp(at / 1e6, UTC), one.quiet, one.digest)
        return Made(
            one.id,
            word.match.filter,
            word.match.version,
            alert.alert_id,
            object_of(word.match),
            change,
            event,
            revision,
            body,
            received,
            at,
            at if one.quiet is None and one.digest is None else to_micros(due),
        )

    def _say(self, word: _Word, one: Subscription, change: Change) -> str:
        hidden, fresh = self.rights.hidden_from(one.owner), change == "match"
        if self.said is not None and self.said[0] is word and self.said[1:3] == (hidden, fresh):
            return self.said[3]
        # Who was disabled this moment is shown nothing, though what is made now waits for them.
        annotations = {} if hidden is None else hidden.kept(word.match.alert.annotations)
        alert = word.match.alert.model_copy(update={"annotations": annotations})
        shown = word.match.model_copy(update={"alert": alert})
        # Who is told of it first is told of no update.
        said = shown.model_dump_json(exclude_unset=True, exclude={"update"} if fresh else None)
        self.said = (word, hidden, fresh, said)
        return said


def _runs(words: Sequence[_Word]) -> Iterator[list[_Word]]:
    """Words in order, cut where what was said before has to be in the database."""
    run: list[_Word] = []
    keys: set[tuple[str, str]] = set()
    for word in words:
        again = word.match.update is not None
        if run and (again != (run[0].match.update is not None) or (again and word.key in keys)):
            yield run
            run, keys = [], set()
        run.append(word)
        keys.add(word.key)
    if run:
        yield run
