"""The database: SQLite or PostgreSQL behind one SQLAlchemy engine.

Here, and nowhere else, a driver's error becomes ours: whatever waiting can mend (no connection, a lock held too long, a full
disk) is raised as `StoreUnavailableError`; anything else is a fault of the program and passes through as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from broker.errors import StoreUnavailableError, UsageError

__all__ = ["Store", "Synchronous", "close", "connection", "open_store", "transaction"]

Synchronous = Literal["off", "normal", "full"]

_WRITES = "nuncius_writes"
# Primary SQLite codes that waiting can mend: busy, locked, I/O error, full disk, cannot open, locking protocol.
_SQLITE_PASSING = frozenset({5, 6, 10, 13, 14, 15})
# Classes of SQLSTATE: connection, rollback (deadlock), resources, state, operator, system (files), internal.
_POSTGRES_PASSING = frozenset({"08", "40", "53", "55", "57", "58", "XX"})


@dataclass(frozen=True, slots=True)
class Store:
    """An open database.

    Parameters
    ----------
    engine
        Pool of its connections.
    """

    engine: Engine

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name


def open_store(url: str, *, synchronous: Synchronous = "full", busy_timeout: float = 30.0) -> Store:
    """Open a database; nothing is read or made before its first use.

    Parameters
    ----------
    url
        ``sqlite:///path`` or ``postgresql://user:password@host/name``.
    synchronous
        SQLite only. ``full``: a commit survives a power cut; ``normal``: the last commits may be lost in one, though a crash
        of the process loses nothing; ``off``: for scratch data.
    busy_timeout
        Seconds a SQLite writer waits for another one.

    Raises
    ------
    UsageError
        The address is of no database we know.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": busy_timeout})
        _configure_sqlite(engine, synchronous)
    else:
        engine = create_engine(parsed, pool_pre_ping=True, pool_size=8, max_overflow=16)
    event.listen(engine, "handle_error", _handle_error)
    return Store(engine)


def close(store: Store) -> None:
    """Let go of every connection."""
    store.engine.dispose()


@contextmanager
def transaction(store: Store) -> Iterator[Connection]:
    """Connection in a transaction that is committed at the end, or rolled back by an exception.

    On SQLite it takes the write lock at once, so that it can wait for it: a transaction that began by reading could not.

    Raises
    ------
    StoreUnavailableError
        The database is away.
    """
    with store.engine.connect() as base:
        conn = base.execution_options(**{_WRITES: True})
        with _translated(conn), conn.begin():
            yield conn


@contextmanager
def connection(store: Store) -> Iterator[Connection]:
    """Connection for reading: all statements in the block see one state of a SQLite database.

    Raises
    ------
    StoreUnavailableError
        The database is away.
    """
    with store.engine.connect() as conn, _translated(conn):
        yield conn


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UsageError(
            f"database address {url!r} is not a URL: write sqlite:///path or postgresql://user@host/name"
        ) from error
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise UsageError("a SQLite database in memory cannot be shared between connections: write sqlite:///path")
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        return parsed
    if parsed.get_backend_name() in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    raise UsageError(f"no database of kind {parsed.get_backend_name()!r}: write sqlite:///path or postgresql://user@host/name")


def _configure_sqlite(engine: Engine, synchronous: Synchronous) -> None:
    def connect(dbapi: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        dbapi.isolation_level = None  # the driver must not begin transactions behind our back
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            "foreign_keys=ON",
            "cache_size=-65536",  # KiB
            "mmap_size=268435456",
            "temp_store=MEMORY",
            "wal_autocheckpoint=16384",  # pages: random places in the indexes are written once for many batches
            "journal_size_limit=134217728",
        ):
            cursor = dbapi.cursor()
            cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

    def begin(conn: Connection) -> None:
        writes = conn.get_execution_options().get(_WRITES, False)
        conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", begin)


def _unavailable(error: BaseException) -> StoreUnavailableError | None:
    """What to raise instead of a driver's error, where waiting can mend it."""
    if isinstance(error, sqlite3.OperationalError):
        code = getattr(error, "sqlite_errorcode", None)
        passing = (code or 0) & 0xFF in _SQLITE_PASSING
    else:
        passing = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and _may_pass(error.sqlstate)
    if not passing:
        return None
    text = " ".join(str(error).split()) or type(error).__name__
    return StoreUnavailableError(f"the database is away ({text}): it will be tried again")


def _may_pass(state: str | None) -> bool:
    """Whether waiting can mend an error of PostgreSQL, which calls operational also what exceeds its limits."""
    return state is None or state[:2] in _POSTGRES_PASSING


def _handle_error(context: ExceptionContext) -> None:
    if context.is_pre_ping:  # the pool makes a lost connection anew by itself
        return
    ours = _unavailable(context.original_exception)
    if ours is None and context.is_disconnect:
        ours = StoreUnavailableError(f"the connection to the database is lost ({context.original_exception})")
    if ours is not None:
        raise ours from context.original_exception


@contextmanager
def _translated(conn: Connection) -> Iterator[None]:
    """The same for what a driver raises outside SQLAlchemy's sight (COPY), and for errors it has wrapped."""
    try:
        yield
    except (psycopg.Error, sqlite3.Error) as error:
        ours = _unavailable(error)
        if ours is None:
            raise
        conn.invalidate()
        raise ours from error
    except DBAPIError as error:
        ours = _unavailable(error.orig) if error.orig is not None else None
        if ours is None:
            raise
        raise ours from error
