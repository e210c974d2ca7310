"""What a page is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

__all__ = ["Page"]


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Parameters
    ----------
    path
        Its address; what is in braces is handed to the template as ``params``.
    template
        Its file under ``templates/``.
    title
        Of its link in the header; none, and it has no link.
    context
        What else the template is to know.
    """

    path: str
    template: str
    title: str = ""
    context: Callable[[FastAPI], dict[str, Any]] = lambda _app: {}
