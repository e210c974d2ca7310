"""Whose word on an event counts: its own mission's, whose positions and maps are believed, and what has been taken back.

Anyone may cite an event or use its name. So only the mission whose event it is says what it was, when, how significant, and
whether it was one at all; a position or a map is taken from it and from missions we know that see the same messenger.
A gravitational wave is LVK's alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from broker.identifiers import LVK, author, messenger_of, mission_named, superevent

__all__ = ["Notice", "leading", "messenger_said", "placing", "retracts", "source", "stage_of"]

Notice = Mapping[str, Any]

_STAGES = {"initial": "initial", "subsequent": "update", "update": "update", "retraction": "retracted"}


def stage_of(notice: Notice) -> str | None:
    """``early_warning``, ``preliminary``, ``initial``, ``update``, ``retracted``; ``None`` for a notice that tells no stage.

    A retraction is one whatever stage it is sent at: LVK's first ones were of the type of preliminary notices.
    """
    kind = (notice["alert_type"] or "").lower()
    return "retracted" if kind == "retraction" else notice.get("stage") or _STAGES.get(kind)


def source(notice: Notice) -> tuple[str | None, str | None]:
    """Mission and instrument; a network of detectors, whose list changes from notice to notice, is one."""
    return notice["mission"], None if notice["mission"] == LVK else notice["instrument"]


def messenger_said(notice: Notice) -> str | None:
    """What a notice says its messenger is, else what its mission sees."""
    return notice["messenger"] or messenger_of(notice["mission"])


def leading(event_name: str, ordered: Sequence[Notice]) -> list[Notice]:
    """Notices of the mission whose event it is, in the order given; none of a gravitational wave that LVK has not told of.

    It is the mission of the event's name, else that of its first notice, of a mission we know before a stranger's.
    """
    if superevent(event_name):
        return [notice for notice in ordered if _of_lvk(notice)]
    roots = [notice for notice in ordered if not notice.get("refers") and (not notice.get("cites") or _named(notice))]
    roots = roots or list(ordered)
    missions = [notice["mission"] for notice in roots]
    of_name = None if event_name.startswith("ivo://") else mission_named(event_name)
    mission = of_name if of_name in missions else next(filter(messenger_of, missions), missions[0])
    alone = not any(notice["mission"] == mission and not notice.get("refers") for notice in ordered)
    return [notice for notice in ordered if notice["mission"] == mission and (alone or not notice.get("refers"))]


def retracts(notice: Notice, lead: Sequence[Notice]) -> bool:
    """Whether a notice takes the event back: its own mission's retraction, or one that cites a notice of the same author."""
    if stage_of(notice) != "retracted":
        return False
    if any(notice is each for each in lead):
        return True
    own = {each.get("ivorn") for each in lead} - {None}
    return any(text in own and author(text) == author(notice.get("ivorn")) for text in _taken(notice))


def placing(event_name: str, ordered: Sequence[Notice], lead: Sequence[Notice], messenger: str | None) -> list[Notice]:
    """Notices whose position and map may be the event's, in the order given.

    Parameters
    ----------
    ordered
        All of the event, by their own clock.
    lead
        Those of the mission whose event it is.
    messenger
        Of the event.
    """
    if superevent(event_name):
        return list(lead)
    missions = {notice["mission"] for notice in lead}
    authors = {author(notice.get("ivorn")) for notice in lead} - {None}
    leaders = {notice["alert_id"] for notice in lead}
    others = [notice for notice in ordered if notice["alert_id"] not in leaders]
    withdrawn = _withdrawn(others) if any(stage_of(notice) == "retracted" for notice in others) else set()

    def believed(notice: Notice) -> bool:
        own = notice["mission"] in missions or author(notice.get("ivorn")) in authors
        said = messenger_said(notice)
        return own if said is None else said == messenger and (own or messenger_of(notice["mission"]) is not None)

    return [notice for notice in ordered if notice["alert_id"] not in withdrawn and believed(notice)]


def _of_lvk(notice: Notice) -> bool:
    """Whether it is LVK's own, not a counterpart's place that it passes on; a bare map of no known sender is taken for it."""
    if notice["messenger"] not in {None, "GW"}:
        return False
    return notice["mission"] == LVK or (notice["mission"] is None and notice["stream"] in {LVK.lower(), "skymap"})


def _withdrawn(others: Sequence[Notice]) -> set[str]:
    """Ids of notices, in the order of their clock, whose source's last word is that it was nothing.

    They are of follow-ups: what the event's own mission takes back is the event.
    """
    found = set()
    for index, notice in enumerate(others):
        later = others[index + 1 :]
        same = [each for each in later if _same_source(notice, each)]
        cited = notice.get("ivorn") is not None and any(
            notice["ivorn"] in _taken(each) and author(notice["ivorn"]) == author(each.get("ivorn")) for each in later
        )
        if cited or stage_of(same[-1] if same else notice) == "retracted":
            found.add(notice["alert_id"])
    return found


def _same_source(notice: Notice, other: Notice) -> bool:
    """Whether two notices are of one finding: of the same mission, instrument if both say one, and name."""
    if notice["mission"] != other["mission"] or len({source(notice)[1], source(other)[1]} - {None}) > 1:
        return False
    return not _own_names(notice).isdisjoint(_own_names(other))


def _own_names(notice: Notice) -> set[str]:
    return set(notice.get("names") or notice.get("refers") or ())


def _taken(notice: Notice) -> list[str]:
    """Ivorns that a notice cites to retract them."""
    return [text for how, _, text in (each.partition(" ") for each in notice.get("cites") or ()) if how == "retraction"]


def _named(notice: Notice) -> bool:
    return any(not name.startswith("ivo://") for name in notice.get("names") or ())
