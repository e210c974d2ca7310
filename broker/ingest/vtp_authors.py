"""VOEvents over TCP from authors who connect to us, within the limits of a hostile network."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from broker import vtp
from broker.errors import DecodeError, TransientError
from broker.ingest.raw import Received
from broker.ingest.vtp_intake import READ, Intake, Limits, close, say
from broker.telemetry import get_logger
from broker.vtp import Frames, Network, Transport, allowed

__all__ = ["Authors", "author_server"]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Authors:
    """How authors are taken.

    Parameters
    ----------
    identity
        Our ivorn, told in every answer.
    allow
        Networks that may connect.
    """

    identity: str
    allow: tuple[Network, ...]
    limits: Limits


async def author_server(host: str, port: int, authors: Authors, into: Intake) -> asyncio.Server:
    """Server that takes VOEvents from authors and acknowledges each."""
    limits = authors.limits
    here: Counter[str] = Counter()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = str(writer.get_extra_info("peername")[0])
        if not allowed(address, authors.allow):
            log.warning("author is not on the allow list", address=address)
        elif here.total() >= limits.connections or here[address] >= limits.per_address:
            log.warning("too many authors at once", address=address, open=here.total())
        else:
            here[address] += 1
            try:
                await _author(reader, writer, address, authors, into)
            except (OSError, asyncio.IncompleteReadError) as error:
                log.info("author has gone, or does not read", address=address, error=str(error))
            finally:
                await close(writer)  # its place is taken until it has gone
                here[address] -= 1
                if not here[address]:
                    del here[address]
            return
        await close(writer)

    return await asyncio.start_server(handle, host, port, limit=READ)


async def _author(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, authors: Authors, into: Intake
) -> None:
    identity, limits = authors.identity, authors.limits
    frames = Frames(limits.max_bytes)
    deadline = asyncio.get_running_loop().time() + limits.patience
    while True:
        try:
            async with asyncio.timeout_at(deadline):  # of a whole frame: a byte now and then buys no time
                data = await reader.read(READ)
        except TimeoutError:
            log.info("author is too slow" if frames.open else "author is silent", address=address)
            return
        if not data:
            if frames.open:
                log.warning("author has gone in the midst of a frame", address=address)
            return
        try:
            for frame in frames.feed(data):
                answer = await _answer(frame, address, identity, into)
                if answer is not None:
                    await _say(writer, answer, limits)
                deadline = asyncio.get_running_loop().time() + limits.patience
        except DecodeError as error:
            log.warning("author's connection is ended", address=address, reason=str(error))
            await _say(writer, Transport("nak", "", identity, result=str(error)), limits)
            return


async def _say(writer: asyncio.StreamWriter, answer: Transport, limits: Limits) -> None:
    async with asyncio.timeout(limits.patience):  # one who does not read holds no place
        await say(writer, answer)


async def _answer(frame: bytes, address: str, identity: str, into: Intake) -> Transport | None:
    role = vtp.role_of(frame)
    if role is not None:
        return Transport("iamalive", vtp.read_transport(frame).origin, identity) if role == "iamalive" else None
    try:
        ivorn = vtp.ivorn_of(frame)
    except DecodeError as error:
        log.warning("refused an author's event", address=address, reason=str(error))
        return Transport("nak", "", identity, result=str(error))
    try:
        await into.put(Received(frame, f"vtp://{address}/{ivorn}"))
    except TransientError as error:
        return Transport("nak", ivorn, identity, result=f"not kept, send it again: {error}")
    return Transport("ack", ivorn, identity)
