"""Which of Kafka's faults pass by themselves, and how long we wait for that."""

# ruff: noqa: SLF001 - the names librdkafka gives faults of its own begin with an underscore and are public all the same

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from consumers.errors import ClientError, UnavailableError
from consumers.options import Options, backoff

__all__ = ["EOF", "Patience", "passes"]

Answer = TypeVar("Answer")

EOF = KafkaError._PARTITION_EOF

_SHORTEST = 0.1  # seconds
_AWAY = KafkaError._ALL_BROKERS_DOWN
_PASSING = frozenset(
    {
        _AWAY,
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)


def passes(error: KafkaError) -> bool:
    """Whether it is worth trying again."""
    return error.code() in _PASSING or error.retriable()


class Patience:
    """Waits while Kafka is away, for no longer than the options say.

    Parameters
    ----------
    options
        `timeout` is how long, `on_wait` is told.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._since: float | None = None
        self._reason = ""
        self._refused = ""

    @property
    def away(self) -> bool:
        """Whether Kafka was last heard of as being away."""
        return self._since is not None

    def heard(self) -> None:
        """Kafka answered."""
        self._since = None

    def on_error(self, error: KafkaError) -> None:
        """A fault outside any call of ours."""
        # Kafka's own word, that is: the same code is given to a connection that broke while it was asked.
        if error.code() == KafkaError._AUTHENTICATION and "Local:" not in error.str() and "Disconnected" not in error.str():
            self._refused = error.str()
        if error.code() == _AWAY:
            self._since, self._reason = self._since or time.monotonic(), error.str()

    def fault(self, error: KafkaError) -> None:
        """A fault of a call of ours.

        Raises
        ------
        ClientError
            It will not pass.
        UnavailableError
            It should have passed by now.
        """
        if not passes(error):
            raise ClientError(f"Kafka at {self._options.bootstrap_servers} refuses: {error.str()}")
        self.wait(error.str())

    def wait(self, reason: str = "") -> None:
        """Say that we wait, and for what.

        Raises
        ------
        ClientError
            Kafka does not take our password: asked again and again, it would think somebody guesses.
        UnavailableError
            It has been too long.
        """
        self._since, self._reason = self._since or time.monotonic(), reason or self._reason
        servers, limit = self._options.bootstrap_servers, self._options.timeout
        if self._refused:
            raise ClientError(f"Kafka at {servers} refuses: {self._refused}")
        self._options.say(f"waiting for {servers}: {self._reason}")
        if limit is not None and time.monotonic() - self._since >= limit:
            raise UnavailableError(f"nothing from {servers} for {limit:g} s: {self._reason}")

    def left(self) -> Options:
        """The options with what is left of their timeout, for a question that Kafka may never answer."""
        if self._options.timeout is None or self._since is None:
            return self._options
        return replace(self._options, timeout=max(_SHORTEST, self._options.timeout - (time.monotonic() - self._since)))

    def insist(self, ask: Callable[[], Answer]) -> Answer:
        """Ask until there is an answer, backing off. The time it takes to ask counts, too: who is away says nothing.

        Raises
        ------
        ClientError, UnavailableError
            As `fault` does.
        """
        attempt = 0
        self._since = self._since or time.monotonic()
        while True:
            try:
                answer = ask()
            except KafkaException as error:
                self.fault(error.args[0])
                time.sleep(min(backoff(attempt), self.left().timeout or math.inf))
                attempt += 1
            else:
                self.heard()
                return answer
