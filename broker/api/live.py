"""``live``: matches by Server-Sent Events as they are published, resumed where a reader broke off; `live_ws` is its twin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from broker.api import live_ws
from broker.api.live_readers import Reader, Readers
from broker.api.principal import UnauthenticatedError
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.errors import TransientError
from broker.telemetry import get_logger

__all__ = ["router"]

_log = get_logger(__name__)


class _Stream(EventSourceResponse):
    """A stream that gives its seat back however it ends, even before it began."""

    def __init__(self, reader: Reader, services: Services) -> None:
        super().__init__(
            _sent(reader, services.heartbeat),
            ping=services.heartbeat,
            send_timeout=services.live_patience,
            headers={"Cache-Control": "no-store"},
        )
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            _log.warning("live reader dropped: it reads nothing", client=scope.get("client"))
        finally:
            self._reader.leave()


async def _sent(reader: Reader, silence: float) -> AsyncIterator[ServerSentEvent]:
    try:
        async for event in reader.events(silence):
            if event.kind != "ping":  # comments say so
                retry = 2000 if event.kind == "ready" else None
                yield ServerSentEvent(event=event.kind, id=event.id, data=event.data, retry=retry)
    except UnauthenticatedError as error:
        _log.info("live stream ended", reason=str(error))
    except TransientError as error:
        _log.warning("live stream broken off", reason=str(error))


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(tags=["matches"], responses=RESPONSES)
    readers = Readers(services)
    live_ws.install(routes, services, readers)

    @routes.get(
        "/live",
        response_class=EventSourceResponse,
        responses={
            200: {"description": "Events named `match`", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
        },
    )
    async def live(
        request: Request,
        filter: Annotated[str | None, Query(description="Only matches of this filter", examples=["fast_risers"])] = None,  # noqa: A002
        last_event_id: Annotated[str | None, Header(description="Id of the last event had: resume after it")] = None,
        after: Annotated[str | None, Query(description="The same, for those who cannot set a header")] = None,
    ) -> EventSourceResponse:
        """Matches as they are published, for ever.

        Each event is named `match`; its data are a match as `/matches` has it. Silence is broken by comments. `/live/ws` is
        the same as a WebSocket.
        """
        return _Stream(await readers.sit(request, filter, last_event_id or after), services)

    return routes
