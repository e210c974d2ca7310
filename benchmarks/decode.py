"""Decoding alone, beside fastavro a packet at a time."""

from __future__ import annotations

import io
import json
import statistics
import struct
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.services import Services
from broker.decode.dispatch import decode
from broker.decode.schemas import LsstPackage
from broker.process.select import wanted
from broker.record import Record
from broker.settings import Settings
from broker.wiring import simulating
from broker.wiring.parts import declarations_of, filters_of

__all__ = ["run"]

START = datetime(2026, 11, 21, 4, tzinfo=UTC)
CASES = (("ZTF, 76 kB", "ztf", True), ("LSST, 10 kB", "lsst", False), ("LSST, 70 kB", "lsst", True))


def run(folder: Path, services: Services | None, *, quick: bool) -> dict[str, Any]:  # noqa: ARG001  alike for all benchmarks
    """Milliseconds of processor time a packet, on simulated packets; batches of 500.

    Returns
    -------
    dict
        By case: ours, fastavro with the parsed schema kept, fastavro that reads the schema with each packet.
    """
    console = Console()
    names = ("ours", "fastavro, schema kept", "fastavro, schema each time")
    table = Table("packets", *(f"{name}: µs" for name in names), "times faster", title="Decoding alone, CPU a packet (medians)")
    figures: dict[str, Any] = {}
    for case, stream, cutouts in CASES:
        made = simulating.packets(stream, 5, 1000, START, cutouts=cutouts, history=45)
        packets = [packet.data for packet in made]
        ours, kept = _ours(stream, packets), _kept(stream, packets)
        ways: list[Callable[[Sequence[bytes]], object]] = [ours, kept, _each_time(stream)]
        times = []
        for number, way in enumerate(ways):
            way(packets[:500])  # compiles, fills caches
            part = packets[500:] if number < 2 else packets[500:600]
            turns = track(range(2 if quick else 7), f"{case}: {names[number]}", console=console, transient=True)
            times.append(statistics.median(_cpu(way, part) for _ in turns))
        table.add_row(
            case, *(f"{1e6 * value:,.0f}" for value in times), f"{times[1] / times[0]:.0f} and {times[2] / times[0]:.0f}"
        )
        figures[case] = {name: 1e3 * value for name, value in zip(names, times, strict=True)}
    console.print(table)
    return figures


def _cpu(way: Callable[[Sequence[bytes]], object], packets: Sequence[bytes]) -> float:
    begun = time.process_time()
    way(packets)
    return (time.process_time() - begun) / len(packets)


def _ours(stream: str, packets: Sequence[bytes]) -> Callable[[Sequence[bytes]], object]:
    """With all columns that the shipped filters want, histories among them."""
    settings, data = Settings(), Path("nowhere")
    declarations, schemas = declarations_of(settings, data), LsstPackage()
    asked = wanted(filters_of(settings, data), stream) | frozenset(declarations[stream].keep)
    records = {id(packet): Record(f"raw.{stream}", 0, number, 0, None, packet, ()) for number, packet in enumerate(packets)}

    def way(part: Sequence[bytes]) -> object:
        batch = decode(stream, [records[id(packet)] for packet in part], asked, declarations, schemas)
        assert batch.frame.height == len(part)
        return batch

    return way


def _kept(stream: str, packets: Sequence[bytes]) -> Callable[[Sequence[bytes]], object]:
    """The best that fastavro can: the schema parsed once, the container's header passed over."""
    if stream == "lsst":
        schema = fastavro.parse_schema(LsstPackage().by_id("lsst", struct.unpack(">I", packets[0][1:5])[0]))
        return lambda part: [fastavro.schemaless_reader(io.BytesIO(packet[5:]), schema, None) for packet in part]
    written = fastavro.reader(io.BytesIO(packets[0])).writer_schema
    schema = fastavro.parse_schema(json.loads(json.dumps(written)))

    def one(packet: bytes) -> object:
        start = packet.index(packet[-16:]) + 16  # behind the header's sync marker: count and length of the block, then the body
        file = io.BytesIO(packet)
        file.seek(start)
        for _ in range(2):
            while file.read(1)[0] & 0x80:
                pass
        return fastavro.schemaless_reader(file, schema, None)

    return lambda part: [one(packet) for packet in part]


def _each_time(stream: str) -> Callable[[Sequence[bytes]], object]:
    """What is usual: a reader a packet; for framed packets, the schema parsed again."""
    if stream == "lsst":
        source = LsstPackage()

        def parsed(packet: bytes) -> object:
            schema = fastavro.parse_schema(json.loads(json.dumps(source.by_id("lsst", struct.unpack(">I", packet[1:5])[0]))))
            return fastavro.schemaless_reader(io.BytesIO(packet[5:]), schema, None)

        return lambda part: [parsed(packet) for packet in part]
    return lambda part: [list(fastavro.reader(io.BytesIO(packet))) for packet in part]
