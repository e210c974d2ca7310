"""Errors as problem documents (RFC 9457): one shape for whatever goes wrong, and nothing of our insides in it."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from traceback import format_exception
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from broker.api.principal import ForbiddenError, TooManyError, UnauthenticatedError
from broker.errors import (
    ConflictError,
    ExpressionError,
    FilterError,
    NotFoundError,
    NunciusError,
    RefusedError,
    SkyMapError,
    TransientError,
    UsageError,
)
from broker.telemetry import get_logger

__all__ = ["REFUSALS", "RESPONSES", "ElsewhereError", "Problem", "RefuseNul", "TooBusyError", "answer", "install", "problem"]

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
_log = get_logger(__name__)


class TooBusyError(TransientError):
    """As many readers as we serve are here already."""


class ElsewhereError(TransientError):
    """A service that we ask is away."""


class Fault(BaseModel):
    """One thing wrong with a request."""

    place: str = Field(description="The parameter or field at fault", examples=["query.radius"])
    reason: str = Field(examples=["Input should be less than or equal to 180"])


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="What kind of problem, as a URI", examples=["urn:nuncius:problem:not-found"])
    title: str = Field(description="The same for people", examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="What is wrong this time, and what would be right", examples=["no alert 'ztf:1'"])
    instance: str = Field(description="The path asked for", examples=["/api/v1/alerts/ztf:1"])
    errors: list[Fault] | None = Field(default=None, description="Each parameter at fault")


def _described(text: str) -> dict[str, Any]:
    return {"description": text, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


RESPONSES: dict[int | str, dict[str, Any]] = {
    400: _described("The request cannot be answered as it is put"),
    404: _described("There is no such thing"),
    503: _described("The database or the log is away; try again after `Retry-After` seconds"),
}
"""What the OpenAPI document says of errors, for routers."""

REFUSALS: dict[str, dict[str, Any]] = {
    "401": _described("An account is needed and none is named, or a token is not good"),
    "403": _described("The account or its token may not do this"),
    "429": _described("Too many requests; try again after `Retry-After` seconds"),
}
"""What it says of all operations."""


def problem(
    request: HTTPConnection, status: int, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """Problem document for a request.

    Parameters
    ----------
    kind
        Last part of the problem's type.
    more
        Further members of the document.
    """
    body = {
        "type": f"urn:nuncius:problem:{kind}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        **more,
    }
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


# What is answered with nothing but its text.
_PLAIN: Final[tuple[tuple[type[NunciusError], int, str], ...]] = (
    (UsageError, 400, "usage"),
    (ForbiddenError, 403, "forbidden"),
    (NotFoundError, 404, "not-found"),
    (ConflictError, 409, "conflict"),
    (RefusedError, 409, "refused"),
    (SkyMapError, 422, "sky-map"),
)


def answer(request: HTTPConnection, error: Exception) -> JSONResponse:
    """Problem document for an error of ours."""
    match error:
        case ExpressionError() | FilterError():
            place: dict[str, Any] = {name: getattr(error, name) for name in ("line", "column", "word", "nearest")}
            return problem(request, 400, "expression" if isinstance(error, ExpressionError) else "filter", str(error), **place)
        case UnauthenticatedError():
            return problem(request, 401, "unauthenticated", str(error), headers={"WWW-Authenticate": 'Bearer realm="Nuncius"'})
        case TooManyError():
            return problem(request, 429, "too-many", str(error), headers={"Retry-After": str(math.ceil(error.seconds))})
        case TransientError():
            _log.warning("request put off", path=request.url.path, reason=str(error))
            told = isinstance(error, TooBusyError | ElsewhereError)
            detail = str(error) if told else "the database or the log cannot be reached just now"
            return problem(request, 503, "unavailable", detail, headers={"Retry-After": str(RETRY_SECONDS)})
    for kind, status, name in _PLAIN:
        if isinstance(error, kind):
            return problem(request, status, name, str(error))
    return _on_unknown(request, error)


def _on_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [{"place": ".".join(str(part) for part in fault["loc"]), "reason": fault["msg"]} for fault in error.errors()]
    detail = "; ".join(f"{fault['place']}: {fault['reason']}" for fault in faults)
    return problem(request, 400, "validation", detail, errors=faults)


def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    detail = {
        404: "there is nothing at this address; /api/v1/openapi.json lists what there is",
        405: f"{request.method} is not served at this address",
    }.get(error.status_code, str(error.detail))
    return problem(request, error.status_code, kind, detail, headers=error.headers)


def _on_unknown(request: HTTPConnection, error: Exception) -> JSONResponse:
    mark = uuid.uuid4().hex[:12]
    _log.error("request failed", path=request.url.path, mark=mark, exception="".join(format_exception(error)))
    return problem(request, 500, "internal", f"the fault is ours; our log has it under {mark}", mark=mark)


class RefuseNul:
    """Middleware that refuses requests with a NUL character in path or query: no id has one and databases choke on it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] == "http" and ("\x00" in scope["path"] or b"%00" in scope["query_string"]):
            request = Request(scope)
            refusal = problem(request, 400, "usage", "the address holds a NUL character; leave it out")
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


def install(app: FastAPI) -> None:
    """Have every error of `app` answered with a problem document."""
    app.add_exception_handler(NunciusError, answer)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unknown)
    app.add_middleware(RefuseNul)
