"""Sky maps read from the files that verbs name, and what is made of them written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.context import busy
from broker.errors import UsageError

if TYPE_CHECKING:
    from broker.science.skymap import SkyMap

__all__ = ["MapFile", "Out", "read_map", "write_bytes"]

MapFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        readable=True,
        help="FITS, flat or multi-order, gzipped or not; or a notice that brings a map or an error circle.",
    ),
]
Out = Annotated[Path | None, typer.Option("--out", help="File to write instead of standard output.", dir_okay=False)]


def read_map(file: Path) -> SkyMap:
    """The map of a file, with a sign of work while it is read."""
    with busy(f"read {file.name}"):
        from broker.wiring.maps import map_of_file

        return map_of_file(file)


def write_bytes(body: bytes, target: Path | None) -> None:
    """Write to a file, or to standard output where none is named."""
    if target is None:
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return
    try:
        target.write_bytes(body)
    except OSError as error:
        raise UsageError(f"--out {target} cannot be written: {error.strerror}") from error
