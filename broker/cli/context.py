"""What every verb shares: the data folder, the settings, and how results and progress are shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from broker import telemetry
from broker.errors import UsageError
from broker.settings import Settings, load

__all__ = ["SETTINGS_FILE", "Globals", "context", "err", "out", "print_json", "progress"]

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
        settings = load(self.file())
        telemetry.configure(settings.output.level, settings.output.format)
        return settings

    def settings_of_service(self) -> Settings:
        """The same for a verb that runs for good: its metrics are shown where the settings say."""
        settings = self.settings()
        telemetry.show_metrics(settings.output.metrics_port)
        return settings

    def kept(self) -> Path:
        """The data folder, for a verb that only reads: `UsageError` where there is none."""
        if not self.data.is_dir():
            raise UsageError(f"nothing is kept in {self.data}: name the folder with --data, before the verb, or NUNCIUS_DATA")
        return self.data

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
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


@contextmanager
def progress(*, total: bool = True) -> Iterator[Progress]:
    """Progress on standard error, gone when done; nothing where nobody looks."""
    columns = [SpinnerColumn(), TextColumn("{task.description}")]
    columns += [BarColumn(), MofNCompleteColumn()] if total else []
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True) as bar:
        yield bar
