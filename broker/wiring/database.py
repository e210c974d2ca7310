"""The database, opened from settings: all that many verbs need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.settings import Settings
from broker.store import engine, migrate
from broker.store.engine import Store

__all__ = ["open_database"]


@contextmanager
def open_database(settings: Settings, data: Path) -> Iterator[Store]:
    """Open the database, its tables up to date, and close it in the end."""
    store = engine.open_store(
        settings.store.url.get_secret_value() or f"sqlite:///{(data / 'nuncius.sqlite').absolute()}",
        synchronous="full" if settings.store.durable else "normal",
    )
    try:
        migrate.migrate(store)
        yield store
    finally:
        engine.close(store)
