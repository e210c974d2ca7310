"""Backtests that the API runs: a few at a time in threads of their own, kept in memory until newer ones push them out."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from broker.api.problems import TooBusyError
from broker.api.services import FilterWindow
from broker.api.values import plain
from broker.errors import NotFoundError, NunciusError, RefusedError
from broker.telemetry import get_logger
from broker.wiring.backtest import Backtest, backtest, refuse
from broker.wiring.backtest_plot import draw
from broker.wiring.parts import Parts

__all__ = ["Jobs"]

log = get_logger(__name__)

AT_ONCE: Final = 2
WAITING: Final = 20
KEPT: Final = 50
STOPPED: Final = "the service is ending: ask again when it is back"
MOST_LISTED: Final = 10_000
"""Ids of a result that are listed; how many there are is told all the same."""


@dataclass(slots=True)
class _Job:
    state: str = "running"
    done: int = 0
    total: int = 0
    result: dict[str, Any] | None = None
    error: str | None = None
    who: str | None = None


class Jobs:
    """Backtests by id."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._pool = ThreadPoolExecutor(AT_ONCE, "backtest")
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def close(self) -> None:
        """End all, however far they are, and take no more: a process does not end before its threads have."""
        self._closed.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for job in self._jobs.values():
                if job.state == "running":  # it had not begun
                    job.state, job.error = "failed", STOPPED

    def start(self, asked: FilterWindow) -> str:
        """Begin one, and tell its id.

        Raises
        ------
        TooBusyError
            Too many are under way.
        """
        name, job = uuid.uuid4().hex[:16], _Job(who=asked.who)
        with self._lock:
            if self._closed.is_set():
                raise TooBusyError(STOPPED)
            if sum(other.state == "running" for other in self._jobs.values()) >= WAITING:
                raise TooBusyError(f"{WAITING} backtests are under way: try again when some are done")
            self._jobs[name] = job
            done = [other for other, each in self._jobs.items() if each.state != "running"]
            for old in done[: max(0, len(self._jobs) - KEPT)]:
                del self._jobs[old]
            self._pool.submit(self._run, job, asked)
        return name

    def get(self, name: str) -> Mapping[str, Any]:
        """How one stands: ``id, state, done, total, result, error, who``.

        Raises
        ------
        NotFoundError
            There is none.
        """
        job = self._job(name)
        return {
            "id": name,
            "state": job.state,
            "done": job.done,
            "total": job.total,
            "result": job.result,
            "error": job.error,
            "who": job.who,
        }

    def plot(self, name: str) -> bytes:
        """PNG of one that is done.

        Raises
        ------
        NotFoundError
            There is none, or no result of it.
        """
        job = self._job(name)
        if job.result is None:
            raise NotFoundError(f"backtest {name} has no result: it is {job.state}")
        return draw(job.result)

    def _job(self, name: str) -> _Job:
        with self._lock:
            job = self._jobs.get(name)
        if job is None:
            raise NotFoundError(
                f"no backtest {name!r}: the newest {KEPT} are kept, and forgotten when the service starts anew: ask again"
            )
        return job

    def _run(self, job: _Job, asked: FilterWindow) -> None:
        def advance(done: int, total: int) -> None:
            job.done, job.total = done, total
            if self._closed.is_set():
                raise RefusedError(STOPPED)

        try:
            now = replace(self._parts, filters=self._parts.book.now())  # not those of when we began to serve
            told = backtest(now, asked.spec, asked.since, asked.until, advance)
            refused = None if asked.force else _refused(told, self._parts)
            job.result = plain(told.as_dict()) | {"matches": list(told.matches[:MOST_LISTED]), "refused": refused}
            job.state = "done"
        except NunciusError as error:
            job.state, job.error = "failed", str(error)
        except Exception:
            log.exception("backtest failed", filter=asked.spec.name)
            job.state, job.error = "failed", "the fault is ours: our log has it"


def _refused(told: Backtest, parts: Parts) -> str | None:
    """Why such a filter may not go live, if it may not."""
    try:
        refuse(told, parts.settings)
    except RefusedError as error:
        return str(error)
    return None
