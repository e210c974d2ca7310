"""The observation portal of the Observatory Control System, that Las Cumbres and others run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from consumers.too.ledger import Row
from consumers.too.observatory import Outcome, Wire, outcome

__all__ = ["Portal"]

_STATES: Final = {
    "PENDING": "requested",
    "COMPLETED": "done",
    "WINDOW_EXPIRED": "expired",
    "FAILURE_LIMIT_REACHED": "failed",
    "CANCELED": "cancelled",
}


class Portal:
    """``/api/requestgroups/``: validated, then posted; found again in the list by the name that ends in our key."""

    looks_up = True
    by_name = False

    def __init__(self, wire: Wire, table: Mapping[str, Any]) -> None:
        self._wire, self._proposal = wire, str(table["proposal"])

    def ready(self, payload: Any, _row: Row) -> Outcome:
        """Ask the portal's own validation, which answers 200 with what it finds wrong."""
        answer = self._wire.ask("POST", "/api/requestgroups/validate/", data=payload)
        said = answer.json()
        if not answer.good:
            return outcome(self._wire, answer)
        if not isinstance(said, dict) or "errors" not in said:
            return Outcome("unclear", said=f"validation answers what it should not: {self._wire.said(answer)}")
        if said["errors"]:
            return Outcome("refused", said=f"validation finds {self._wire.said(answer)}")
        return Outcome("done", said="validated")

    def find(self, row: Row, _others: Collection[str]) -> Outcome:
        """Look for the key in the names of our proposal; the portal's filter finds names that contain it."""
        answer = self._wire.ask("GET", "/api/requestgroups/", params={"name": row.key, "proposal": self._proposal, "limit": 10})
        said = answer.json()
        if not answer.good:
            return outcome(self._wire, answer)
        if not isinstance(said, dict) or not isinstance(said.get("results"), list):
            return Outcome("unclear", said=f"the list is none: {self._wire.said(answer)}")
        for one in said["results"]:
            if isinstance(one, dict) and one.get("name") == row.name and one.get("id") is not None:
                return self._known(one)
        return Outcome("absent", said=f"no request {row.name} in the list of {self._proposal}")

    def post(self, payload: Any, _row: Row) -> Outcome:
        """Hand it in; an answer without a number leaves it unclear what came of it."""
        answer = self._wire.ask("POST", "/api/requestgroups/", data=payload)
        said = answer.json()
        if answer.good and isinstance(said, dict) and said.get("id") is not None:
            return self._known(said)
        if answer.good:
            return Outcome("unclear", said=f"taken, it seems, but no number came: {self._wire.said(answer)}")
        return outcome(self._wire, answer)

    def stands(self, row: Row) -> Outcome:
        """The state of the group."""
        answer = self._wire.ask("GET", f"/api/requestgroups/{row.number}/")
        said = answer.json()
        return self._known(said) if answer.good and isinstance(said, dict) else outcome(self._wire, answer)

    def cancel(self, row: Row, _reason: str) -> Outcome:
        """Cancel it; the portal refuses with 400 where it is over already."""
        answer = self._wire.ask("POST", f"/api/requestgroups/{row.number}/cancel/", data={})
        if answer.good:
            said = answer.json()
            return self._known(said) if isinstance(said, dict) else Outcome("unclear", said=self._wire.said(answer))
        if not answer.refused:
            return outcome(self._wire, answer)
        known = self.stands(row)
        over = known.kind == "done" and known.state != "requested"
        return known if over else Outcome("refused", said=self._wire.said(answer))

    def _known(self, group: Mapping[str, Any]) -> Outcome:
        state = str(group.get("state", "PENDING"))
        return Outcome("done", str(group["id"]) if "id" in group else None, _STATES.get(state, "requested"), f"state {state}")
