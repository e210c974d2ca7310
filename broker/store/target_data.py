"""What is kept of the targets of a watchlist's version: all of them, or what it changed of the version before."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from functools import reduce
from typing import Final

import numpy as np
import polars as pl

from broker.store.target_tables import SCHEMA

__all__ = ["FEW", "LONGEST", "after", "changed", "digest_of", "pack", "unpack"]

FEW: Final = 1_000
"""So many targets are kept whole whenever one of them changes."""

LONGEST: Final = 64
"""So many changes are kept as such, one after the other."""

_GONE: Final = "gone"


def pack(frame: pl.DataFrame) -> bytes:
    """Columns as a compressed Arrow file."""
    out = io.BytesIO()
    frame.write_ipc(out, compression="zstd", compat_level=pl.CompatLevel.oldest())
    return out.getvalue()


def unpack(data: Sequence[bytes]) -> pl.DataFrame:
    """Targets, out of a whole version and the changes that follow it."""
    return reduce(after, (pl.read_ipc(io.BytesIO(each)) for each in data))


def after(frame: pl.DataFrame, change: pl.DataFrame) -> pl.DataFrame:
    """Targets once they are changed as `changed` says."""
    kept = frame.filter(~pl.col("id").is_in(change["id"].implode()))
    return pl.concat([kept, change.filter(~pl.col(_GONE)).select(*SCHEMA)])


def changed(put: pl.DataFrame, removed: Sequence[str] = ()) -> pl.DataFrame:
    """A change, to be packed: targets to put in the place of those of their ids, and ids of those to take away."""
    gone = pl.DataFrame({"id": list(removed)}, schema={"id": pl.String})
    return pl.concat([put.with_columns(pl.lit(value=False).alias(_GONE)), gone.with_columns(pl.lit(value=True).alias(_GONE))],
                     how="diagonal")  # fmt: skip


def digest_of(frame: pl.DataFrame, radius: float) -> str:
    """A word for the content of a list: the same targets in the same order with the same radii have the same."""
    found = hashlib.blake2b(np.float64(radius).tobytes(), digest_size=16)
    for name in ("ra", "dec", "radius"):
        found.update(frame[name].fill_null(-1.0).to_numpy().tobytes())
    found.update("\0".join(frame["id"]).encode())
    return found.hexdigest()
