"""``nuncius simulate``: packets of true shape and size, to files or to a topic."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.context import busy, context, err, progress
from broker.errors import UsageError
from broker.record import Message

if TYPE_CHECKING:
    from broker.simulate.survey import Packet
    from broker.stream.log import Log

__all__ = ["simulate"]

BATCH = 200


def simulate(  # noqa: PLR0917  typer makes options of them
    ctx: typer.Context,
    stream: Annotated[str, typer.Argument(help="ztf, lsst, gcn or lvk.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write files to.", file_okay=False)] = None,
    topic: Annotated[str, typer.Option(help="Topic of the log to append to, such as raw.ztf.")] = "",
    count: Annotated[int, typer.Option(help="How many packets.", min=1)] = 100,
    rate: Annotated[float, typer.Option(help="Packets a second; 0 for as fast as can be.", min=0)] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same packets.")] = 1,
    start: Annotated[datetime | None, typer.Option(help="Start of the first exposure, UTC [default: now]")] = None,
    schema: Annotated[str, typer.Option(help="LSST schema version, such as 10.0 [default: the newest installed]")] = "",
    cutouts: Annotated[bool, typer.Option(help="Whether survey packets carry images.")] = True,
    history: Annotated[int, typer.Option(help="Earlier epochs a survey packet has at most.", min=0)] = 35,
    tense: Annotated[str, typer.Option(help="alert_tense of notices: test or current.")] = "test",
) -> None:
    """Make packets with schema, history, cutouts, light curves and positions as the real streams have them.

    Examples: `nuncius simulate ztf --out night/ --count 500` · `nuncius simulate lsst --topic raw.lsst --rate 300 --count 9000`
    """
    if (out is None) == (not topic):
        raise UsageError("say where to: --out FOLDER, or --topic NAME")
    with busy("open"):
        from broker.wiring import simulating
        from broker.wiring.parts import open_log
    options = context(ctx)
    begin = (start or datetime.now(UTC)).replace(tzinfo=UTC)
    made = simulating.packets(stream, seed, count, begin, version=schema, cutouts=cutouts, history=history, tense=tense)
    with ExitStack() as stack:
        write = (
            _to_folder(out)
            if out is not None
            else _to_topic(stack.enter_context(closing(open_log(options.settings(), options.data))), topic)
        )
        bar = stack.enter_context(progress())
        task = bar.add_task(f"simulate {stream}", total=count)
        for batch in _paced(made, rate):
            write(batch)
            bar.advance(task, len(batch))
    err.print(f"{count} packets of {stream} written to {out or topic}")


def _to_folder(folder: Path) -> Callable[[list[Packet]], None]:
    folder.mkdir(parents=True, exist_ok=True)

    def write(batch: list[Packet]) -> None:
        for packet in batch:
            (folder / f"{packet.name}{packet.suffix}").write_bytes(packet.data)

    return write


def _to_topic(log: Log, topic: str) -> Callable[[list[Packet]], object]:
    return lambda batch: log.append([Message(topic, packet.data) for packet in batch])


def _paced(packets: Iterator[Packet], rate: float) -> Iterator[list[Packet]]:
    """Batches at a rate; a late one is not waited for, so that the mean holds."""
    size = BATCH if rate == 0 else max(1, min(BATCH, round(rate / 50)))
    begun, sent = time.monotonic(), 0
    while batch := list(islice(packets, size)):
        if rate:
            time.sleep(max(0.0, begun + sent / rate - time.monotonic()))
        sent += len(batch)
        yield batch
