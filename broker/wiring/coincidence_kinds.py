"""What kind of event each of two is, which search that makes, and what the search makes of them.

A search has a window, a formula for the rate of chance coincidences, and a test of what may be published; all as RAVEN has
them, with the numbers of the settings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from broker.science.coincidence import per_year, publishable, targeted, untargeted
from broker.settings import CoincidencesTable
from broker.store.coincidence_subjects import Subject

__all__ = ["REACH_KINDS", "Search", "far_temporal", "kind_of", "may_be_published", "reach", "search_of"]

GW, GRB, FRB, NEUTRINO, SUPERNOVA = "gw", "grb", "frb", "neutrino", "supernova"
SUBTHRESHOLD, TARGETED = "subthreshold", "targeted"
REACH_KINDS: Final = (GW, SUPERNOVA, NEUTRINO, GRB, SUBTHRESHOLD, TARGETED, FRB)
"""Kinds there are, that of the event a search starts from before those it looks for."""

_SUPERNOVAE: Final = frozenset({"SNEWS", "Super-Kamiokande"})
# Notices of high-energy missions that tell of no burst: known and variable sources, and images after a slew.
_NO_BURST: Final = re.compile(r"(?<!UN)KNOWN|MONITOR|_TRANS$|SUBSUB|FLARE|CNTRPART|SUPERNOVA", re.IGNORECASE)
_CBC_CLASSES: Final = frozenset({"BNS", "NSBH", "BBH", "MassGap", "Terrestrial"})


@dataclass(frozen=True, slots=True)
class Search:
    """A pair that is looked for.

    Parameters
    ----------
    event, external
        The one the search starts from: the GW event, else the neutrino; and the other.
    window
        Name of the window in the settings.
    first, last
        Seconds, external minus event.
    """

    event: Subject
    external: Subject
    event_kind: str
    external_kind: str
    window: str
    first: float
    last: float

    @property
    def dt(self) -> float:
        """Seconds, external minus event."""
        assert self.event.time is not None
        assert self.external.time is not None
        return (self.external.time - self.event.time) / 1e6

    @property
    def length(self) -> float:
        """Seconds of the window."""
        return self.last - self.first


def kind_of(subject: Subject, table: CoincidencesTable) -> str | None:
    """One of `REACH_KINDS` by the event's own fields; ``None`` for what no search is for."""
    if subject.messenger == "GW":
        return GW
    if subject.messenger == "Neutrino":
        if subject.follow_up:  # a search at the time of an event is no detection of its own
            return None
        return SUPERNOVA if subject.mission in _SUPERNOVAE else NEUTRINO
    return _light(subject, table) if subject.messenger == "EM" else None


def _light(subject: Subject, table: CoincidencesTable) -> str | None:
    words = " ".join(filter(None, (subject.instrument, subject.search, *subject.types))).upper()
    if "GUANO" in words or "TARGETED" in words:
        return TARGETED if subject.mission in {"Fermi", "Swift"} else None
    if subject.follow_up:  # of that very event, and not found on its own
        return None
    if subject.mission in table.radio or subject.name.upper().startswith("FRB"):
        return FRB
    # One notice of a burst makes it one, whatever was thought before or is said beside.
    if subject.mission not in table.bursts or (subject.types and all(_NO_BURST.search(kind) for kind in subject.types)):
        return None
    weak = ["SUBTHRESH" in kind.upper() for kind in subject.types] or ["SUBTHRESH" in words]
    return SUBTHRESHOLD if all(weak) else GRB


def group_of(subject: Subject) -> str:
    """``cbc`` or ``burst``: of a GW event, as its notices say, else by whether it has a class of mergers.

    The BBH search of the Burst group looks for mergers.
    """
    said = (subject.search_group or "").lower()
    if said == "cbc" or (subject.search or "").lower() == "bbh":
        return "cbc"
    return "burst" if said == "burst" or subject.classification not in _CBC_CLASSES else "cbc"


