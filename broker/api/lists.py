"""What the resources of watchlists and regions have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from broker.api.models import Utc
from broker.api.problems import RESPONSES
from broker.filtering.definition import FilterSpec

__all__ = ["IN_USE", "TAKEN", "Described", "refuse_in_use"]

TAKEN: Final[dict[int | str, dict[str, Any]]] = {
    409: {"description": "There is one of that name", "content": RESPONSES[400]["content"]},
}
IN_USE: Final[dict[int | str, dict[str, Any]]] = {
    409: {"description": "Live filters ask for it", "content": RESPONSES[400]["content"]},
}


class Described(BaseModel):
    """What is said of a list."""

    description: str
    owner: str | None = None
    visibility: str = Field(description="`private`, `team` or `public`")
    created: Utc = Field(description="UTC")
    who: str | None = Field(default=None, description="Who made it")


def refuse_in_use(filters: Sequence[FilterSpec], what: str, columns: Iterable[str]) -> None:
    """Answer 409 where a live filter reads one of the columns."""
    asked = set(columns)
    using = [spec.name for spec in filters if spec.active and not asked.isdisjoint(spec.columns)]
    if using:
        raise HTTPException(409, f"{what} is asked for by {', '.join(using)}: take it out of there, or say force=true")
