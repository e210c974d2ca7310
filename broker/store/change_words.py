"""What a revision changed of what is known, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from broker.science.sky import separation
from broker.store.authors import stage_of

__all__ = ["changed", "rate_words"]

_YEAR = 365.25 * 86_400.0
_STATES = {"early_warning": "early warning"}
_NEAR = 1e-9  # relative: the same number written twice


def changed(before: Mapping[str, Any] | None, after: Mapping[str, Any], notice: Mapping[str, Any]) -> str:
    """Words for a revision.

    Parameters
    ----------
    before, after
        What was known of the event without and with it (`broker.store.known.known`); ``None`` before the first.
    notice
        The revision itself.

    Returns
    -------
    str
        Such as ``update after preliminary; 90% area 1,024 → 38 deg²; BNS, was NSBH``.
    """
    if before is None:
        told = [_word(stage_of(notice) or "first notice"), *filter(None, (part(after) for part in _FIRST))]
        return "; ".join(told)
    told = [_headline(before, after, notice)]
    told += filter(None, (difference(before, after) for difference in _DIFFERENCES))
    if len(told) == 1 and after["state"] == before["state"]:
        told.append("nothing known changes")
    return "; ".join(told)


def _headline(before: Mapping[str, Any], after: Mapping[str, Any], notice: Mapping[str, Any]) -> str:
    stage = stage_of(notice)
    if after["state"] == "retracted" and before["state"] != "retracted":
        return f"retracted, was {_word(before['state'])}"
    words = _word(stage) if stage else "notice"
    if notice["mission"] and notice["mission"] != after["mission"]:
        words = f"{'retraction of its own' if stage == 'retracted' else 'notice'} by {notice['mission']}"
    elif stage and stage == after["state"] != before["state"]:
        words = f"{words} after {_word(before['state'])}"
    elif stage and stage != after["state"]:
        words = f"{words}, " + (
            "of an event that is retracted" if after["state"] == "retracted" else "sent before what is known"
        )
    return words


def _word(state: str) -> str:
    return _STATES.get(state, state)


def rate_words(rate: float | None) -> str | None:
    """A false alarm rate in Hz as people say it: ``1 per 1.2e+04 yr``, ``3.4 per yr``."""
    if rate is None or not rate > 0.0:
        return None
    years = 1.0 / (rate * _YEAR)
    if years >= 1.0:
        return f"1 per {years:.3g} yr"
    return f"{rate * _YEAR:.3g} per yr" if rate * 86_400.0 < 1.0 else f"{rate * 86_400.0:.3g} per day"


def _significance(known: Mapping[str, Any]) -> str | None:
    said = known["significant"]
    return None if said is None else "significant" if said else "not significant"


def _class(known: Mapping[str, Any]) -> str | None:
    if known["classification"] is None:
        return None
    chance = known["p_astro"]
    return str(known["classification"]) + ("" if chance is None else f" (astrophysical {chance:.0%})")


def _rate(known: Mapping[str, Any]) -> str | None:
    words = rate_words(known["far"])
    return None if words is None else f"false alarms {words}"


def _area(known: Mapping[str, Any]) -> str | None:
    return None if known["area90"] is None else f"90% area {_degrees(known['area90'])} deg²"


def _distance(known: Mapping[str, Any]) -> str | None:
    mean, scatter = known["distmean"], known["diststd"]
    if mean is None or not math.isfinite(mean):
        return None
    return f"distance {mean:,.0f}{'' if scatter is None else f' ± {scatter:,.0f}'} Mpc"


def _place(known: Mapping[str, Any]) -> str | None:
    if known["ra"] is None:
        return None
    error = known["ra_dec_error"]
    return f"at {known['ra']:.4f} {known['dec']:+.4f}{'' if error is None else f' ± {_angle(error)}'}"


_FIRST = (_significance, _class, _rate, _place, _area, _distance)


def _significance_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    return f"now {_significance(after)}" if before["significant"] != after["significant"] and _significance(after) else None


def _class_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    one, other = before["classification"], after["classification"]
    if other is not None and one != other:
        return f"{_class(after)}, was {one}" if one else _class(after)
    was, now = before["p_astro"], after["p_astro"]
    if now is None or _same(was, now):
        return None
    return f"astrophysical {now:.3g}" if was is None else f"astrophysical {was:.3g} → {now:.3g}"


def _rate_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    if after["far"] is None or _same(before["far"], after["far"]):
        return None
    was = rate_words(before["far"])
    return _rate(after) if was is None else f"false alarms {was} → {rate_words(after['far'])}"


def _time_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    if before["time"] is None or after["time"] is None or before["time"] == after["time"]:
        return "time known" if before["time"] is None and after["time"] is not None else None
    return f"time {(after['time'] - before['time']) / 1e6:+.6g} s"


def _place_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    if after["ra"] is None:
        return None
    if before["ra"] is None:
        return _place(after)
    apart = float(separation(before["ra"], before["dec"], after["ra"], after["dec"]))
    told = [f"moved by {_angle(apart)}"] if apart > _NEAR else []
    was, now = before["ra_dec_error"], after["ra_dec_error"]
    if now is not None and not _same(was, now):
        told.append(f"error {_angle(now)}" if was is None else f"error {_angle(was)} → {_angle(now)}")
    return ", ".join(told) or None


def _map_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    if after["area90"] is None or before["map_revision"] == after["map_revision"]:
        return None
    if before["area90"] is None:
        return _area(after)
    if _same(before["area90"], after["area90"]):
        return "map sent anew, as large as before"
    return f"90% area {_degrees(before['area90'])} → {_degrees(after['area90'])} deg²"


def _distance_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    now = _distance(after)
    if now is None or _same(before["distmean"], after["distmean"]):
        return None
    was = _distance(before)
    return now if was is None else f"{was.removesuffix(' Mpc')} → {now.removeprefix('distance ')}"


_DIFFERENCES = (
    *(_significance_changed, _class_changed, _rate_changed, _time_changed, _place_changed, _map_changed, _distance_changed),
)


def _same(one: float | None, other: float | None) -> bool:
    return one == other or (one is not None and other is not None and math.isclose(one, other, rel_tol=_NEAR))


def _degrees(area: float) -> str:
    return f"{area:,.0f}" if area >= 10.0 else f"{area:.3g}"


def _angle(degrees: float) -> str:
    if degrees >= 1.0:
        return f"{degrees:.3g}°"
    return f"{degrees * 60.0:.3g} arcmin" if degrees * 60.0 >= 1.0 else f"{degrees * 3600.0:.3g} arcsec"
