"""Working off what was taken in, beside others who take in and process too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from broker.errors import StreamHaltedError
from broker.record import Message
from broker.settings import LogTable, ProcessTable, Settings, StoreTable
from broker.simulate import ztf
from broker.store import ledger, tables
from broker.store.engine import connection
from broker.wiring import running, standing
from broker.wiring.housekeeping import compacting
from broker.wiring.parts import Parts, open_parts
from tests.running import wait_for

JUNK = [Message("raw.gcn", b"junk %d" % number, b"%d" % number) for number in range(40)]


def opened(data: Path) -> contextmanager[Parts]:  # type: ignore[valid-type]
    table = ProcessTable(max_records=20, halt_minimum=10)
    return open_parts(Settings(log=LogTable(durable=False), store=StoreTable(durable=False), process=table), data)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with opened(tmp_path / "data") as made:
        yield made


@pytest.fixture
def packets(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for packet in ztf.packets(2, 50, datetime(2026, 11, 21, 4, tzinfo=UTC), history=1, cutouts=False):
        (folder / f"{packet.name}.avro").write_bytes(packet.data)
    return folder


@contextmanager
def processing(data: Path) -> Iterator[Parts]:
    """Another who processes."""
    stop, faults = threading.Event(), list[BaseException]()
    with opened(data) as other:

        def run() -> None:
            try:
                running.process(other, stop)
            except StreamHaltedError as error:
                faults.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield other
        finally:
            stop.set()
            thread.join()


def test_an_upstream_that_never_rests_is_not_waited_for(parts: Parts, packets: Path) -> None:
    _, spans = running.ingest_paths(parts, [packets], lambda _origin, _records: None)
    late = [path.read_bytes() for path in sorted(packets.iterdir())[:20]]

    def one_more(_records: int) -> None:  # each batch is followed by another: lag is never nought
        parts.log.append([Message("raw.ztf", packet) for packet in late])

    running.drain(parts, one_more)
    totals, others = running.totals_of(parts, spans)
    assert totals.overall.received == 50 + others
    assert totals.overall.balanced
    assert any(standing.lag(parts).values())


def test_what_others_did_meanwhile_is_not_counted(parts: Parts, packets: Path) -> None:
    parts.log.append(JUNK[:9])
    running.drain(parts, lambda _records: None)
    parts.log.append([Message("raw.gcn", b"more", b"1")])
    _, spans = running.ingest_paths(parts, [packets], lambda _origin, _records: None)
    running.drain(parts, lambda _records: None)
    totals, others = running.totals_of(parts, spans)
    assert (totals.overall.received, totals.by_stream.keys(), others) == (50, {"ztf"}, 0)


def test_the_ledger_is_folded_meanwhile(parts: Parts, packets: Path) -> None:
    running.ingest_paths(parts, [packets], lambda _origin, _records: None)
    running.drain(parts, lambda _records: None)

    def entries() -> int:
        with connection(parts.store) as conn:
            return int(conn.execute(select(func.count()).select_from(tables.ledger)).scalar_one())

    places = len(standing.raw_ends(parts))
    assert entries() > places
    with compacting(parts.frames, parts.store, durable=False, every=0.05, checked=-1.0):
        wait_for(lambda: entries() == places, 30, "the ledger is not folded")
    assert running.totals(parts).overall.received == 50


def test_a_mark_stays_where_another_has_halted(tmp_path: Path, parts: Parts, packets: Path) -> None:
    with processing(tmp_path / "data") as other:
        other.log.append(JUNK)
        wait_for(lambda: ledger.halted(parts.store) == ["gcn"], 30, "no stream has halted")
        running.ingest_paths(parts, [packets], lambda _origin, _records: None)
        with pytest.raises(StreamHaltedError, match="gcn"):
            running.drain(parts, lambda _records: None)
        assert ledger.halted(parts.store) == ["gcn"]


def test_a_mark_goes_when_the_stream_is_worked_through(parts: Parts, packets: Path) -> None:
    ledger.mark_halted(parts.store, "gcn", halted=True)
    ledger.mark_halted(parts.store, "ztf", halted=True)
    running.ingest_paths(parts, [packets], lambda _origin, _records: None)
    running.drain(parts, lambda _records: None)
    assert ledger.halted(parts.store) == ["gcn"]
