"""Files that are sent to us, as the body of a request or as the ``file`` of its form."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message

from broker.api.problems import RESPONSES
from broker.errors import UsageError

__all__ = ["TOO_LARGE", "Sent", "file_body", "received"]

TOO_LARGE: Final[dict[int | str, dict[str, Any]]] = {
    413: {"description": "The file is too large", "content": RESPONSES[400]["content"]},
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that was sent, on disk, and the name it has where it comes from."""

    file: Path
    name: str


def file_body(*media: str, required: bool = True) -> dict[str, Any]:
    """What the OpenAPI document says of a body that is a file of some media types, or a form with one."""
    binary = {"type": "string", "format": "binary"}
    content: dict[str, Any] = {kind: {"schema": binary} for kind in (*media, "application/octet-stream")}
    form = {"type": "object", "properties": {"file": binary}, "required": ["file"]}
    return {"requestBody": {"required": required, "content": content | {"multipart/form-data": {"schema": form}}}}


async def received(request: Request, folder: Path, limit: int, remedy: str) -> Sent:
    """The file of a request.

    Parameters
    ----------
    folder
        Where it is put.
    limit
        Bytes of the largest that is taken.
    remedy
        What to do with a larger one.

    Raises
    ------
    UsageError
        There is none.
    HTTPException
        It is too large.
    """
    too_large = HTTPException(413, f"more than the {limit:,} bytes that are taken: {remedy}")
    claimed = request.headers.get("content-length", "")
    if claimed.isdecimal() and int(claimed[:20]) > limit:
        raise too_large
    counted = 0

    async def receive() -> Message:
        nonlocal counted
        message = await request.receive()
        counted += len(message.get("body", b""))
        if counted > limit:
            raise too_large
        return message

    whole = Request(request.scope, receive)
    target, name = folder / "file", "the file"
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data":
        async with whole.form(max_files=1, max_fields=10) as form:
            part = form.get("file")
            if not isinstance(part, UploadFile):
                raise UsageError("the form has no file named 'file'")
            name = (part.filename or name)[:80]
            with target.open("wb") as out:
                await run_in_threadpool(shutil.copyfileobj, part.file, out)
    else:
        with target.open("wb") as out:
            async for piece in whole.stream():
                out.write(piece)
    if not target.stat().st_size:
        raise UsageError("the request has no body: send the file as it is, or as the file of a form")
    return Sent(target, name)
