"""Telescopes of one's own: the generic JSON request, and RTML documents."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from xml.etree.ElementTree import ParseError, XMLParser

from consumers.too import rtml
from consumers.too.exchange import Answer
from consumers.too.ledger import Row
from consumers.too.observatory import Outcome, Wire, outcome

__all__ = ["Own", "Rtml"]

_STATES: Final = ("requested", "done", "expired", "failed", "cancelled")
_XML: Final = {"Content-Type": "text/xml; charset=utf-8", "Accept": "text/xml"}


class Own:
    """The generic request: ``POST address``, ``GET address?request_id=KEY``, ``POST address/ID/cancel``.

    The key is also sent as ``Idempotency-Key``: a server that heeds it takes a repeated request for the first one.
    """

    by_name = False

    def __init__(self, wire: Wire, table: Mapping[str, Any]) -> None:
        self._wire, self.looks_up = wire, bool(table["lookup"])

    def ready(self, _payload: Any, _row: Row) -> Outcome:
        """Nothing to ask."""
        return Outcome("done")

    def find(self, row: Row, _others: Collection[str] = ()) -> Outcome:
        """Look for our key."""
        answer = self._wire.ask("GET", "", params={"request_id": row.key})
        said = answer.json()
        if not answer.good:
            return outcome(self._wire, answer)
        results = said.get("results") if isinstance(said, dict) else None
        if not isinstance(results, list):
            return Outcome("unclear", said=f"answers no results: {self._wire.said(answer)}")
        for one in results:
            if isinstance(one, dict) and one.get("request_id") == row.key and one.get("id") is not None:
                return _known(one)
        return Outcome("absent", said=f"no request {row.key}")

    def post(self, payload: Any, row: Row) -> Outcome:
        """Hand it in; an answer without an ``id`` leaves it unclear what came of it."""
        answer = self._wire.ask("POST", "", data=payload, headers={"Idempotency-Key": row.key})
        said = answer.json()
        if answer.good and isinstance(said, dict) and said.get("id") is not None:
            return _known(said)
        if answer.good:
            return Outcome("unclear", said=f"taken, it seems, but no id came: {self._wire.said(answer)}")
        return outcome(self._wire, answer)

    def stands(self, row: Row) -> Outcome:
        """Its state, where it can be looked up."""
        return self.find(row) if self.looks_up else Outcome("done", row.number, "requested")

    def cancel(self, row: Row, reason: str) -> Outcome:
        """Take it back."""
        body = {"type": "nuncius.cancel", "version": 1, "request_id": row.key, "name": row.name, "reason": reason}
        return outcome(self._wire, self._wire.ask("POST", f"/{row.number}/cancel", data=body), state="cancelled")


class Rtml:
    """RTML documents, posted as XML; answered with one of mode ``confirm`` or ``reject``.

    There is no way to look a request up again: one whose fate is unclear stays so, and is not posted again.
    """

    looks_up = False
    by_name = True

    def __init__(self, wire: Wire, table: Mapping[str, Any]) -> None:
        self._wire, self._table = wire, table

    def ready(self, _payload: Any, _row: Row) -> Outcome:
        """Nothing to ask."""
        return Outcome("done")

    def find(self, _row: Row, _others: Collection[str]) -> Outcome:
        """Not to be had."""
        return Outcome("unclear", said="RTML has no list of requests: ask the observatory")

    def post(self, payload: Any, row: Row) -> Outcome:
        """Hand it in."""
        return self._told(self._wire.ask("POST", "", content=str(payload), headers=_XML), row, "requested")

    def stands(self, row: Row) -> Outcome:
        """Not to be had."""
        return Outcome("done", row.number, "requested")

    def cancel(self, row: Row, reason: str) -> Outcome:
        """Send a document of mode ``abort``."""
        document = rtml.abort_document(row.name, self._table, datetime.now(UTC), reason)
        return self._told(self._wire.ask("POST", "", content=document, headers=_XML), row, "cancelled")

    def _told(self, answer: Answer, row: Row, state: str) -> Outcome:
        if not answer.good:
            return outcome(self._wire, answer)
        mode, uid = _mode(answer.body)
        if mode in {"confirm", "offer", "acknowledged", "update"}:
            return Outcome("done", uid or row.name, state, f"mode {mode}")
        if mode in {"reject", "fail"}:
            return Outcome("refused", said=f"mode {mode}: {self._wire.said(answer)}")
        return Outcome("unclear", said=f"answers no RTML of mode confirm or reject: {self._wire.said(answer)}")


def _mode(body: bytes) -> tuple[str, str]:
    """Mode and uid of an answer, from its first element alone: nothing of what they send is expanded or kept."""
    first: list[Mapping[str, str]] = []

    class First:
        def start(self, tag: str, attributes: Mapping[str, str]) -> None:
            if not first:
                first.append(dict(attributes) if tag.rpartition("}")[2] == "RTML" else {})

        def close(self) -> None:
            """Nothing is built."""

    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        return "", ""
    try:
        parser = XMLParser(target=First())  # noqa: S314 - no entities: refused above
        parser.feed(body)
        parser.close()
    except ParseError:
        return "", ""
    return (first[0].get("mode", ""), first[0].get("uid", "")) if first else ("", "")


def _known(one: Mapping[str, Any]) -> Outcome:
    state = str(one.get("state", "requested"))
    return Outcome("done", str(one["id"]), state if state in _STATES else "requested", f"state {state}")
