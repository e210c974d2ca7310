"""What is done beside the work: small segments of frames are merged, so that a query opens few files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from broker.errors import NunciusError
from broker.store.compaction import compact
from broker.telemetry import get_logger

__all__ = ["compacting"]

EVERY = 300.0  # seconds
OLD = 600.0  # seconds after which a segment is merged

_log = get_logger(__name__)


@contextmanager
def compacting(frames: Path, *, durable: bool, every: float = EVERY, older_than: float = OLD) -> Iterator[None]:
    """Merge segments now and then while the block runs. A merge that fails is logged and tried again; no alert waits for it."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every):
            try:
                compact(frames, older_than, durable=durable)
            except (OSError, NunciusError, pl.exceptions.PolarsError):
                _log.exception("frames could not be merged")

    thread = threading.Thread(target=run, name="compacting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
