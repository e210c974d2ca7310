"""``backtests``: what a filter would have picked."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from broker.api.asked import Asked
from broker.api.auth import Asks, Principal
from broker.api.hidden import hidden_from
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.errors import NotFoundError

__all__ = ["router"]

JobId = Annotated[str, Path(description="As the answer to the request for it told", examples=["9f0c3a6d1b2e4f58"])]


class Wanted(Asked):
    """A filter and a window of time."""

    force: bool = Field(default=False, description="However large a part of the alerts it picks")


class Started(BaseModel):
    """A backtest under way."""

    id: str = Field(description="Ask for `backtests/{id}`", examples=["9f0c3a6d1b2e4f58"])


class Backtest(BaseModel):
    """How a backtest stands."""

    id: str
    state: Literal["running", "done", "failed"]
    done: int = Field(description="Alerts asked about, or notices played again")
    total: int = Field(description="Of about so many; 0 where not known yet")
    result: dict[str, Any] | None = Field(
        description="`evaluated`, `matched`, `share`, `per_night`, `nights`, `magnitudes`, `overlap`, `samples`, `warnings`, "
        "`matches` (the first 10,000), and `refused`: why it may not go live, if it may not"
    )
    error: str | None = Field(description="Why it failed")


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/backtests", tags=["filters"], responses=RESPONSES)

    @routes.post("", status_code=202)
    def start(wanted: Wanted, asks: Asks) -> Started:
        """Begin a backtest: what a filter would have picked, each alert held against what was known when it came."""
        return Started(id=services.backtests.start(replace(wanted.window(services, asks), force=wanted.force)))

    @routes.get("/{job_id}")
    def one(job_id: JobId, asks: Asks) -> Backtest:
        """How a backtest stands, and what came of it. The newest are kept in memory: a restart forgets them."""
        return Backtest.model_validate(_of(services, asks, job_id))

    @routes.get(
        "/{job_id}/plot.png",
        response_class=Response,
        responses={200: {"description": "The picture", "content": {"image/png": {}}}},
    )
    def plot(job_id: JobId, asks: Asks) -> Response:
        """A picture of a backtest: its nights, and the magnitudes of what was picked."""
        _of(services, asks, job_id)
        return Response(services.backtests.plot(job_id), media_type="image/png")

    return routes


def _of(services: Services, asks: Principal, job_id: str) -> dict[str, Any]:
    """A backtest of whoever asks, without the filters they may not see; `NotFoundError` where it is others'."""
    found = dict(services.backtests.get(job_id))
    if found.pop("who", None) != asks.user and not asks.admin:
        raise NotFoundError(f"no backtest {job_id!r}: only who began one can ask for it, while it is kept")
    result = found["result"]
    if result is not None and "overlap" in result:
        hidden = hidden_from(services, asks).filters
        overlap = {name: count for name, count in result["overlap"].items() if name not in hidden}
        found["result"] = {**result, "overlap": overlap}
    return found
