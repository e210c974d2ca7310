"""Catalogues: tables of the sky, sorted by HEALPix index, built once and memory-mapped by every process that matches.

A catalogue is a folder of ``.npy`` columns and a ``meta.json``. Its rows are sorted by tier of match radius and within a tier
by order-29 index, so that a search round an alert looks no further than the largest radius of the tier.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.errors import NotFoundError, UsageError
from broker.science.sky import cone_ranges, radec_to_hpx, separation
from broker.store.catalog_files import locked, mapped, move_in, write_folder
from broker.store.catalog_sources import PACKAGES, Progress, SourceTable, read_gaia, read_glade, read_ngc

__all__ = ["Catalog", "Tier", "add", "build", "ensure", "known", "near", "open_all", "open_catalog", "take", "within"]

_FORMAT: Final = 1
_TIER_FACTOR: Final = 4.0
_READERS: Final = {"ngc": read_ngc, "glade": read_glade, "gaia": read_gaia}
_TAKEN: Final = frozenset(
    {"candidate", "class", "grb", "gw", "history", "lightcurve", "moc", "neutrino", "skymap", "skymaps", "watchlist"}
)


@dataclass(frozen=True, slots=True)
class Tier:
    """Rows ``start`` to ``stop`` of a catalogue, whose match radii are no more than ``radius`` degrees."""

    start: int
    stop: int
    radius: float


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """An open catalogue; its arrays are memory-mapped and read-only, one element a row.

    Parameters
    ----------
    name
        Prefix of the columns it adds to alerts.
    hpx
        Order-29 NESTED indices, sorted within each tier.
    ra, dec
        Degrees, ICRS.
    radius
        Degrees around the object within which an alert is matched to it.
    ident
        Name or number of the object.
    columns
        What else is kept of it.
    meta
        ``source``, ``version``, ``match``, ``licence``, ``citation``, ``built``, ``units``.
    """

    name: str
    path: Path
    hpx: npt.NDArray[np.int64]
    ra: npt.NDArray[np.float64]
    dec: npt.NDArray[np.float64]
    radius: npt.NDArray[np.float32]
    ident: npt.NDArray[Any]
    columns: Mapping[str, npt.NDArray[Any]]
    tiers: tuple[Tier, ...]
    meta: Mapping[str, Any]

    def __len__(self) -> int:
        return int(self.hpx.size)


def known() -> tuple[str, ...]:
    """Names of the catalogues that come from packages."""
    return tuple(PACKAGES)


def add(
    root: Path,
    name: str,
    source: Path | None = None,
    progress: Progress | None = None,
    *,
    radius: float = 2.0,
    columns: Sequence[str] | None = None,
    header: Sequence[str] | None = None,
) -> Catalog:
    """Build a catalogue, or build it anew, and open it.

    Parameters
    ----------
    root
        Folder of catalogues.
    name
        ``ngc``, ``glade`` and ``gaia`` are known; any other name needs a `source` with columns of positions.
    source
        For the known ones, the file or the wheel of their package where that is not installed.
    progress
        Called with how much of the source is read and how much there is.
    radius, columns
        Of a table of the user's: arcseconds within which alerts match, and which columns to keep.
    header
        Names of the columns of a CSV file whose first line has none.

    Raises
    ------
    NotFoundError
        The package is not there; the text says what to install.
    UsageError
        The name or the file cannot be used.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name) or name in _TAKEN:
        raise UsageError(f"catalogue name {name!r}: a lower-case letter, then letters, digits and _, and not a name of ours")
    if name in _READERS:
        table = _READERS[name](source, progress)
    elif source is None:
        raise UsageError(f"no catalogue {name!r} comes with a package ({', '.join(_READERS)} do): name a file to build it from")
    else:
        from broker.store.catalog_tables import read_table  # noqa: PLC0415 - takes a second to load, and few verbs need it

        table = read_table(name, source, radius=radius, columns=columns, header=header)
    return build(root, name, table)


def ensure(root: Path, name: str) -> None:
    """Build a catalogue that comes with a package where there is none; of several processes at once the first one's stays."""
    if not (root / name).exists():
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{name}.", dir=root) as beside:
            move_in(add(Path(beside), name).path, root)


