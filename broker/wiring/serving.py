"""Serving the API, alone or with every other part in one process."""

from __future__ import annotations

import _thread
import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl
import uvicorn
from mocpy import MOC

from broker.api.app import create_app
from broker.api.services import Backtests, Cell, ExpressionQuery, Services
from broker.deliver.voevent import event_voevent
from broker.errors import NunciusError, UsageError
from broker.science import sky
from broker.science.skymap import credible_ranges
from broker.science.skyplot import Candidate
from broker.store import association_pages, events
from broker.telemetry import get_logger
from broker.wiring import (
    column_list,
    deliver,
    explain,
    filter_check,
    heartbeats,
    hosts,
    neighbours,
    people,
    reading,
    relay,
    running,
    standing,
    trace,
    vtp,
    vtp_out,
)
from broker.wiring.backtest_jobs import Jobs
from broker.wiring.checks import check_names
from broker.wiring.gate import gate_of
from broker.wiring.live_maps import load_map
from broker.wiring.maps import map_of_file
from broker.wiring.owners import Owners
from broker.wiring.parts import Parts
from broker.wiring.published import subjects
from broker.wiring.subscribing import subscribing

__all__ = ["LONGEST_MESSAGE", "STUCK_SECONDS", "listen", "serve", "services", "up"]

log = get_logger(__name__)

LONGEST_MESSAGE = 1 << 16  # bytes that a WebSocket's reader may send us at once: a token is 81
STUCK_SECONDS = 120  # after which the kernel ends a connection whose other end takes nothing
DRAWN_CELLS = 1500
MOST_PACKETS = 20_000  # read for one search: some seconds
MARKED, MARKED_LEVEL = 1000, 0.9  # alerts marked in pictures of maps
DRAWN_ORDERS = (8, 7, 6, 5, 4)


def services(parts: Parts) -> Services:
    """What the API serves from."""
    jobs, owners = Jobs(parts), Owners(parts.store)
    return Services(
        store=parts.store,
        log=parts.log,
        packet=lambda alert_id: reading.packet(parts, alert_id),
        packet_fields=lambda alert_id: reading.fields(parts, alert_id),
        cutout=lambda alert_id, kind: reading.cutout(parts, alert_id, kind),
        light_curve=lambda object_id: reading.light_curve(parts, object_id),
        query=lambda asked: _query(parts, asked),
        status=lambda: standing.status(parts),
        filters=parts.book.now,
        schemas=subjects(parts),
        neighbours=lambda ra, dec: neighbours.neighbours(parts, ra, dec),
        region=lambda event, level: _region(parts, event, level),
        skymap=lambda path: load_map(parts, path),
        read_map=map_of_file,
        candidates=lambda event: _candidates(parts, event),
        voevent=lambda event: _voevent(parts, event),
        catalogs=lambda: hosts.built(parts.data / "catalogs"),
        galaxies=lambda event, asked: hosts.of_event(parts, event, asked),
        columns=lambda stream, hidden: column_list.known_of(stream, column_list.of_parts(parts, hidden)),
        check_filter=lambda text, stream, hidden: filter_check.check(
            text, "the filter", column_list.of_parts(parts, hidden), stream
        ),
        check_condition=lambda where, stream, hidden: filter_check.check_where(
            where, column_list.of_parts(parts, hidden), stream
        ),
        alarms=lambda: heartbeats.alarms(parts),
        gate=gate_of(parts),
        explain=lambda asked: explain.told(parts, asked),
        backtests=Backtests(jobs.start, jobs.get, jobs.plot, jobs.close),
        trace=lambda alert_id: trace.trace(replace(parts, filters=parts.book.now()), alert_id).as_dict(),
        subscribing=subscribing(parts),
        auth=people.auth_of(parts.settings),
        filter_owners=owners.filters,
        column_owners=owners.columns,
        version=version("nuncius"),
    )


