"""What the follow-up programs show on a terminal, and how they end."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from consumers.errors import ClientError, RequestError

__all__ = ["busy", "complain", "complaints", "messages", "out", "print_json", "say", "show", "warn"]

out = Console()
messages = Console(stderr=True)


@contextmanager
def busy(task: str) -> Iterator[None]:
    """A sign on standard error that work is going on; gone when it is done, and not there where nobody looks."""
    if not messages.is_terminal:
        yield
        return
    with messages.status(task):
        yield


@contextmanager
def complaints() -> Iterator[None]:
    """End with status 2 for wrong use, 1 for what fails, and say why in a line.

    That leap seconds of years to come are not known yet moves a night by seconds, and is not warned of.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message='.*"dubious year')
            yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "consumers":
            raise
        complain(f"{error}: this needs what comes with pip install 'nuncius[follow]'")
        raise typer.Exit(1) from error
    except BrokenPipeError:  # the next program has had enough
        sys.stderr.close()
        raise typer.Exit(0) from None
    except (ClientError, OSError) as error:
        complain(error)
        raise typer.Exit(2 if isinstance(error, RequestError) else 1) from error


def complain(error: object) -> None:
    """Say in a line what is wrong."""
    messages.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)


def warn(text: str) -> None:
    """Say in a line what may not be meant."""
    messages.print(f"warning: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Say in a line what is going on, and when."""
    messages.print(f"{datetime.now(UTC):%H:%M:%S} {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def show(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose cells are never cut."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    needed = Measurement.get(out, out.options.update(width=1000), table).maximum
    Console(width=max(needed, out.width)).print(table, highlight=False, markup=False)
