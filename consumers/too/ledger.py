"""What was requested, seen and decided, in one SQLite file: a process that is killed goes on from there.

A decision, what it asks for and the line of the audit trail are one transaction. Only then is anything posted, and what came of
it is another; so whatever the moment of a crash, each request is known, and at worst as one whose fate must be looked up.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from consumers.too.errors import StateError

__all__ = ["COUNTED", "OPEN", "Ledger", "Row"]

OPEN: Final = ("planned", "waiting", "posting", "unknown", "requested")
"""States in which the observatory may still observe; ``planned`` is a dry run's."""
COUNTED: Final = (*OPEN, "cancelling", "cancelled", "uncancelled", "done", "expired", "failed", "lost", "refused")
"""States that count for only-once and cool-down: also what was refused, lest an observatory be asked the same without end."""
_VERSION: Final = "1"
_LATER: Final = ("address", "maps")  # columns that ledgers of before do not have
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS positions (source TEXT PRIMARY KEY, position TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seen (digest TEXT PRIMARY KEY, time REAL NOT NULL);
CREATE TABLE IF NOT EXISTS requests (
  key TEXT PRIMARY KEY, rule TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, alert_id TEXT NOT NULL,
  subject TEXT NOT NULL, events TEXT NOT NULL, target TEXT NOT NULL, night TEXT NOT NULL, seconds REAL NOT NULL,
  charged INTEGER NOT NULL, payload TEXT NOT NULL, start REAL NOT NULL, "end" REAL NOT NULL, made REAL NOT NULL,
  state TEXT NOT NULL, number TEXT, posts INTEGER NOT NULL, looks INTEGER NOT NULL, due REAL, cancel TEXT NOT NULL,
  said TEXT NOT NULL, changed REAL NOT NULL, address TEXT NOT NULL DEFAULT '',
  maps TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS requests_of_rule ON requests (rule, night);
CREATE INDEX IF NOT EXISTS requests_of_state ON requests (state);
CREATE INDEX IF NOT EXISTS requests_due ON requests (due);
CREATE INDEX IF NOT EXISTS requests_of_alert ON requests (alert_id);
CREATE TABLE IF NOT EXISTS trail (seq INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A request as the ledger has it; times are seconds since 1970, UTC.

    Parameters
    ----------
    subject
        Object, event or alert, of which the rule wants one request.
    night
        Date of the local noon with which its night begins.
    charged
        Whether it counts in the night's budget.
    state
        ``planned``; ``waiting`` (certainly not posted), ``posting``, ``unknown`` (perhaps posted), ``requested``, ``refused``,
        ``cancelling``, ``cancelled``, ``uncancelled`` (nobody can by program), ``done``, ``expired``, ``failed``, ``lost``
        (posted in vain too often, or looked up in vain until its window was over).
    number
        The observatory's own.
    due
        When it is to be looked after next; ``None``: never.
    cancel
        Why it is to be cancelled; empty where it is not.
    address
        Of the observatory that it was made for; empty where an older program entered it.
    maps
        Events whose maps hold the alert within the rule's bound, a JSON list: the request stands while there is one.
    """

    key: str
    rule: str
    kind: str
    name: str
    alert_id: str
    subject: str
    events: str
    target: str
    night: str
    seconds: float
    charged: int
    payload: str
    start: float
    end: float
    made: float
    state: str
    number: str | None = None
    posts: int = 0
    looks: int = 0
    due: float | None = None
    cancel: str = ""
    said: str = ""
    changed: float = 0.0
    address: str = ""
    maps: str = ""

    def summary(self) -> dict[str, Any]:
        """For people and programs: without the payload."""
        hidden = {"payload", "events", "start", "end", "made", "changed", "due", "charged", "address", "maps"}
        plain = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in hidden}
        times = {name: _iso(getattr(self, name)) for name in ("made", "start", "end")}
        return {**plain, "events": json.loads(self.events), **times, "charged": bool(self.charged)}


class Ledger:
    """The file.

    Parameters
    ----------
    file
        Made where it is not there.
    live
        Whether requests are posted: a file is of dry runs or of live ones, never of both.
    reading
        Only look, also while another process has it.

    Raises
    ------
    StateError
        It is another process's, of the other mode, or no ledger.
    """

    def __init__(self, file: Path, *, live: bool, reading: bool = False) -> None:
        self.file, self.live = file, live
        self._lock: Any = None
        if reading and not file.exists():
            raise StateError(f"{file} is not there: no run has begun it")
        try:
            if not reading:
                self._take_lock()
            address = f"{file.absolute().as_uri()}?mode=ro" if reading else str(file)
            self._db = sqlite3.connect(address, timeout=10.0, isolation_level=None, uri=reading, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            if reading:
                self._db.execute("SELECT count(*) FROM requests")
            else:
                self._open()
        except StateError:
            self.close()
            raise
        except sqlite3.Error as error:
            self.close()
            raise StateError(f"{file} is no state of ours, or cannot be written: {error}; name another with --state") from error

    def _open(self) -> None:
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + _TABLES)
        known = {str(row[1]) for row in self._db.execute("PRAGMA table_info (requests)")}
        for column in _LATER:
            if column not in known:
                self._db.execute(f"ALTER TABLE requests ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")
        mode = "live" if self.live else "dry run"
        begun = (_VERSION, mode, secrets.token_hex(6))
        with self.change():
            self._db.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?), ('mode', ?), ('id', ?)", begun)
        if (found := self.meta("version")) != _VERSION:
            raise StateError(
                f"{self.file} is of version {found}, and this program writes {_VERSION}: name another with --state"
            )
        if (found := self.meta("mode")) != mode:
            raise StateError(f"{self.file} is the state of a {found}, and this is a {mode}: name another with --state")

    def _take_lock(self) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self.file.with_name(self.file.name + ".lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError(f"{self.file} is in use by another process: stop it, or name another with --state") from error
        except OSError as error:
            raise StateError(f"{self.file} cannot be made: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with suppress(AttributeError):
            self._db.close()
        if self._lock is not None:
            self._lock.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """All or nothing; within another one, a part of it that can be undone by itself."""
        inner = self._db.in_transaction
        self._db.execute("SAVEPOINT part" if inner else "BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO part" if inner else "ROLLBACK")
            raise
        self._db.execute("RELEASE part" if inner else "COMMIT")

    def meta(self, name: str) -> str:
        """What is kept under a name."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def set_meta(self, name: str, value: str) -> None:
        """Keep something under a name."""
        self._db.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )

    def position(self, source: str) -> str | None:
        """Where to go on reading."""
        row = self._db.execute("SELECT position FROM positions WHERE source = ?", (source,)).fetchone()
        return str(row[0]) if row else None

    def set_position(self, source: str, position: str) -> None:
        """All up to there is done with."""
        self._db.execute(
            "INSERT INTO positions VALUES (?, ?) ON CONFLICT (source) DO UPDATE SET position = excluded.position",
            (source, position),
        )

    def first_time(self, digest: str, time: float) -> bool:
        """Whether something is seen for the first time; from then on it is not."""
        done = self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, time))
        return done.rowcount == 1

    def forget_seen(self, before: float) -> None:
        """Forget what was seen before a time."""
        self._db.execute("DELETE FROM seen WHERE time < ?", (before,))

    def add(self, row: Row) -> None:
        """Enter a request."""
        names = [item.name for item in fields(Row)]
        columns, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
        self._db.execute(f"INSERT INTO requests ({columns}) VALUES ({marks})", [getattr(row, name) for name in names])  # noqa: S608 - names of our fields

    def update(self, key: str, changes: Mapping[str, Any]) -> Row:
        """Change a request; gives it as it is now."""
        changes = {**changes, "changed": datetime.now(UTC).timestamp()}
        columns = ", ".join(f'"{name}" = ?' for name in changes)
        self._db.execute(f"UPDATE requests SET {columns} WHERE key = ?", [*changes.values(), key])  # noqa: S608 - names of our own
        return self.rows("key = ?", key)[0]

    def rows(self, where: str = "1", *values: Any) -> list[Row]:
        """Requests, the oldest first; `where` is SQL of ours."""
        found = self._db.execute(f"SELECT * FROM requests WHERE {where} ORDER BY rowid", values)  # noqa: S608 - text of ours
        return [Row(**dict(row)) for row in found]

    def in_states(self, states: Sequence[str], where: str = "1", *values: Any) -> list[Row]:
        """Requests in some states."""
        marks = ", ".join("?" * len(states))
        return self.rows(f"state IN ({marks}) AND ({where})", *states, *values)

    def spent(self, rule: str, night: str) -> tuple[int, float]:
        """Requests and seconds that a night was charged with."""
        row = self._db.execute(
            "SELECT count(*), coalesce(sum(seconds), 0) FROM requests WHERE rule = ? AND night = ? AND charged", (rule, night)
        ).fetchone()
        return int(row[0]), float(row[1])

    def refused(self, rule: str, last: int) -> float | None:
        """When the last of a rule's requests was made, where so many in a row were refused; else ``None``."""
        known = "state NOT IN ('planned', 'waiting', 'posting', 'unknown') AND NOT (state = 'cancelled' AND number IS NULL)"
        found = self._db.execute(
            f"SELECT state, made FROM requests WHERE rule = ? AND {known} ORDER BY rowid DESC LIMIT ?",  # noqa: S608 - our own text
            (rule, last),
        ).fetchall()
        return float(found[0][1]) if len(found) == last and all(row[0] == "refused" for row in found) else None

    def tell(self, line: Mapping[str, Any]) -> None:
        """Put a line into the audit trail's queue."""
        text = json.dumps({"state_id": self.meta("id"), **line}, ensure_ascii=False, allow_nan=False)
        self._db.execute("INSERT INTO trail (line) VALUES (?)", (text,))

    def untold(self) -> list[tuple[int, str]]:
        """Lines that wait, by number."""
        return [(int(row[0]), str(row[1])) for row in self._db.execute("SELECT seq, line FROM trail ORDER BY seq")]

    def told(self, number: int) -> None:
        """Drop the lines up to a number."""
        self._db.execute("DELETE FROM trail WHERE seq <= ?", (number,))


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
