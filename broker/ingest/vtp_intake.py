"""What the VOEvent transport's two ingests share: their limits, and the way into our log.

An event is acknowledged only when our log has its bytes, so a crash costs an author nothing but a repeat. What several
connections bring at once goes into the log at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count

from broker.errors import TransientError
from broker.ingest.raw import Received
from broker.telemetry import get_logger
from broker.vtp import Transport, pack, transport

__all__ = ["READ", "Intake", "Limits", "close", "intake", "say"]

log = get_logger(__name__)

Take = Callable[[list[Received]], None]
_Waiting = tuple[Received, asyncio.Future[None]]

READ = 65_536
TRIES = 5  # at putting an event into our log, before its author is told to come again
LONGEST_WAIT = 5.0  # seconds between two of them
LINGER_SECONDS = 1.0


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
    """Hands received events to the log, those that wait together as one batch.

    Parameters
    ----------
    take
        Puts them into the log.
    tries
        Before somebody is told that the log is away; ``None`` for ever.
    """

    def __init__(self, take: Take, tries: int | None) -> None:
        self._take = take
        self._tries = tries
        self._waiting: list[_Waiting] = []
        self._some = asyncio.Event()
        self.task = asyncio.create_task(self._run())  # ends with a fault that waiting does not mend

    async def put(self, received: Received) -> None:
        """Return when our log has it.

        Raises
        ------
        TransientError
            The log does not take it.
        """
        if self.task.done():
            raise TransientError("our log takes nothing any more: we are going down")
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((received, done))
        self._some.set()
        await done

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            batch, self._waiting = self._waiting, []
            try:
                error = await self._taken([received for received, _ in batch])
            except Exception as fault:
                # Whoever waits is told at once, and not left to wait for an answer that never comes.
                _tell([*batch, *self._waiting], TransientError(f"our log does not take it ({fault})"))
                raise
            _tell(batch, error)

    async def _taken(self, received: list[Received]) -> TransientError | None:
        for attempt in count(1):
            try:
                await asyncio.to_thread(self._take, received)
            except TransientError as error:
                if attempt == self._tries:
                    return error
                log.warning("waiting for our log", error=str(error), attempt=attempt)
                await asyncio.sleep(min(0.1 * 2 ** min(attempt, 10), LONGEST_WAIT))
            else:
                break
        return None


def _tell(batch: list[_Waiting], error: TransientError | None) -> None:
    for _, done in batch:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


@asynccontextmanager
async def intake(take: Take, tries: int | None = TRIES) -> AsyncIterator[Intake]:
    """An `Intake` at work while the block runs, which is to end when its task does; raises in the end what that ended with."""
    made = Intake(take, tries)
    try:
        yield made
    finally:
        made.task.cancel()
        with suppress(asyncio.CancelledError):
            await made.task


async def say(writer: asyncio.StreamWriter, message: Transport) -> None:
    """Send a transport message."""
    writer.write(pack(transport(message)))
    await writer.drain()


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection that may be gone already; what the other side does not read within a second is let go."""
    writer.close()
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            await writer.wait_closed()
    except OSError:  # of which time that is over is one
        pass
    finally:
        writer.transport.abort()
