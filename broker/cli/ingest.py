"""``nuncius ingest``: files now, or upstreams for good."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from broker.cli.context import context, err, opened, out, print_json, progress
from broker.errors import NunciusError, StreamHaltedError, UsageError

if TYPE_CHECKING:
    from broker.ingest.files import Ingested
    from broker.store.ledger import Counts, Totals
    from broker.wiring.parts import Parts
    from broker.wiring.running import Spans

__all__ = ["as_json", "ingest", "show_totals"]


def ingest(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files, folders, tarballs. None: follow the upstreams of the settings.")
    ] = None,
    as_document: Annotated[
        bool, typer.Option("--json", help="As one JSON object: the ledger, or what was appended where nothing is worked off.")
    ] = False,
    process: Annotated[
        bool | None,
        typer.Option(help="Work the alerts off before leaving [default: on the embedded log yes, on Kafka no]"),
    ] = None,
) -> None:
    """Take alerts in: Avro packets, VOEvents, GCN and LVK notices, sky maps; told by content, not by name.

    Examples: `nuncius ingest night/ --json` · `nuncius --config nuncius.toml ingest`
    """
    options = context(ctx)
    settings = options.settings() if paths else options.settings_of_service()
    with opened(settings, options.data) as parts:
        from broker.ingest.files import check_paths
        from broker.wiring import running, standing

        if not paths:
            if as_document:
                raise UsageError("--json goes with files or folders")
            with running.stop_on_signals() as stop:
                running.follow_sources(parts, stop)
            return
        check_paths(paths)
        ingested, spans = _take_in(parts, paths)
        halted = None
        process_now = settings.log.engine == "embedded" if process is None else process
        if process_now:
            with progress() as bar:
                task = bar.add_task("process", total=sum(standing.lag(parts).values()))  # what others left among it
                halted = _drained(parts, lambda records: bar.advance(task, records))
            totals, others = running.totals_of(parts, spans)
            found = as_json(totals) | {"others": others}
            if not as_document:
                show_totals(totals)
        else:
            found = {"appended": sum(ingested.records.values()), "streams": dict(sorted(ingested.records.items()))}
            err.print(f"{found['appended']:,} records are in; `nuncius process` works them off")
    if as_document:
        print_json(found | {"skipped": len(ingested.skipped), "unread": list(ingested.unread)})
    if process_now and (rejected := totals.overall.rejected):
        where = f"nuncius --data {shlex.quote(str(options.data))} dead-letter list"
        err.print(f"{rejected:,} rejected: `{where}` says why", markup=False, highlight=False, soft_wrap=True)
    if halted is not None:  # the ledger is told all the same: what was taken in before is kept
        raise halted
    if ingested.unread:
        raise NunciusError(f"could not be read, all else is in: {', '.join(ingested.unread)}")


def _take_in(parts: Parts, paths: list[Path]) -> tuple[Ingested, Spans]:
    """Everything below the paths; how much that is nobody knows before, for a tarball is one file and holds thousands."""
    from broker.wiring import running

    done = 0
    with progress(total=False) as bar:
        task = bar.add_task("take in", total=None)

        def tell(_origin: str, records: int) -> None:
            nonlocal done
            done += records
            bar.update(task, description=f"taken in {done:,}")

        return running.ingest_paths(parts, paths, tell)


def _drained(parts: Parts, on_records: Callable[[int], None]) -> StreamHaltedError | None:
    from broker.wiring import running

    try:
        running.drain(parts, on_records)
    except StreamHaltedError as error:
        return error
    return None


def as_json(totals: Totals) -> dict[str, Any]:
    """The ledger as plain values: the sums, and under ``streams`` the same by stream."""
    return _row(totals.overall) | {"streams": {stream: _row(counts) for stream, counts in sorted(totals.by_stream.items())}}


def show_totals(totals: Totals) -> None:
    """The ledger as a table."""
    from broker.store.ledger import Counts

    table = Table("stream", *_row(Counts()), title="Ledger: received = published + duplicate + rejected")
    for stream, counts in [*sorted(totals.by_stream.items()), ("all", totals.overall)]:
        style = "bold" if stream == "all" else None if counts.balanced else "red"
        table.add_row(stream, *(f"{count:,}" for count in _row(counts).values()), style=style)
    out.print(table)


def _row(counts: Counts) -> dict[str, int]:
    return {
        "received": counts.received,
        "published": counts.published,
        "duplicate": counts.duplicate,
        "rejected": counts.rejected,
        "matched": counts.matched,
    }
