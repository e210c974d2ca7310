"""When a stream stops because too much of it is rejected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from broker.alert import Batch
from broker.telemetry import HALTED, get_logger

__all__ = ["HaltRule", "Halts"]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HaltRule:
    """When a stream stops: its packets have changed, or a schema is gone, and dead-lettering all of it helps nobody.

    Parameters
    ----------
    minimum
        Alerts looked at, counted back from the latest.
    fraction
        More than this much of them rejected stops the stream.
    exempt
        Streams it does not hold for: bytes nobody recognises are all rejected.
    """

    minimum: int = 1000
    fraction: float = 0.5
    exempt: frozenset[str] = frozenset({"unknown"})


class Halts:
    """Which streams have stopped, and how each has fared lately."""

    def __init__(self, rule: HaltRule, on_halt: Callable[[str], None] = lambda _stream: None) -> None:
        self._rule = rule
        self._on_halt = on_halt
        self._recent: dict[str, list[tuple[int, int]]] = {}
        self._untold: list[str] = []
        self.streams: set[str] = set()

    def tell(self) -> None:
        """Tell of the streams that have stopped; what cannot be told now is told when this is called again.

        Raises
        ------
        TransientError
            Whoever is told is away.
        """
        while self._untold:
            self._on_halt(self._untold[0])
            del self._untold[0]

    def count(self, batch: Batch) -> None:
        """Note a batch, and stop its stream if too much of the latest was rejected."""
        rule = self._rule
        recent = self._recent.setdefault(batch.stream, [])
        recent.append((batch.received, len(batch.rejected)))
        while sum(received for received, _ in recent[1:]) >= rule.minimum:
            recent.pop(0)
        received, rejected = (sum(column) for column in zip(*recent, strict=True))
        too_much = received >= rule.minimum and rejected > rule.fraction * received
        if too_much and batch.stream not in rule.exempt and batch.stream not in self.streams:
            self.streams.add(batch.stream)
            HALTED.labels(batch.stream).set(1)
            self._untold.append(batch.stream)
            log.error(
                "stream_halted",
                stream=batch.stream,
                rejected=rejected,
                received=received,
                remedy="see the reasons with `nuncius dead-letter list`, mend the cause, start again",
            )
