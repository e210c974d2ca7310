"""What was held against what: the numbers behind a decision."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

from consumers.alert import Alert
from consumers.too.rules import Bound, Limits

__all__ = ["TAKEN_BACK", "Check", "check_alert", "field_of", "holding", "level_of", "whole"]

TAKEN_BACK: Final = ("retracted", "retraction")
"""What an alert's `update` says where an event is no more, or its map no longer holds the alert."""
_SKEW: Final = 1.0 / 60.0  # hours by which clocks may differ


@dataclass(frozen=True, slots=True)
class Check:
    """A value, its bound, and whether it passed; ``None`` is a value that the alert does not have."""

    name: str
    value: float | str | None
    bound: float | str | None
    passed: bool

    @property
    def said(self) -> str:
        """The value in words."""
        return (
            f"{self.value:.4g}" if isinstance(self.value, float) else str(self.value) if self.value is not None else "nothing"
        )

    @property
    def limit(self) -> str:
        """The bound in words."""
        return f"{self.bound:g}" if isinstance(self.bound, float) else str(self.bound)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        value = round(self.value, 6) if isinstance(self.value, float) else self.value
        return {"limit": self.name, "value": value, "bound": self.bound, "passed": self.passed}


def check_alert(alert: Alert, limits: Limits, age_hours: float | None) -> list[Check]:
    """What an alert itself must hold to: its age, its fields, its credible level.

    Parameters
    ----------
    age_hours
        Since the alert's own time; ``None`` where it has none.
    """
    most = _finite(limits.max_age_hours)
    fresh = age_hours is not None and age_hours <= limits.max_age_hours
    if age_hours is not None and age_hours < -_SKEW:
        most, fresh = f"0 to {most}: it is dated in the future", False
    found = [Check("age_hours", age_hours, most, passed=fresh)]
    for name, bound in limits.fields.items():
        found += _bounds(name, field_of(alert, name), bound)
    if limits.max_credible_level is not None:
        level = level_of(alert)
        passed = level is not None and level <= limits.max_credible_level
        found.append(Check("credible_level", level, limits.max_credible_level, passed=passed))
    return found


def whole(alert: Alert) -> Alert:
    """The alert, its numbers that are none (NaN, infinities) taken for missing."""
    wrong = {name: None for name in alert.__dataclass_fields__ if _odd(getattr(alert, name))}
    maps = tuple(replace(one, credible_level=None) if _odd(one.credible_level) else one for one in alert.skymaps)
    return replace(alert, **wrong, skymaps=maps)  # type: ignore[arg-type]


def _odd(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def field_of(alert: Alert, name: str) -> Any:
    """A column of an alert or an annotation, by name; ``None`` where it has none."""
    if not name.startswith("_") and name in alert.__dataclass_fields__ and name not in {"annotations", "headers"}:
        return getattr(alert, name)
    return alert.annotations.get(name)


def level_of(alert: Alert) -> float | None:
    """Credible level in the map that changed, else the smallest of its maps."""
    levels = [one for one in alert.skymaps if one.credible_level is not None]
    told = [one for one in levels if one.event == alert.update_event]
    return min((float(one.credible_level) for one in told or levels if one.credible_level is not None), default=None)


def holding(alert: Alert, limits: Limits) -> tuple[str, ...]:
    """Events whose maps hold the alert within the bound; not the one on whose account it is taken back."""
    bound, gone = limits.max_credible_level, alert.update_event if alert.update in TAKEN_BACK else None
    within = [
        one.event
        for one in alert.skymaps
        if bound is None or (one.credible_level is not None and float(one.credible_level) <= bound)
    ]
    return tuple(dict.fromkeys(name for name in within if name and name != gone))


def _bounds(name: str, value: Any, bound: Bound) -> list[Check]:
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) and not _odd(value) else None
    found = []
    if bound.low is not None:
        found.append(Check(f"{name} (min)", number, bound.low, passed=number is not None and number >= bound.low))
    if bound.high is not None:
        found.append(Check(f"{name} (max)", number, bound.high, passed=number is not None and number <= bound.high))
    return found


def _finite(value: float) -> float | str:
    return value if value < float("inf") else "none"
