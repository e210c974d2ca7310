"""``deliveries``: what subscriptions were told or are to be told, what became of it, and once more."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from broker.api import cursor as tokens
from broker.api.auth import Asks, Principal
from broker.api.models import Utc
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.api.subscribers import reads, seen
from broker.errors import NotFoundError
from broker.store import deliveries as stored
from broker.store.delivery import Change, State
from broker.store.delivery import Delivery as Kept

__all__ = ["Delivery", "delivery_of", "router"]

Ident = Annotated[str, Path(description="The delivery's", examples=["dlv_0123456789abcdef01234567"])]


class Delivery(BaseModel):
    """A delivery: something that a subscription is told."""

    id: str = Field(description="The same however often it is sent, so that repeats can be told")
    subscription: str = Field(examples=["sub_0123456789ab"])
    filter: str
    version: str
    alert_id: str
    object: str = Field(description="The object's id, else the event's name, else the alert's id")
    change: Change = Field(description="A match, a later word on one, or a test")
    event: str | None = Field(description="On whose account a match is told again")
    revision: int | None
    state: State = Field(description="`failed`: given up; `skipped`: not the first of its object; `cancelled`: wanted no more")
    received: Utc = Field(description="When we had the alert; of what an event brought later, when that was published")
    created: Utc
    due: Utc = Field(description="When it is tried next, where it is pending")
    attempts: int
    tried: Utc | None = Field(description="When it was tried last")
    status: int | None = Field(description="HTTP status of the last answer")
    error: str | None = Field(description="What went wrong the last time")
    acknowledged: Utc | None = Field(description="When its receiver had it")
    digest: str | None = Field(description="The message that it went with, where it went with others")


class WholeDelivery(Delivery):
    """A delivery with what is told."""

    data: Any = Field(description="The `data` of the message; null where nothing is told")


class DeliveryList(BaseModel):
    """A page of deliveries, the newest first."""

    items: list[Delivery]
    next: str | None = Field(default=None, description="Address of the next page; null at the end")


def delivery_of(one: Kept) -> Delivery:
    """A delivery as it is shown."""
    return Delivery.model_validate(asdict(one))


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/deliveries", tags=["subscriptions"], responses=RESPONSES)

    @routes.get("")
    def every(  # noqa: PLR0917 - FastAPI hands them over by name
        request: Request,
        asks: Asks,
        state: Annotated[State | None, Query(description="Only those in a state")] = None,
        subscription: Annotated[str | None, Query(description="Only those of one", examples=["sub_0123456789ab"])] = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
        cursor: Annotated[str | None, Query(description="From the `next` of the page before")] = None,
    ) -> DeliveryList:
        """Deliveries of one's own subscriptions, the newest first; `state=failed` has those that were given up."""
        if subscription is not None:
            seen(services, asks, subscription)
        if not reads(asks):
            return DeliveryList(items=[])
        owner = None if asks.admin else asks.user
        page = stored.listing(services.store, state=state, subscription=subscription, owner=owner, limit=limit, after=cursor)
        return DeliveryList(items=[delivery_of(one) for one in page.items], next=tokens.next_link(request, page.next))

    @routes.get("/{ident}")
    def one(ident: Ident, asks: Asks) -> WholeDelivery:
        """A delivery with what it tells."""
        found = _seen(services, asks, ident)
        return WholeDelivery(**delivery_of(found).model_dump(), data=json.loads(found.body) if found.body else None)

    @routes.post("/{ident}/replay", responses={409: RESPONSES[400]})
    def replay(ident: Ident, asks: Asks) -> Delivery:
        """Have a delivery sent again under its id: one that failed, was cancelled, or got lost where it arrived."""
        _seen(services, asks, ident, change=True)
        return delivery_of(stored.replay(services.store, ident))

    return routes


def _seen(services: Services, asks: Principal, ident: str, *, change: bool = False) -> Kept:
    """A delivery of whoever asks; others' are as if they were not there."""
    try:
        found = stored.get(services.store, ident)
        seen(services, asks, found.subscription, change=change)
    except NotFoundError:
        raise NotFoundError(f"no delivery {ident[:80]!r}: /api/v1/deliveries lists yours") from None
    return found