def serve(parts: Parts, host: str | None, port: int | None, on_ready: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    host, port
        Where to listen; the settings' where not given, a free port for 0.
    on_ready
        Told the address once requests are answered.

    Raises
    ------
    UsageError
        The address cannot be had.
    """
    table = parts.settings.serve
    people.warn_of_strangers(parts.settings, host or table.host)
    with listen(host or table.host, table.port if port is None else port) as listening:
        shown = listening.getsockname()
        served = services(parts)
        app = create_app(served)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, timeout_graceful_shutdown=3, ws_max_size=LONGEST_MESSAGE
        )
        server = _Server(config, lambda: on_ready(f"http://{shown[0]}:{shown[1]}"))
        try:
            server.run([listening])
        finally:
            served.backtests.close()


def up(parts: Parts, host: str | None, port: int | None, on_ready: Callable[[str], None]) -> None:
    """Every part in one process until interrupted; a part that fails ends all of them.

    Raises
    ------
    Exception
        What a part failed with.
    """
    check_names(parts.settings, {spec.name for spec in parts.filters})
    stop = threading.Event()
    faults: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # whatever ends one part is told by the process it ends
            faults.append(error)
            if isinstance(error, NunciusError):
                log.error("a part has failed: Nuncius stops", reason=str(error))  # noqa: TRY400 - the sentence says it all
            else:
                log.exception("a part has failed: Nuncius stops")
            _thread.interrupt_main()

    threads = [threading.Thread(target=guarded, args=(job,)) for job in _jobs(parts, stop)]
    for thread in threads:
        thread.start()
    try:
        serve(parts, host, port, on_ready)
    except KeyboardInterrupt:
        if not faults:  # by a hand, and not by a part that failed before we served
            raise
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if faults:
        raise faults[0]


def _jobs(parts: Parts, stop: threading.Event) -> list[Callable[[], None]]:
    """Every part but the API."""
    jobs: list[Callable[[], None]] = [lambda: running.process(parts, stop), lambda: deliver.deliver(parts, stop)]
    if parts.settings.ingest:
        jobs.append(lambda: running.follow_sources(parts, stop))
    if vtp.enabled(parts):
        jobs.append(lambda: running.serve_vtp(parts, stop))
    if parts.settings.relay:
        jobs.append(lambda: relay.relay(parts, stop))
    return jobs


class _Server(uvicorn.Server):
    """Uvicorn that says when it listens."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on Ctrl-C and SIGTERM, and no more: uvicorn would kill the process before its other parts have ended."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await asyncio.to_thread(self._on_ready)


def listen(host: str, port: int) -> socket.socket:
    """Socket bound to an address; `UsageError` where it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: connections have it from here; closing alone waits for who never reads
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_SECONDS * 1000)
        listening.bind((host, port))
    except OSError as error:
        raise UsageError(f"cannot listen on {host} port {port} ({error}): choose another with --port") from error
    return listening


def _query(parts: Parts, asked: ExpressionQuery) -> pl.DataFrame:
    conditions: list[pl.Expr] = []
    if asked.alert_ids:
        conditions.append(pl.col("alert_id").is_in(asked.alert_ids))
    if asked.object_id is not None:
        conditions.append(pl.col("object_id") == asked.object_id)
    if asked.before is not None:
        when, alert_id = asked.before
        undated, earlier_id = pl.col("time").is_null(), pl.col("alert_id") < alert_id  # those come last
        conditions.append(
            undated & earlier_id
            if when is None
            else undated | (pl.col("time") < when) | ((pl.col("time") == when) & earlier_id)
        )
    if asked.cone is not None:
        conditions.append(_inside(asked.cone.ra, asked.cone.dec, asked.cone.radius))
    narrow = pl.all_horizontal(conditions) if conditions else None
    wanted = reading.Query(asked.where, asked.streams, asked.columns, asked.limit, asked.start, asked.end, narrow, MOST_PACKETS)
    return reading.query(parts, wanted)


def _inside(ra: float, dec: float, radius: float) -> pl.Expr:
    def test(position: pl.Series) -> pl.Series:
        fields = position.struct
        apart = sky.separation(fields.field("ra").to_numpy(), fields.field("dec").to_numpy(), ra, dec)
        return pl.Series(apart <= radius)

    return pl.struct("ra", "dec").map_batches(test, return_dtype=pl.Boolean)


def _voevent(parts: Parts, event: Mapping[str, Any]) -> bytes:
    """What subscribers got of an event's latest revision; of one that people only wrote of, number 0."""
    change = event["revisions"][-1]["change"] if event["revisions"] else None
    return event_voevent({**event, "change": change, "revision": event["revision"] or 0}, vtp_out.sender(parts))


def _candidates(parts: Parts, event_name: str) -> Sequence[Candidate]:
    """The alerts deepest in an event's map, by the names of their objects, an object once."""
    found = association_pages.page(parts.store, event_name, level=MARKED_LEVEL, limit=MARKED).alerts
    placed = [row for row in reversed(found) if row["ra"] is not None and row["dec"] is not None]
    objects = {row["object_id"] or row["alert_id"]: (row["ra"], row["dec"]) for row in placed}
    return [Candidate(name, *place) for name, place in objects.items()]


def _region(parts: Parts, event_name: str, level: float) -> Sequence[Cell]:
    event = events.get_event(parts.store, event_name)
    if not event.get("map_path"):
        return ()
    ranges = credible_ranges(load_map(parts, event["map_path"]), level).astype(np.uint64)
    region = MOC.from_depth29_ranges(29, ranges)
    cells: list[Cell] = []
    for order in DRAWN_ORDERS:
        drawn = region.degrade_to_order(order).serialize("json")
        cells = [(int(depth), index) for depth, indices in drawn.items() for index in indices]
        if len(cells) <= DRAWN_CELLS:
            break
    return cells
