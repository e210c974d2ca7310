"""What is sent to each kind of observatory, held against its rules before it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from consumers.too import generic, lco, lco_rules, rtml, skyportal, swift
from consumers.too.request import Payload, Request

__all__ = ["build", "problems"]

_BUILD: Final[Mapping[str, Callable[[Request], Payload]]] = {
    "json": generic.generic_request,
    "lco": lco.requestgroup,
    "rtml": rtml.request_document,
    "skyportal": skyportal.followup_request,
    "skyportal_plan": skyportal.observation_plan,
    "swift": swift.too,
}


def build(request: Request) -> Payload:
    """The payload of a request, for the kind of observatory that its rule names."""
    return _BUILD[request.rule.target](request)


def problems(kind: str, payload: Any, now: datetime) -> list[str]:
    """Where a payload breaks the rules that its observatory has published; empty where it does not."""
    if kind == "lco":
        return lco_rules.problems(payload, now)
    if kind == "swift":
        return swift.problems(payload)
    return []
