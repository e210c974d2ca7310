"""What a subscription is: the arguments of `subscribe`, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, Self, runtime_checkable

from consumers.alert import Alert
from consumers.errors import RequestError

__all__ = ["MATCHED", "Home", "OnError", "Options", "Start", "Stream", "backoff", "topic_names"]

MATCHED = "matched."

Start = str | datetime | Mapping[tuple[str, int], int]
"""``earliest``, ``latest``, a time, offsets by (topic, partition), or over the API an `Alert.position`."""

OnError = Literal["raise", "skip"]


class Stream(Protocol):
    """Alerts as they come; an iterator and a context manager.

    After an error of one record the next call goes on with the record after it.
    """

    def __enter__(self) -> Self:
        """The stream itself."""

    def __exit__(self, *error: object) -> None:
        """Close it."""

    def __iter__(self) -> Iterator[Alert]:
        """The stream itself."""

    def __next__(self) -> Alert:
        """The next alert, however long it takes; ends at `until` or when closed."""

    def poll(self, timeout: float = 1.0) -> Alert | None:
        """The next alert, or ``None`` after `timeout` seconds without one."""

    @property
    def finished(self) -> bool:
        """Whether `until` is reached, or the stream is closed."""

    def commit(self, alert: Alert) -> None:
        """Tell the group that an alert, and all before it in its partition, are done with."""

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Go on with another record of a partition."""

    def offsets(self) -> dict[tuple[str, int], int]:
        """Offset of the record after the last one handed out, by partition."""

    def lag(self) -> dict[tuple[str, int], int]:
        """Records between that and the end, by partition."""

    def close(self) -> None:
        """Let go; the group's other members take over."""


@runtime_checkable
class Home(Protocol):
    """Whoever knows where to read when no place is named: of a command line, its data folder."""

    def subscribe(self, topics: str | Sequence[str], bootstrap_servers: str, **asked: Any) -> Stream:
        """As `consumers.subscribe`; `bootstrap_servers` are for want of better ones."""


@dataclass(frozen=True, slots=True)
class Options:
    """Arguments of `consumers.subscribe`, under the same names."""

    topics: tuple[str, ...]
    bootstrap_servers: str
    group: str | None = None
    start_at: Start = "latest"
    until: datetime | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    registry: str | None = None
    schema: Mapping[str, Any] | None = None
    isolation: Literal["read_committed", "read_uncommitted"] = "read_committed"
    timeout: float | None = None
    autocommit: bool = False
    on_error: OnError = "raise"
    on_wait: Callable[[str], None] | None = None
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.topics:
            raise RequestError("no topic or filter is named: subscribe('ztf_bright_transients') or subscribe('alerts.ztf')")
        self._check_times()
        self._check_words()

    def _check_words(self) -> None:
        if self.on_error not in ("raise", "skip"):
            raise RequestError(f"on_error is {self.on_error!r}: it can be 'raise' or 'skip'")
        if self.isolation not in ("read_committed", "read_uncommitted"):
            raise RequestError(f"isolation is {self.isolation!r}: it can be 'read_committed' or 'read_uncommitted'")
        for topic in self.topics:
            if topic.startswith("^"):
                try:
                    re.compile(topic)
                except re.error as error:
                    raise RequestError(f"{topic!r} is no regular expression: {error}") from error

    def _check_times(self) -> None:
        for name, time in (("start_at", self.start_at), ("until", self.until)):
            if isinstance(time, datetime) and time.tzinfo is None:
                raise RequestError(f"{name} has no time zone: give an aware datetime, such as datetime.now(UTC)")
        if not isinstance(self.start_at, str | datetime | Mapping) or self.start_at == "":
            raise RequestError(f"start_at is {self.start_at!r}: it can be 'earliest', 'latest', a time, offsets or a position")
        if isinstance(self.start_at, datetime) and self.until is not None and self.start_at > self.until:
            raise RequestError(
                f"start_at {self.start_at.isoformat()} is after until {self.until.isoformat()}: nothing is between"
            )
        over_http = self.bootstrap_servers.startswith(("http://", "https://"))
        if isinstance(self.start_at, str) and self.start_at not in ("earliest", "latest") and not over_http:
            raise RequestError(f"start_at is {self.start_at!r}: it can be 'earliest', 'latest', a time or offsets")

    def say(self, text: str) -> None:
        """Tell whoever wants to know that we are waiting, and for what."""
        if self.on_wait is not None:
            self.on_wait(text)


def topic_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """Topics behind names: a filter's name stands for ``matched.<filter>``; what has a dot or a leading ``^`` is a topic."""
    listed = (names,) if isinstance(names, str) else tuple(names)
    return tuple(name if "." in name or name.startswith("^") or name == "dead-letter" else MATCHED + name for name in listed)


def backoff(attempt: int) -> float:
    """Seconds to wait before trying again: 0.1, doubling, 5 at most."""
    return float(min(5.0, 0.1 * 2.0 ** min(attempt, 10)))
