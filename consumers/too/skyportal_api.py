"""SkyPortal's API: follow-up requests and observation plans."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from consumers.too.ledger import Row
from consumers.too.observatory import Outcome, Wire, outcome

__all__ = ["SkyPortal", "SkyPortalPlans"]


class SkyPortal:
    """``/api/followup_request``.

    A follow-up request has no name: one of the same source, allocation and dates, which no other rule of ours has
    made, is taken to be it.
    """

    looks_up = True
    by_name = False

    def __init__(self, wire: Wire, table: Mapping[str, Any]) -> None:
        self._wire, self._allocation = wire, int(table["allocation"])

    def ready(self, _payload: Any, _row: Row) -> Outcome:
        """Nothing to ask."""
        return Outcome("done")

    def find(self, row: Row, others: Collection[str]) -> Outcome:
        """Look for a request of the same source, allocation and dates that is neither deleted nor another one of ours."""
        wanted = json.loads(row.payload)
        params = {"sourceID": wanted["obj_id"], "allocationID": self._allocation, "numPerPage": 100, "sortOrder": "desc"}
        answer = self._wire.ask("GET", "/api/followup_request", params=params)
        data = _data(answer.json())
        if not answer.good or not isinstance(data, dict) or not isinstance(data.get("followup_requests"), list):
            return _unsaid(self._wire, answer)
        for one in data["followup_requests"]:
            payload = one.get("payload") or {}
            same = all(payload.get(key) == wanted["payload"].get(key) for key in ("start_date", "end_date"))
            same = same and str(one["id"]) not in others
            if same and one.get("obj_id") == wanted["obj_id"] and "deleted" not in str(one.get("status")):
                return Outcome("done", str(one["id"]), _state(one.get("status")), f"status {one.get('status')}")
        return Outcome("absent", said=f"no request for {wanted['obj_id']} on allocation {self._allocation}")

    def post(self, payload: Any, _row: Row) -> Outcome:
        """Hand it in; SkyPortal passes it on to the instrument at once."""
        return _numbered(self._wire, self._wire.ask("POST", "/api/followup_request", data=payload))

    def stands(self, row: Row) -> Outcome:
        """Its status."""
        answer = self._wire.ask("GET", f"/api/followup_request/{row.number}")
        data = _data(answer.json())
        if not answer.good or not isinstance(data, dict):
            return _unsaid(self._wire, answer)
        return Outcome("done", row.number, _state(data.get("status")), f"status {data.get('status')}")

    def cancel(self, row: Row, _reason: str) -> Outcome:
        """Delete it."""
        return _deleted(self._wire, self._wire.ask("DELETE", f"/api/followup_request/{row.number}"))


class SkyPortalPlans:
    """``/api/observation_plan``; found again by the name of its queue, which is our request's."""

    looks_up = True
    by_name = False

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def ready(self, payload: Any, row: Row) -> Outcome:
        """Fill in SkyPortal's numbers of event and map where the rule does not give them: the newest map."""
        if payload["gcnevent_id"] is not None and payload["localization_id"] is not None:
            return Outcome("done")
        name = (json.loads(row.events) or [""])[0]
        answer = self._wire.ask("GET", "/api/gcn_event", params={"partialdateobs": name, "numPerPage": 10})
        data = _data(answer.json())
        if not answer.good or not isinstance(data, dict) or not isinstance(data.get("events"), list):
            return _unsaid(self._wire, answer)
        for event in data["events"]:
            maps = [one for one in event.get("localizations") or [] if isinstance(one, dict) and "id" in one]
            called = [str(event.get("dateobs")), *(str(alias).rpartition("#")[2] for alias in event.get("aliases") or [])]
            if name in called:
                if not maps:
                    return Outcome("away", said=f"SkyPortal has no map of {name} yet")
                payload["gcnevent_id"] = payload["gcnevent_id"] or event["id"]
                payload["localization_id"] = payload["localization_id"] or max(one["id"] for one in maps)
                return Outcome("done")
        return Outcome("away", said=f"SkyPortal does not know {name} yet")

    def find(self, row: Row, _others: Collection[str]) -> Outcome:
        """Look through the plans of the event."""
        event = json.loads(row.payload)["gcnevent_id"]
        if event is None:  # its number was never found, so nothing was posted
            return Outcome("absent", said="never posted")
        answer = self._wire.ask("GET", f"/api/gcn_event/{event}/observation_plan_requests")
        data = _data(answer.json())
        if not answer.good or not isinstance(data, list):
            return _unsaid(self._wire, answer)
        for one in data:
            if isinstance(one, dict) and (one.get("payload") or {}).get("queue_name") == row.name:
                return Outcome("done", str(one["id"]), _state(one.get("status")), f"status {one.get('status')}")
        return Outcome("absent", said=f"no plan {row.name} of event {event}")

    def post(self, payload: Any, _row: Row) -> Outcome:
        """Hand it in; SkyPortal computes the plan afterwards."""
        return _numbered(self._wire, self._wire.ask("POST", "/api/observation_plan", data=payload))

    def stands(self, row: Row) -> Outcome:
        """Its status."""
        answer = self._wire.ask("GET", f"/api/observation_plan/{row.number}")
        data = _data(answer.json())
        if not answer.good or not isinstance(data, dict):
            return _unsaid(self._wire, answer)
        return Outcome("done", row.number, _state(data.get("status")), f"status {data.get('status')}")

    def cancel(self, row: Row, _reason: str) -> Outcome:
        """Delete it; the plan leaves a queue that it was sent to only where the instrument allows that."""
        return _deleted(self._wire, self._wire.ask("DELETE", f"/api/observation_plan/{row.number}"))


def _data(said: Any) -> Any:
    return said.get("data") if isinstance(said, dict) and said.get("status") == "success" else None


def _numbered(wire: Wire, answer: Any) -> Outcome:
    data = _data(answer.json())
    ids = data.get("ids") if isinstance(data, dict) else None
    number = ids[0] if isinstance(ids, list) and ids else data.get("id") if isinstance(data, dict) else None
    if answer.good and number is not None:
        return Outcome("done", str(number), "requested", wire.said(answer))
    if answer.good and isinstance(data, dict) and data.get("ignored"):  # its constraints, such as not_if_duplicates, answer 200
        return Outcome("refused", said=f"ignored: {wire.said(answer)}")
    if answer.good:
        return Outcome("unclear", said=f"taken, it seems, but no number came: {wire.said(answer)}")
    return outcome(wire, answer)


def _unsaid(wire: Wire, answer: Any) -> Outcome:
    if answer.good:
        return Outcome("unclear", said=f"answers what it should not: {wire.said(answer)}")
    return outcome(wire, answer)


def _deleted(wire: Wire, answer: Any) -> Outcome:
    found = outcome(wire, answer, state="cancelled")
    return Outcome("done", None, "cancelled", "it is not there any more") if answer.status == 404 else found


def _state(status: Any) -> str:
    said = str(status).lower()
    if "deleted" in said:
        return "cancelled"
    if "complete" in said:
        return "done"
    return "failed" if "reject" in said or "failed" in said else "requested"
