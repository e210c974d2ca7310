"""Swift's API for targets of opportunity, as swifttools 4 speaks it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from consumers.too.exchange import Answer
from consumers.too.ledger import Row
from consumers.too.observatory import Outcome, Wire, outcome

__all__ = ["Swift"]


class Swift:
    """``/swift/too``: a session is begun with user and shared secret; requests are form fields.

    A request has no name of ours: one of this user at this place, handed in since ours was made, which no other
    rule of ours has made, is taken to be it.
    """

    looks_up = True
    by_name = False

    def __init__(self, wire: Wire, table: Mapping[str, Any]) -> None:
        self._wire, self._user = wire, str(table["username"])
        self._cookies = httpx.Cookies()

    def ready(self, payload: Any, _row: Row) -> Outcome:
        """Have it validated."""
        answer = self._ask("POST", form={**payload, "validate_only": True})
        errors = _status(answer).get("errors") or []
        if answer.good and not errors:
            return Outcome("done", said="validated")
        if errors:
            return Outcome("refused", said=self._wire.blotted(f"validation finds {'; '.join(map(str, errors))}")[:500])
        return outcome(self._wire, answer)

    def find(self, row: Row, others: Collection[str]) -> Outcome:
        """Look for a request of this user at the place, since shortly before ours was made, that is not another one of ours."""
        wanted = json.loads(row.payload)
        since = datetime.fromtimestamp(row.made, UTC) - timedelta(minutes=5)
        params = {
            "username": self._user,
            "ra": wanted["ra"],
            "dec": wanted["dec"],
            "radius": 0.01,
            "begin": since.strftime("%Y-%m-%d %H:%M:%S"),
            "limit": 10,
        }
        answer = self._ask("GET", params=params)
        said = answer.json()
        if not answer.good:
            return outcome(self._wire, answer)
        if not isinstance(said, dict) or not isinstance(said.get("entries"), list):
            return Outcome("unclear", said=f"answers what it should not: {self._wire.said(answer)}")
        for one in said["entries"]:
            if isinstance(one, dict) and one.get("too_id") is not None and str(one["too_id"]) not in others:
                return Outcome("done", str(one["too_id"]), "requested", f"decision {one.get('decision')}")
        return Outcome("absent", said=f"no request of {self._user} there since {since:%Y-%m-%dT%H:%M:%SZ}")

    def post(self, payload: Any, _row: Row) -> Outcome:
        """Hand it in; with ``validate_only`` of the rule it is only looked at."""
        answer = self._ask("POST", form=payload)
        status = _status(answer)
        if status.get("errors"):
            return Outcome("refused", said=self._wire.blotted("; ".join(map(str, status["errors"])))[:500])
        number = status.get("too_id")
        if answer.good and number is not None:
            return Outcome("done", str(number), "requested", f"status {status.get('status')}")
        if answer.good and payload.get("validate_only"):
            return Outcome("done", None, "done", "validated only, as the rule says: no request was made")
        if answer.good:
            return Outcome("unclear", said=f"taken, it seems, but no number came: {self._wire.said(answer)}")
        return outcome(self._wire, answer)

    def stands(self, row: Row) -> Outcome:
        """What was decided."""
        answer = self._ask("GET", params={"too_id": row.number})
        said = answer.json()
        entries = said.get("entries") if isinstance(said, dict) else None
        if not answer.good or not entries:
            return Outcome("unclear", said=self._wire.said(answer))
        decision = str(entries[0].get("decision"))
        state = "done" if entries[0].get("done") else "failed" if decision.lower().startswith("reject") else "requested"
        return Outcome("done", row.number, state, f"decision {decision}")

    def cancel(self, row: Row, _reason: str) -> Outcome:
        """Nobody can by program."""
        return Outcome("refused", said=f"Swift takes nothing back by program: tell its duty scientist of request {row.number}")

    def _ask(self, method: str, **more: Any) -> Answer:
        if not self._cookies and self._wire.token:
            login = self._wire.ask(
                "POST", "/login", data={"username": self._user, "password": self._wire.token}, cookies=self._cookies
            )
            if not login.good:
                return Answer(login.status, login.body, arrived=False, error=f"no session was begun: {login.error}")
        answer = self._wire.ask(method, "/swift/too", cookies=self._cookies, **more)
        if answer.status == 401:
            self._cookies.clear()  # the session is over: the next time begins another
        return answer


def _status(answer: Answer) -> Mapping[str, Any]:
    """Status, errors and number, which stand in an object of their own or at the top."""
    said = answer.json()
    if not isinstance(said, dict):
        return {}
    inner = said.get("status")
    return {**said, **inner} if isinstance(inner, dict) else said
