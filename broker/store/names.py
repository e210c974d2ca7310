"""Which notices tell of the same event: those that share a name, directly or over others.

A notice has keys: its names, the names of the event it follows up, its own ivorn and those it cites; of several that are
not all its author's own only the first, since a stranger's summary of two bursts does not make them one. Notices and
circulars that share a key are of one event, whatever order they come in; a citation of what has not come yet waits as the key
that will join them. Nothing is joined for being near in time or on the sky. Keys of tests begin with ``~``: a test meets tests
only.

What an event is called follows from its notices alone, so that any order of processing gives the same names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from broker.identifiers import author, fold, is_mock

__all__ = ["TEST", "Member", "aliases_of", "components", "is_real", "joined", "keys_of", "name_of", "receipt"]

Member = Mapping[str, Any]
"""A notice or a circular: a row of ``event_notices`` or of ``event_circulars`` as a mapping."""

TEST = " (test)"
"""Behind the name of a test whose name a true event has too."""

_NOT_REAL = ("test", "injection", "commanded")


def is_real(member: Member) -> bool:
    """Whether it tells of the sky, and not of a test, an injection, a commanded or a mock event."""
    if member.get("circular"):
        return bool(member["real"])
    named = (*(member["names"] or ()), *(member["refers"] or ()))
    return (member["alert_tense"] or "").lower() not in _NOT_REAL and not any(map(is_mock, named))


def keys_of(member: Member) -> set[str]:
    """Keys under which the member meets others."""
    prefix = "" if is_real(member) else "~"
    named = [*(member["names"] or ()), *(member.get("refers") or ()), *joined(member)]
    if member.get("ivorn"):
        named.append(member["ivorn"])
    return {prefix + fold(name) for name in named}


def joined(member: Member) -> list[str]:
    """Ivorns whose event a notice is of: all that it cites if all are its own author's, else the first of them."""
    cited = [each.partition(" ")[2] for each in member.get("cites") or ()]
    return cited if all(author(each) == author(member.get("ivorn")) for each in cited) else cited[:1]


def receipt(member: Member) -> tuple[int, int, str]:
    """What receipt order goes by."""
    return member["received"], member["offset"] or 0, member["alert_id"]


def components(members: Sequence[Member]) -> list[list[Member]]:
    """Members grouped by event, those of each in the order they were received."""
    parent = list(range(len(members)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[str, int] = {}
    for index, member in enumerate(members):
        for key in keys_of(member):
            one, other = root(index), root(first.setdefault(key, index))
            parent[max(one, other)] = min(one, other)
    groups: defaultdict[int, list[Member]] = defaultdict(list)
    for index, member in enumerate(members):
        groups[root(index)].append(member)
    return [sorted(group, key=receipt) for group in groups.values()]


def name_of(group: Sequence[Member]) -> str:
    """What an event is called: the name of what it follows up, else its own, as the first notice received has it.

    A notice that cites others names the event only where none does that stands for itself, a circular where no notice does, an
    ivorn where there is no name at all.
    """
    notices = [member for member in group if not member.get("circular")]
    ranked = sorted(notices, key=lambda member: (bool(member["cites"]), *receipt(member)))
    for member in (*ranked, *(member for member in group if member.get("circular"))):
        for name in (*(member.get("refers") or ()), *(member["names"] or ())):
            if not name.startswith("ivo://"):
                return str(name)
    for member in ranked:
        if member["ivorn"]:
            return str(member["ivorn"])
    return str((group[0]["names"] or [group[0]["alert_id"]])[0])


def aliases_of(group: Iterable[Member]) -> dict[str, tuple[str, bool]]:
    """By key: how the event's name is spelled where first met, and whether it is one to show."""
    found: dict[str, tuple[str, bool]] = {}
    for member in group:
        prefix = "" if is_real(member) else "~"
        for name in (*(member["names"] or ()), *(member.get("refers") or ())):
            found.setdefault(prefix + fold(name), (name, not name.startswith("ivo://")))
        for name in (*([member["ivorn"]] if member.get("ivorn") else ()), *joined(member)):
            found.setdefault(prefix + fold(name), (name, False))
    return found
