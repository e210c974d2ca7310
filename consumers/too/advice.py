"""What a file of rules that is right may still not be meant to say."""

from __future__ import annotations

import math
from typing import Final

from consumers.api import Api, MissingError
from consumers.options import MATCHED, topic_names
from consumers.too.rules import Rule, Rules

__all__ = ["advice", "longest_night", "unknown_filters"]

_DAY: Final = 86_400.0  # seconds
_TILT: Final = math.radians(23.44)  # of the ecliptic


def advice(rules: Rules) -> list[str]:
    """A line on each rule whose budget of a night is more than a day has."""
    return [line for rule in rules.rules if (line := _too_much(rule))]


def unknown_filters(rules: Rules, url: str) -> list[str]:
    """Filters that rules name and an API does not have; topics and regular expressions are not looked up.

    Raises
    ------
    RequestError, UnavailableError
        As of `consumers.api.Api.json`.
    """
    named = dict.fromkeys(topic for rule in rules.rules for topic in topic_names(rule.filters) if topic.startswith(MATCHED))
    found = []
    with Api(url) as api:
        for name in (topic.removeprefix(MATCHED) for topic in named):
            try:
                api.json("filters", name)
            except MissingError:
                found.append(name)
    return found


def longest_night(latitude: float, sun_altitude: float) -> float:
    """Hours from noon to noon for which the Sun is lower than so many degrees, at the winter solstice."""
    lat, sun = math.radians(abs(latitude)), math.radians(sun_altitude)
    across = math.cos(lat) * math.cos(_TILT)
    if across < 1e-9:
        return 24.0 if sun > -_TILT else 0.0
    cosine = (math.sin(sun) + math.sin(lat) * math.sin(_TILT)) / across
    return 24.0 * (1.0 - math.acos(min(1.0, max(-1.0, cosine))) / math.pi)


def _too_much(rule: Rule) -> str:
    requests, seconds = rule.budget.requests, rule.budget.seconds
    by_requests = math.inf if requests is None else requests * rule.seconds
    total = min(by_requests, math.inf if seconds is None else seconds)
    if total <= _DAY:
        return ""
    each = f"{rule.seconds:g} s each (seconds x count of every [[rule.exposure]], with overhead)"
    what = f"budget.requests = {requests} of {each}" if total == by_requests else f"budget.seconds = {seconds:g}"
    return f"rule {rule.name}: {what} is {total / 3600.0:.4g} h a night, more than a day has"
