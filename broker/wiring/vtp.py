"""VOEvents over TCP, both ways: authors and other brokers into raw topics; out of topics, see `broker.wiring.vtp_out`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from ipaddress import ip_network
from typing import Any

from broker.deliver.vtp import Broadcaster, Rules
from broker.errors import SettingsError, UsageError
from broker.ingest.raw import Received
from broker.ingest.vtp_authors import Authors, author_server
from broker.ingest.vtp_client import Remote, follow
from broker.ingest.vtp_intake import Limits, intake
from broker.settings import Source
from broker.telemetry import get_logger
from broker.vtp import Network
from broker.wiring.checks import check_names
from broker.wiring.instance import instance_name
from broker.wiring.parts import Parts
from broker.wiring.vtp_out import begin, broadcast, group_of

__all__ = ["enabled", "follow_broker", "run"]

log = get_logger(__name__)


def enabled(parts: Parts) -> bool:
    """Whether the settings ask for a port."""
    return parts.settings.vtp.author_port is not None or parts.settings.vtp.subscriber_port is not None


def follow_broker(parts: Parts, source: Source, take: Callable[[list[Received]], None], stop: threading.Event) -> None:
    """Take VOEvents from another broker until told to stop; `broker.ingest.vtp_client.follow`."""
    filters = (source.xpath,) if source.xpath else ()
    follow(Remote(source.host, source.port, _identity(parts), filters), take, stop, _limits(parts))


def run(
    parts: Parts,
    take: Callable[[list[Received]], None],
    stop: threading.Event,
    on_ready: Callable[[Mapping[str, int]], None] = lambda _ports: None,
) -> None:
    """Serve authors and subscribers, as far as the settings give them a port, until told to stop.

    Parameters
    ----------
    take
        Puts received events into our log.
    on_ready
        Told the ports that are listened on, by ``author`` and ``subscriber``.

    Raises
    ------
    UsageError
        No port is set, or one cannot be had.
    """
    if not enabled(parts):
        raise UsageError("nothing to serve: set author_port or subscriber_port in table [vtp] of the settings")
    check_names(parts.settings, {spec.name for spec in parts.filters})
    asyncio.run(_run(parts, take, stop, on_ready))


async def _run(
    parts: Parts,
    take: Callable[[list[Received]], None],
    stop: threading.Event,
    on_ready: Callable[[Mapping[str, int]], None],
) -> None:
    table = parts.settings.vtp
    ports: dict[str, int] = {}
    tasks: list[asyncio.Task[None]] = []
    watched: list[asyncio.Task[None]] = []
    async with AsyncExitStack() as stack:
        if table.author_port is not None:
            into = await stack.enter_async_context(intake(take))
            watched.append(into.task)
            authors = Authors(_identity(parts), _networks("allow", table.allow), _limits(parts))
            ports["author"] = await _listening(stack, author_server(table.host, table.author_port, authors, into))
        if table.subscriber_port is not None:
            broadcaster = Broadcaster(_rules(parts))
            stack.push_async_callback(broadcaster.close)
            ports["subscriber"] = await _listening(stack, broadcaster.serve(table.host, table.subscriber_port))
            # A numbering of its own: of the places of all processes it might get another's after a restart, with its offsets.
            group = group_of(stack.enter_context(instance_name(parts.data / "vtp")))
            await asyncio.to_thread(begin, parts, group)
            tasks += [asyncio.create_task(broadcaster.ask())]
            tasks += [asyncio.create_task(broadcast(parts, broadcaster, group, stop))]
            tasks += [broadcaster.filtering] if broadcaster.filtering else []
        log.info("VOEvent transport listens", host=table.host, **ports)
        on_ready(ports)
        while not stop.is_set() and not any(task.done() for task in [*tasks, *watched]):  # noqa: ASYNC110  the event is a thread's
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _listening(stack: AsyncExitStack, starting: Any) -> int:
    try:
        server: asyncio.Server = await starting
    except OSError as error:
        raise UsageError(f"the VOEvent transport cannot listen ({error}): choose other ports in table [vtp]") from error
    stack.callback(server.close)
    return int(server.sockets[0].getsockname()[1])


def _rules(parts: Parts) -> Rules:
    table = parts.settings.vtp
    allow = _networks("allow_subscribers", table.allow_subscribers)
    return Rules(_identity(parts), allow, table.connections, table.alive_seconds, table.unacknowledged, table.patience)


def _limits(parts: Parts) -> Limits:
    table = parts.settings.vtp
    return Limits(table.max_bytes, table.connections, table.per_address, table.patience)


def _identity(parts: Parts) -> str:
    return f"ivo://{parts.settings.vtp.authority}"


def _networks(name: str, texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(_network(name, text) for text in texts)


def _network(name: str, text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise SettingsError(f"vtp.{name}: {text!r} is no network ({error}): write 192.0.2.0/24 or an address") from error
