"""``events/{name}/light-curve``: brightness of what is in an event's map, whoever measured it, in whatever light."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from broker.api.models import Utc
from broker.api.packets import filename
from broker.api.problems import RESPONSES
from broker.api.render.table import TABLES, Format, render, wanted_format
from broker.api.reported import range_of
from broker.api.services import Services
from broker.science.bands import of_band
from broker.store import alerts, association_pages, events, observations
from broker.store.sequence_steps import spectrum_of

__all__ = ["router"]

_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_DEEPEST = 2000  # alerts looked at for objects
_AB_ZERO = 3631.0  # Jy: Oke & Gunn (1983), ApJ 266, 713


class LightCurvePoint(BaseModel):
    """A measurement, or a limit."""

    time: Utc
    mjd: float = Field(description="The same as MJD, UTC")
    dt: float | None = Field(description="Seconds after the event")
    object: str | None = Field(description="What was measured; null for the limit of a whole field")
    source: str = Field(description="Survey, or telescope", examples=["ztf"])
    kind: str = Field(description="`detection`, `forced` or `limit`")
    band: str | None = None
    regime: str | None = Field(default=None, description="`radio`, `infrared`, `optical`, `ultraviolet`, `x-ray`, `gamma-ray`")
    wavelength_nm: float | None = Field(default=None, description="Middle of the band")
    energy_min_kev: float | None = None
    energy_max_kev: float | None = None
    mag: float | None = Field(default=None, description="Magnitude, or the limit where `kind` is `limit`")
    mag_err: float | None = None
    mag_system: str | None = Field(default=None, description="`ab` or `vega`")
    flux: float | None = None
    flux_err: float | None = None
    flux_unit: str | None = None
    flux_jy: float | None = Field(default=None, description="Of AB magnitudes and fluxes in Jy: one unit for all bands, Jy")
    observation_id: str | None = Field(default=None, description="The reported observation it is of")


class EventLightCurve(BaseModel):
    """Brightness of what is in an event's map, the first measurement first."""

    event: str
    time: Utc | None = Field(description="Of the event")
    objects: list[str] = Field(description="Objects in its map whose light curves are in it, those deepest in the map first")
    points: list[LightCurvePoint]


def router(services: Services) -> APIRouter:
    """Routes of this resource. Those of `broker.api.events` must stand behind them."""
    routes = APIRouter(prefix="/events", tags=["follow-up"], responses=RESPONSES)

    @routes.get("/{name:path}/light-curve", response_model=EventLightCurve, responses={200: {"content": TABLES}})
    def light_curve(  # noqa: PLR0917 - FastAPI hands them over by name
        request: Request,
        name: Annotated[str, Path(description="Event name or any alias, percent-encoded", examples=["S240422ed"])],
        object: Annotated[  # noqa: A002
            list[str], Query(description="Only these objects, in its map or not", max_length=50)
        ] = [],  # noqa: B006
        objects: Annotated[int, Query(ge=0, le=200, description="Objects at most, those deepest in its map first")] = 20,
        level: Annotated[float, Query(gt=0, le=1, description="Objects up to this credible level")] = 0.9,
        fields: Annotated[bool, Query(description="With the limits of whole fields that were reported")] = True,
        fmt: Annotated[Format | None, Query(alias="format", description="Shape of the answer")] = None,
    ) -> Any:
        """A multi-wavelength light curve: objects in the event's map, and photometry and limits of reported observations."""
        event = events.get_event(services.store, name)
        begun = event["time"]
        named = list(dict.fromkeys(object)) or _objects(services, event["event_name"], level, objects)
        points = [_survey(one, source, row, begun) for one in named for source, row in _curve(services, one)]
        for row in observations.of_events(services.store, [event["event_name"]], (observations.COMPLETED,)):
            points += [point for point in _reported(row, begun, fields=fields) if not object or point.object in named]
        points.sort(key=lambda point: (point.time, point.source, point.object or ""))
        wanted = wanted_format(request, fmt)
        if wanted is Format.json:
            return EventLightCurve(event=event["event_name"], time=begun, objects=named, points=points)
        described = f"Light curve of {event['event_name']}"
        return render(_frame(points), wanted, name=filename(event["event_name"], "light-curve"), description=described)

    return routes


def _objects(services: Services, event_name: str, level: float, most: int) -> list[str]:
    if most == 0:
        return []
    rows = association_pages.page(services.store, event_name, level=level, limit=_DEEPEST).alerts
    named = [row["object_id"] for row in rows if row["state"] == "live" and row["object_id"] is not None]
    return list(dict.fromkeys(named))[:most]


