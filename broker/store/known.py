"""What all notices of an event together say: of each quantity the best there is.

*Best* is the latest by the notice's own clock, not by receipt. Only the event's own mission says what it is, when, how
significant, and whether it was one at all: that of its name, else of its first notice. What others find in following it up adds
a position or a map if it is of the same messenger, and then the smaller error wins; it neither dates nor retracts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from broker.identifiers import LVK, mission_named, superevent
from broker.store.names import is_real

__all__ = ["DAY", "in_order", "known", "leading", "retracts", "stage_of"]

Notice = Mapping[str, Any]
DAY = 86_400_000_000  # microseconds

_POSITION = ("ra", "dec", "ra_dec_error", "containment_probability")
_MAP = ("map_path", "area50", "area90", "distmean", "diststd")
_SAID = ("messenger", "mission", "instrument", "alert_type", "alert_tense", "far", "p_astro", "classification", "significant")
_STAGES = {"initial": "initial", "subsequent": "update", "update": "update", "retraction": "retracted"}


def stage_of(notice: Notice) -> str | None:
    """``early_warning``, ``preliminary``, ``initial``, ``update``, ``retracted``; ``None`` for a notice that tells no stage."""
    return notice.get("stage") or _STAGES.get((notice["alert_type"] or "").lower())


def in_order(history: Sequence[Notice]) -> list[Notice]:
    """Notices by their own clock: when they were sent, else received; an instrument that states no time, by its numbers.

    A time of sending more than a day after receipt is a wrong clock's.
    """

    def clock(notice: Notice) -> tuple[int, int, int]:
        issued = notice.get("issued")
        sent = issued if issued is not None and issued <= notice["received"] + DAY else notice["received"]
        return sent, notice.get("serial") or 0, notice["revision"]

    ordered = sorted(history, key=clock)
    for source in {_source(notice) for notice in ordered}:
        at = [index for index, notice in enumerate(ordered) if _source(notice) == source]
        numbered = [ordered[index] for index in at]
        untimed = any(notice.get("issued") is None for notice in numbered)
        if untimed and all(notice.get("serial") is not None for notice in numbered):
            numbered.sort(key=lambda notice: (notice["serial"], notice["revision"]))
            for index, notice in zip(at, numbered, strict=True):
                ordered[index] = notice
    return ordered


def leading(event_name: str, ordered: Sequence[Notice]) -> list[Notice]:
    """Notices of the mission whose event it is, in the order given."""
    roots = [notice for notice in ordered if not notice.get("refers") and (not notice.get("cites") or _named(notice))]
    roots = roots or list(ordered)
    missions = [notice["mission"] for notice in roots]
    of_name = LVK if superevent(event_name) else None if event_name.startswith("ivo://") else mission_named(event_name)
    mission = of_name if of_name in missions else missions[0]
    alone = not any(notice["mission"] == mission and not notice.get("refers") for notice in ordered)
    return [notice for notice in ordered if notice["mission"] == mission and (alone or not notice.get("refers"))]


def retracts(notice: Notice, lead: Sequence[Notice]) -> bool:
    """Whether a notice takes the event back: its own mission's retraction, or one that cites a notice of the same author."""
    if stage_of(notice) != "retracted":
        return False
    if any(notice is each for each in lead):
        return True
    own = {each.get("ivorn") for each in lead} - {None}
    taken = [text for how, _, text in (each.partition(" ") for each in notice.get("cites") or ()) if how == "retraction"]
    return any(text in own and _host(text) == _host(notice.get("ivorn")) for text in taken)


def known(event_name: str, history: Sequence[Notice]) -> dict[str, Any]:
    """Row of ``events`` after these notices, of which there is at least one.

    Parameters
    ----------
    history
        Rows of ``event_notices`` with their revision numbers.
    """
    ordered = in_order(history)
    lead = leading(event_name, ordered)
    newest = lead[::-1]
    last = max(history, key=lambda notice: notice["revision"])

    def latest(name: str) -> Any:
        return next((notice[name] for notice in newest if notice.get(name) is not None), None)

    messenger = "GW" if superevent(event_name) else latest("messenger")
    sources = [notice for notice in ordered if notice["messenger"] in {None, messenger}]
    placed = _best([notice for notice in sources if notice["ra"] is not None], lambda notice: notice["ra_dec_error"])
    mapped = _best([notice for notice in sources if notice["map_path"] is not None], lambda notice: notice["area90"])
    stages = [stage for notice in newest if (stage := stage_of(notice)) is not None and stage != "retracted"]
    retracted = any(retracts(notice, lead) for notice in ordered)
    return {
        "event_name": event_name,
        "stream": newest[0]["stream"],
        **{name: latest(name) for name in _SAID},
        "messenger": messenger,
        "time": _time(lead),
        **{name: placed[name] if placed else None for name in _POSITION},
        **{name: mapped[name] if mapped else latest(name) for name in _MAP},
        "map_revision": mapped["revision"] if mapped else None,
        "state": "retracted" if retracted else stages[0] if stages else "initial",
        "real": all(map(is_real, history)),
        "revision": last["revision"],
        "alert_id": last["alert_id"],
        "created": min(notice["received"] for notice in history),
        "updated": max(notice["received"] for notice in history),
    }


def _time(lead: Sequence[Notice]) -> int | None:
    """When it happened: the latest word of the instrument that saw it first; a follow-up's exposure is another time."""
    dated = [notice for notice in lead if notice["time"] is not None and stage_of(notice) not in {None, "retracted"}]
    dated = dated or [notice for notice in lead if notice["time"] is not None]
    if not dated:
        return None
    first = next((notice for notice in dated if (notice["alert_type"] or "") == "initial"), dated[0])
    own = [notice for notice in dated if _source(notice) == _source(first)]
    saying = [notice for notice in own if (notice["alert_type"] or "") != "subsequent"]
    return int((saying or own)[-1]["time"])


def _best(candidates: Sequence[Notice], size: Callable[[Notice], float | None]) -> Notice | None:
    """Of each instrument the latest, with a size if any has one; of those the smallest."""
    latest: dict[tuple[str | None, str | None], Notice] = {}
    for notice in candidates:
        before = latest.get(_source(notice))
        if before is None or size(notice) is not None or size(before) is None:
            latest[_source(notice)] = notice
    sizes = [(float("inf") if (found := size(notice)) is None else found) for notice in latest.values()]
    return min(zip(sizes, latest.values(), strict=True), key=lambda pair: pair[0])[1] if latest else None


def _source(notice: Notice) -> tuple[str | None, str | None]:
    """Mission and instrument; a network of detectors, whose list changes from notice to notice, is one."""
    return notice["mission"], None if notice["mission"] == LVK else notice["instrument"]


def _named(notice: Notice) -> bool:
    return any(not name.startswith("ivo://") for name in notice.get("names") or ())


def _host(ivorn: str | None) -> str | None:
    return None if ivorn is None else ivorn.removeprefix("ivo://").partition("/")[0].partition("#")[0].lower()
