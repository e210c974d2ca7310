"""The embedded log's files: one SQLite database, folder ``values`` for large payloads, and a bell for sleeping readers.

::

    log.sqlite          topics, partitions, an index row a record, small payloads, consumer groups
    values/<n>          payloads of one topic, one after another; at most about `SEGMENT_BYTES` each
    lock                held while writing: waiters wake at once, where SQLite's own would poll
    bell                eight shared bytes that change with each append
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import sqlite3
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from broker.errors import LogUnavailableError, NunciusError
from broker.record import Headers

__all__ = ["BUSY_SECONDS", "SEGMENT_BYTES", "Handle", "pack_headers", "unpack_headers"]

SEGMENT_BYTES = 128 << 20
BUSY_SECONDS = 30.0

# A record's row number is its partition's number and its offset in one: partitions are runs of the table.
SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, retention_ms INTEGER, max_bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS partitions (
    id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, number INTEGER NOT NULL,
    first INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, number));
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY, time INTEGER NOT NULL, appended INTEGER NOT NULL, key BLOB, headers BLOB NOT NULL,
    segment INTEGER, place INTEGER, size INTEGER NOT NULL, value BLOB);
CREATE TABLE IF NOT EXISTS segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic INTEGER NOT NULL, size INTEGER NOT NULL, appended INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS segments_by_topic ON segments (topic, id);
CREATE TABLE IF NOT EXISTS publishers (name TEXT PRIMARY KEY, epoch INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS groups (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS members (
    grp INTEGER NOT NULL, name TEXT NOT NULL, topics TEXT NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY (grp, name));
CREATE TABLE IF NOT EXISTS leases (
    grp INTEGER NOT NULL, partition INTEGER NOT NULL, member TEXT NOT NULL, epoch INTEGER NOT NULL,
    PRIMARY KEY (grp, partition));
CREATE TABLE IF NOT EXISTS offsets (
    grp INTEGER NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (grp, partition));
"""

_LENGTHS = struct.Struct("<HI")


class Handle:
    """One opening of the files, for one thread at a time.

    Parameters
    ----------
    folder
        Where the files are; made if absent.
    durable
        Whether what is written survives a power cut, not only the death of the process.
    """

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.values = folder / "values"
        self.durable = durable
        self.values.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._open_values: dict[int, int] = {}
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._bell = _map_bell(folder / "bell")
        with _mapped(folder):
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                self.db = sqlite3.connect(
                    folder / "log.sqlite", isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
                )
                self.db.execute("PRAGMA journal_mode=WAL")
                self.db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self.db.execute("PRAGMA journal_size_limit=67108864")
                self.db.executescript(SCHEMA)
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The database, with SQLite's faults as ours."""
        with _mapped(self._folder):
            yield self.db

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is kept, or nothing."""
        with _mapped(self._folder):
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                self.db.execute("BEGIN IMMEDIATE")
                try:
                    yield self.db
                    self.db.execute("COMMIT")
                except BaseException:
                    if self.db.in_transaction:
                        self.db.execute("ROLLBACK")
                    raise
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def value_file(self, segment: int, *, create: bool) -> int:
        """Descriptor of a file of payloads."""
        found = self._open_values.get(segment)
        if found is None:
            if len(self._open_values) >= 64:
                os.close(self._open_values.pop(next(iter(self._open_values))))
            flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
            found = os.open(self.values / str(segment), flags, 0o644)
            self._open_values[segment] = found
        return found

    def read_value(self, segment: int, place: int, size: int) -> bytes:
        """A payload's bytes.

        Raises
        ------
        FileNotFoundError
            Retention has dropped it meanwhile.
        """
        value = os.pread(self.value_file(segment, create=False), size, place)
        if len(value) != size:
            message = f"{self.values / str(segment)} ends before byte {place + size}: the log's files were changed from outside"
            raise NunciusError(message)
        return value

    def rung(self) -> bytes:
        """What the bell shows now."""
        return self._bell[:8]

    def ring(self) -> None:
        """Wake whoever waits for records."""
        self._bell[:8] = struct.pack("<Q", time.monotonic_ns())

    def wait(self, seen: bytes, seconds: float) -> None:
        """Return when the bell no longer shows `seen`, or after so many seconds.

        Looking costs a tenth of a microsecond and waking up some ten, so naps of two milliseconds cost an idle reader about a
        hundredth of a core.
        """
        until = time.monotonic() + seconds
        while self._bell[:8] == seen and (left := until - time.monotonic()) > 0:
            time.sleep(min(0.002, left))

    def close(self) -> None:
        """Close the files."""
        with contextlib.suppress(sqlite3.Error):
            self.db.close()
        for descriptor in self._open_values.values():
            os.close(descriptor)
        self._open_values.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._bell.close()
        self._lock = -1


def _map_bell(path: Path) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if os.fstat(descriptor).st_size < 8:
            os.ftruncate(descriptor, 8)
        return mmap.mmap(descriptor, 8)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _mapped(folder: Path) -> Iterator[None]:
    """Faults of the database and the disk as ours: those that pass, and a file that is no log."""
    try:
        yield
    except sqlite3.OperationalError as error:
        message = f"the log in {folder} cannot be used now ({error}): see that the disk is there and has room"
        raise LogUnavailableError(message) from error
    except sqlite3.ProgrammingError as error:
        message = f"the log in {folder} is closed"
        raise NunciusError(message) from error
    except sqlite3.DatabaseError as error:
        message = f"the log in {folder} is damaged or not a log ({error}): restore log.sqlite or start with a new folder"
        raise NunciusError(message) from error


def pack_headers(headers: Headers) -> bytes:
    """Headers as bytes: for each, lengths of name and value, name, value."""
    parts: list[bytes] = []
    for name, value in headers:
        encoded = name.encode()
        parts += (_LENGTHS.pack(len(encoded), len(value)), encoded, value)
    return b"".join(parts)


def unpack_headers(packed: bytes) -> Headers:
    """Headers from `pack_headers`."""
    headers: list[tuple[str, bytes]] = []
    at, end = 0, len(packed)
    while at < end:
        name, value = _LENGTHS.unpack_from(packed, at)
        middle = at + _LENGTHS.size + name
        headers.append((packed[at + _LENGTHS.size : middle].decode(), packed[middle : middle + value]))
        at = middle + value
    return tuple(headers)
