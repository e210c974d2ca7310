"""From detection to follow-up, step by step: who told what of an event, or looked for it, after how long, in what light.

Pure: rows in, steps out. `broker.store.sequences` reads the rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from broker.identifiers import mission_named
from broker.science.bands import Spectrum, of_band, of_instrument, regime_of
from broker.science.facilities import facility_of

__all__ = ["Asked", "Step", "followed", "spectrum_of", "steps_of"]

GAP: Final = timedelta(hours=12)
"""What the same people do again within that is one step."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was told of an event, or done about it.

    Parameters
    ----------
    time, until
        When, and when last where it is several things.
    dt
        Seconds after the event; ``None`` where that has no time.
    who
        Mission and instrument, telescope, survey, or who wrote.
    what
        ``notice``, ``circular``, ``alert`` (in the event's map) or ``observation``.
    own
        Whether by the mission that found the event: detection, and not follow-up.
    messenger
        ``EM``, ``GW``, ``Neutrino``; ``None`` where not told.
    band
        As it is called; ``None`` where not told.
    spectrum
        What light that is, where it is known.
    status
        Of observations: ``planned`` or ``completed``.
    count
        How many notices, alerts or observations it stands for.
    title
        Type of the notice, subject of the circular.
    alert_id
        Of the notice, the circular or the first alert.
    """

    time: datetime
    until: datetime
    dt: float | None
    who: str
    what: str
    own: bool = False
    messenger: str | None = None
    band: str | None = None
    spectrum: Spectrum | None = None
    status: str | None = None
    count: int = 1
    title: str | None = None
    alert_id: str | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What is the same where two are one step."""
        return self.what, self.who, self.band, self.status


@dataclass(frozen=True, slots=True)
class Asked:
    """Which follow-up is asked for.

    Parameters
    ----------
    telescope
        Begin of a word of who did it, whatever its case.
    band
        Name of the band, or of the regime (``optical``, ``x-ray``, ...).
    within
        Seconds after the event at most.
    """

    telescope: str | None = None
    band: str | None = None
    within: float | None = None

    def picks(self, step: Step) -> bool:
        """Whether a step is such a follow-up."""
        if step.own or (self.telescope is not None and not _names(self.telescope, step.who)):
            return False
        if self.within is not None and not (step.dt is not None and 0.0 <= step.dt <= self.within):
            return False
        if self.band is None:
            return True
        regime = step.spectrum.regime if step.spectrum is not None else None
        return self.band in {step.band, regime} or self.band.casefold() == regime


def steps_of(
    event: Mapping[str, Any],
    notices: Iterable[Mapping[str, Any]],
    circulars: Iterable[Mapping[str, Any]],
    alerts: Iterable[Mapping[str, Any]],
    observations: Iterable[Mapping[str, Any]],
) -> list[Step]:
    """Steps of an event, the first one first.

    Parameters
    ----------
    event
        Row of the event: ``time`` and ``mission``.
    notices
        ``mission, instrument, messenger, type, issued, received, alert_id`` of each.
    circulars
        ``posted, received, subject, submitter, alert_id``.
    alerts
        Those in its map, some at a time: ``stream, band, first, last, count, alert_id``.
    observations
        As `broker.store.observations` has them; cancelled ones do not count.
    """
    told = list(notices)
    # Of an event that names no mission, whoever told of it first found it.
    mission = event.get("mission") or next((row["mission"] for row in sorted(told, key=_told_at)), None)
    made = (
        *(_notice(row, mission) for row in told),
        *(_circular(row, mission) for row in circulars),
        *(_alert(row) for row in alerts),
        *(_observation(row) for row in observations if row["status"] != "cancelled"),
    )
    begun: datetime | None = event.get("time")
    joined = _joined(sorted(made, key=lambda step: (step.time, step.what, step.who)))
    if begun is None:
        return joined
    return [replace(step, dt=(step.time - begun).total_seconds()) for step in joined]


def followed(steps: Sequence[Step], asked: Asked) -> list[Step]:
    """The first detection and the follow-up that is asked for; empty where there is none of it."""
    picked = [step for step in steps if asked.picks(step)]
    if all(step.status == "planned" for step in picked):  # by whom it was only planned to, it was not followed
        return []
    return [*[step for step in steps if step.own][:1], *picked]


def spectrum_of(row: Mapping[str, Any]) -> Spectrum | None:
    """What light an observation saw: by its limits, else by the name of its band, else by its instrument."""
    low, high, unit = row.get("band_min"), row.get("band_max"), row.get("band_unit")
    if low is not None and high is not None and unit is not None:
        return Spectrum(regime_of(low, high, unit), min(low, high), max(low, high), unit)
    return of_band(row.get("band")) or of_instrument(row.get("telescope"), row.get("instrument"))


def _names(asked: str, who: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(asked.strip())}", who, re.IGNORECASE) is not None


def _joined(steps: Iterable[Step]) -> list[Step]:
    """Steps in order, those of one kind that follow one another closely taken together."""
    last: dict[tuple[Any, ...], Step] = {}
    done: list[Step] = []
    for step in steps:
        before = last.get(step.key) if step.what != "circular" else None
        if before is not None and step.time - before.until <= GAP:
            last[step.key] = replace(before, until=max(before.until, step.until), count=before.count + step.count)
            continue
        if before is not None:
            done.append(before)
        if step.what == "circular":
            done.append(step)
        else:
            last[step.key] = step
    return sorted([*done, *last.values()], key=lambda step: (step.time, step.what, step.who))


def _words(*parts: str | None) -> Iterator[str]:
    """Parts that say something, each once, and none that the one before has in it."""
    said = ""
    for part in parts:
        if part and part.casefold() not in said.casefold():
            said = part
            yield part


def _told_at(row: Mapping[str, Any]) -> datetime:
    at: datetime = row["issued"] or row["received"]
    return at


def _notice(row: Mapping[str, Any], mission: str | None) -> Step:
    at = _told_at(row)
    messenger = row["messenger"]
    seen = of_instrument(row["mission"], row["instrument"])
    if seen is None and messenger in {"GW", "Neutrino"}:
        seen = Spectrum(messenger.lower())
    return Step(
        at,
        at,
        None,
        " ".join(_words(row["mission"], row["instrument"])) or "unknown",
        "notice",
        own=row["mission"] in {mission, None},
        messenger=messenger,
        spectrum=seen,
        title=row["type"],
        alert_id=row["alert_id"],
    )


def _circular(row: Mapping[str, Any], mission: str | None) -> Step:
    at = row["posted"] or row["received"]
    found = facility_of(row["subject"])
    whose = mission_named(found.name) or found.name
    messenger = {"gw": "GW", "neutrino": "Neutrino"}.get(found.spectrum.regime, "EM") if found.spectrum else None
    return Step(
        at,
        at,
        None,
        found.name or row["submitter"] or "unknown",
        "circular",
        own=mission is not None and whose == mission,
        messenger=messenger,
        spectrum=found.spectrum,
        title=row["subject"],
        alert_id=row["alert_id"],
    )


def _alert(row: Mapping[str, Any]) -> Step:
    who = row["stream"].upper()
    seen = of_band(row["band"]) or of_instrument(row["stream"]) or Spectrum("optical")
    more = {"messenger": "EM", "band": row["band"], "spectrum": seen, "count": row["count"], "alert_id": row["alert_id"]}
    return Step(row["first"], row["last"], None, who, "alert", **more)


def _observation(row: Mapping[str, Any]) -> Step:
    who = " ".join(_words(row["telescope"], row["instrument"]))
    more = {"messenger": "EM", "band": row["band"], "spectrum": spectrum_of(row), "status": row["status"]}
    return Step(row["time"], row["time"], None, who, "observation", **more)
