"""``live/ws``: what `live` tells, as a WebSocket: messages ``{"id": ..., "event": ..., "data": {...}}``.

Where accounts are required and the handshake names none, the first message says who: ``{"token": "ncs_..."}``, or ``{}`` for
nobody. Browsers cannot set the header ``Authorization``, and a token in an address ends in logs.

What goes wrong after the handshake is told as an event ``error`` with a problem document, then the connection is closed with
4000 and the status: browsers are told nothing of a handshake that fails.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, WebSocket
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocketDisconnect

from broker.api import problems
from broker.api.live_readers import Event, Readers
from broker.api.principal import UnauthenticatedError
from broker.api.services import Services
from broker.errors import NunciusError, TransientError, UsageError
from broker.telemetry import get_logger

__all__ = ["install"]

_log = get_logger(__name__)
_FIRST = 'the first message is {"token": "ncs_..."}, or {} for nobody'
_REASON = 123  # bytes of a reason for closing, RFC 6455, section 5.5.1 less the code


class _SlowError(TransientError):
    """They do not read."""


def install(routes: APIRouter, services: Services, readers: Readers) -> None:
    """Serve it among the routes of `live`, whose seats it shares."""

    @routes.websocket("/live/ws")
    async def live_ws(
        websocket: WebSocket,
        filter: Annotated[str | None, Query()] = None,  # noqa: A002 - the name users know
        last_event_id: Annotated[str | None, Query()] = None,
    ) -> None:
        await websocket.accept()
        try:
            await _introduced(websocket, services.introduction)
            reader = await readers.sit(websocket, filter, last_event_id)
            try:
                events = reader.events(services.heartbeat)
                await _first_of(_tell(websocket, events, services.live_patience), _heed(websocket))
            finally:
                reader.leave()
        except WebSocketDisconnect:
            pass
        except _SlowError:
            _log.warning("live reader dropped: it reads nothing", client=websocket.scope.get("client"))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is told as everywhere: our own faults go to the log
            await _refuse(websocket, error, services.live_patience)


async def _introduced(websocket: WebSocket, seconds: float) -> None:
    """Be told who it is, where the handshake did not say so and it matters."""
    if not websocket.state.unsaid:
        return
    try:
        async with asyncio.timeout(seconds):
            secret = _secret(await _received(websocket))
    except TimeoutError:
        secret = None
    await run_in_threadpool(websocket.state.introduce, secret)


async def _received(websocket: WebSocket) -> Mapping[str, Any]:
    """A message; `WebSocketDisconnect` where they have gone."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    return message


def _secret(message: Mapping[str, Any]) -> str | None:
    try:
        said = json.loads(message.get("text") or "")
    except (ValueError, RecursionError):
        raise UsageError(_FIRST) from None
    token = said.get("token") if isinstance(said, dict) else 0
    if token is not None and not isinstance(token, str):
        raise UsageError(_FIRST)
    return token


async def _first_of(*jobs: Any) -> None:
    """Do things side by side until one of them ends, and end the others; what it raised is raised."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()


async def _tell(websocket: WebSocket, events: AsyncIterator[Event], patience: float) -> None:
    async for event in events:
        text = f'{{"id":{json.dumps(event.id)},"event":"{event.kind}","data":{event.data}}}'
        try:
            async with asyncio.timeout(patience):
                await websocket.send_text(text)
        except TimeoutError:
            raise _SlowError("no message was taken in time") from None
    raise TransientError("the log is away")


async def _heed(websocket: WebSocket) -> None:
    """Take in what they send, until they go: a page may send something to keep proxies awake, and it asks for nothing."""
    while True:
        message = await _received(websocket)
        if websocket.state.unsaid and websocket.state.principal.anonymous:
            with suppress(UsageError):
                if _secret(message) is not None:
                    raise UnauthenticatedError(f"the token came too late: {_FIRST}, sent at once")


async def _refuse(websocket: WebSocket, error: Exception, patience: float) -> None:
    """Say what is wrong, and close."""
    answer = problems.answer(websocket, error)
    document = bytes(answer.body).decode()
    reason = str(json.loads(document)["detail"]) if isinstance(error, NunciusError) else "our fault"
    with suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
        async with asyncio.timeout(patience):
            await websocket.send_text(f'{{"id":null,"event":"error","data":{document}}}')
            await websocket.close(4000 + answer.status_code, reason.encode()[:_REASON].decode(errors="ignore"))
