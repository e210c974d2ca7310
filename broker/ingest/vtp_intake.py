"""What the VOEvent transport's two ingests share: their limits, and the way into our log.

An event is acknowledged only when our log has its bytes, so a crash costs an author nothing but a repeat. What several
connections bring at once goes into the log at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from broker.errors import TransientError
from broker.ingest.raw import Received
from broker.telemetry import get_logger
from broker.vtp import Transport, pack, transport

__all__ = ["READ", "Intake", "Limits", "close", "intake", "say"]

log = get_logger(__name__)

Take = Callable[[list[Received]], None]

READ = 65_536
TRIES = 5  # at putting an event into our log, before its author is told to come again


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stranger may ask of us.

    Parameters
    ----------
    max_bytes
        Of a frame.
    connections, per_address
        Open at once, in all and from one address.
    patience
        Seconds a connection may take for a whole frame, or stay silent.
    """

    max_bytes: int = 1 << 20
    connections: int = 200
    per_address: int = 20
    patience: float = 20.0


class Intake:
    """Hands received events to the log, those that wait together as one batch."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._waiting: list[tuple[Received, asyncio.Future[None]]] = []
        self._some = asyncio.Event()

    async def put(self, received: Received) -> None:
        """Return when our log has it.

        Raises
        ------
        TransientError
            The log is away.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((received, done))
        self._some.set()
        await done

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            batch, self._waiting = self._waiting, []
            error = await self._taken([received for received, _ in batch])
            for _, done in batch:
                if done.done():
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)

    async def _taken(self, received: list[Received]) -> TransientError | None:
        for attempt in range(TRIES):
            try:
                await asyncio.to_thread(self._take, received)
            except TransientError as error:
                if attempt == TRIES - 1:
                    return error
                log.warning("waiting for our log", error=str(error), attempt=attempt + 1)
                await asyncio.sleep(0.2 * 2**attempt)
            else:
                return None
        return None


@asynccontextmanager
async def intake(take: Take) -> AsyncIterator[Intake]:
    """An `Intake` at work while the block runs."""
    made = Intake(take)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def say(writer: asyncio.StreamWriter, message: Transport) -> None:
    """Send a transport message."""
    writer.write(pack(transport(message)))
    await writer.drain()


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection that may be gone already."""
    writer.close()
    with suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()
