"""Whether events of open requests are still there: what a reader that was away may not be told again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

import httpx

from consumers.api import Api, MissingError
from consumers.errors import ClientError
from consumers.too.desk import Desk
from consumers.too.ledger import OPEN, Ledger

__all__ = ["Recheck"]

_EVERY = 600.0  # seconds
_AGAIN = 60.0  # seconds after an API gave no answer, or none that can be used
_TIMEOUT = 10.0  # seconds


class Recheck:
    """Asks the API of each event that open requests belong to, at first and now and then, and cancels where it is retracted.

    Parameters
    ----------
    apis
        Addresses of Nuncius APIs; without any nothing is asked.
    say
        Told where one gives no answer that can be used; the other APIs, and the other events, are asked all the same.
    """

    def __init__(self, apis: Sequence[str], ledger: Ledger, desk: Desk, say: Callable[[str], None]) -> None:
        self._apis, self._ledger, self._desk, self._say = apis, ledger, desk, say
        self._next: dict[tuple[str, str], float] = {}  # when an API is asked for an event again
        self._away: dict[str, float] = {}  # until when an API is left alone
        self._gone: set[str] = set()  # a retraction is final

    def look(self) -> None:
        """Ask of those that are due."""
        if not self._apis:
            return
        events = {name for row in self._ledger.in_states(OPEN, "cancel = ''") for name in json.loads(row.events)}
        for name in sorted(events & self._gone):
            self._desk.retract(name, f"{name} is retracted")
        for api in self._apis:
            for name in sorted(events - self._gone):
                now = time.monotonic()
                if now < max(self._away.get(api, 0.0), self._next.get((api, name), 0.0)):
                    continue
                self._next[api, name] = now + (_EVERY if self._known(api, name) else _AGAIN)
                if name in self._gone:
                    self._desk.retract(name, f"{name} is retracted")

    def _known(self, api: str, name: str) -> bool:
        """Ask; whether there was an answer. An event that it does not have is one that it has not retracted."""
        try:
            with Api(api, timeout=_TIMEOUT) as asked:
                found = asked.json("events", name)
        except MissingError:
            return True
        except ClientError as error:
            self._say(f"whether {name} is retracted is not known: {error}")
            if isinstance(error.__cause__, httpx.HTTPError):  # no answer at all, so the other events can wait
                self._away[api] = time.monotonic() + _AGAIN
            return False
        if isinstance(found, dict) and (found.get("state") == "retracted" or found.get("retracted") is True):
            self._gone.add(name)
        return True
