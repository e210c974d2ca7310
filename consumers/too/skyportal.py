"""Requests as SkyPortal takes them: follow-up of a source, and an observation plan over an event's map."""

from __future__ import annotations

from typing import Any

from consumers.too.request import Request, clean

__all__ = ["followup_request", "observation_plan"]


def followup_request(request: Request) -> dict[str, Any]:
    """Body of ``POST /api/followup_request``.

    Notes
    -----
    The keys of `payload` are those of SkyPortal's generic instrument (``facility_apis/generic.py``); an instrument whose form
    is another takes what the rule's ``payload`` says, which wins over ours. `not_if_duplicates` lets SkyPortal refuse a second
    request for the same source and allocation itself.
    """
    table, rule = request.rule.table, request.rule
    payload = {
        "observation_choices": list(dict.fromkeys(one.band for one in rule.exposures)),
        "exposure_time": max(one.seconds for one in rule.exposures),
        "exposure_counts": max(one.count for one in rule.exposures),
        "maximum_airmass": min(3.0, round(request.max_airmass, 4)),
        "minimum_lunar_distance": rule.limits.min_moon_separation or 0.0,
        "priority": rule.priority,
        "start_date": _date(request.start),
        "end_date": _date(request.end),
        **table["payload"],
    }
    body: dict[str, Any] = {
        "obj_id": clean(request.target, 100),
        "allocation_id": table["allocation"],
        "payload": payload,
        "status": "pending submission",
        "not_if_duplicates": True,
    }
    if table["groups"]:
        body["target_group_ids"] = list(table["groups"])
    if table["source_groups"]:
        body["source_group_ids"] = list(table["source_groups"])
    return body


def observation_plan(request: Request) -> dict[str, Any]:
    """Body of ``POST /api/observation_plan``.

    Notes
    -----
    The name of the queue is ours, with its key: SkyPortal takes no second plan of one name. `gcnevent_id` and `localization_id`
    are SkyPortal's own numbers: where the rule does not give them they are asked for (``GET /api/gcn_event``) before it is
    posted, and are ``None`` in a dry run.
    """
    table, rule = request.rule.table, request.rule
    payload: dict[str, Any] = {
        "queue_name": request.name,
        "start_date": _date(request.start),
        "end_date": _date(request.end),
        "filters": ",".join(dict.fromkeys(one.band for one in rule.exposures)),
        "filter_strategy": table["filter_strategy"],
        "schedule_type": table["schedule_type"],
        "schedule_strategy": table["schedule_strategy"],
        "exposure_time": max(one.seconds for one in rule.exposures),
        "maximum_airmass": min(3.0, round(request.max_airmass, 4)),
        "integrated_probability": table["integrated_probability"],
        "galactic_plane": table["galactic_latitude"] > 0,
        "galactic_latitude": table["galactic_latitude"],
        "balance_exposure": True,
        "ra_slice": False,
        "max_tiles": table["max_tiles"] is not None,
    }
    if table["max_tiles"] is not None:
        payload["max_nb_tiles"] = table["max_tiles"]
    if table["filter_strategy"] == "integrated":
        payload["minimum_time_difference"] = table["minimum_time_difference"]
    if table["schedule_strategy"] == "galaxy":
        payload |= {"galaxy_catalog": table["galaxy_catalog"], "galaxy_sorting": table["galaxy_sorting"]}
    body: dict[str, Any] = {
        "gcnevent_id": table["gcnevent_id"],
        "localization_id": table["localization_id"],
        "allocation_id": table["allocation"],
        "payload": {**payload, **table["payload"]},
        "status": "pending submission",
    }
    if table["groups"]:
        body["target_group_ids"] = list(table["groups"])
    return body


def _date(time: Any) -> str:
    """UTC without a zone, as SkyPortal's own forms write it."""
    return str(time.strftime("%Y-%m-%d %H:%M:%S"))
