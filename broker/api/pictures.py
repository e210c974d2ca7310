"""``alerts/{id}/light-curve.png`` and ``/finding-chart.png``: what cards show, for everyone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final

from fastapi import APIRouter, Response

from broker.api.packets import AlertId, CutoutKind
from broker.api.problems import RESPONSES, TooBusyError
from broker.api.services import Services
from broker.errors import NotFoundError
from broker.science import finding_chart, lightcurve_plot
from broker.store import alerts as stored

__all__ = ["router"]

_PICTURE: Final[dict[int | str, dict[str, Any]]] = {200: {"description": "The picture", "content": {"image/png": {}}}}
_SECONDS: Final = 300  # that a picture may be kept: others' alerts may add to it
TURN_SECONDS: Final = 5.0  # that a picture waits for others
_MJD: Final = datetime(1858, 11, 17, tzinfo=UTC)


def router(services: Services) -> APIRouter:
    """Routes of this resource. They must stand before ``alerts/{id}``, which would swallow them."""
    routes = APIRouter(prefix="/alerts", tags=["alerts"], responses=RESPONSES)
    keep = {"Cache-Control": f"{services.auth.caches}, max-age={_SECONDS}", "X-Content-Type-Options": "nosniff"}
    drawing = Lock()  # one at a time: each takes a core for its time

    @routes.get("/{alert_id:path}/light-curve.png", response_class=Response, responses=_PICTURE)
    def light_curve(alert_id: AlertId) -> Response:
        """A picture of the light curve of an alert's object, as cards have it; the alert's own point has a ring."""
        alert = stored.get(services.store, alert_id)
        object_id, now = alert["object_id"], _mjd(alert["time"])
        points = services.light_curve(object_id) if object_id else None
        with _turn(drawing):
            image = points is not None and lightcurve_plot.draw(points, title=object_id, now=now)
        if not image:
            raise NotFoundError(f"alert {alert_id!r} has no light curve: its object has no measurement with a magnitude")
        return Response(image, media_type="image/png", headers=keep)

    @routes.get("/{alert_id:path}/finding-chart.png", response_class=Response, responses=_PICTURE)
    def chart(alert_id: AlertId) -> Response:
        """Where an alert is among its neighbours: on its science image, or among the sources of the catalogues built here."""
        alert = stored.get(services.store, alert_id)
        ra, dec = alert["ra"], alert["dec"]
        if ra is None or dec is None:
            raise NotFoundError(f"alert {alert_id!r} has no position, so there is no chart to find it by")
        cutout, sources = services.cutout(alert_id, CutoutKind.science.value), services.neighbours(ra, dec)
        with _turn(drawing):
            image = finding_chart.draw(
                ra,
                dec,
                cutout,
                stream=alert["stream"],
                sources=sources,
                title=alert["object_id"] or alert_id,
                note=f"{ra:.6f} {dec:+.6f} (ICRS, degrees)",
            )
        return Response(image, media_type="image/png", headers=keep)

    return routes


@contextmanager
def _turn(drawing: Lock) -> Iterator[None]:
    """Alone, or not at all: who waits has one of the API's threads."""
    if not drawing.acquire(timeout=TURN_SECONDS):
        raise TooBusyError("many pictures are being drawn: ask again in a moment")
    try:
        yield
    finally:
        drawing.release()


def _mjd(time: datetime | None) -> float | None:
    return None if time is None else (time.replace(tzinfo=UTC) - _MJD).total_seconds() / 86_400
