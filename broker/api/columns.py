"""``streams/{stream}/columns`` and ``filters/check``: what filters can name, and whether one is right before it is kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, model_validator

from broker.api.auth import Asks
from broker.api.hidden import hidden_from
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.errors import NotFoundError, UsageError
from broker.filtering.definition import MOST_TEXT

__all__ = ["router"]


class Column(BaseModel):
    """A column that filters of a stream can name."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(examples=["candidate.rb"])
    type: str = Field(description="text, number, integer, boolean, time, list, bytes or unknown", examples=["number"])
    unit: str = Field(description="Empty where it has none", examples=["mag"])
    meaning: str = Field(examples=["one sigma"])
    source: str = Field(description="Where it is from: common, packet, notice, a catalogue, ...", examples=["packet"])


class ColumnList(BaseModel):
    """Every column known of a stream."""

    items: list[Column]
    whole: bool = Field(description="Whether there are no others")
    note: str = Field(description="Why there can be others")


class Draft(BaseModel):
    """A filter to be checked: its file, or its condition alone."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(default=None, max_length=MOST_TEXT, description="The TOML file")
    where: str | None = Field(default=None, max_length=MOST_TEXT, description="The condition", examples=["mag < 18"])
    stream: str | None = Field(default=None, description="Stream that must have its columns", examples=["ztf"])

    @model_validator(mode="after")
    def _one(self) -> Draft:
        if (self.text is None) == (self.where is None):
            raise ValueError("send either text, the file of a filter, or where, its condition")
        return self


class Wrong(BaseModel):
    """Something wrong with a filter."""

    message: str
    line: int | None = Field(description="In the file, or in the condition; from 1")
    column: int | None = Field(description="In that line; from 1")
    word: str | None = Field(description="What stands there", examples=["candidate.rbb"])
    nearest: str | None = Field(description="The known name nearest to it", examples=["candidate.rb"])
    key: str | None = Field(description="Key of the file", examples=["where"])


class Verdict(BaseModel):
    """What came of a check."""

    ok: bool
    faults: list[Wrong]
    warnings: list[str] = Field(description="What it may be well to know")


def router(services: Services) -> APIRouter:
    """Routes of this resource. They must stand before those of `broker.api.filters`."""
    routes = APIRouter(tags=["filters"], responses=RESPONSES)

    @routes.get("/streams/{stream}/columns")
    def columns(stream: Annotated[str, Path(examples=["ztf"])], asks: Asks) -> ColumnList:
        """Every column that filters of a stream can name, with type, unit and meaning."""
        try:
            known = services.columns(stream, hidden_from(services, asks).lists)
        except UsageError as error:
            raise NotFoundError(str(error)) from error
        return ColumnList(items=[Column.model_validate(one) for one in known.columns], whole=known.whole, note=known.note)

    @routes.post("/filters/check")
    def check(draft: Draft, asks: Asks) -> Verdict:
        """Whether a filter is right: grammar, names, columns of the stream, kinds, worked examples. Nothing is kept."""
        hidden = hidden_from(services, asks).lists
        if draft.text is not None:
            found = services.check_filter(draft.text, draft.stream, hidden)
        else:
            found = services.check_condition(draft.where or "", draft.stream, hidden)
        faults = [
            Wrong(
                message=one.message,
                line=one.line or None,
                column=one.column or None,
                word=one.word or None,
                nearest=one.nearest or None,
                key=one.key or None,
            )
            for one in found.faults
        ]
        return Verdict(ok=found.ok, faults=faults, warnings=list(found.warnings))

    return routes
