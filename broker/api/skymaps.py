"""``events/{name}/skymap`` and ``skymaps``: maps of events in any form, pictures of them; what a map sent to us says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from broker.api.packets import filename
from broker.api.params import instant
from broker.api.problems import RESPONSES, TooBusyError
from broker.api.services import Services
from broker.api.uploads import TOO_LARGE, file_body, received
from broker.errors import NotFoundError
from broker.science import moc
from broker.science.skymap import SkyMap
from broker.science.skymap_info import info
from broker.science.skymap_write import write_skymap
from broker.science.skyplot import View, draw
from broker.store import events as stored

__all__ = ["router"]

WAIT = 10.0
"""Seconds a map sent to us waits for its turn to be read."""
AT_ONCE = 2  # a large map takes a gigabyte

EventName = Annotated[str, Path(description="Event name, percent-encoded", examples=["S240422ed"])]


class MapFormat(StrEnum):
    """Forms of a map."""

    fits = "fits"
    info = "info"
    moc_fits = "moc-fits"
    moc_json = "moc-json"
    moc_ascii = "moc-ascii"
    contours = "contours"
    png = "png"
    svg = "svg"


_MEDIA = {
    MapFormat.fits: ("application/fits", "multiorder.fits"),
    MapFormat.info: ("application/json", "json"),
    MapFormat.moc_fits: ("application/fits", "moc.fits"),
    MapFormat.moc_json: ("application/json", "moc.json"),
    MapFormat.moc_ascii: ("text/plain; charset=utf-8", "moc.txt"),
    MapFormat.contours: ("application/geo+json", "json"),
    MapFormat.png: ("image/png", "png"),
    MapFormat.svg: ("image/svg+xml", "svg"),
}


class MapInfo(BaseModel):
    """What a sky map says."""

    order: int = Field(description="Finest HEALPix order")
    cells: int = Field(description="Cells, neighbours that are alike counted as one")
    dimensions: int = Field(description="3 where it has distances, else 2")
    area50: float = Field(description="Square degrees")
    area90: float = Field(description="Square degrees")
    distmean: float | None = Field(default=None, description="Mpc")
    diststd: float | None = Field(default=None, description="Mpc")
    normalised: bool = Field(description="Whether its probabilities summed to 1 as it came")
    total: float = Field(description="What they summed to")
    ra: float = Field(description="Likeliest place, degrees, ICRS")
    dec: float
    name: str | None = None
    time: str | None = None
    creator: str | None = None
    instruments: str | None = None


class Inside(BaseModel):
    """Probability inside a circle."""

    name: str
    ra: float
    dec: float
    radius: float
    probability: float


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The map", "content": {media.partition(";")[0]: {} for media, _ in _MEDIA.values()}}
}
_REFUSALS: dict[int | str, dict[str, Any]] = TOO_LARGE | {
    422: {"description": "The map is refused, and why", "content": RESPONSES[400]["content"]},
}


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(tags=["sky maps"], responses=RESPONSES)
    turn = threading.BoundedSemaphore(AT_ONCE)

    def map_of(name: str) -> tuple[str, SkyMap]:
        event = stored.get_event(services.store, name)
        if not event["map_path"]:
            raise NotFoundError(f"event {name!r} has no sky map")
        return event["event_name"], services.skymap(event["map_path"])

    @routes.get("/events/{name:path}/skymap/probability")
    def probability(
        name: EventName,
        ra: Annotated[float, Query(ge=-360, le=360, description="Degrees, ICRS")],
        dec: Annotated[float, Query(ge=-90, le=90, description="Degrees, ICRS")],
        radius: Annotated[float, Query(gt=1e-4, le=180, description="Degrees")],
    ) -> Inside:
        """Probability that an event lies inside a circle, such as a telescope's field."""
        event, skymap = map_of(name)
        inside = moc.contains(moc.disc_ranges(ra, dec, radius), skymap)
        return Inside(name=event, ra=ra, dec=dec, radius=radius, probability=inside)

    @routes.get("/events/{name:path}/skymap", response_class=Response, responses=_ANSWERS)
    def skymap(  # noqa: PLR0917 - FastAPI hands them over by name
        name: EventName,
        fmt: Annotated[MapFormat, Query(alias="format", description="What form it is to have")] = MapFormat.fits,
        level: Annotated[float, Query(gt=0, le=1, description="Of `moc-*`: probability inside")] = 0.9,
        zoom: Annotated[bool, Query(description="Of pictures: only the part of the sky where the map is")] = False,
        radius: Annotated[
            float | None, Query(ge=1e-3, le=90, description="Of zoomed pictures: half the width, degrees")
        ] = None,
        time: Annotated[str | None, Query(description="Of pictures, for Sun and Moon: ISO 8601 or MJD, UTC")] = None,
        candidates: Annotated[bool, Query(description="Of pictures: mark the alerts inside the map")] = True,
    ) -> Response:
        """An event's latest map: multi-order FITS, numbers, credible region as a coverage map (MOC), contours, picture.

        Pictures have the 50 and 90 % contours, the galactic plane, Sun and Moon at the event's time, and the candidates.
        """
        when = instant(time, "time") if time else stored.get_event(services.store, name)["time"]
        event, found = map_of(name)
        marked = services.candidates(event) if candidates and fmt in {MapFormat.png, MapFormat.svg} else ()
        view = View(zoom or radius is not None, radius, when, marked, event)
        return _answer(found, fmt, level, view)

    @routes.post("/skymaps", responses=_REFUSALS, openapi_extra=file_body("application/fits"))
    async def upload(request: Request) -> MapInfo:
        """What a map sent to us says: FITS, or a notice that brings a map or an error circle, as the body or as a form's file.

        Nothing of it is kept.
        """
        with TemporaryDirectory(prefix="nuncius-map-") as folder:
            remedy = "send the map multi-order, or gzipped"
            sent = await received(request, FilePath(folder), services.max_upload, remedy)
            return await run_in_threadpool(measured, sent.file)

    def measured(file: FilePath) -> MapInfo:
        with _taken(turn):
            return MapInfo.model_validate(info(services.read_map(file)))

    return routes


def _answer(skymap: SkyMap, fmt: MapFormat, level: float, view: View) -> Response:
    media, ending = _MEDIA[fmt]
    headers = {"Content-Disposition": f'inline; filename="{filename(view.title, ending)}"', "Cache-Control": "no-cache"}
    body: bytes | str
    match fmt:
        case MapFormat.fits:
            body = write_skymap(skymap)
        case MapFormat.info:
            body = MapInfo.model_validate(info(skymap)).model_dump_json()
        case MapFormat.contours:
            body = json.dumps(moc.to_geojson(skymap, (0.5, 0.9)))
        case MapFormat.moc_fits:
            body = moc.to_fits(moc.moc_of(skymap, level))
        case MapFormat.moc_json:
            body = json.dumps(moc.to_json(moc.moc_of(skymap, level)))
        case MapFormat.moc_ascii:
            body = moc.to_ascii(moc.moc_of(skymap, level))
        case MapFormat.png | MapFormat.svg:
            body = draw(skymap, "png" if fmt is MapFormat.png else "svg", view)
    return Response(body, media_type=media, headers=headers)


@contextmanager
def _taken(turn: threading.BoundedSemaphore) -> Iterator[None]:
    if not turn.acquire(timeout=WAIT):
        raise TooBusyError("as many maps as we read at once are being read; try again")
    try:
        yield
    finally:
        turn.release()
