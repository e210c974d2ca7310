"""What every verb shares: the data folder, the settings, and how results and progress are shown.

Modules of verbs import what is heavy when a verb runs, and not before: help, and what is wrong with a command line, are told at
once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from broker.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from broker.settings import Settings
    from broker.wiring.parts import Parts
    from consumers.options import Stream

__all__ = [
    "SETTINGS_FILE",
    "Globals",
    "busy",
    "context",
    "err",
    "nothing_kept",
    "opened",
    "out",
    "print_json",
    "progress",
    "window",
]

SETTINGS_FILE = "nuncius.toml"

out = Console()
err = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Globals:
    """The options before the verb."""

    data: Path
    config: Path | None

    def settings(self) -> Settings:
        """Settings as the file and the environment have them; logs are set up on the way."""
        from broker import telemetry
        from broker.settings import load

        settings = load(self.file())
        telemetry.configure(settings.output.level, settings.output.format)
        return settings

    def settings_of_service(self) -> Settings:
        """The same for a verb that runs for good: its metrics are shown where the settings say."""
        from broker import telemetry

        settings = self.settings()
        telemetry.show_metrics(settings.output.metrics_port)
        return settings

    def kept(self) -> Path:
        """The data folder, for a verb that only reads: `UsageError` where there is none."""
        if not self.data.is_dir():
            raise UsageError(f"nothing is kept in {self.data}: name the folder with --data, before the verb, or NUNCIUS_DATA")
        return self.data

    def subscribe(self, topics: str | Sequence[str], bootstrap_servers: str, **asked: Any) -> Stream:
        """Alerts of the data folder's log, whichever engine it has; where there is no such folder those of a Kafka."""
        from consumers import subscribe

        settings = self.settings() if self.data.is_dir() or self.config else None
        if settings is None:
            return subscribe(topics, bootstrap_servers, **asked)
        if settings.log.engine == "kafka":
            config = {**settings.log.properties, **asked.pop("config", {})}
            return subscribe(topics, settings.log.bootstrap_servers, config=config, **asked)
        from broker.cli.log_stream import LogStream
        from broker.wiring.parts import open_log
        from consumers.options import Options, topic_names

        return LogStream(open_log(settings, self.data), Options(topic_names(topics), str(self.data), **asked))

    def file(self) -> Path | None:
        """Settings file in use: the one named, else ``nuncius.toml`` in the data folder where there is one."""
        beside = self.data / SETTINGS_FILE
        return self.config or (beside if beside.is_file() else None)


def context(ctx: typer.Context) -> Globals:
    """Options before the verb."""
    found = ctx.find_object(Globals)
    assert found is not None
    return found


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


@contextmanager
def progress(*, total: bool = True) -> Iterator[Progress]:
    """Progress on standard error, gone when done; nothing where nobody looks."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = [SpinnerColumn(), TextColumn("{task.description}")]
    columns += [BarColumn(), MofNCompleteColumn()] if total else []
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True) as bar:
        yield bar


@contextmanager
def busy(task: str) -> Iterator[None]:
    """A sign on standard error that work is going on; gone when it is done."""
    if not err.is_terminal:
        yield
        return
    with progress(total=False) as bar:
        bar.add_task(task, total=None)
        yield


@contextmanager
def opened(settings: Settings, data: Path) -> Iterator[Parts]:
    """Log, database, filters and catalogues of a data folder, with a sign of work while they are opened."""
    with ExitStack() as stack:
        with busy("open"):
            from broker.wiring.parts import open_parts

            parts = stack.enter_context(open_parts(settings, data))
        yield parts


def nothing_kept(streams: Sequence[str], start: datetime | None, end: datetime | None) -> str:
    """What to say where no alert was looked at."""
    edges = (("from", start), ("before", end))
    when = "".join(f" {word} {edge:%Y-%m-%dT%H:%M:%S}" for word, edge in edges if edge is not None)
    return f"no alert of {', '.join(streams)} is kept{when}: `nuncius status` shows what came of each stream"


def window(since: datetime | None, until: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Half-open window of time, UTC, of two options.

    Raises
    ------
    UsageError
        It ends before it begins.
    """
    start, end = (edge.replace(tzinfo=UTC) if edge is not None and edge.tzinfo is None else edge for edge in (since, until))
    if start is not None and end is not None and start >= end:
        raise UsageError(f"--since {start:%Y-%m-%dT%H:%M:%S} is not before --until {end:%Y-%m-%dT%H:%M:%S}")
    return start, end
