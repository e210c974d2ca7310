"""What all notices of an event together say: of each quantity the best there is.

*Best* is the latest by the notice's own clock, not by receipt. Whose word counts for what is for `broker.store.authors` to say;
of positions and maps that count, the smaller error wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from broker.identifiers import superevent
from broker.store.authors import Notice, leading, messenger_said, placing, retracts, source, stage_of
from broker.store.names import is_real

__all__ = ["DAY", "in_order", "known", "may_place"]

DAY = 86_400_000_000  # microseconds

_POSITION = ("ra", "dec", "ra_dec_error", "containment_probability")
_MAP = ("area50", "area90", "distmean", "diststd")
_SAID = ("mission", "instrument", "alert_type", "far", "p_astro", "classification", "significant")


def in_order(history: Sequence[Notice]) -> list[Notice]:
    """Notices by their own clock: when they were sent, else received; an instrument that states no time, by its numbers.

    A time of sending more than a day after receipt is a wrong clock's.
    """

    def clock(notice: Notice) -> tuple[int, int, int]:
        issued = notice.get("issued")
        sent = issued if issued is not None and issued <= notice["received"] + DAY else notice["received"]
        return sent, notice.get("serial") or 0, notice["revision"]

    ordered = sorted(history, key=clock)
    for each in {source(notice) for notice in ordered}:
        at = [index for index, notice in enumerate(ordered) if source(notice) == each]
        numbered = [ordered[index] for index in at]
        untimed = any(notice.get("issued") is None for notice in numbered)
        if untimed and all(notice.get("serial") is not None for notice in numbered):
            numbered.sort(key=lambda notice: (notice["serial"], notice["revision"]))
            for index, notice in zip(at, numbered, strict=True):
                ordered[index] = notice
    return ordered


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
    tellers = newest or ordered[::-1]  # of what is not the event's own mission's to say

    def latest(name: str) -> Any:
        return _latest(newest, name)

    messenger = _messenger(event_name, newest)
    sources = placing(event_name, ordered, lead, messenger)
    placed = _best([notice for notice in sources if notice["ra"] is not None], lambda notice: notice["ra_dec_error"])
    mapped = _best([notice for notice in sources if notice["map_path"] is not None], lambda notice: notice["area90"])
    stages = [stage for notice in newest if (stage := stage_of(notice)) is not None and stage != "retracted"]
    retracted = any(retracts(notice, lead) for notice in ordered)
    return {
        "event_name": event_name,
        "stream": tellers[0]["stream"],
        **{name: latest(name) for name in _SAID},
        "messenger": messenger,
        "alert_tense": _latest(tellers, "alert_tense"),
        "time": _time(lead),
        **{name: placed[name] if placed else None for name in _POSITION},
        **{name: mapped[name] if mapped else latest(name) for name in _MAP},
        "map_path": mapped["map_path"] if mapped else None,
        "map_revision": mapped["revision"] if mapped else None,
        "state": "retracted" if retracted else stages[0] if stages else "initial",
        "real": all(map(is_real, history)),
        "revision": last["revision"],
        "alert_id": last["alert_id"],
        "created": min(notice["received"] for notice in history),
        "updated": max(notice["received"] for notice in history),
    }


def may_place(event_name: str, ordered: Sequence[Notice], lead: Sequence[Notice]) -> set[str]:
    """Ids of the notices whose position and map may be the event's: see `broker.store.authors.placing`."""
    return {notice["alert_id"] for notice in placing(event_name, ordered, lead, _messenger(event_name, lead[::-1]))}


def _messenger(event_name: str, newest: Sequence[Notice]) -> str | None:
    return "GW" if superevent(event_name) else next(filter(None, map(messenger_said, newest)), None)


def _latest(newest: Sequence[Notice], name: str) -> Any:
    return next((notice[name] for notice in newest if notice.get(name) is not None), None)


def _time(lead: Sequence[Notice]) -> int | None:
    """When it happened: the latest word of the instrument that saw it first; a follow-up's exposure is another time."""
    dated = [notice for notice in lead if notice["time"] is not None and stage_of(notice) not in {None, "retracted"}]
    dated = dated or [notice for notice in lead if notice["time"] is not None]
    if not dated:
        return None
    first = next((notice for notice in dated if (notice["alert_type"] or "") == "initial"), dated[0])
    own = [notice for notice in dated if source(notice) == source(first)]
    saying = [notice for notice in own if (notice["alert_type"] or "") != "subsequent"]
    return int((saying or own)[-1]["time"])


def _best(candidates: Sequence[Notice], size: Callable[[Notice], float | None]) -> Notice | None:
    """Of each instrument the latest, with a size if any has one; of those the smallest."""
    latest: dict[tuple[str | None, str | None], Notice] = {}
    for notice in candidates:
        before = latest.get(source(notice))
        if before is None or size(notice) is not None or size(before) is None:
            latest[source(notice)] = notice
    sizes = [(float("inf") if (found := size(notice)) is None else found) for notice in latest.values()]
    return min(zip(sizes, latest.values(), strict=True), key=lambda pair: pair[0])[1] if latest else None
