"""``events/{name}/observations`` and ``events/{name}/coverage``: what observers did about an event, and what they covered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from broker.api.auth import Asks
from broker.api.cursor import next_link
from broker.api.problems import RESPONSES
from broker.api.reported import DepthUnit, Kept, Observation, ObservationsIn, Range, may_take_out, range_of
from broker.api.services import Services
from broker.errors import NotFoundError
from broker.science import coverage as science
from broker.store import events
from broker.store import observations as stored
from broker.store.observations import Status
from broker.store.sequence_steps import spectrum_of

__all__ = ["router"]

MOST_BANDS: Final = 20  # that a coverage tells of

EventName = Annotated[str, Path(description="Event name or any alias, percent-encoded", examples=["S240422ed"])]
ObservationId = Annotated[str, Path(description="Ours", examples=["obs_0a1b2c3d4e5f0a1b2c3d4e5f"])]


class Observations(BaseModel):
    """Observations of an event, the first one first."""

    event: str = Field(description="The name the event goes by")
    items: list[Observation]
    next: str | None = Field(default=None, description="Address of the next page; null at the end")


class _Covered(BaseModel):
    probability: float | None = Field(description="Of the event's latest sky map; null where it has none")
    area: float = Field(description="Square degrees")
    observations: int


class DepthCovered(_Covered):
    """What is covered at least so deep."""

    depth: float = Field(description="In `depth_unit`: halves of magnitudes, and 1, 2 or 5 of a power of ten of fluxes")
    depth_unit: str


class BandCovered(_Covered):
    """What is covered in one band."""

    band: str | None
    spectrum: Range
    depths: list[DepthCovered] = Field(description="Down to which limit: the shallowest first")


class Coverage(_Covered):
    """What observations of an event cover together; fields that overlap count once."""

    event: str = Field(description="The name the event goes by")
    revision: int | None = Field(description="Of the event, that brought the map")
    planned: bool = Field(description="Whether what is only planned counts")
    bands: list[BandCovered] = Field(
        description="Those with the most probability first; of more than 20 those with the most observations"
    )


_MADE: dict[int | str, dict[str, Any]] = {
    200: {"description": "All were there already"},
    201: {"description": "Some are new", "model": Kept},
    409: RESPONSES[400] | {"description": "One of them cannot become what it is said to be"},
}


def router(services: Services) -> APIRouter:
    """Routes of this resource. Those of `broker.api.events` must stand behind them."""
    routes = APIRouter(prefix="/events", tags=["follow-up"], responses=RESPONSES)

    @routes.post("/{name:path}/observations", responses=_MADE)
    def post(name: EventName, sent: ObservationsIn, asks: Asks, response: Response) -> Kept:
        """Report what was, will or will not be observed of an event: all are kept, or none.

        An `id` of your own makes sending again harmless, and lets what was `planned` become `completed` or `cancelled`.
        """
        event = events.canonical_name(services.store, name)
        rows = [one.row(asks.name) for one in sent.observations]
        done = stored.post(services.store, event, rows, who=asks.name)
        response.status_code = 201 if done.new else 200
        items = [Observation.of(row) for row in done.observations]
        return Kept(event=event, new=done.new, changed=done.changed, unchanged=done.unchanged, items=items)

    @routes.delete("/{name:path}/observations/{observation_id}", status_code=204)
    def remove(name: EventName, observation_id: ObservationId, asks: Asks) -> Response:
        """Take out an observation that should never have been sent; who sent it may, and administrators.

        What was observed and is not to count is better sent again as `cancelled`: that stays to be seen.
        """
        event, row = events.canonical_name(services.store, name), stored.get(services.store, observation_id)
        if row["event_name"] != event:
            raise NotFoundError(f"observation {observation_id[:80]!r} is not of event {event!r}")
        may_take_out(asks, row)
        stored.remove(services.store, observation_id)
        return Response(status_code=204)

    @routes.get("/{name:path}/observations")
    def listing(  # noqa: PLR0917 - FastAPI hands them over by name
        request: Request,
        name: EventName,
        status: Annotated[Status | None, Query(description="Only those in this state")] = None,
        band: Annotated[str | None, Query(description="Only those in this band")] = None,
        telescope: Annotated[str | None, Query(description="Only those of this telescope")] = None,
        reporter: Annotated[str | None, Query(description="Only those of this reporter")] = None,
        limit: Annotated[int, Query(ge=1, le=10_000, description="Observations a page")] = 1000,
        cursor: Annotated[str | None, Query(description="From the `next` of the page before")] = None,
    ) -> Observations:
        """Observations of an event that were reported, the first one first."""
        event = events.canonical_name(services.store, name)
        wanted = {"status": status, "band": band, "telescope": telescope, "reporter": reporter}
        page = stored.page(services.store, event, limit=limit, cursor=cursor, **wanted)
        items = [Observation.of(row) for row in page.observations]
        return Observations(event=event, items=items, next=next_link(request, page.cursor))

    @routes.get("/{name:path}/coverage")
    def coverage(  # noqa: PLR0917 - FastAPI hands them over by name
        name: EventName,
        planned: Annotated[bool, Query(description="Count what is only planned, too")] = False,
        band: Annotated[str | None, Query(description="Only in this band")] = None,
        telescope: Annotated[str | None, Query(description="Only by this telescope")] = None,
        depth: Annotated[
            float | None, Query(gt=-1e30, lt=1e30, allow_inf_nan=False, description="Only what is known to reach this limit")
        ] = None,
        depth_unit: Annotated[DepthUnit, Query(description="Of `depth`")] = "ab_mag",
    ) -> Coverage:
        """How much of the event's latest sky map observations cover, by band and limit; fields that overlap count once."""
        event = events.get_event(services.store, name)
        skymap = services.skymap(event["map_path"]) if event["map_path"] else None
        states = (stored.PLANNED, stored.COMPLETED) if planned else (stored.COMPLETED,)
        rows = [
            row
            for row in stored.of_events(services.store, [event["event_name"]], states)
            if band in {None, row["band"]}
            and telescope in {None, row["telescope"]}
            and (event["time"] is None or row["time"] >= event["time"])  # what was there before cannot have shown it
        ]
        looked = [(row, field_of(row)) for row in rows]
        if depth is not None:
            looked = [(row, field) for row, field in looked if science.deep_enough(field, depth, depth_unit)]
        whole = science.covered([field for _, field in looked], skymap)
        # Anybody may report any band, and each takes a union of fields for each of its limits.
        named = Counter(row["band"] for row, _ in looked).most_common(MOST_BANDS)
        bands = [_band(each, looked, skymap) for each, _ in named]
        return Coverage(
            event=event["event_name"],
            revision=event["map_revision"],
            planned=planned,
            probability=whole.probability,
            area=whole.area,
            observations=len(looked),
            bands=sorted(bands, key=lambda one: (-(one.probability or 0.0), -one.area, one.band or "")),
        )

    return routes


def field_of(row: Mapping[str, Any]) -> science.Field:
    """Where an observation, as the store has it, looked, and how deep."""
    return science.Field(row["ra"], row["dec"], row["footprint"], row["band"], row["depth"], row["depth_unit"])


def _band(name: str | None, looked: Sequence[tuple[Mapping[str, Any], science.Field]], skymap: Any) -> BandCovered:
    rows = [row for row, _ in looked if row["band"] == name]
    fields = [field for row, field in looked if row["band"] == name]
    whole = science.covered(fields, skymap)
    depths = []
    for depth, unit in science.depth_steps(fields):
        deep = [field for field in fields if science.deep_enough(field, depth, unit)]
        found = science.covered(deep, skymap)
        depths.append(
            DepthCovered(depth=depth, depth_unit=unit, probability=found.probability, area=found.area, observations=len(deep))
        )
    seen = next((spectrum for row in rows if (spectrum := spectrum_of(row)) is not None), None)
    return BandCovered(
        band=name,
        spectrum=range_of(seen),
        probability=whole.probability,
        area=whole.area,
        observations=len(fields),
        depths=depths,
    )
