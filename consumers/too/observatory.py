"""What any observatory can be asked: take a request, find it again, tell how it stands, cancel it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from consumers.too.exchange import Answer, exchange
from consumers.too.ledger import Row
from consumers.too.rules import Manners

__all__ = ["Kind", "Observatory", "Outcome", "Wire", "outcome"]

Kind = Literal["done", "absent", "refused", "away", "unclear"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking.

    Parameters
    ----------
    kind
        ``done``; ``absent``: they answer, and have no such request; ``refused``: a definite no; ``away``: certainly not
        processed; ``unclear``: perhaps it was.
    number
        Theirs of the request.
    state
        How it stands with them: ``requested``, ``done``, ``expired``, ``failed`` or ``cancelled``.
    said
        In words.
    """

    kind: Kind
    number: str | None = None
    state: str = ""
    said: str = ""


class Observatory(Protocol):
    """One observatory, spoken to in its own way."""

    looks_up: bool
    """Whether a request can be found again."""
    by_name: bool
    """Whether one can be cancelled by its name alone, its number unknown."""

    def ready(self, payload: Any, row: Row, /) -> Outcome:
        """Ask whether they would take it, and whatever must be there first; ``done`` where there is nothing to ask."""

    def find(self, row: Row, others: Collection[str], /) -> Outcome:
        """Look for a request of that name; where they have no names, for one like it whose number is none of `others`."""

    def post(self, payload: Any, row: Row, /) -> Outcome:
        """Hand it in, once."""

    def stands(self, row: Row, /) -> Outcome:
        """How a request stands."""

    def cancel(self, row: Row, reason: str, /) -> Outcome:
        """Take it back; ``refused`` where they will not, or nobody can."""


class Wire:
    """The way to one observatory: its address, and the token, which is in nothing that is told.

    Parameters
    ----------
    table
        `address`, `token_env` and `auth` of a rule.
    """

    def __init__(self, table: Mapping[str, Any], manners: Manners) -> None:
        self.address = str(table["address"])
        self._timeout = manners.timeout
        # without the end of the line of the file that it is from: that is no token, and would be told in another form
        self.token = os.environ.get(str(table["token_env"]), "").strip() if table["token_env"] else ""
        self.headers: dict[str, str] = {"Accept": "application/json", "User-Agent": "nuncius-too"}
        if self.token and table["auth"] == "headers":
            self.headers |= {"Username": str(table["username"]), "Password": self.token}
        elif self.token and table["auth"] != "session":
            self.headers["Authorization"] = f"{table['auth']} {self.token}"

    def ask(self, method: str, path: str, **more: Any) -> Answer:
        """One exchange; see `consumers.too.exchange.exchange`."""
        headers = {**self.headers, **more.pop("headers", {})}
        return exchange(method, self.address + path, headers=headers, timeout=self._timeout, **more)

    def said(self, answer: Answer) -> str:
        """What an answer says, the token blotted out where they echo it, then cut."""
        return self.blotted(answer.said())[:400]

    def blotted(self, text: str) -> str:
        """A text of theirs without the token."""
        return text.replace(self.token, "***") if self.token else text


def outcome(wire: Wire, answer: Answer, *, number: Any = None, state: str = "requested") -> Outcome:
    """What an answer to a request means, where its success is told by the status alone."""
    if answer.good:
        return Outcome("done", str(number) if number is not None else None, state, wire.said(answer))
    if answer.unprocessed:
        return Outcome("away", said=wire.said(answer))
    if answer.refused and not answer.error:
        return Outcome("refused", said=wire.said(answer))
    return Outcome("unclear", said=wire.said(answer))
