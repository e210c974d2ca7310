"""Target-of-opportunity requests of the Neil Gehrels Swift Observatory, as swifttools 4 posts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumers.too.request import Request, clean, without_empty

__all__ = ["problems", "too"]


def too(request: Request) -> dict[str, Any]:
    """Fields of ``POST /swift/too``; urgency 0 (the highest) to 4 from the rule's priority 5 to 1.

    Notes
    -----
    Names and rules as in ``swifttools.swift_too.swift.toorequest``. Seconds are those of one visit. The token of the rule is
    the shared secret, which is in no field.
    """
    table, alert = request.rule.table, request.alert
    seconds = sum(one.seconds * one.count for one in request.rule.exposures)
    visits = table["num_of_visits"]
    fields = {
        "username": table["username"],
        "target_name": clean(request.target, 60),
        "target_type": table["target_type"],
        "ra": request.ra,
        "dec": request.dec,
        "poserr": round(alert.ra_dec_error * 60.0, 4) if alert.ra_dec_error else None,
        "instrument": table["instrument"],
        "urgency": 5 - request.rule.priority,
        "obs_type": table["obs_type"],
        "opt_mag": alert.mag,
        "opt_filt": alert.band if alert.mag is not None else None,
        "xrt_countrate": table["xrt_countrate"],
        "bat_countrate": table["bat_countrate"],
        "other_brightness": table["other_brightness"],
        "grb_detector": table["grb_detector"],
        "grb_triggertime": _time(alert.time) if table["target_type"] == "GRB" else None,
        "immediate_objective": table["immediate_objective"],
        "science_just": table["science_just"],
        "exp_time_just": table["exp_time_just"],
        "exposure": int(seconds * visits),
        "exp_time_per_visit": int(seconds),
        "num_of_visits": visits,
        "monitoring_freq": table["monitoring_freq"],
        "xrt_mode": table["xrt_mode"],
        "uvot_mode": table["uvot_mode"],
        "uvot_just": table["uvot_just"],
        "tiling": False,
        "proposal": bool(table["proposal_id"]),
        "proposal_id": table["proposal_id"],
        "proposal_pi": table["proposal_pi"],
        "proposal_trigger_just": table["proposal_trigger_just"],
        "validate_only": table["validate_only"],
        "debug": table["debug"],
        "quiet": True,
    }
    return without_empty(fields)


def problems(fields: Mapping[str, Any]) -> list[str]:
    """Where the fields break the rules of swifttools; empty where they do not."""
    found = []
    bright = {"xrt_countrate", "bat_countrate", "other_brightness"} & set(fields)
    if not bright and not {"opt_mag", "opt_filt"} <= set(fields):
        found.append("give a brightness: the alert has no magnitude, so set other_brightness or xrt_countrate in the rule")
    if fields.get("target_type") == "GRB" and not {"grb_triggertime", "grb_detector"} <= set(fields):
        found.append("grb_detector and the time of the trigger are needed for target_type GRB")
    if "uvot_just" not in fields and str(fields.get("uvot_mode")) != "0x9999":
        found.append("uvot_just is needed where uvot_mode is not the filter of the day, 0x9999")
    if fields.get("proposal") and not {"proposal_id", "proposal_pi", "proposal_trigger_just"} <= set(fields):
        found.append("proposal_pi and proposal_trigger_just are needed with proposal_id")
    return found


def _time(time: Any) -> str | None:
    return str(time.strftime("%Y-%m-%d %H:%M:%S")) if time is not None else None
