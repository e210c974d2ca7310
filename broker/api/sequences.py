"""``sequences`` and ``events/{name}/sequence``: which event was followed by whom, after how long, in what light."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from broker.api.cursor import next_link
from broker.api.models import Utc
from broker.api.params import in_order, instant
from broker.api.problems import RESPONSES
from broker.api.reported import Range, range_of
from broker.api.services import Services
from broker.store import sequences as stored
from broker.store.events import canonical_name
from broker.store.sequence_steps import Asked, Step

__all__ = ["router"]


class SequenceStep(BaseModel):
    """Something that was told of an event, or done about it."""

    time: Utc = Field(description="When it was told, or done")
    until: Utc = Field(description="When last, where it stands for several")
    dt: float | None = Field(description="Seconds after the event")
    who: str = Field(description="Mission and instrument, telescope, survey, or who wrote", examples=["Swift XRT"])
    what: str = Field(description="`notice`, `circular`, `alert` (in the event's sky map) or `observation`")
    own: bool = Field(description="By the mission that found the event: no follow-up")
    messenger: str | None = None
    band: str | None = None
    spectrum: Range
    status: str | None = Field(default=None, description="Of observations: `planned` or `completed`")
    count: int = Field(description="How many notices, alerts or observations it stands for")
    title: str | None = Field(default=None, description="Type of the notice, subject of the circular")
    alert_id: str | None = Field(default=None, description="The notice, the circular, or one of the alerts")


class EventSequence(BaseModel):
    """What became of an event, from detection to follow-up."""

    event: str = Field(examples=["S240422ed"])
    time: Utc | None = Field(description="Of the event")
    messenger: str | None = None
    mission: str | None = None
    state: str | None = Field(
        default=None,
        description="`retracted` where the event was taken back, else how far its notices are",
        examples=["update"],
    )
    test: bool = Field(description="A test, mock, injection or commanded event")
    followed_after: float | None = Field(description="Seconds from the event to the first follow-up among these steps")
    steps: list[SequenceStep] = Field(description="The first one first")


class SequencePage(BaseModel):
    """Sequences, that of the latest event first."""

    items: list[EventSequence]
    next: str | None = Field(
        default=None, description="Address of the next page; null at the end. A page may be empty before that"
    )


def shown(found: stored.FollowUp) -> EventSequence:
    """A sequence as answers have it."""
    event = found.event
    return EventSequence(
        event=event["event_name"],
        time=event["time"],
        messenger=event["messenger"],
        mission=event["mission"],
        state=event["state"],
        test=not event["real"],
        followed_after=_after(found.steps),
        steps=[_step(step) for step in found.steps],
    )


def _after(steps: Sequence[Step]) -> float | None:
    times = [step.dt for step in steps if not step.own and step.dt is not None and step.status != "planned"]
    return min((dt for dt in times if dt >= 0.0), default=None)


def _step(step: Step) -> SequenceStep:
    plain = {name: getattr(step, name) for name in SequenceStep.model_fields if name != "spectrum"}
    return SequenceStep(**plain, spectrum=range_of(step.spectrum))


def router(services: Services) -> APIRouter:
    """Routes of this resource. Those of `broker.api.events` must stand behind them."""
    routes = APIRouter(tags=["follow-up"], responses=RESPONSES)

    @routes.get("/sequences")
    def sequences(  # noqa: PLR0917 - FastAPI hands them over by name
        request: Request,
        mission: Annotated[str | None, Query(description="Of events that this mission found", examples=["Fermi"])] = None,
        messenger: Annotated[
            str | None, Query(description="Of events of this messenger", examples=["GW", "EM", "Neutrino"])
        ] = None,
        band: Annotated[
            str | None, Query(description="Followed in this band, or in this part of the spectrum", examples=["r", "x-ray"])
        ] = None,
        telescope: Annotated[
            str | None,
            Query(description="Followed by whom: mission, telescope, survey, or a part of it", examples=["Swift", "ZTF"]),
        ] = None,
        within: Annotated[
            float | None, Query(ge=0, allow_inf_nan=False, description="Followed within so many seconds", examples=[3600])
        ] = None,
        since: Annotated[str | None, Query(description="Of events from this time on: ISO 8601 or MJD, UTC")] = None,
        until: Annotated[str | None, Query(description="Of events before this time: ISO 8601 or MJD, UTC")] = None,
        real: Annotated[bool, Query(description="Leave out tests, mock events, injections and commanded events")] = False,
        limit: Annotated[int, Query(ge=1, le=1000, description="Sequences a page")] = 100,
        cursor: Annotated[str | None, Query(description="From the `next` of the page before")] = None,
    ) -> SequencePage:
        """Detection-to-follow-up sequences: which event was followed by whom, after how long, in what light.

        Of each event that was followed as is asked for, the first detection and those steps.
        """
        begin, end = (instant(text, name) if text else None for text, name in ((since, "since"), (until, "until")))
        in_order(begin, end)
        page = stored.listing(
            services.store,
            Asked(telescope, band, within),
            mission=mission,
            messenger=messenger,
            since=begin,
            until=end,
            real_only=real,
            limit=limit,
            cursor=cursor,
        )
        return SequencePage(items=[shown(one) for one in page.sequences], next=next_link(request, page.cursor))

    @routes.get("/events/{name:path}/sequence")
    def of_event(
        name: Annotated[str, Path(description="Event name or any alias, percent-encoded", examples=["S240422ed"])],
    ) -> EventSequence:
        """What became of an event: notices, circulars, alerts in its sky map and reported observations, the first one first."""
        return shown(stored.of_event(services.store, canonical_name(services.store, name)))

    return routes
