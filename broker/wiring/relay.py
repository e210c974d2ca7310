"""Matches told to other networks: read from ``matched.<filter>``, written to GCN or SCiMMA, committed when they have them.

At least once: after a crash what was not committed is sent again, under the id it had. Off unless set.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from broker import topics
from broker.api.framed import reader
from broker.deliver import gcn_json, hop_message
from broker.deliver.counterpart import Counterpart, Known, counterpart
from broker.deliver.kafka_out import Downstream, Sender
from broker.errors import DecodeError, NotFoundError, NunciusError, TransientError, UsageError
from broker.record import Message, Record, TopicPartition, header
from broker.settings import Relay
from broker.store import events, relayed
from broker.store.tables import NOT_REAL
from broker.telemetry import RELAYED, get_logger
from broker.wiring import reading
from broker.wiring.checks import check_names
from broker.wiring.inbox import Inbox
from broker.wiring.parts import Parts
from broker.wiring.published import published

__all__ = ["relay"]

log = get_logger(__name__)

RECORDS, BYTES = 100, 8 << 20
REMEMBERED = 10_000  # ids of messages: an alert that two filters pick is told once


def relay(parts: Parts, stop: threading.Event, *, wait: float = 60.0) -> None:
    """Relay to every network of the settings, each in a thread of its own, until told to stop.

    Parameters
    ----------
    wait
        Longest pause between tries while a network is away, seconds.

    Raises
    ------
    UsageError
        None is set, or one names a filter that is not there.
    """
    tables = parts.settings.relay
    if not tables:
        raise UsageError("no relay is set: name one in a table [relay.<name>] of the settings")
    check_names(parts.settings, {spec.name for spec in parts.filters})
    faults: list[BaseException] = []

    def run(name: str, table: Relay) -> None:
        try:
            with closing(Sender(_downstream(table))) as sender:
                _follow(_Relay(parts, name, table, sender.send), stop, wait)
        except BaseException as error:  # noqa: BLE001  whatever ends one relay ends the process, which then tells why
            faults.append(error)
            stop.set()

    threads = [threading.Thread(target=run, args=item, name=f"relay-{item[0]}") for item in tables.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


@dataclass(slots=True)
class _Relay:
    """A relay at work."""

    parts: Parts
    name: str
    table: Relay
    send: Callable[[Sequence[Message]], None]
    read: Callable[[bytes], dict[str, Any]] = field(init=False)
    told: OrderedDict[bytes, None] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.read = reader(published())

    @property
    def patterns(self) -> list[str]:
        """Our topics, by pattern: one whose filter has picked nothing yet is not there."""
        return [f"^{re.escape(topics.matched(each))}$" for each in self.table.filters]

    @property
    def group(self) -> str:
        return self.table.group or f"nuncius-relay-{self.name}"

    def counterpart(self, record: Record) -> Counterpart | None:
        """What a record says to others; ``None`` for nothing.

        Raises
        ------
        DecodeError
            It cannot be read.
        """
        when = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        revision = header(record, topics.HEADER_REVISION) or ""
        return counterpart(
            self.read(record.value),
            when,
            Known(self.describe, self.curve, self.level_told),
            level=self.table.level,
            update=header(record, topics.HEADER_UPDATE),
            event=header(record, topics.HEADER_EVENT),
            revision=int(revision) if revision.isdecimal() else None,
            test=self.table.test,
        )

    def level_told(self, event: str, alert_id: str) -> float | None:
        """Credible level that the network was told last of an alert in an event's map."""
        return relayed.told(self.parts.store, self.name, self.named(event), alert_id)

    def named(self, event: str) -> str:
        """What an event is called now: records that were waiting have the name of before."""
        return str((self.describe(event) or {}).get("event_name", event))

    def describe(self, name: str) -> Mapping[str, Any] | None:
        try:
            event = events.get_event(self.parts.store, name)
        except NotFoundError:
            return None
        return {"real": event.get("alert_tense") not in NOT_REAL} | event

    def curve(self, object_id: str) -> pl.DataFrame:
        """Light curve of an object; empty where there is none, as the alert has its own measurement."""
        try:
            return reading.light_curve(self.parts, object_id)
        except TransientError:
            raise
        except (NunciusError, OSError) as error:
            log.warning("no light curve to send along", relay=self.name, object=object_id, reason=str(error))
            return pl.DataFrame()

    def message(self, found: Counterpart) -> Message:
        if self.table.kind == "gcn":
            return gcn_json.message(found, self.table.topic, mission=self.table.sender)
        return hop_message.message(found, self.table.topic, sender=self.table.username or self.table.sender)

    def tell(self, records: Sequence[Record]) -> None:
        """Send what the records say, in order; return when the other side has it."""
        for record in records:
            outcome = self._tell(record)
            RELAYED.labels(self.name, outcome).inc()

    def _tell(self, record: Record) -> str:
        place = {"relay": self.name, "topic": record.topic, "partition": record.partition, "offset": record.offset}
        try:
            found = self.counterpart(record)
        except (DecodeError, LookupError, ValueError, TypeError) as error:
            log.warning("match cannot be read, and is not sent on", **place, reason=str(error))
            return "unreadable"
        if found is None:
            return "no event"
        # A retraction is made of what was told and not taken back: it is no repeat, whatever its id.
        if found.id.bytes in self.told and found.change != "retraction":
            return "repeated"
        try:
            self.send([self.message(found)])
        except UsageError as error:
            log.warning("match is refused, and not sent on", **place, reason=str(error))
            return "refused"
        taken_back = found.change == "retraction"
        levels = {self.named(event.name): None if taken_back else event.level for event in found.events}
        relayed.note(self.parts.store, self.name, str(found.alert["alert_id"]), levels)
        self.told[found.id.bytes] = None
        if len(self.told) > REMEMBERED:
            self.told.popitem(last=False)
        log.info("told of a counterpart", **place, of=found.events[0].name, change=found.change, id=str(found.id))
        return "sent"


def _follow(one: _Relay, stop: threading.Event, wait: float) -> None:
    """Batch after batch until told to stop; what fails and may pass is waited out, and done again."""

    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("relay waits", relay=one.name, error=str(error), attempt=state.attempt_number)

    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_random_exponential(max=wait),
        before_sleep=note,
        sleep=lambda seconds: (stop.wait(seconds), None)[1],
        stop=lambda _state: stop.is_set(),
        reraise=True,
    )
    try:
        before = retrying(_ends, one) if one.table.start == "latest" else {}
        with closing(one.parts.log.consumer(one.group, one.patterns, "earliest")) as consumer:
            inbox = Inbox(consumer, before, RECORDS, BYTES)
            while not stop.is_set():
                records = retrying(inbox.take)
                retrying(one.tell, records)
                inbox.done(records)
                retrying(inbox.commit)
    except TransientError:
        if not stop.is_set():
            raise


def _ends(one: _Relay) -> dict[TopicPartition, int]:
    """Where a new group begins: what is there before its first reader counts as told, what comes later does not."""
    if one.parts.log.group_lag(one.group):
        return {}
    wanted = {topics.matched(each) for each in one.table.filters} & one.parts.log.topics().keys()
    return {place: end for topic in wanted for place, (_, end) in one.parts.log.bounds(topic).items()}


def _downstream(table: Relay) -> Downstream:
    return Downstream(
        table.kind,
        table.bootstrap_servers,
        table.client_id,
        table.client_secret.get_secret_value(),
        table.username,
        table.password.get_secret_value(),
        table.domain,
        table.properties,
    )