def _curve(services: Services, object_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = alerts.object_alerts(services.store, object_id)
    if not rows:  # an observer's object, which no survey has told of
        return
    for row in services.light_curve(object_id).iter_rows(named=True):
        if _finite(row["time"]) is not None:
            yield rows[0]["stream"], row


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _survey(object_id: str, stream: str, row: Mapping[str, Any], begun: datetime | None) -> LightCurvePoint:
    mjd = float(row["time"])
    at = _MJD_EPOCH + timedelta(days=mjd)
    mag = _finite(row.get("mag"))
    return LightCurvePoint(
        time=at,
        mjd=mjd,
        dt=None if begun is None else (at - begun).total_seconds(),
        object=object_id,
        source=stream,
        kind=row.get("kind") or "detection",
        band=row.get("band"),
        mag=mag,
        mag_err=_finite(row.get("mag_err")),
        mag_system=None if mag is None else "ab",
        flux_jy=_jansky(mag, "ab", None, None),
        **_range(of_band(row.get("band"))),
    )


def _reported(row: Mapping[str, Any], begun: datetime | None, *, fields: bool) -> Iterator[LightCurvePoint]:
    common = {"source": " ".join(part for part in (row["telescope"], row["instrument"]) if part), "observation_id": row["id"]}
    for one in row["photometry"] or []:
        at = datetime.fromisoformat(one["time"]) if one.get("time") else row["time"]
        seen = of_band(one["band"]) if one.get("band") else spectrum_of(row)
        mag, flux, unit = one.get("mag"), one.get("flux"), one.get("flux_unit")
        system = (one.get("mag_system") or "ab") if mag is not None else None
        yield LightCurvePoint(
            **_when(at, begun),
            **common,
            object=one.get("object"),
            kind=one.get("kind") or "detection",
            band=one.get("band") or row["band"],
            mag=mag,
            mag_err=one.get("mag_err"),
            mag_system=system,
            flux=flux,
            flux_err=one.get("flux_err"),
            flux_unit=unit,
            flux_jy=_jansky(mag, system, flux, unit),
            **_range(seen),
        )
    if fields and row["depth"] is not None:
        magnitude = row["depth_unit"].endswith("_mag")
        mag, system = (row["depth"], row["depth_unit"].removesuffix("_mag")) if magnitude else (None, None)
        flux, unit = (None, None) if magnitude else (row["depth"], {"flux_jy": "Jy"}.get(row["depth_unit"], "erg/cm2/s"))
        yield LightCurvePoint(
            **_when(row["time"], begun),
            **common,
            object=None,
            kind="limit",
            band=row["band"],
            mag=mag,
            mag_system=system,
            flux=flux,
            flux_unit=unit,
            flux_jy=_jansky(mag, system, flux, unit),
            **_range(spectrum_of(row)),
        )


def _when(at: datetime, begun: datetime | None) -> dict[str, Any]:
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    days = (aware - _MJD_EPOCH) / timedelta(days=1)
    return {"time": aware, "mjd": days, "dt": None if begun is None else (aware - begun).total_seconds()}


def _range(spectrum: Any) -> dict[str, Any]:
    found = range_of(spectrum).model_dump()
    return {name: found[name] for name in ("regime", "wavelength_nm", "energy_min_kev", "energy_max_kev")}


_JANSKYS = {"jy": 1.0, "mjy": 1e-3, "ujy": 1e-6, "µjy": 1e-6, "njy": 1e-9}


def _jansky(mag: float | None, system: str | None, flux: float | None, unit: str | None) -> float | None:
    if flux is not None:
        factor = _JANSKYS.get((unit or "").casefold())
        return None if factor is None else flux * factor
    if mag is None or system != "ab" or abs(mag) > 200:
        return None
    return float(_AB_ZERO * 10.0 ** (-0.4 * mag))


def _frame(points: list[LightCurvePoint]) -> pl.DataFrame:
    names = ("object", "source", "kind", "band", "regime", "mag_system", "flux_unit", "observation_id")
    schema: dict[str, Any] = dict.fromkeys(LightCurvePoint.model_fields, pl.Float64)
    schema |= dict.fromkeys(names, pl.String) | {"time": pl.Datetime("us", "UTC")}
    return pl.DataFrame([{name: getattr(point, name) for name in schema} for point in points], schema=schema, orient="row")
