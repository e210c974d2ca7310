"""Columns of ZTF packets: what a field's sources and exposures say, under the names of ZTF's schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from broker.simulate.sky import KINDS, offset
from broker.simulate.survey import Field, datetime_of

__all__ = ["candids", "earlier", "forced", "object_ids", "triggers"]

Integers = npt.NDArray[np.int64]

_JD = 2400000.5
_NIGHT_ZERO = 57754.0  # MJD of night 0, 2017-01-01
_ZERO_POINT = 26.2  # of the science image, mag
_NONE = -999.0


def _pid(mjd: npt.NDArray[np.float64], rcid: Integers) -> Integers:
    """Night, time of day in 1e-5 days, readout channel, and 15 for a science image, as ZTF numbers them."""
    night = np.floor(mjd).astype(np.int64)
    fraction = ((mjd - night) * 1e5).astype(np.int64)
    return np.asarray((night - int(_NIGHT_ZERO)) * 10**9 + fraction * 10**4 + rcid * 100 + 15)


def _channel(field: Field) -> tuple[Integers, Integers]:
    """Readout channel and number in the list of candidates, by source; no two sources share both."""
    rows = np.arange(len(field.sources))
    return rows % 64, rows // 64


def candids(field: Field) -> Integers:
    """Number of each candidate, shape (n, v)."""
    rcid, tblid = _channel(field)
    pid = _pid(field.mjd[None, :], rcid[:, None])
    return np.asarray(pid * 10**6 + ((field.sources.seed % 4) * 5000 + tblid)[:, None])


def object_ids(field: Field) -> npt.NDArray[np.bytes_]:
    """``ZTFyyxxxxxxx`` of each source, shape (n,); stars and nuclei carry an older year than tonight's transients."""
    seed = field.sources.seed
    tonight = datetime_of(float(field.mjd[-1])).year % 100
    old = np.isin(field.sources.kind, [KINDS.index("variable"), KINDS.index("agn")])
    year = np.where(old, 18 + seed % (tonight - 18 + 1) if tonight >= 18 else tonight, tonight)
    letters = np.stack([(seed // 26**place) % 26 + ord("a") for place in range(6, -1, -1)], axis=1).astype(np.uint8)
    digits = np.stack([year // 10 + ord("0"), year % 10 + ord("0")], axis=1).astype(np.uint8)
    prefix = np.broadcast_to(np.frombuffer(b"ZTF", np.uint8), (len(seed), 3))
    return np.ascontiguousarray(np.concatenate([prefix, digits, letters], axis=1)).view("S12").ravel()


def _image(field: Field) -> dict[str, Any]:
    """What an exposure and a readout channel have, shape (n, v) each, or one value for all."""
    rcid, _ = _channel(field)
    shape = field.seen.shape
    mjd = np.broadcast_to(field.mjd, shape)
    pid = _pid(field.mjd[None, :], rcid[:, None])
    letter = np.array([b"_zu", b"_zg", b"_zr", b"_zi"])[field.band]
    stem = [f"ztf_{datetime_of(float(m)):%Y%m%d}{int(m % 1 * 1e6):06d}_{field.number:06d}".encode() for m in field.mjd]
    name = np.strings.add(np.strings.add(np.array(stem), letter), b"_scimrefdiffimg.fits")
    return {
        "jd": mjd + _JD,
        "fid": np.broadcast_to(field.band, shape),  # 1 is g, 2 is r, 3 is i in both numberings
        "pid": pid,
        "diffmaglim": np.broadcast_to(field.limit, shape),
        "pdiffimfilename": np.broadcast_to(name, shape),
        "programpi": "Kulkarni",
        "programid": 1,
        "nid": np.broadcast_to(np.floor(field.mjd - _NIGHT_ZERO).astype(np.int64), shape),
        "rcid": np.broadcast_to(rcid[:, None], shape),
        "field": field.number,
        "magzpsci": _ZERO_POINT,
        "magzpsciunc": 8e-6,
        "magzpscirms": 0.03,
        "clrcoeff": np.broadcast_to(np.where(field.band == 1, -0.05, 0.1), shape),
        "clrcounc": 9e-6,
        "rbversion": "t17_f5_c3",
    }


def _source(field: Field, candid: Integers) -> dict[str, Any]:
    """What a detection has, shape (n, v) each, or one value for all."""
    sources, (_, tblid), shape = field.sources, _channel(field), field.seen.shape
    mag, error = field.magnitudes()
    kind, seed = sources.kind[:, None], sources.seed[:, None]
    moving, bogus = kind == KINDS.index("moving"), kind == KINDS.index("artefact")
    wobble = (seed // 7 % 997 / 997.0 + candid // 1000 % 131 / 131.0) / 2.0  # between 0 and 1, a little different each time
    near = np.where(np.isfinite(sources.host_sep), sources.host_sep, 3.0 + sources.seed % 2000 / 100.0)
    ranr, decnr = offset(sources.ra, sources.dec, near / 3600.0, sources.seed % 360)

    columns = {
        "candid": candid,
        "isdiffpos": np.where(field.flux > 0, b"t", b"f"),
        "tblid": tblid[:, None],
        "xpos": 20 + seed % 3000 * 1.0,
        "ypos": 20 + seed // 3000 % 3000 * 1.0,
        "ra": field.ra,
        "dec": field.dec,
        "magpsf": mag,
        "sigmapsf": error,
        "chipsf": 1.0 + wobble * 3,
        "magap": mag + 0.05 * (wobble - 0.5),
        "sigmagap": error * 1.3,
        "distnr": near[:, None],
        "magnr": sources.rest_mag[:, None],
        "sigmagnr": 0.02,
        "chinr": 0.7,
        "sharpnr": np.where(kind == KINDS.index("variable"), 0.0, 0.6),
        "sky": wobble - 0.5,
        "magdiff": 0.05 * (wobble - 0.5),
        "fwhm": np.where(bogus, 0.9 + wobble, 2.0 + wobble),
        "classtar": np.where(bogus, 0.1, 0.7 + 0.3 * wobble),
        "mindtoedge": 20 + seed % 1500 * 1.0,
        "magfromlim": field.limit[None, :] - mag,
        "seeratio": 1.0 + 0.3 * wobble,
        "aimage": 0.8 + 0.2 * wobble,
        "bimage": 0.75 + 0.2 * wobble,
        "aimagerat": 0.4 + 0.1 * wobble,
        "bimagerat": 0.37 + 0.1 * wobble,
        "elong": np.where(bogus, 2.0 + wobble, 1.05 + 0.1 * wobble),
        "nneg": np.where(bogus, 9, seed % 3),
        "nbad": np.where(bogus, 2, 0),
        "rb": np.where(bogus, 0.3 * wobble, 0.65 + 0.35 * wobble),
        "ssdistnr": np.where(moving, wobble, _NONE),
        "ssmagnr": np.where(moving, mag + 0.1 * wobble, _NONE),
        "ssnamenr": np.where(moving, (1000 + seed % 500000).astype("S6"), b"null"),
        "sumrat": np.where(bogus, 0.3, 1.0),
        "magapbig": mag + 0.1 * (wobble - 0.5),
        "sigmagapbig": error * 1.8,
        "ranr": ranr[:, None],
        "decnr": decnr[:, None],
        "scorr": np.abs(field.flux) / field.error,
    }
    return {name: np.broadcast_to(value, shape) if isinstance(value, np.ndarray) else value for name, value in columns.items()}


def _ravel(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: column.ravel() if isinstance(column, np.ndarray) else column for name, column in columns.items()}


def earlier(field: Field, candid: Integers) -> dict[str, Any]:
    """Columns of every source at every visit, as an earlier epoch: null where there was no detection."""
    missing = ~field.seen.ravel()
    detected = {
        name: np.ma.MaskedArray(
            column.ravel() if isinstance(column, np.ndarray) else np.full(missing.size, column), mask=missing
        )
        for name, column in _source(field, candid).items()
    }
    return {**_ravel(_image(field)), **detected}


def forced(field: Field) -> dict[str, Any]:
    """Columns of forced photometry at every source and visit."""
    image, source = _image(field), _source(field, candids(field))
    counts = 10 ** (0.4 * (_ZERO_POINT - 31.4))
    own = {
        "rfid": field.number * 10**6 + 120156,
        "sciinpseeing": 1.9,
        "scibckgnd": 250.0,
        "scisigpix": 10.0,
        "exptime": field.survey.exposure,
        "adpctdif1": 0.06,
        "adpctdif2": 0.065,
        "forcediffimflux": field.flux * counts,
        "forcediffimfluxunc": field.error * counts,
        "procstatus": "0",
    }
    return _ravel({**source, **image, **own})


def triggers(field: Field, candid: Integers, rows: Integers, number: int, seed: int) -> dict[str, Any]:
    """Columns of the triggering detections of a visit."""
    both = {**_source(field, candid), **_image(field)}
    columns = {name: column[rows, number] if isinstance(column, np.ndarray) else column for name, column in both.items()}
    sources = field.sources.take(rows)
    rng = np.random.default_rng([seed, field.number, number])
    bogus = sources.kind == KINDS.index("artefact")
    star = sources.kind == KINDS.index("variable")
    old = star | (sources.kind == KINDS.index("agn"))
    hosted = np.isfinite(sources.host_sep)
    seen = field.seen[rows, : number + 1]
    first = field.mjd[np.argmax(seen, axis=1)] - np.where(old, 30 + sources.seed % 2000, 0)
    colour = np.where(star, 0.5, 0.7)
    near = np.where(hosted, sources.host_sep, rng.uniform(3, 29, len(rows)))
    for rank in (1, 2, 3):
        far = near if rank == 1 else near + rng.uniform(2, 8, len(rows)) * (rank - 1)
        base = sources.rest_mag if rank == 1 else rng.uniform(17, 21.5, len(rows))
        score = np.where(star, 0.97, np.where(hosted, 0.05, 0.5)) if rank == 1 else rng.random(len(rows))
        columns[f"distpsnr{rank}"] = far
        columns[f"sgscore{rank}"] = np.clip(score + rng.normal(0, 0.02, len(rows)), 0, 1)
        columns[f"objectidps{rank}"] = (sources.dec * 1e4).astype(np.int64) * 10**11 + 10**17 + sources.seed % 10**11 + rank
        for band, step in (("g", 1.0), ("r", 0.0), ("i", -0.4), ("z", -0.6)):
            columns[f"s{band}mag{rank}"] = base + step * colour
    snr = columns["scorr"]
    columns |= {
        "drb": np.where(bogus, rng.beta(1, 8, len(rows)), 1 - rng.beta(0.6, 25, len(rows))),
        "drbversion": "d6_m7",
        "ndethist": seen.sum(axis=1) + np.where(old, sources.seed % 400, 0),
        "ncovhist": number + 1 + np.where(old, 1000, 300) + sources.seed % 300,
        "jdstarthist": first + _JD,
        "jdendhist": columns["jd"],
        "tooflag": 0,
        "nmtchps": rng.integers(1, 30, len(rows)),
        "rfid": field.number * 10**6 + 120156,
        "jdstartref": 2458246.855602,
        "jdendref": 2458643.81463,
        "nframesref": 15,
        "dsnrms": snr,
        "ssnrms": snr * 1.4,
        "dsdiff": -0.4 * snr,
        "nmatches": 1200,
        "zpclrcov": -8e-6,
        "zpmed": 25.9,
        "clrmed": 0.7,
        "clrrms": 0.2,
        "neargaia": np.where(star, 0.1, rng.uniform(2, 60, len(rows))),
        "maggaia": np.where(star, sources.rest_mag, rng.uniform(15, 20.5, len(rows))),
        "neargaiabright": _NONE,
        "maggaiabright": _NONE,
        "exptime": field.survey.exposure,
    }
    return columns
