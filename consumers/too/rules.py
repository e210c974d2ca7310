"""What a rule says: which alerts, where from, how and how much to observe, and whom to ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consumers.sites import Site

__all__ = ["Bound", "Budget", "Exposure", "Limits", "Manners", "Rule", "Rules", "Source"]


@dataclass(frozen=True, slots=True)
class Bound:
    """Bounds of a field of the alert; ``None`` is no bound. An alert without the field does not pass."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a target must hold to.

    Parameters
    ----------
    min_altitude, max_airmass
        Of the target: degrees above the horizon, and airmass.
    min_moon_separation, max_moon_illumination
        Degrees from the Moon; illuminated part of its disc, 0 to 1.
    max_sun_altitude
        Degrees; -18 is the end of astronomical twilight.
    max_age_hours
        Hours since the alert's own time.
    max_credible_level
        Smallest credible region of a sky map that holds the alert, 0 to 1.
    fields
        Bounds of fields of the alert by name: columns such as ``mag`` and annotations such as ``gaia.sep``.
    """

    min_altitude: float = 30.0
    max_airmass: float | None = None
    min_moon_separation: float | None = None
    max_moon_illumination: float | None = None
    max_sun_altitude: float = -18.0
    max_age_hours: float = 48.0
    max_credible_level: float | None = None
    fields: Mapping[str, Bound] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exposure:
    """Exposures in one band: seconds each, and how many."""

    band: str
    seconds: float
    count: int = 1


@dataclass(frozen=True, slots=True)
class Budget:
    """What a rule may ask for in one night, local noon to noon; ``None`` is no bound."""

    requests: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Parameters
    ----------
    filters
        Filters, topics, or regular expressions of topics, whose matches it takes.
    source
        Address of Kafka or of an API; empty for that of the file.
    site
        Where the telescope stands; ``None`` for a satellite or where the observatory finds the time itself.
    cool_down
        Minutes between two requests.
    only_once
        ``object``, ``event`` or ``alert``: of which there is one request at most.
    valid_hours
        A window may begin and end within so many hours; ``None``: tonight.
    cancel_on_rescore
        Whether a request is cancelled when the alert's credible level rises beyond the bound.
    priority
        1, the least urgent, to 5.
    overhead
        Seconds that an exposure takes besides, as they are charged to the budget.
    target
        Kind of observatory.
    table
        What that kind needs to know.
    """

    name: str
    filters: tuple[str, ...]
    target: str
    table: Mapping[str, Any]
    exposures: tuple[Exposure, ...]
    budget: Budget
    limits: Limits = Limits()
    site: Site | None = None
    source: str = ""
    cool_down: float = 0.0
    only_once: str = "object"
    valid_hours: float | None = None
    cancel_on_rescore: bool = True
    priority: int = 3
    overhead: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds that one request takes: exposures and what they take besides."""
        return sum(one.count * (one.seconds + self.overhead) for one in self.exposures)


@dataclass(frozen=True, slots=True)
class Source:
    """Where alerts are read; `address` of Kafka or ``http://`` of an API, the rest Kafka's."""

    address: str = "http://127.0.0.1:8000"
    group: str = ""
    registry: str | None = None
    start_at: str = "latest"
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manners:
    """How observatories are spoken to.

    Parameters
    ----------
    timeout
        Seconds for a whole exchange.
    settle
        Seconds to wait before what has become of an unclear post is looked up, doubling up to a quarter of an hour.
    tries
        Posts at most of one request; what has become of one is looked up until its window is over.
    poll
        Seconds between two looks at how a request stands.
    """

    timeout: float = 20.0
    settle: float = 60.0
    tries: int = 4
    poll: float = 900.0


@dataclass(frozen=True, slots=True)
class Rules:
    """A file of rules."""

    rules: tuple[Rule, ...]
    source: Source = Source()
    manners: Manners = Manners()
    sites: Mapping[str, Any] = field(default_factory=dict)

    def named(self, name: str) -> Rule | None:
        """The rule of that name, if there still is one."""
        return next((rule for rule in self.rules if rule.name == name), None)
