"""``alerts/{id}/packet``, ``/fields``, ``/cutouts/{kind}``: what the alert came in."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response

from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.api.values import plain
from broker.errors import NotFoundError

__all__ = ["AlertId", "CutoutKind", "content_type", "filename", "router"]

AlertId = Annotated[str, Path(description="Alert id, percent-encoded", examples=["ztf:2445391170915015005"])]
KINDS = (
    "application/avro",
    "application/xml",
    "application/json",
    "application/fits",
    "text/plain",
    "application/octet-stream",
)
_FOREVER = "max-age=31536000, immutable"


class CutoutKind(StrEnum):
    """Images that come with a survey alert."""

    science = "science"
    template = "template"
    difference = "difference"


def content_type(data: bytes) -> tuple[str, str]:
    """Media type and file ending of a packet, told from its bytes."""
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if data.startswith(b"Obj\x01"):
        return "application/avro", "avro"
    if data.startswith(b"SIMPLE  ="):
        return "application/fits", "fits"
    if head.startswith(b"<"):
        return "application/xml", "xml"
    if head.startswith((b"{", b"[")):
        return "application/json", "json"
    printable = head and all(byte >= 32 or byte in b"\t\r\n" for byte in head)
    return ("text/plain; charset=utf-8", "txt") if printable else ("application/octet-stream", "bin")


def filename(alert_id: str, ending: str) -> str:
    """Name for a file that is sent, of plain letters."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '_', alert_id)[:150].strip('_')}.{ending}"


def _attachment(
    services: Services, alert_id: str, ending: str, how: Literal["attachment", "inline"] = "attachment"
) -> dict[str, str]:
    disposition = f'{how}; filename="{filename(alert_id, ending)}"'
    return {"Content-Disposition": disposition, "Cache-Control": f"{services.auth.caches}, {_FOREVER}"}


def router(services: Services) -> APIRouter:
    """Routes of this resource. They must stand before ``alerts/{id}``, which would swallow them."""
    routes = APIRouter(prefix="/alerts", tags=["alerts"], responses=RESPONSES)

    @routes.get(
        "/{alert_id:path}/packet",
        response_class=Response,
        responses={200: {"description": "The bytes, exactly", "content": {kind: {} for kind in KINDS}}},
    )
    def packet(alert_id: AlertId) -> Response:
        """The bytes the alert came in, exactly as received."""
        data = services.packet(alert_id)
        kind, ending = content_type(data)
        headers = _attachment(services, alert_id, ending) | {"X-Content-Type-Options": "nosniff"}
        return Response(data, media_type=kind, headers=headers)

    @routes.get("/{alert_id:path}/fields")
    def fields(alert_id: AlertId) -> dict[str, Any]:
        """A survey's packet, or a notice in JSON, decoded: ids and wide integers as strings, NaN as null, bytes as base64."""
        decoded: dict[str, Any] = plain(services.packet_fields(alert_id))
        return decoded

    @routes.get(
        "/{alert_id:path}/cutouts/{kind}",
        response_class=Response,
        responses={200: {"description": "The image", "content": {"image/png": {}, "application/fits": {}}}},
    )
    def cutout(
        alert_id: AlertId,
        kind: CutoutKind,
        format: Annotated[Literal["png", "fits"], Query(description="PNG to look at, FITS to measure")] = "png",  # noqa: A002 - the name users know
        size: Annotated[int, Query(ge=16, le=2048, description="Pixels of the PNG's longer side, about")] = 252,
    ) -> Response:
        """One of the images that come with a survey alert.

        The PNG has zscale limits and an asinh stretch; north is up and east to the left, as nearly as quarter turns bring it
        there. FITS comes as it was received.
        """
        data = services.cutout(alert_id, kind.value)
        if data is None:
            message = f"alert {alert_id!r} has no {kind} cutout"
            raise NotFoundError(message)
        if format == "fits":
            return Response(data, media_type="application/fits", headers=_attachment(services, f"{alert_id}_{kind}", "fits"))
        from broker.api.render.image import png  # noqa: PLC0415 - what draws is slow to load

        image = png(data, stream=alert_id.partition(":")[0], size=size)
        return Response(image, media_type="image/png", headers=_attachment(services, f"{alert_id}_{kind}", "png", "inline"))

    return routes
