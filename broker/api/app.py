"""The application: resources under ``/api/v1``, the schema registry protocol at the root, pages.

A new resource is a module with a ``router(services)``, and a line in `_resources`.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from broker.api import (
    alerts,
    associations,
    backtests,
    catalogs,
    coincidences,
    columns,
    deliveries,
    events,
    explain,
    filters,
    galaxies,
    live,
    matches,
    objects,
    oidc,
    packets,
    pages,
    pictures,
    problems,
    regions,
    registry,
    session,
    skymaps,
    status,
    subscriptions,
    teams,
    tokens,
    trace,
    watchlists,
)
from broker.api.auth import Authenticate
from broker.api.services import Services

__all__ = ["create_app"]

PREFIX = "/api/v1"
TAGS = [
    {"name": "alerts", "description": "What came in: by id, object, position, time, stream, filter and expression"},
    {"name": "objects", "description": "What alerts say together of one object; its light curve"},
    {"name": "events", "description": "Gamma-ray bursts, gravitational waves, neutrinos, ..."},
    {"name": "sky maps", "description": "Maps of events in any form, pictures of them, and what a map sent to us says"},
    {"name": "coincidences", "description": "Events of different messengers that are near in time"},
    {"name": "filters", "description": "What is looked for"},
    {"name": "watchlists", "description": "Targets and parts of the sky that filters ask for"},
    {"name": "matches", "description": "What was found, and what is being found"},
    {"name": "subscriptions", "description": "What is delivered to whom, and what became of it"},
    {"name": "people", "description": "Accounts, teams and tokens, where they are required"},
    {"name": "service", "description": "How we do"},
    {"name": "schema registry", "description": "The read side of the Confluent protocol; also at the root"},
]
ABOUT = """
Ids are strings: 64-bit integers do not survive JavaScript. Times are ISO 8601, UTC. What is not a number is null.
Errors are problem documents (RFC 9457). Where accounts are required, send a token as `Authorization: Bearer ncs_...`.
"""


def _resources(services: Services) -> list[APIRouter]:
    return [
        packets.router(services),  # before alerts, whose last route takes any path
        pictures.router(services),  # likewise
        trace.router(services),  # likewise
        alerts.router(services),
        objects.router(services),
        associations.router(services),  # before events, whose last route takes any path
        coincidences.router(services),  # before events, whose last route takes any path
        skymaps.router(services),  # likewise
        galaxies.router(services),
        events.router(services),
        columns.router(services),  # before filters, which may take any name
        explain.router(services),
        backtests.router(services),
        filters.router(services),
        catalogs.router(services),
        watchlists.router(services),
        regions.router(services),
        matches.router(services),
        subscriptions.router(services),
        deliveries.router(services),
        live.router(services),
        status.router(services),
        session.router(services),
        tokens.router(services),
        teams.router(services),
        oidc.router(services),
    ]


def create_app(services: Services) -> FastAPI:
    """The API and the pages, ready to be served by any ASGI server.

    Parameters
    ----------
    services
        Everything it serves from. What is in there is not closed by the application.
    """
    app = FastAPI(
        title="Nuncius",
        summary="Real-time astronomy alerts",
        description=ABOUT,
        version=services.version,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere; ours at /api does not
        redoc_url=None,
        openapi_tags=TAGS,
    )
    app.add_middleware(Authenticate, services=services)
    problems.install(app)
    for routes in _resources(services):
        app.include_router(routes, prefix=PREFIX)
    app.add_api_route("/metrics", status.metrics_of(services), include_in_schema=False)
    registry.install(app, services)
    pages.install(app, services)
    _document(app)
    return app


def _document(app: FastAPI) -> None:
    """Have the OpenAPI document name what errors look like, and leave out the 422 we never send."""

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                tags=TAGS,
            )
            parts = schema.setdefault("components", {}).setdefault("schemas", {})
            problem = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            parts |= problem.pop("$defs") | {"Problem": problem}
            for operations in schema["paths"].values():
                for operation in operations.values():
                    if operation["responses"].get("422", {}).get("description") == "Validation Error":
                        del operation["responses"]["422"]
                    operation["responses"].setdefault("400", problems.RESPONSES[400])
                    for status, described in problems.REFUSALS.items():
                        operation["responses"].setdefault(status, described)
            for unused in ("HTTPValidationError", "ValidationError"):
                parts.pop(unused, None)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