def search_of(one: Subject, other: Subject, table: CoincidencesTable) -> Search | None:
    """The search that two events make; ``None`` where there is none, whatever their times."""
    kinds = {subject: kind_of(subject, table) for subject in (one, other)}
    found = [(REACH_KINDS.index(kind), subject, kind) for subject in (one, other) if (kind := kinds[subject]) is not None]
    if len(found) < 2 or one.time is None or other.time is None or one.real != other.real:
        return None
    (_, event, kind), (_, external, other_kind) = sorted(found, key=lambda each: each[0])
    window = _window(event, kind, external, other_kind)
    if window is None:
        return None
    first, last = getattr(table.windows, window)
    return Search(event, external, kind, other_kind, window, first, last)


def _window(event: Subject, kind: str, external: Subject, other: str) -> str | None:
    if kind == GW and other in {SUBTHRESHOLD, TARGETED}:
        return {"Fermi": "subthreshold_fermi", "Swift": "subthreshold_swift"}.get(external.mission or "")
    if kind == GW and other in {GRB, FRB, NEUTRINO}:
        return f"{other}_{group_of(event)}"
    if kind == GW and other == SUPERNOVA:
        return "supernova"
    if kind == NEUTRINO and other in {GRB, SUBTHRESHOLD, TARGETED} and event.event_name != external.event_name:
        return "grb_neutrino"
    return "frb_neutrino" if kind == NEUTRINO and other == FRB else None


def reach(table: CoincidencesTable) -> float:
    """Seconds on either side of an event beyond which nothing can coincide with it."""
    ends: list[float] = [abs(end) for window in table.windows.model_dump().values() for end in window]
    return max(ends)


def far_temporal(search: Search, table: CoincidencesTable) -> tuple[float | None, str | None]:
    """Rate of chance coincidences in time, Hz; ``None`` with the reason where there is none to be had."""
    event, external, kind = search.event, search.external, search.external_kind
    if kind == SUPERNOVA:
        return None, "no joint false-alarm rate: a supernova's neutrinos stand for themselves"
    if kind == TARGETED and search.event_kind == GW:
        if event.far is None or external.far is None:
            return None, f"no joint false-alarm rate: none is known of {(event if event.far is None else external).name}"
        most = table.targeted.fermi if external.mission == "Fermi" else table.targeted.swift
        return targeted(search.length, event.far, external.far, table.targeted.gw, most), None
    far = event.far
    if far is None and search.event_kind == NEUTRINO:
        far = per_year(table.rates.neutrino)
    if far is None:
        return None, f"no joint false-alarm rate: none is known of {event.name}"
    rates = {
        GRB: table.rates.grb,
        SUBTHRESHOLD: table.rates.subthreshold,
        TARGETED: table.rates.subthreshold,
        FRB: table.rates.frb,
        NEUTRINO: table.rates.neutrino,
    }
    return untargeted(search.length, per_year(rates[kind]), far), None


def may_be_published(search: Search, far_space_time: float | None, table: CoincidencesTable) -> bool:
    """RAVEN's test of a coincidence with both sky maps.

    Tests, and what was found below an instrument's own threshold, are never published; of a supernova's neutrinos the GW event
    alone counts.
    """
    if not search.event.real or search.external_kind in {SUBTHRESHOLD, TARGETED}:
        return False
    name = _published_as(search)
    trials = getattr(table.trials, name)
    if search.external_kind == SUPERNOVA:
        far = search.event.far
        return far is not None and far * trials < per_year(table.thresholds.supernova)
    return publishable(far_space_time, trials, per_year(getattr(table.thresholds, name)))


def _published_as(search: Search) -> str:
    """Name of the threshold and of the trials."""
    if search.event_kind != GW:
        return NEUTRINO
    by_search = {"earlywarning": "early_warning", "ssm": "ssm", "bbh": "bbh"}
    return by_search.get((search.event.search or "").lower(), group_of(search.event))
