"""Galaxies of a catalogue that can host an event, ranked by its sky map."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.api.services import BuiltCatalog, Galaxies, GalaxyQuery
from broker.errors import NotFoundError, UsageError
from broker.science import hosts
from broker.science.hosts import Band
from broker.science.skymap import SkyMap, credible_ranges, region
from broker.science.volume import volume_levels_at
from broker.store import catalogs, events
from broker.store.catalogs import Catalog
from broker.wiring.live_maps import load_map
from broker.wiring.parts import Parts

__all__ = ["built", "of_event", "of_map"]

FloatArray = npt.NDArray[np.float64]

# Names that columns of tables have, the catalogue's own of ours first; compared without regard to case.
_DISTANCE: Final = ("dist", "distance", "dist_mpc", "distmpc", "d_l", "dl", "luminosity_distance")
_ERROR: Final = ("dist_err", "dist_error", "e_dist", "distance_err", "distance_error", "err_d_l", "e_dl")
_MAGNITUDE: Final = {"b_mag": ("b_mag", "bmag", "mag_b"), "k_mag": ("k_mag", "kmag", "mag_k", "ks_mag", "ksmag")}
_FIRST: Final = (
    *("rank", "id", "name", "ra", "dec", "ranking", "probability", "dist", "luminosity"),
    *("credible_level", "density", "volume_level", "volume_density"),
)
_SAMPLE: Final = 1_000_000  # rows of a catalogue that its completeness is taken from


def of_event(parts: Parts, name: str, asked: GalaxyQuery) -> Galaxies:
    """Galaxies for an event's latest map.

    Raises
    ------
    NotFoundError
        No such event, it has no map, or no such catalogue.
    """
    event = events.get_event(parts.store, name)
    if not event.get("map_path"):
        raise NotFoundError(f"event {name!r} has no sky map")
    found = of_map(load_map(parts, event["map_path"]), parts.data / "catalogs", asked)
    told = {"event": event["event_name"], "revision": event.get("map_revision")}
    return Galaxies(found.frame, told | dict(found.facts))


def built(folder: Path) -> list[BuiltCatalog]:
    """The catalogues of a folder."""
    return [
        BuiltCatalog(one.name, len(one), tuple(one.columns), _column(one, _DISTANCE) is not None, one.meta)
        for one in catalogs.open_all(folder)
    ]


def of_map(skymap: SkyMap, folder: Path, asked: GalaxyQuery) -> Galaxies:
    """Galaxies for a map.

    Parameters
    ----------
    folder
        Of catalogues.

    Raises
    ------
    NotFoundError
        No such catalogue; the text says how to build it.
    UsageError
        The galaxies are to be weighed, and the catalogue has no magnitudes.
    """
    catalog = catalogs.open_catalog(folder, asked.catalog)
    distance_name = _column(catalog, _DISTANCE)
    weighed = _band(catalog) if distance_name else None
    if asked.weight == "luminosity" and weighed is None:
        raise UsageError(
            f"catalogue {catalog.name!r} has no {' or '.join(_MAGNITUDE)} and dist to weigh galaxies by: "
            "ask with weight none, or for another catalogue"
        )
    is_3d = hosts.has_distances(skymap)
    by_light = weighed is not None and (asked.weight or ("luminosity" if is_3d else "none")) == "luminosity"
    rows = catalogs.within(catalog, credible_ranges(skymap, asked.level))
    distance, error = (_values(catalog, _column(catalog, names), rows) for names in (_DISTANCE, _ERROR))
    found = hosts.densities(skymap, catalog.hpx[rows], distance, error)
    light = hosts.luminosity(_values(catalog, weighed[0], rows), distance, weighed[1]) if weighed else distance * np.nan
    ranking = hosts.rank(found, light if by_light else None, is_3d=is_3d, limit=asked.limit)
    top = ranking.order
    frame = _frame(catalog, rows[top], distance_name).with_columns(
        pl.Series("ranking", np.where(ranking.in_volume, "3D", "2D"), dtype=pl.String),
        _series("probability", ranking.probability),
        _series("dist", distance[top]),
        _series("luminosity", light[top]),
        _series("credible_level", found.level[top]),
        _series("density", found.density[top]),
        _series("volume_level", _volume_levels(skymap, catalog.hpx[rows[top]], distance[top])),
        _series("volume_density", found.volume[top]),
    )
    first = [name for name in _FIRST if name in frame.columns]
    facts: dict[str, Any] = {
        "catalog": catalog.name,
        "source": catalog.meta.get("version"),
        "weight": "luminosity" if by_light else "none",
        "level": asked.level,
        "galaxies": ranking.counted,
        "ranked_2d": ranking.flat,
        "completeness": None,
        "luminosity_ratio": None,
    }
    if weighed is not None and is_3d:
        inside = float(skymap.prob[region(skymap, asked.level)].sum())
        by_distance = np.array(_shells(catalog.path, str(catalog.meta.get("built")), weighed[0]))
        facts["completeness"] = hosts.completeness(skymap, by_distance)
        facts["luminosity_ratio"] = hosts.luminosity_ratio(found, light, inside, weighed[1])
    return Galaxies(frame.select(*first, pl.exclude(first)), facts)


@lru_cache(16)
def _shells(path: Path, _built: str, magnitude: str) -> tuple[float, ...]:
    """Completeness by distance of a catalogue.

    Rows at even steps stand for all of them, as they are sorted by their place on the sky.
    """
    catalog = catalogs.open_catalog(path.parent, path.name)
    distance_name, band = _column(catalog, _DISTANCE), hosts.BANDS[_kind(magnitude)]
    step = -(-len(catalog) // _SAMPLE)
    rows = np.arange(0, len(catalog), step)
    distance = _values(catalog, distance_name, rows)
    light = hosts.luminosity(_values(catalog, magnitude, rows), distance, band)
    return tuple(hosts.shells(distance, light, band, 1.0 / step).tolist())


def _frame(catalog: Catalog, rows: npt.NDArray[np.int64], distance_name: str | None) -> pl.DataFrame:
    """What the catalogue says of those galaxies, but for the distance."""
    taken = catalogs.take(catalog, rows)
    kept = taken.drop(name for name in taken.columns if name == distance_name or name in {"ra", "dec", "rank"})
    if "name" in kept.columns:
        kept = kept.with_columns(pl.col("name").cast(pl.String))
    return kept.with_columns(
        pl.Series("rank", np.arange(1, rows.size + 1), dtype=pl.Int64),
        _series("ra", catalog.ra[rows]),
        _series("dec", catalog.dec[rows]),
    )


def _column(catalog: Catalog, names: tuple[str, ...]) -> str | None:
    lower = {name.lower(): name for name, values in catalog.columns.items() if values.dtype.kind in "fiu"}
    return next((lower[name] for name in names if name in lower), None)


def _band(catalog: Catalog) -> tuple[str, Band] | None:
    """The column of magnitudes and its band; B before K."""
    for kind, names in _MAGNITUDE.items():
        if name := _column(catalog, names):
            return name, hosts.BANDS[kind]
    return None


def _kind(magnitude: str) -> str:
    return next(kind for kind, names in _MAGNITUDE.items() if magnitude.lower() in names)


def _values(catalog: Catalog, name: str | None, rows: npt.NDArray[np.int64]) -> FloatArray:
    if name is None:
        return np.full(rows.size, np.nan)
    return catalog.columns[name][rows].astype(np.float64)


def _series(name: str, values: FloatArray) -> pl.Series:
    return pl.Series(name, values, dtype=pl.Float64).fill_nan(None)


def _volume_levels(skymap: SkyMap, hpx: npt.NDArray[np.int64], distance: FloatArray) -> FloatArray:
    """Credible level in volume; NaN where there is no distance."""
    known = np.isfinite(distance)
    out = np.full(hpx.shape, np.nan)
    if hosts.has_distances(skymap) and known.any():
        out[known] = volume_levels_at(skymap, hpx[known], distance[known])
    return out
