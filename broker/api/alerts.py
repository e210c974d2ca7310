"""``alerts`` and ``alerts/{id}``: what the database and the kept frames say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import polars as pl
from fastapi import APIRouter, Depends, Query, Request

from broker.alert import COMMON
from broker.api import cursor as tokens
from broker.api.auth import Asks
from broker.api.convert import alert_of
from broker.api.hidden import Hidden, hidden_from
from broker.api.models import Alert, AlertPage, Classification, Picked
from broker.api.packets import AlertId, CutoutKind
from broker.api.params import angle_dec, angle_ra, instant
from broker.api.problems import RESPONSES
from broker.api.render.table import TABLES, Format, render, wanted_format
from broker.api.services import ExpressionQuery, Services
from broker.errors import NotFoundError, UsageError
from broker.filtering.expression import compile_expression
from broker.store import alerts as stored
from broker.store import classifications
from broker.store.search import AlertQuery, Cone, search

__all__ = ["router", "tabulate"]

MOST_IDS = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, as parsed."""

    ids: tuple[str, ...]
    object_id: str | None
    cone: Cone | None
    start: datetime | None
    end: datetime | None
    streams: tuple[str, ...]
    filter: str | None
    where: str | None
    columns: tuple[str, ...]
    limit: int
    cursor: str | None


def _cone(ra: str | None, dec: str | None, radius: float | None) -> Cone | None:
    given = [value is not None for value in (ra, dec, radius)]
    if not any(given):
        return None
    if ra is None or dec is None or radius is None:
        raise UsageError("a cone needs ra, dec and radius: give all three, such as ra=187.7&dec=12.39&radius=0.01")
    return Cone(angle_ra(ra), angle_dec(dec), radius)