def build(root: Path, name: str, table: SourceTable) -> Catalog:
    """Write a catalogue in place of what has its name, and open it; rows that have no position on the sphere are left out.

    Raises
    ------
    UsageError
        No row has a position.
    """
    hpx = radec_to_hpx(table.ra, table.dec)
    placed = np.flatnonzero(hpx >= 0)
    if placed.size == 0:
        raise UsageError(f"catalogue {name!r}: no row has a position on the sphere")
    radius = table.radius[placed] / 3600.0
    tier = np.ceil(np.log(radius / radius.min()) / np.log(_TIER_FACTOR) - 1e-9).astype(np.int64)
    order = np.lexsort((hpx[placed], tier))
    rows, radius, tier = placed[order], radius[order], tier[order]
    bounds = np.flatnonzero(np.diff(tier, prepend=-1, append=-1))
    tiers = [[start, stop, float(np.float32(radius[start:stop].max()))] for start, stop in itertools.pairwise(bounds.tolist())]
    arrays: dict[str, npt.NDArray[Any]] = {
        "hpx": hpx[rows],
        "ra": table.ra[rows].astype(np.float64) % 360.0,
        "dec": table.dec[rows].astype(np.float64),
        "radius": radius.astype(np.float32),
        "ident": table.ident[rows],
        **{f"column.{column}": values[rows] for column, values in table.columns.items()},
    }
    meta = {
        "format": _FORMAT,
        "name": name,
        "rows": int(rows.size),
        "without_position": int(hpx.size - placed.size),
        "columns": list(table.columns),
        "units": dict(table.units),
        "tiers": tiers,
        "built": datetime.now(UTC).isoformat(timespec="seconds"),
        **table.facts,
    }
    write_folder(root, name, arrays, meta)
    return open_catalog(root, name)


def open_catalog(root: Path, name: str) -> Catalog:
    """Open one catalogue.

    Raises
    ------
    NotFoundError
        It has not been built.
    UsageError
        Its folder is damaged.
    """
    path = root / name
    with locked(root, alone=False) if root.is_dir() else nullcontext():
        if not (path / "meta.json").is_file():
            raise NotFoundError(f"no catalogue {name!r} under {root}: `nuncius catalog add {name}` builds it")
        try:
            meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
            if meta["format"] != _FORMAT:
                message = f"format {meta['format']} instead of {_FORMAT}"
                raise ValueError(message)  # noqa: TRY301 - one remedy for every kind of damage
            columns = {column: mapped(path, f"column.{column}", meta["rows"]) for column in meta["columns"]}
            hpx, ra, dec, radius, ident = (mapped(path, part, meta["rows"]) for part in ("hpx", "ra", "dec", "radius", "ident"))
            tiers = tuple(Tier(int(start), int(stop), float(reach)) for start, stop, reach in meta["tiers"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"catalogue {name!r} under {root} is damaged ({error}): `nuncius catalog add {name}` builds it anew"
            raise UsageError(message) from error
    return Catalog(name, path, hpx, ra, dec, radius, ident, columns, tiers, meta)


def open_all(root: Path) -> list[Catalog]:
    """Every catalogue built under `root`, by name; none where the folder is not there."""
    if not root.is_dir():
        return []
    names = sorted(path.name for path in root.iterdir() if not path.name.startswith(".") and (path / "meta.json").is_file())
    return [open_catalog(root, name) for name in names]


def near(catalog: Catalog, ra: float, dec: float, radius: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Rows within a cone, nearest first, whatever their match radius.

    Parameters
    ----------
    ra, dec, radius
        Degrees.

    Returns
    -------
    rows, separation : ndarray
        Row numbers, and degrees.
    """
    rows = within(catalog, cone_ranges(ra, dec, radius))
    apart = separation(ra, dec, catalog.ra[rows], catalog.dec[rows])
    order = np.argsort(apart, kind="stable")
    order = order[apart[order] <= radius]
    return rows[order], apart[order]


def within(catalog: Catalog, ranges: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows in a part of the sky; no other row is read.

    Parameters
    ----------
    ranges : ndarray of int64, shape (m, 2)
        Sorted half-open ranges of order-29 NESTED indices.
    """
    found = [np.empty(0, np.int64)]
    for tier in catalog.tiers:
        bounds = np.searchsorted(catalog.hpx[tier.start : tier.stop], ranges) + tier.start
        size = bounds[:, 1] - bounds[:, 0]
        # Counting up, with a leap from the end of each range to the start of the next.
        before = np.cumsum(size) - size
        found.append(np.arange(size.sum()) + np.repeat(bounds[:, 0] - before, size))
    return np.concatenate(found)


def take(catalog: Catalog, rows: npt.NDArray[np.int64]) -> pl.DataFrame:
    """Those rows as columns ``id``, and the catalogue's own; null where the catalogue has no value; ids are text."""
    columns = {"id": _series(catalog.ident[rows]).cast(pl.String)}
    for name, values in catalog.columns.items():
        columns[name] = _series(values[rows])
    return pl.DataFrame(columns)


def _series(values: npt.NDArray[Any]) -> pl.Series:
    if values.dtype.kind == "S":
        return pl.Series(values.astype(object), dtype=pl.Binary).cast(pl.String).replace("", None)
    series = pl.Series(values)
    return series.fill_nan(None) if series.dtype.is_float() else series
