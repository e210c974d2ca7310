"""Consumer groups of the embedded log: who is in, who reads which partition, and how far the group has come.

A member holds a partition through a lease with an epoch. It gives up what another should have when it next polls, and takes
what is its own once nobody holds it, so that no two read a partition at a time. A member that no longer says it is alive loses
its leases; should it wake up, its commits fail because the leases are gone. Everything here runs inside one write transaction
unless it says otherwise.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from broker.errors import LogUnavailableError
from broker.record import TopicPartition
from broker.stream.embedded_write import now
from broker.stream.log import subscribes

__all__ = [
    "balance",
    "beat",
    "check_leases",
    "committed",
    "group_id",
    "group_version",
    "keep_offsets",
    "leave",
    "matching",
    "partitions_of",
]


def group_id(db: sqlite3.Connection, name: str) -> int:
    """Number of a group, made if new."""
    db.execute("INSERT INTO groups (name) VALUES (?) ON CONFLICT (name) DO NOTHING", (name,))
    return int(db.execute("SELECT id FROM groups WHERE name = ?", (name,)).fetchone()[0])


def group_version(db: sqlite3.Connection, group: int) -> int:
    """Changes whenever members must look at their shares again. Needs no transaction."""
    return int(db.execute("SELECT version FROM groups WHERE id = ?", (group,)).fetchone()[0])


def partitions_of(db: sqlite3.Connection) -> dict[int, TopicPartition]:
    """Every partition by its number, oldest first. Needs no transaction."""
    rows = db.execute("SELECT p.id, t.name, p.number FROM partitions p JOIN topics t ON t.id = p.topic ORDER BY p.id")
    return {id_: TopicPartition(name, number) for id_, name, number in rows}


def matching(places: Mapping[int, TopicPartition], patterns: Sequence[str]) -> list[int]:
    """Numbers of the partitions a subscription has."""
    wanted = {topic: subscribes(patterns, topic) for topic in {place.topic for place in places.values()}}
    return [id_ for id_, place in places.items() if wanted[place.topic]]


def beat(db: sqlite3.Connection, group: int, member: str, lease_ms: int) -> bool:
    """Say that a member is alive, and bury those that have not for too long. False if it was itself buried."""
    moment = now()
    cursor = db.execute("UPDATE members SET expires = ? WHERE grp = ? AND name = ?", (moment + lease_ms, group, member))
    dead = db.execute("DELETE FROM members WHERE grp = ? AND expires < ?", (group, moment)).rowcount
    if dead:
        db.execute(
            "DELETE FROM leases WHERE grp = ? AND member NOT IN (SELECT name FROM members WHERE grp = ?)", (group, group)
        )
        _wake(db, group)
    return cursor.rowcount == 1


def leave(db: sqlite3.Connection, group: int, member: str) -> None:
    """Give up everything at once."""
    db.execute("DELETE FROM members WHERE grp = ? AND name = ?", (group, member))
    db.execute("DELETE FROM leases WHERE grp = ? AND member = ?", (group, member))
    _wake(db, group)


def balance(
    db: sqlite3.Connection, group: int, member: str, patterns: Sequence[str], lease_ms: int
) -> tuple[dict[int, int], int]:
    """Join if need be, give up what is another's, take what is ours and free.

    Returns
    -------
    leases
        Epoch by partition now held.
    version
        Of the group; look again when it has changed.
    """
    if not beat(db, group, member, lease_ms):
        _join(db, group, member, patterns, lease_ms)
    mine = _target(db, group)[member]
    held = _held(db, group, member)
    surplus = [(group, id_) for id_ in held if id_ not in mine]
    if surplus:
        db.executemany("DELETE FROM leases WHERE grp = ? AND partition = ?", surplus)
        _wake(db, group)
    # An epoch is never used twice, so a lease lost and won again is told from one kept.
    epoch = group_version(db, group) + 1
    taken = {id_ for (id_,) in db.execute("SELECT partition FROM leases WHERE grp = ?", (group,))}
    fresh = [(group, id_, member, epoch) for id_ in mine if id_ not in taken]
    if fresh:
        db.executemany("INSERT INTO leases (grp, partition, member, epoch) VALUES (?,?,?,?)", fresh)
        _wake(db, group)
    return _held(db, group, member), group_version(db, group)


def _join(db: sqlite3.Connection, group: int, member: str, patterns: Sequence[str], lease_ms: int) -> None:
    row = (group, member, json.dumps(list(patterns)), now() + lease_ms)
    db.execute("INSERT INTO members (grp, name, topics, expires) VALUES (?,?,?,?)", row)
    _wake(db, group)


def _held(db: sqlite3.Connection, group: int, member: str) -> dict[int, int]:
    return dict(db.execute("SELECT partition, epoch FROM leases WHERE grp = ? AND member = ?", (group, member)).fetchall())


def _target(db: sqlite3.Connection, group: int) -> dict[str, set[int]]:
    """Who should read what: partitions dealt in turn, in order of age so that a new topic moves none of the others."""
    members = db.execute("SELECT name, topics FROM members WHERE grp = ? ORDER BY name", (group,)).fetchall()
    places = partitions_of(db)
    wanted = {name: set(matching(places, json.loads(topics))) for name, topics in members}
    share: dict[str, set[int]] = {name: set() for name, _ in members}
    turn = 0
    for id_ in places:
        takers = [name for name, _ in members if id_ in wanted[name]]
        if takers:
            share[takers[turn % len(takers)]].add(id_)
            turn += 1
    return share


def _wake(db: sqlite3.Connection, group: int) -> None:
    db.execute("UPDATE groups SET version = version + 1 WHERE id = ?", (group,))


def check_leases(db: sqlite3.Connection, group: int, member: str, epochs: Mapping[int, int]) -> None:
    """See that the member still holds these partitions, at these epochs.

    Raises
    ------
    LogUnavailableError
        Another has taken one over: what was made from its records is not to be published.
    """
    held = _held(db, group, member)
    gone = sorted(id_ for id_, epoch in epochs.items() if held.get(id_) != epoch)
    if gone:
        places = partitions_of(db)
        names = ", ".join(f"{places[id_].topic}/{places[id_].partition}" for id_ in gone)
        message = f"this member of the group no longer reads {names}: another took over"
        raise LogUnavailableError(message)


def keep_offsets(db: sqlite3.Connection, group: int, offsets: Mapping[int, int]) -> None:
    """Set the group's positions."""
    rows = [(group, id_, offset) for id_, offset in offsets.items()]
    new = "INSERT INTO offsets (grp, partition, next) VALUES (?,?,?)"
    db.executemany(new + " ON CONFLICT (grp, partition) DO UPDATE SET next = excluded.next", rows)


def committed(db: sqlite3.Connection, group: int) -> dict[int, int]:
    """The group's positions by partition. Needs no transaction."""
    return dict(db.execute("SELECT partition, next FROM offsets WHERE grp = ?", (group,)).fetchall())
