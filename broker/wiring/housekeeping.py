"""What is done beside the work: small segments of frames are merged, so that a query opens few files; so is the old ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from sqlalchemy.exc import SQLAlchemyError

from broker.errors import NunciusError
from broker.store.compaction import compact
from broker.store.engine import Store
from broker.store.ledger_fold import fold
from broker.telemetry import get_logger

__all__ = ["compacting"]

EVERY = 300.0  # seconds
OLD = 600.0  # seconds after which a segment is merged
CHECKED = 3600.0  # seconds after which an entry of the ledger is folded

_log = get_logger(__name__)


@contextmanager
def compacting(
    frames: Path, store: Store, *, durable: bool, every: float = EVERY, older_than: float = OLD, checked: float = CHECKED
) -> Iterator[None]:
    """Merge both now and then while the block runs. A merge that fails is logged and tried again; no alert waits for it."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every):
            try:
                compact(frames, older_than, durable=durable)
            except (OSError, NunciusError, pl.exceptions.PolarsError):
                _log.exception("frames could not be merged")
            try:
                fold(store, checked)
            except (NunciusError, SQLAlchemyError):
                _log.exception("the ledger could not be folded")

    thread = threading.Thread(target=run, name="compacting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
