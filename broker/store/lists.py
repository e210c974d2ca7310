"""What watchlists and regions have in common, and filters in part: names, who may see them, word that one has changed."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal, get_args

from sqlalchemy import Connection, select

from broker.errors import UsageError
from broker.store import tables
from broker.store.engine import Store, connection

__all__ = [
    "VISIBILITIES",
    "Ownership",
    "Visibility",
    "check_name",
    "check_text",
    "check_visibility",
    "note_change",
    "state",
    "unknown",
]

Visibility = Literal["private", "team", "public"]

VISIBILITIES: Final[tuple[str, ...]] = get_args(Visibility)

_LONGEST: Final = 2_000
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose a list or a filter is, the team it is shared with, and who may see it: ``private``, ``team`` or ``public``."""

    owner: str | None = None
    team: str | None = None
    visibility: str = "public"


def check_name(kind: str, name: str) -> str:
    """A name that columns can be called by; `UsageError` where it cannot be."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{kind} {name[:80]!r}: a name is a lower-case letter, then up to 63 of a-z, 0-9 and _: columns are called by it"
        )
    return name


def check_text(what: str, text: str) -> str:
    """A text that the database can keep, without blanks around it; `UsageError` where it cannot."""
    if len(text) > _LONGEST or any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text):
        raise UsageError(f"{what}: up to {_LONGEST:,} letters, none of them NUL or half of a pair")
    return text.strip()


def check_visibility(visibility: str) -> str:
    """One of `VISIBILITIES`; `UsageError` where it is not."""
    if visibility not in VISIBILITIES:
        raise UsageError(f"visibility {visibility[:40]!r}: there are {', '.join(VISIBILITIES)}")
    return visibility


def unknown(kind: str, name: str, there: Collection[str]) -> str:
    """That there is no such list, and which is meant."""
    near = get_close_matches(name, sorted(there), n=1, cutoff=0.6)
    return f"no {kind} {name!r}" + (f": did you mean {near[0]}?" if near else f": `nuncius {kind} list` shows those there are")


def note_change(conn: Connection) -> None:
    """Tell every process, once the transaction is committed, that what filters ask for has changed."""
    conn.exec_driver_sql(
        "INSERT INTO counters (name, value) VALUES ('filters', 1) ON CONFLICT (name) DO UPDATE SET value = counters.value + 1"
    )


def state(store: Store) -> tuple[int, int]:
    """Numbers that grow whenever filters, watchlists or regions change, and whenever an event does."""
    counter = tables.counters.c
    with connection(store) as conn:
        found = conn.execute(select(counter.name, counter.value).where(counter.name.in_(["filters", "events"]))).all()
    values = {name: int(value) for name, value in found}
    return values.get("filters", 0), values.get("events", 0)
