"""One filter: its text in an editor, its versions, what it would have picked and what it picks; and a new one."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from broker.api.pages.page import Page
from broker.filtering.functions import FUNCTIONS

__all__ = ["NEW", "PAGE"]


def _functions(_app: FastAPI) -> dict[str, Any]:
    """What can be called, for the editor to offer: name, the way to call it, its result and what it means."""
    told = []
    for name, function in sorted(FUNCTIONS.items()):
        parameters = max(function.signatures, key=len)
        call = f"{name}({', '.join(one.name for one in parameters)}{', ...' if function.repeats else ''})"
        told.append([name, call, function.result or "", function.about])
    return {"functions": told}


NEW = Page("/filters/new", "filter.html", context=_functions)  # before the other, whose name it would be
PAGE = Page("/filters/{name}", "filter.html", context=_functions)
