"""A filter sent along with a request, or named in it."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, model_validator

from broker.api.auth import Principal
from broker.api.hidden import Hidden, hidden_from
from broker.api.params import in_order, instant
from broker.api.services import FilterWindow, Services
from broker.errors import NotFoundError
from broker.filtering.definition import FilterSpec, parse_filter

__all__ = ["Asked"]

_TEXT = 'name = "bright"\nversion = 1\nstream = "ztf"\ndescription = "bright"\nwhere = "mag < 18"\n'


class Asked(BaseModel):
    """A filter, and the alerts it is asked about."""

    text: str | None = Field(default=None, max_length=200_000, description="The filter as TOML", examples=[_TEXT])
    name: str | None = Field(default=None, description="Or the name of a live one", examples=["ztf_bright_transients"])
    since: str | None = Field(default=None, description="Alerts from this time on: ISO 8601 or MJD, UTC", examples=["60422"])
    until: str | None = Field(default=None, description="Alerts before this time", examples=["2026-08-08T00:00:00Z"])

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.text is None) == (self.name is None):
            raise ValueError("give either text or name")
        return self

    def window(self, services: Services, asks: Principal) -> FilterWindow:
        """What is asked, and by whom.

        Raises
        ------
        NotFoundError
            No filter that they may see goes by that name.
        UsageError
            The text is no filter, a time is none, or the filter reads a list that they may not see.
        """
        since = instant(self.since, "since") if self.since else None
        until = instant(self.until, "until") if self.until else None
        in_order(since, until)
        hidden = hidden_from(services, asks)
        spec = self._spec(services, hidden)
        hidden.refuse(sorted(spec.columns))
        return FilterWindow(spec, since, until, who=asks.user)

    def _spec(self, services: Services, hidden: Hidden) -> FilterSpec:
        if self.text is not None:
            return parse_filter(self.text, "text", number=1)  # a text may leave it out, as where it is kept
        found = next((spec for spec in services.filters() if spec.name == self.name), None)
        if found is None or found.name in hidden.filters:
            raise NotFoundError(f"no filter {self.name!r}: /api/v1/filters lists them")
        return found