def _wanted(  # noqa: PLR0917 - FastAPI hands them over by name
    id: Annotated[list[str], Query(description="Alert ids", max_length=MOST_IDS, examples=[["ztf:2445391170915015005"]])] = [],  # noqa: A002, B006
    object: Annotated[str | None, Query(description="Object id or event name", examples=["ZTF23aaxeydp"])] = None,  # noqa: A002
    ra: Annotated[str | None, Query(description="Degrees or hh:mm:ss.s, ICRS", examples=["187.7059", "12:30:49.4"])] = None,
    dec: Annotated[str | None, Query(description="Degrees or +dd:mm:ss.s, ICRS", examples=["12.3911", "+12:23:28"])] = None,
    radius: Annotated[float | None, Query(gt=0, le=90, description="Of the cone, degrees", examples=[0.01])] = None,
    start: Annotated[
        str | None, Query(description="From this time on: ISO 8601 or MJD, UTC", examples=["2024-04-22T00:00:00Z", "60422"])
    ] = None,
    end: Annotated[str | None, Query(description="Before this time: ISO 8601 or MJD, UTC", examples=["60423.5"])] = None,
    stream: Annotated[str | None, Query(description="One stream", examples=["ztf"])] = None,
    filter: Annotated[str | None, Query(description="Picked by this filter", examples=["ztf_bright_transients"])] = None,  # noqa: A002
    where: Annotated[
        str | None,
        Query(
            description="A condition in the language of the filters",
            max_length=10_000,
            examples=["mag < 18 AND candidate.rb > 0.7"],
        ),
    ] = None,
    columns: Annotated[
        str | None,
        Query(description="With `where`: packet fields wanted besides the common columns, comma-separated", max_length=10_000),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Alerts a page")] = 100,
    cursor: Annotated[str | None, Query(description="From the `next` of the page before")] = None,
) -> Wanted:
    begin = instant(start, "start") if start else None
    finish = instant(end, "end") if end else None
    if begin and finish and finish < begin:
        raise UsageError(f"the window ends at end={end} before it starts at start={start}: swap them")
    names = tuple(name.strip() for name in columns.split(",") if name.strip()) if columns else ()
    if names and where is None:
        raise UsageError("columns are given without where: only a search by expression reads packet fields")
    streams = (stream,) if stream else ()
    return Wanted(tuple(id), object, _cone(ra, dec, radius), begin, finish, streams, filter, where, names, limit, cursor)


def _by_ids(services: Services, wanted: Wanted) -> list[dict[str, Any]]:
    found = []
    for alert_id in dict.fromkeys(wanted.ids):
        try:
            found.append(stored.get(services.store, alert_id))
        except NotFoundError:
            continue
    return found


def _from_database(services: Services, wanted: Wanted, hidden: Hidden) -> tuple[list[dict[str, Any]], str | None]:
    if wanted.ids:
        others = (wanted.object_id, wanted.cone, wanted.start, wanted.end, wanted.filter, wanted.cursor, *wanted.streams)
        if any(value is not None for value in others):
            raise UsageError("id stands alone: leave out the other conditions, or use where")
        return [hidden.kept(row) for row in _by_ids(services, wanted)], None
    if wanted.filter in hidden.filters:
        return [], None  # as of a filter that is not there
    query = AlertQuery(
        cone=wanted.cone,
        object_id=wanted.object_id,
        stream=wanted.streams[0] if wanted.streams else None,
        filter=wanted.filter,
        start=wanted.start,
        end=wanted.end,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    page = search(services.store, query)
    return [hidden.kept(row) for row in page.alerts], page.cursor


def _condition(services: Services, wanted: Wanted, hidden: Hidden) -> str:
    assert wanted.where is not None
    if hidden.lists:
        hidden.refuse((*compile_expression(wanted.where).columns, *wanted.columns))
    if wanted.filter is None:
        return wanted.where
    spec = next((spec for spec in services.filters() if spec.name == wanted.filter), None)
    if spec is None or spec.name in hidden.filters:
        raise NotFoundError(f"no filter {wanted.filter!r}: /api/v1/filters lists them")
    return f"({spec.where}\n) AND ({wanted.where}\n)"


def _before(token: str | None) -> tuple[datetime | None, str] | None:
    if token is None:
        return None
    match tokens.decode(token, "cursor"):
        case [str(time), str(alert_id)]:
            return instant(time, "cursor"), alert_id
        case [None, str(alert_id)]:
            return None, alert_id
        case _:
            raise UsageError("cursor is not of a search by expression: pass on the one of the page before")


def _from_frames(services: Services, wanted: Wanted, hidden: Hidden) -> tuple[pl.DataFrame, str | None]:
    frame = services.query(
        ExpressionQuery(
            where=_condition(services, wanted, hidden),
            streams=wanted.streams,
            columns=wanted.columns,
            limit=wanted.limit + 1,
            alert_ids=wanted.ids,
            object_id=wanted.object_id,
            cone=wanted.cone,
            start=wanted.start,
            end=wanted.end,
            before=_before(wanted.cursor),
        )
    )
    frame = frame.select(name for name in frame.columns if not hidden.has(name))
    if frame.height <= wanted.limit:
        return frame, None
    frame = frame.head(wanted.limit)
    last = frame.select("time", "alert_id").row(-1)
    return frame, tokens.encode([last[0] and last[0].isoformat(), last[1]])


def tabulate(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of the database as a frame: the common columns, the annotations under their own names, sky maps as a list."""
    common = pl.DataFrame([{name: row[name] for name in COMMON} for row in rows], schema=COMMON, orient="row")
    names = sorted({name for row in rows for name in row["annotations"] if name not in COMMON})
    more = [_column(name, [row["annotations"].get(name) for row in rows]) for name in names]
    if any("separation" in row for row in rows):
        more.append(pl.Series("separation", [row.get("separation") for row in rows], dtype=pl.Float64))
    return common.with_columns(more)


def _column(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {bool} or kinds <= {str} or kinds <= {float}:
        return pl.Series(name, values)
    if kinds <= {int, float}:
        if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
            return pl.Series(name, values, dtype=pl.Int64)
        return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


def router(services: Services) -> APIRouter:
    """Routes of this resource. Those of `broker.api.packets` must stand before them."""
    routes = APIRouter(tags=["alerts"], responses=RESPONSES)
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "Alerts; the next page's address is in `next`, or in the Link header", "content": TABLES}
    }

    @routes.get("/alerts", response_model=AlertPage, responses=answers)
    def alerts(
        request: Request,
        asks: Asks,
        wanted: Annotated[Wanted, Depends(_wanted)],
        format: Annotated[Format | None, Query(description="Shape of the answer; else the Accept header says")] = None,  # noqa: A002
    ) -> Any:
        """Alerts for which all that is given holds: newest first, or nearest first in a cone without `where`.

        Without `where`, the database is asked. With it, the kept frames are: any packet field that is kept can be named.
        """
        shape = wanted_format(request, format)
        hidden = hidden_from(services, asks)
        frame: Callable[[], pl.DataFrame]
        if wanted.where is None:
            rows, token = _from_database(services, wanted, hidden)
            frame = lambda: tabulate(rows)  # noqa: E731
        else:
            found, token = _from_frames(services, wanted, hidden)
            rows, frame = found.rows(named=True) if shape is Format.json else [], lambda: found
        link = tokens.next_link(request, token)
        if shape is Format.json:
            return AlertPage(items=[alert_of(row) for row in rows], next=link)
        headers = {"Link": f'<{link}>; rel="next"'} if link else {}
        return render(frame(), shape, name="alerts", description="Alerts from Nuncius", headers=headers)

    @routes.get("/alerts/{alert_id:path}")
    def alert(alert_id: AlertId, request: Request, asks: Asks) -> Alert:
        """One alert, with the filters that picked it, what it was said to be, and the addresses of its images."""
        row = stored.get(services.store, alert_id)
        hidden = hidden_from(services, asks)
        shown = alert_of(hidden.kept(row))
        shown.matches = [Picked.model_validate(match) for match in hidden.matches(row)]
        said = classifications.of_alert(services.store, alert_id)
        shown.classifications = [Classification.model_validate(one) for one in said]
        shown.cutouts = _cutouts(services, alert_id, f"{request.url_for('alerts').path}/{quote(alert_id, safe='')}")
        return shown

    return routes


def _cutouts(services: Services, alert_id: str, base: str) -> dict[str, str]:
    return {kind.value: f"{base}/cutouts/{kind}" for kind in CutoutKind if services.cutout(alert_id, kind.value) is not None}
