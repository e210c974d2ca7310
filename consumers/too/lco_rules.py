"""The observation portal's published rules, as checks of a requestgroup before it is sent.

They are those of ``observation_portal/requestgroups`` (``serializers.py``, ``models.py``, ``target_helpers.py``) of the
Observatory Control System that a portal applies to every request. What only a portal knows it must say itself
(``/api/requestgroups/validate/``): who is a member of a proposal, how much time is left, which instruments, modes and filters
there are, semesters, and when the target rises.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

__all__ = ["problems"]

_OBSERVATION_TYPES: Final = ("NORMAL", "RAPID_RESPONSE", "TIME_CRITICAL")
_TARGET_TYPES: Final = ("ICRS", "ORBITAL_ELEMENTS", "HOUR_ANGLE", "SATELLITE")
_SECONDS_OF_A_DAY: Final = 86_400.0
Problems = Iterator[str]


def problems(group: Mapping[str, Any], now: datetime) -> list[str]:
    """Where a requestgroup breaks the rules: ``path: what is wrong``; empty where it does not.

    Parameters
    ----------
    now
        UTC; windows must end after it.
    """
    return list(_group(group, now))


def _group(group: Mapping[str, Any], now: datetime) -> Problems:
    yield from _text("name", group.get("name"), 50)
    yield from _text("proposal", group.get("proposal"), 255)
    yield from _number("ipp_value", group.get("ipp_value"), 0.5, 2.0)
    yield from _choice("observation_type", group.get("observation_type"), _OBSERVATION_TYPES)
    yield from _choice("operator", group.get("operator"), ("SINGLE", "MANY"))
    requests = _list(group.get("requests"))
    if not requests:
        yield "requests: You must specify at least 1 request"
    if group.get("operator") == "SINGLE" and len(requests) > 1:
        yield "requests: 'Single' type requestgroups must have exactly one child request"
    if group.get("operator") == "MANY" and len(requests) == 1:
        yield "requests: 'Many' type requestgroups must have more than one child request"
    rapid = group.get("observation_type") == "RAPID_RESPONSE"
    for number, request in enumerate(requests):
        yield from _below(f"requests[{number}]", _request(_table(request), now, rapid=rapid))


def _request(request: Mapping[str, Any], now: datetime, *, rapid: bool) -> Problems:
    if len(str(request.get("observation_note", ""))) > 255:
        yield "observation_note: is longer than 255 characters"
    if "optimization_type" in request:
        yield from _choice("optimization_type", request["optimization_type"], ("TIME", "AIRMASS"))
    if "acceptability_threshold" in request:
        yield from _number("acceptability_threshold", request["acceptability_threshold"], 0.0, 100.0)
    if "configuration_repeats" in request:
        yield from _whole("configuration_repeats", request["configuration_repeats"], 1)
    yield from _below("location", _location(_table(request.get("location"))))
    windows, configurations = _list(request.get("windows")), _list(request.get("configurations"))
    if not windows:
        yield "windows: You must specify at least 1 window"
    if not configurations:
        yield "configurations: You must specify at least 1 configuration"
    if sum(bool(_table(one).get("fill_window")) for one in configurations) > 1:
        yield "configurations: Only one configuration can have `fill_window` set"
    needed = _duration(configurations)
    for number, window in enumerate(windows):
        yield from _below(f"windows[{number}]", _window(_table(window), now, needed, rapid=rapid))
    for number, one in enumerate(configurations):
        yield from _below(f"configurations[{number}]", _configuration(_table(one)))


def _location(location: Mapping[str, Any]) -> Problems:
    yield from _text("telescope_class", location.get("telescope_class"), 20)
    for key in ("site", "enclosure", "telescope"):
        if key in location:
            yield from _text(key, location[key], 20)
    if "enclosure" in location and "site" not in location:
        yield "enclosure: Must specify a site with an enclosure"
    if "telescope" in location and "enclosure" not in location:
        yield "telescope: Must specify an enclosure with a telescope"


def _window(window: Mapping[str, Any], now: datetime, needed: float, *, rapid: bool) -> Problems:
    start, end = _time(window.get("start", now.isoformat())), _time(window.get("end"))
    if start is None or end is None:
        yield "start and end must be times in ISO 8601 with a zone"
        return
    if end <= start:
        yield f"end: '{end}' cannot be earlier than window start '{start}'"
    if end < now:
        yield "end: Window end time must be in the future"
    if 0 < (end - start).total_seconds() < needed:
        yield f"the exposures take {needed:g} s, more than the window's {(end - start).total_seconds():g} s"
    if rapid and start > now:
        yield "start: The Rapid Response observation window start time cannot be in the future"
    if rapid and end > now + timedelta(seconds=_SECONDS_OF_A_DAY + needed):
        yield "end: a Rapid Response must end within 24 hours and the observation's duration"


def _configuration(one: Mapping[str, Any]) -> Problems:
    kind = one.get("type")
    yield from _text("type", kind, 50)
    yield from _text("instrument_type", one.get("instrument_type"), 255)
    for key in ("constraints", "acquisition_config", "guiding_config", "target"):
        if not isinstance(one.get(key), Mapping):
            yield f"{key}: This field is required"
    yield from _below("constraints", _constraints(_table(one.get("constraints"))))
    for key, longest in (("acquisition_config", 60.0), ("guiding_config", 120.0)):
        seconds = _table(one.get(key)).get("exposure_time")
        if seconds is not None:
            yield from _number(f"{key}.exposure_time", seconds, 0.0, longest)
        if len(str(_table(one.get(key)).get("mode", ""))) > 50:
            yield f"{key}.mode: is longer than 50 characters"
    yield from _below("target", _target(_table(one.get("target"))))
    yield from _repeats(one)
    instruments = _list(one.get("instrument_configs"))
    if not instruments:
        yield "instrument_configs: A configuration must have at least one instrument configuration"
    for number, each in enumerate(instruments):
        yield from _below(f"instrument_configs[{number}]", _instrument(_table(each)))
    yield from _pattern(_table(one.get("extra_params")), instruments)


def _repeats(one: Mapping[str, Any]) -> Problems:
    kind, extra = one.get("type"), _table(one.get("extra_params"))
    repeats = "REPEAT" in str(kind)
    if repeats and one.get("repeat_duration") is None:
        yield f"repeat_duration: Must specify a configuration repeat_duration for {kind} type configurations"
    if not repeats and one.get("repeat_duration") is not None:
        yield "repeat_duration: You may only specify a repeat_duration for REPEAT_* type configurations"
    if repeats and _is_number(one.get("repeat_duration")) and one["repeat_duration"] < _duration([one], whole=True):
        yield f"repeat_duration: {one['repeat_duration']} s is less than the exposures take once"
    if kind == "SCRIPT" and not extra.get("script_name"):
        yield "extra_params.script_name: Must specify a script_name in extra_params for SCRIPT configuration type"


def _pattern(extra: Mapping[str, Any], instruments: Sequence[Any]) -> Problems:
    offsets = [_table(_table(each).get("extra_params")) for each in instruments]
    dithered = any(each.get("offset_ra") or each.get("offset_dec") for each in offsets)
    if "dither_pattern" in extra and not dithered:
        yield "extra_params.dither_pattern: is set without any non-zero offset_ra or offset_dec"
    if "dither_pattern" in extra and extra["dither_pattern"] not in {"line", "grid", "spiral", "custom"}:
        yield "extra_params.dither_pattern: choose from line, grid, spiral, custom"


def _constraints(constraints: Mapping[str, Any]) -> Problems:
    bounds = {
        "max_airmass": (1.0, 25.0),
        "min_lunar_distance": (0.0, 180.0),
        "max_lunar_phase": (0.0, 1.0),
        "max_seeing": (0.0, math.inf),
        "min_transparency": (-math.inf, math.inf),
    }
    for key, (low, high) in bounds.items():
        if constraints.get(key) is not None:
            yield from _number(key, constraints[key], low, high)


def _instrument(one: Mapping[str, Any]) -> Problems:
    yield from _number("exposure_time", one.get("exposure_time"), 0.0, math.inf)
    yield from _whole("exposure_count", one.get("exposure_count"), 1)
    if not isinstance(one.get("optical_elements", {}), Mapping):
        yield "optical_elements: is no object"
    for key in ("mode", "rotator_mode"):
        if len(str(one.get(key, ""))) > 50:
            yield f"{key}: is longer than 50 characters"
    for number, roi in enumerate(_list(one.get("rois"))):
        if not set(_table(roi)) & {"x1", "x2", "y1", "y2"}:
            yield f"rois[{number}]: Must submit at least one bound for a region of interest"


def _target(target: Mapping[str, Any]) -> Problems:
    yield from _text("name", target.get("name"), 50)
    yield from _choice("type", target.get("type"), _TARGET_TYPES)
    if target.get("type") == "HOUR_ANGLE":
        yield "type: HOUR_ANGLE Target type not supported in scheduled observations"
    if target.get("type") == "ICRS":
        yield from _number("ra", target.get("ra"), 0.0, 360.0)
        yield from _number("dec", target.get("dec"), -90.0, 90.0)
    highest = {"proper_motion_ra": 20_000.0, "proper_motion_dec": 20_000.0, "epoch": 2_100.0, "parallax": 2_000.0}
    for key, high in highest.items():
        if target.get(key) is not None:
            yield from _number(key, target[key], -math.inf, high)


def _duration(configurations: Sequence[Any], *, whole: bool = False) -> float:
    """Seconds that the exposures take at least, without what a telescope takes besides."""
    total = 0.0
    for configuration in map(_table, configurations):
        if not whole and _is_number(configuration.get("repeat_duration")):
            total += configuration["repeat_duration"]
            continue
        for one in map(_table, _list(configuration.get("instrument_configs"))):
            if _is_number(one.get("exposure_time")) and _is_number(one.get("exposure_count")):
                total += one["exposure_time"] * one["exposure_count"]
    return total


def _below(path: str, found: Problems) -> Problems:
    for problem in found:
        yield f"{path}.{problem}" if ":" in problem.split(" ")[0] else f"{path}: {problem}"


def _text(key: str, value: Any, longest: int) -> Problems:
    if not isinstance(value, str) or not value.strip():
        yield f"{key}: This field is required and may not be blank"
    elif len(value) > longest:
        yield f"{key}: has {len(value)} characters, more than {longest}"


def _choice(key: str, value: Any, choices: Sequence[str]) -> Problems:
    if value not in choices:
        yield f"{key}: {value!r} is not a valid choice; there are {', '.join(choices)}"


def _number(key: str, value: Any, low: float, high: float) -> Problems:
    if not _is_number(value):
        yield f"{key}: A valid number is required, not {value!r}"
    elif not low <= value <= high:
        yield f"{key}: {value!r} is not from {low:g} to {high:g}"


def _whole(key: str, value: Any, low: int) -> Problems:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        yield f"{key}: {value!r} is no whole number of at least {low}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _time(value: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo is not None else None
