"""Columns of LSST packets: what a field's sources, exposures and objects say, under the names of Rubin's schemas."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from broker.simulate.packed import FlatField
from broker.simulate.sky import BANDS, KINDS
from broker.simulate.survey import Field, datetime_of

__all__ = ["forced", "measured", "object_ids", "objects", "source_ids"]

Integers = npt.NDArray[np.int64]

_TAI = 37.0 / 86400.0  # TAI - UTC in days, since 2017-01-01
_LETTERS = np.array([band.encode() for band in BANDS])


def source_ids(field: Field) -> Integers:
    """``diaSourceId`` of each measurement, shape (n, v): the second it was made in, the field, the source."""
    second = ((field.mjd - 58000.0) * 86400).astype(np.int64)
    return (second[None, :] << 29) + (field.number % 2048 << 18) + np.arange(len(field.sources))[:, None]


def object_ids(field: Field) -> Integers:
    """``diaObjectId`` of each source, shape (n,); for a moving object that number is its ``ssObjectId``."""
    return np.asarray(field.sources.seed + 169_000_000_000_000_000)


def _epoch(field: Field) -> dict[str, Any]:
    """What an exposure has, shape (n, v)."""
    shape = field.seen.shape
    place = np.arange(len(field.mjd))
    day = [int(f"{datetime_of(float(mjd) - 0.5):%Y%m%d}") for mjd in field.mjd]
    middle = field.mjd + field.survey.exposure / 2 / 86400 + _TAI
    return {
        "visit": np.broadcast_to(np.array(day) * 100_000 + field.number % 500 * 100 + place, shape),
        "detector": np.broadcast_to((np.arange(len(field.sources)) % 189)[:, None], shape),
        "midpointMjdTai": np.broadcast_to(middle, shape),
        "timeProcessedMjdTai": np.broadcast_to(middle + 60 / 86400, shape),
        "band": np.broadcast_to(_LETTERS[field.band], shape),
    }


def measured(field: Field, ids: Integers, kinds: tuple[FlatField, ...]) -> dict[str, Any]:
    """Columns of every detection, by source and then by time."""
    seen, sources = field.seen, field.sources
    row = np.nonzero(seen)[0]
    flux, error = field.flux[seen], field.error[seen]
    snr = np.abs(flux) / error
    moving, bogus = sources.kind[row] == KINDS.index("moving"), sources.kind[row] == KINDS.index("artefact")
    number = object_ids(field)[row]
    template = 10 ** (0.4 * (31.4 - sources.rest_mag[row])) * np.isfinite(sources.host_sep[row])
    wobble = (ids[seen] * 2654435761 % 9973) / 9973.0
    degrees = field.survey.scatter * np.clip(5 / snr, 0.2, 1.0) / 3600
    return {
        **{field.name: False for field in kinds if field.kind == "boolean"},
        **{name: column[seen] for name, column in _epoch(field).items()},
        "diaSourceId": ids[seen],
        "diaObjectId": np.ma.MaskedArray(number, mask=moving),
        "ssObjectId": np.ma.MaskedArray(number, mask=~moving),
        "ra": field.ra[seen],
        "dec": field.dec[seen],
        "raErr": degrees,
        "decErr": degrees,
        "x": sources.seed[row] % 4000 * 1.0,
        "y": sources.seed[row] // 4000 % 4000 * 1.0,
        "apFlux": flux * (1 + 0.02 * (wobble - 0.5)),
        "apFluxErr": error * 1.3,
        "snr": snr,
        "psfFlux": flux,
        "psfFluxErr": error,
        "psfChi2": 1600 + 200 * wobble,
        "psfNdata": 1681,
        "scienceFlux": template + flux,
        "scienceFluxErr": error * 0.8,
        "templateFlux": template,
        "templateFluxErr": error * 0.3,
        "ixx": 0.2 + 0.05 * wobble,
        "iyy": 0.2 + 0.05 * wobble,
        "ixy": 0.01 * wobble,
        "ixxPSF": 0.21,
        "iyyPSF": 0.21,
        "ixyPSF": 0.0,
        "extendedness": np.where(bogus, 1.0, 0.0),
        "reliability": np.where(bogus, 0.3 * wobble, 0.7 + 0.3 * wobble),
        "isNegative": flux < 0,
        "bboxSize": 41,
        "dipoleFitAttempted": True,
    }


def forced(field: Field, ids: Integers) -> dict[str, Any]:
    """Columns of forced photometry at every source and visit."""
    shape, sources = field.seen.shape, field.sources
    template = 10 ** (0.4 * (31.4 - sources.rest_mag)) * np.isfinite(sources.host_sep)
    columns = {
        **_epoch(field),
        "diaForcedSourceId": ids,
        "diaObjectId": np.broadcast_to(object_ids(field)[:, None], shape),
        "ra": np.broadcast_to(sources.ra[:, None], shape),
        "dec": np.broadcast_to(sources.dec[:, None], shape),
        "psfFlux": field.flux,
        "psfFluxErr": field.error,
        "scienceFlux": template[:, None] + field.flux,
        "scienceFluxErr": field.error * 0.8,
    }
    return {name: column.ravel() for name, column in columns.items()}


def objects(field: Field, rows: Integers, number: int) -> dict[str, Any]:
    """Columns of the objects of a visit's alerts: the aggregates of what was seen until then."""
    seen = field.seen[rows, : number + 1]
    flux, error = field.flux[rows, : number + 1], field.error[rows, : number + 1]
    middle = field.mjd + field.survey.exposure / 2 / 86400 + _TAI
    first = middle[np.argmax(seen, axis=1)]
    columns: dict[str, Any] = {
        "diaObjectId": object_ids(field)[rows],
        "validityStartMjdTai": np.full(len(rows), middle[number]),
        "ra": field.sources.ra[rows],
        "dec": field.sources.dec[rows],
        "firstDiaSourceMjdTai": first,
        "lastDiaSourceMjdTai": np.full(len(rows), middle[number]),
        "nDiaSources": seen.sum(axis=1),
    }
    for index, band in enumerate(BANDS):
        mine = seen & (field.band[: number + 1] == index)
        count = mine.sum(axis=1)
        none = count == 0
        mean = np.where(mine, flux, 0).sum(axis=1) / np.maximum(count, 1)
        sigma = np.sqrt(np.where(mine, (flux - mean[:, None]) ** 2, 0).sum(axis=1) / np.maximum(count, 1))
        least = np.where(mine, error, np.inf).min(axis=1, initial=np.inf)
        columns[f"{band}_psfFluxNdata"] = count
        for name, value in (
            ("Mean", mean),
            ("MeanErr", np.where(none, 0, least) / np.sqrt(np.maximum(count, 1))),
            ("Sigma", sigma),
            ("Min", np.where(mine, flux, np.inf).min(axis=1)),
            ("Max", np.where(mine, flux, -np.inf).max(axis=1)),
        ):
            columns[f"{band}_psfFlux{name}"] = np.ma.MaskedArray(np.where(none, 0.0, value), mask=none)
    return columns
