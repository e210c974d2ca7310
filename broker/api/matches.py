"""``matches``: the latest, or those since a number."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from broker.api.auth import Asks
from broker.api.convert import alert_of
from broker.api.hidden import hidden_from
from broker.api.models import Match, MatchPage
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.errors import NotFoundError
from broker.store import matches as stored

__all__ = ["router"]

LARGEST_SEQ = 2**63 - 1


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(tags=["matches"], responses=RESPONSES)

    @routes.get("/matches")
    def matches(
        request: Request,
        asks: Asks,
        filter: Annotated[str | None, Query(description="Of one filter", examples=["ztf_bright_transients"])] = None,  # noqa: A002
        since: Annotated[int | None, Query(ge=0, le=LARGEST_SEQ, description="Those numbered above this, oldest first")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> MatchPage:
        """The latest matches, newest first; with `since`, what came after that one, oldest first.

        Poll the address in `next` to get each match once; `/live` sends them without polling.
        """
        hidden = hidden_from(services, asks)
        if since is None:
            rows = stored.latest(services.store, filter_name=filter, limit=limit, without=hidden.filters)
        else:
            rows = stored.since(services.store, since, filter_name=filter, limit=limit, without=hidden.filters)
        known = {spec.name for spec in services.filters()} - hidden.filters
        if filter is not None and not rows and filter not in known:
            message = f"no filter {filter!r}: /api/v1/filters lists them"
            raise NotFoundError(message)
        items = [Match(**{**row, "alert": alert_of(hidden.kept(row["alert"]))}) for row in rows]
        newest = max((row["seq"] for row in rows), default=since or 0)
        return MatchPage(items=items, next=f"{request.url.path}?{request.url.include_query_params(since=newest).query}")

    return routes
