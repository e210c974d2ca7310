"""Signs of life: kept from the log where they come in, and an alarm where they stop."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from broker.decode.notice_json import as_text, parse_object
from broker.decode.notice_time import parse_time
from broker.errors import DecodeError, TransientError
from broker.store import heartbeats
from broker.telemetry import HEARTBEAT_AGE, get_logger
from broker.wiring.parts import Parts

__all__ = ["Pulse", "alarms", "has_heartbeat", "shown", "watching"]

log = get_logger(__name__)

TOPIC = "gcn.heartbeat"
KEPT_EVERY = 5.0  # seconds between writes to the database


def has_heartbeat(topics: tuple[str, ...]) -> bool:
    """Whether an upstream's topics include one of signs of life."""
    return any(re.match(topic, TOPIC) if topic.startswith("^") else "heartbeat" in topic for topic in topics)


@dataclass(slots=True)
class Pulse:
    """The signs of life of one upstream, as this process has them."""

    upstream: str
    expected: bool
    began: float = field(default_factory=time.monotonic)
    last: float | None = None
    seen: datetime | None = None
    sent: datetime | None = None
    silent: bool = False
    kept: float | None = None

    def beat(self, value: bytes) -> None:
        """Take one."""
        self.last, self.seen = time.monotonic(), datetime.now(UTC)
        try:
            self.sent = parse_time(as_text(parse_object(value).get("alert_datetime")))
        except DecodeError:  # an old binary one: it has no date
            self.sent = None

    def age(self) -> float:
        """Seconds since the last, or since we follow."""
        return time.monotonic() - (self.began if self.last is None else self.last)


@contextmanager
def watching(parts: Parts, pulses: Mapping[str, Pulse]) -> Iterator[None]:
    """Keep the pulses in the database and raise the alarm for each that stops, while the block runs."""
    stop = threading.Event()
    bound = parts.settings.alarm.heartbeat_seconds
    thread = threading.Thread(target=_watch, args=(parts, pulses, bound, stop), name="heartbeats")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _watch(parts: Parts, pulses: Mapping[str, Pulse], bound: float, stop: threading.Event) -> None:
    expected: set[str] = set()
    while True:
        last_look = stop.is_set()
        for pulse in pulses.values():
            if not (pulse.expected or pulse.last is not None):
                continue
            try:
                if pulse.upstream not in expected:
                    heartbeats.expect(parts.store, pulse.upstream, datetime.now(UTC))
                    expected.add(pulse.upstream)
                _look(parts, pulse, bound, always=last_look)
            except TransientError as error:
                log.warning("heartbeat not kept", upstream=pulse.upstream, error=str(error))
        if last_look:
            return
        stop.wait(min(1.0, bound / 4))


def _look(parts: Parts, pulse: Pulse, bound: float, *, always: bool) -> None:
    age = pulse.age()
    HEARTBEAT_AGE.labels(pulse.upstream).set(age)
    if age > bound and not pulse.silent:
        pulse.silent = True
        log.error(
            "heartbeat_silent",
            upstream=pulse.upstream,
            seconds=round(age, 1),
            last=str(pulse.seen or "none yet"),
            alarm_after=bound,
        )
    elif age <= bound and pulse.silent:
        pulse.silent = False
        log.warning("heartbeat_back", upstream=pulse.upstream)
    new = pulse.last is not None and pulse.seen is not None and pulse.last != pulse.kept
    if new and (always or pulse.kept is None or pulse.last - pulse.kept >= min(KEPT_EVERY, bound / 4)):  # type: ignore[operator]
        assert pulse.seen is not None
        heartbeats.beat(parts.store, pulse.upstream, pulse.seen, pulse.sent)
        pulse.kept = pulse.last


def shown(parts: Parts) -> list[dict[str, Any]]:
    """Upstreams that are to give signs of life, each with the age of the last and whether it is too old."""
    bound = parts.settings.alarm.heartbeat_seconds
    found = []
    for each in heartbeats.listing(parts.store):
        age = each.age()
        HEARTBEAT_AGE.labels(each.upstream).set(age)
        found.append(
            {
                "upstream": each.upstream,
                "seen": each.seen,
                "sent": each.sent,
                "age_seconds": round(age, 1),
                "silent": age > bound,
            }
        )
    return found


def alarms(parts: Parts) -> dict[str, str]:
    """What is wrong, by part: upstreams that have fallen silent."""
    return {
        f"heartbeat of {each['upstream']}": f"silent for {each['age_seconds']:.0f} s" for each in shown(parts) if each["silent"]
    }
