"""Whether events of open requests are still there: what a reader that was away may not be told again."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import httpx

from consumers.token import bearer
from consumers.too.desk import Desk
from consumers.too.ledger import OPEN, Ledger

__all__ = ["recheck"]


def recheck(api: str, ledger: Ledger, desk: Desk, say: Callable[[str], None]) -> None:
    """Ask the API of each event that open requests belong to, and cancel them where it is retracted.

    Parameters
    ----------
    api
        Address of a Nuncius API.
    say
        Told where it does not answer: nothing else comes of that.
    """
    events = {name for row in ledger.in_states(OPEN, "cancel = ''") for name in json.loads(row.events)}
    if not events:
        return
    with httpx.Client(base_url=api.rstrip("/") + "/api/v1", headers=bearer(), timeout=10.0, follow_redirects=True) as client:
        for name in sorted(events):
            try:
                answer = client.get(f"/events/{quote(name, safe='')}")
                found = answer.json() if answer.status_code == 200 else {}
            except (httpx.HTTPError, ValueError) as error:
                say(f"events of open requests are not checked: {api} gives no answer ({type(error).__name__})")
                return
            if found.get("state") == "retracted" or found.get("retracted") is True:
                desk.retract(name, f"{name} is retracted")
