"""The loop: alerts in, requests out, what is unclear looked after, a sign of life now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from consumers.options import Start, Stream
from consumers.subscription import subscribe
from consumers.too.audit import Trail
from consumers.too.desk import Desk
from consumers.too.ledger import OPEN, Ledger
from consumers.too.recheck import Recheck
from consumers.too.rules import Rule, Rules
from consumers.too.worker import Worker

__all__ = ["Stop", "follow"]

_POLL = 0.5  # seconds
_BEHIND = timedelta(seconds=60)  # an alert put out longer ago is of a backlog, in which its retraction may follow


@dataclass
class Stop:
    """Set by a signal, or by whoever runs it."""

    asked: bool = False


@dataclass
class _Count:
    """For the sign of life."""

    alerts: int = 0
    since: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)


def follow(
    rules: Rules,
    ledger: Ledger,
    desk: Desk,
    worker: Worker,
    trail: Trail,
    *,
    group: str,
    start_at: Start,
    until: datetime | None,
    heartbeat: float,
    say: Callable[[str], None],
    stop: Stop,
) -> int:
    """Read until `until`, or until stopped; gives the number of alerts.

    Parameters
    ----------
    group
        Of Kafka's readers, where the source names none.
    start_at
        Where nothing was read before.
    heartbeat
        Seconds between two signs of life.
    """
    count = _Count()
    recheck = Recheck([address for address in _sources(rules) if _over_http(address)], ledger, desk, say)
    with ExitStack() as stack:
        streams: list[tuple[str, Stream, list[Rule]]] = []
        for address, listening in _sources(rules).items():
            stream = _open(rules, ledger, address, listening, group=group, start_at=start_at, until=until, say=say)
            streams.append((address, stack.enter_context(stream), listening))
        say(f"reading {', '.join(f'{address} ({_named(of)})' for address, _, of in streams)}")
        while not stop.asked and any(not stream.finished for _, stream, _ in streams):
            behind = False
            for address, stream, listening in streams:
                alert = None if stream.finished else stream.poll(_POLL / len(streams))
                if alert is not None:
                    count.alerts += 1
                    behind |= alert.timestamp is not None and datetime.now(UTC) - alert.timestamp > _BEHIND
                    desk.take(alert, listening, address)
                    trail.flush()
                    if not _over_http(address):
                        alert.commit()
            recheck.look()
            worker.work(posting=not behind)
            trail.flush()
            if time.monotonic() - count.said >= heartbeat:
                count.said = time.monotonic()
                say(_life(ledger, count))
        while not stop.asked and until is not None and worker.work():  # what came last is handed in all the same
            trail.flush()
    trail.flush()
    say(_life(ledger, count))
    return count.alerts


def _sources(rules: Rules) -> Mapping[str, list[Rule]]:
    found: dict[str, list[Rule]] = {}
    for rule in rules.rules:
        found.setdefault(rule.source or rules.source.address, []).append(rule)
    return found


def _open(
    rules: Rules,
    ledger: Ledger,
    address: str,
    listening: Sequence[Rule],
    *,
    group: str,
    start_at: Start,
    until: datetime | None,
    say: Callable[[str], None],
) -> Stream:
    source = rules.source
    topics = list(dict.fromkeys(name for rule in listening for name in rule.filters))
    if _over_http(address):
        begin = ledger.position(address) or start_at
        return subscribe(topics, address, start_at=begin, until=until, on_error="skip", on_wait=say)
    return subscribe(
        topics,
        address,
        group=source.group or group,
        start_at=start_at,
        until=until,
        config=source.properties,
        registry=source.registry,
        on_error="skip",
        on_wait=say,
    )


def _over_http(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _named(rules: Sequence[Rule]) -> str:
    return f"{len(rules)} rule{'s' if len(rules) > 1 else ''}"


def _life(ledger: Ledger, count: _Count) -> str:
    by_state: dict[str, int] = {}
    for row in ledger.in_states((*OPEN, "cancelling")):
        by_state[row.state] = by_state.get(row.state, 0) + 1
    states = ", ".join(f"{number} {state}" for state, number in sorted(by_state.items())) or "none open"
    hours = (time.monotonic() - count.since) / 3600.0
    return f"{count.alerts} alerts in {hours:.2f} h; requests: {states}"
