"""Whether events of open requests are still there: what a reader that was away may not be told again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from urllib.parse import quote

import httpx

from consumers.token import bearer
from consumers.too.desk import Desk
from consumers.too.ledger import OPEN, Ledger

__all__ = ["Recheck"]

_EVERY = 600.0  # seconds
_AGAIN = 60.0  # seconds after an API gave no answer


class Recheck:
    """Asks the API of each event that open requests belong to, at first and now and then, and cancels where it is retracted.

    Parameters
    ----------
    apis
        Addresses of Nuncius APIs; without any nothing is asked.
    say
        Told where one does not answer: nothing else comes of that.
    """

    def __init__(self, apis: Sequence[str], ledger: Ledger, desk: Desk, say: Callable[[str], None]) -> None:
        self._apis, self._ledger, self._desk, self._say = apis, ledger, desk, say
        self._asked: dict[str, float] = {}
        self._gone: set[str] = set()  # a retraction is final
        self._pause = 0.0

    def look(self) -> None:
        """Ask of those that are due."""
        now = time.monotonic()
        if not self._apis or now < self._pause:
            return
        events = {name for row in self._ledger.in_states(OPEN, "cancel = ''") for name in json.loads(row.events)}
        for name in sorted(events & self._gone):
            self._desk.retract(name, f"{name} is retracted")
        for name in sorted(events - self._gone):
            if now - self._asked.get(name, -_EVERY) < _EVERY:
                continue
            try:
                retracted = any(self._retracted(api, name) for api in self._apis)
            except (httpx.HTTPError, ValueError) as error:
                self._say(f"whether {name} is retracted is not known, no answer from the API: {type(error).__name__} {error}")
                self._pause = now + _AGAIN
                return
            self._asked[name] = now
            if retracted:
                self._gone.add(name)
                self._desk.retract(name, f"{name} is retracted")

    @staticmethod
    def _retracted(api: str, name: str) -> bool:
        address = f"{api.rstrip('/')}/api/v1/events/{quote(name, safe='')}"
        answer = httpx.get(address, headers=bearer(), timeout=10.0, follow_redirects=True)
        found = answer.json() if answer.status_code == 200 else {}
        return isinstance(found, dict) and (found.get("state") == "retracted" or found.get("retracted") is True)
