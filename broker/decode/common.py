"""Common columns of survey alerts, worked out from a packet's own fields as its stream's declaration says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from broker.alert import BANDS, COMMON
from broker.decode.columns import Decoded, Ragged
from broker.decode.declaration import Declaration, History
from broker.science.sky import radec_to_hpx
from broker.science.times import to_micros, to_mjd_utc

__all__ = ["MAG_PER_E", "Checked", "bands", "check", "common_columns", "direction", "history_columns", "magnitudes", "paths_of"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MAG_PER_E = 2.5 / np.log(10.0)
_R90 = float(np.sqrt(-2.0 * np.log(0.1)))  # radius of 90 % of a round Gaussian, in sigmas
_FIRST = 315_532_800_000_000  # 1980
_LAST = 4_102_444_800_000_000  # 2100
_POSITIVE = ("t", "true", "1", "1.0", "y", "yes", "+")
_NEGATIVE = ("f", "false", "0", "0.0", "-1", "-1.0", "n", "no", "-")


def paths_of(declaration: Declaration, *, history: bool) -> frozenset[str]:
    """Paths a packet is read for, its kept fields included."""
    d = declaration
    names = [*d.id, *d.object, *d.ra, *d.dec, *d.time.field, *d.reliability, *d.positive, *d.keep, *d.band.field]
    names += [
        *d.brightness.mag,
        *d.brightness.mag_err,
        *d.brightness.flux,
        *d.brightness.flux_err,
        *d.brightness.zeropoint_field,
    ]
    if d.position_error is not None:
        names += [*d.position_error.ra, *d.position_error.dec]
    found = {part for name in names for part in name.split("+")}
    if history and d.history.detections is not None:
        item = d.history.detections
        inner = (*item.time, *item.band, *item.positive, *item.mag, *item.mag_err, *item.flux, *item.flux_err)
        found |= {f"{path}[].{name}" for path in item.field for name in (*inner, *item.zeropoint_field)}
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Checked:
    """What makes a record an alert, by row, and what is wrong with the rows that are none."""

    frame: pl.DataFrame
    ids: pl.Series
    ra: Floats
    dec: Floats
    micros: npt.NDArray[np.int64]
    picked: npt.NDArray[np.int64] | None
    problems: dict[int, str]


def check(declaration: Declaration, decoded: Decoded) -> Checked:
    """Identity, position and time of every row; see `Checked`."""
    frame, picked = _with_element(declaration, decoded)
    frame = _without_sentinels(frame, declaration.missing)
    ids = _first_text(frame, declaration.id, ("",))
    ra, dec = _first_number(frame, declaration.ra), _first_number(frame, declaration.dec)
    ra = np.where(ra == 360.0, 0.0, ra)
    days = _first_number(frame, declaration.time.field)
    micros, timed = to_micros(days, declaration.time.format, declaration.time.scale)
    problems = dict(decoded.doubtful)
    lacks = {
        "id": _lacks(frame, "id", declaration.id),
        "position": _lacks(frame, "position", (*declaration.ra, *declaration.dec)),
        "time": _lacks(frame, "time", declaration.time.field),
    }
    with np.errstate(invalid="ignore"):
        tests: list[tuple[npt.ArrayLike, str, Floats | None]] = [
            (ids.is_null().to_numpy(), lacks["id"], None),
            (np.isnan(ra) | np.isnan(dec), lacks["position"], None),
            ((ra < 0.0) | (ra > 360.0), "the position is off the sphere: right ascension {} degrees", ra),
            (np.abs(dec) > 90.0, "the position is off the sphere: declination {} degrees", dec),
            (np.isnan(days), lacks["time"], None),
            (~timed | (micros < _FIRST) | (micros > _LAST), "the time {} is not between 1980 and 2100", days),
        ]
    for wrong, words, values in tests:
        for row in np.flatnonzero(wrong).tolist():
            problems.setdefault(row, words if values is None else words.format(float(values[row])))
    return Checked(frame, ids, ra, dec, micros, picked, problems)


def common_columns(declaration: Declaration, checked: Checked, keep: Flags) -> dict[str, pl.Series]:
    """Every common column a survey has, for the rows to keep."""
    d = declaration
    frame = checked.frame.filter(pl.Series(keep)) if not keep.all() else checked.frame
    ra, dec, rows = checked.ra[keep], checked.dec[keep], int(keep.sum())
    b = d.brightness
    mag, mag_err, bright = magnitudes(
        _first_number(frame, b.mag), _first_number(frame, b.mag_err), _first_number(frame, b.flux),
        _first_number(frame, b.flux_err), b.zeropoint, _first_number(frame, b.zeropoint_field) if b.zeropoint_field else None,
    )  # fmt: skip
    if b.signed:
        bright = pl.Series(_or_null(mag)).sign() > 0
    error = np.full(rows, np.nan)
    if d.position_error is not None:
        error = _R90 * np.fmax(_first_number(frame, d.position_error.ra), _first_number(frame, d.position_error.dec))
        error = np.where(error > 0, error, np.nan)
    columns = {
        "alert_id": pl.select(pl.lit(f"{d.stream}:") + checked.ids.filter(pl.Series(keep))).to_series(),
        "stream": pl.Series([d.stream], dtype=pl.String).new_from_index(0, rows),
        "object_id": _first_text(frame, d.object, d.object_none),
        "time": pl.Series(checked.micros[keep]).cast(COMMON["time"]),
        "ra": pl.Series(ra),
        "dec": pl.Series(dec),
        "ra_dec_error": _or_null(error),
        "containment_probability": _or_null(np.where(np.isnan(error), np.nan, 0.9)),
        "hpx": pl.Series(radec_to_hpx(ra, dec)),
        "mag": _or_null(mag),
        "mag_err": _or_null(mag_err),
        "band": _first_band(d, frame),
        "reliability": _or_null(_first_number(frame, d.reliability)),
        "positive": direction(_first_text(frame, d.positive, ())).fill_null(bright),
    }
    return {name: series.alias(name) for name, series in columns.items()}


def history_columns(declaration: Declaration, decoded: Decoded, checked: Checked, keep: Flags) -> dict[str, pl.Series]:
    """The packet's earlier detections as `broker.alert.HISTORY` has them.

    An entry with neither magnitude nor flux (an upper limit) is none; one of negative flux has no magnitude but stays.
    """
    rows = int(keep.sum())
    item = declaration.history.detections
    ragged = next((decoded.lists[path] for path in item.field if path in decoded.lists), None) if item else None
    if item is None or ragged is None:
        empty = pl.Series([[]], dtype=pl.List(pl.Float64)).new_from_index(0, rows)
        return _as_history(empty, empty, empty, empty, empty)
    owner = np.repeat(np.arange(keep.size), np.diff(ragged.offsets))
    t, mag, mag_err, band, positive, measured = _entries(declaration, item, ragged)
    valid = ~np.isnan(t) & measured & keep[owner]
    if checked.picked is not None and declaration.element is not None and declaration.element.list in item.field:
        valid[checked.picked[checked.picked >= 0]] = False  # the alert itself
    counts = np.bincount(owner[valid], minlength=keep.size)[keep]
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    pick = pl.Series(valid)

    def listed(series: pl.Series) -> pl.Series:
        return pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(offsets, series.filter(pick).to_arrow())))

    return _as_history(listed(pl.Series(t)), listed(_or_null(mag)), listed(_or_null(mag_err)), listed(band), listed(positive))


def _entries(
    declaration: Declaration, item: History, ragged: Ragged
) -> tuple[Floats, Floats, Floats, pl.Series, pl.Series, Flags]:
    """Time, magnitude, its error, band index, direction of a list's entries, and whether each is a measurement."""
    fields = _without_sentinels(pl.DataFrame(ragged.fields, height=int(ragged.offsets[-1])), declaration.missing)
    time = to_mjd_utc(_first_number(fields, item.time), declaration.time.format, declaration.time.scale)
    given, flux = _first_number(fields, item.mag), _first_number(fields, item.flux)
    zeropoint = declaration.brightness.zeropoint if item.zeropoint is None else item.zeropoint
    mag, mag_err, bright = magnitudes(
        given, _first_number(fields, item.mag_err), flux, _first_number(fields, item.flux_err), zeropoint,
        _first_number(fields, item.zeropoint_field) if item.zeropoint_field else None,
    )  # fmt: skip
    names = _coalesced(fields, item.band, pl.String)
    named = bands(declaration, names) if declaration.band.value is None else bands(declaration, names).fill_null("")
    index = named.replace_strict(list(BANDS), list(range(len(BANDS))), default=255, return_dtype=pl.UInt8).fill_null(255)
    positive = direction(_first_text(fields, item.positive, ())).fill_null(bright)
    return time, mag, mag_err, index, positive, ~np.isnan(given) | ~np.isnan(flux)


def magnitudes(  # noqa: PLR0917
    mag: Floats, mag_err: Floats, flux: Floats, flux_err: Floats, zeropoint: float, own: Floats | None
) -> tuple[Floats, Floats, pl.Series]:
    """Magnitudes and errors as given, else from fluxes: m = zeropoint - 2.5 log10 f, dm = 2.5 / ln 10 * df / f.

    Parameters
    ----------
    mag, mag_err, flux, flux_err : shape (n,)
        As given, NaN for none; mag, and any unit of flux.
    zeropoint, own
        The zero point of all, or each one's own.

    Returns
    -------
    mag, mag_err, positive
        NaN for none; a negative flux has no magnitude. `positive` is the sign of the flux, null without one.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        lit = np.where(flux > 0, flux, np.nan)
        derived = (zeropoint if own is None else own) - 2.5 * np.log10(lit)
        derived_err = MAG_PER_E * flux_err / lit
    mag_err = np.where(np.isnan(mag), derived_err, mag_err)
    return np.where(np.isnan(mag), derived, mag), mag_err, _or_null(flux) > 0


def direction(text: pl.Series) -> pl.Series:
    """Whether words such as t, 1, f, 0, -1 say brighter than the reference; null for any other."""
    lower = text.str.to_lowercase()
    return pl.select(pl.when(lower.is_in(_POSITIVE)).then(True).when(lower.is_in(_NEGATIVE)).then(False)).to_series()


def bands(declaration: Declaration, names: pl.Series) -> pl.Series:
    """Names of bands as we write them, from a survey's own names or numbers; null where it names none."""
    rule = declaration.band
    if rule.value is not None:
        return pl.Series([rule.value], dtype=pl.String).new_from_index(0, len(names))
    if rule.pattern is not None:
        names = names.str.extract(rule.pattern, 1)
    if rule.map:
        numbers = all(key.isdigit() for key, _ in rule.map)
        given = dict(rule.map)
        names = names.replace_strict(list(given), list(given.values()), default=None if numbers else names)
    return names.replace("", None)


def _first_band(declaration: Declaration, frame: pl.DataFrame) -> pl.Series:
    """Band by the first path that yields one."""
    result: pl.Series | None = None
    for path in declaration.band.field:
        if path in frame.columns:
            named = bands(declaration, frame[path].cast(pl.String))
            result = named if result is None else result.fill_null(named)
    return (
        result if result is not None else bands(declaration, pl.Series([None], dtype=pl.String).new_from_index(0, frame.height))
    )


def _with_element(declaration: Declaration, decoded: Decoded) -> tuple[pl.DataFrame, npt.NDArray[np.int64] | None]:
    """The frame with the fields of the list element that is the alert, and which item of the list that is by row, or -1."""
    rule = declaration.element
    ragged = decoded.lists.get(rule.list) if rule else None
    if rule is None or ragged is None:
        return decoded.frame, None
    starts, stops = ragged.offsets[:-1], ragged.offsets[1:]
    picked = stops - 1 if rule.pick != "first" else starts.copy()
    if rule.pick == "latest":
        inner = [path.split("[].")[1] for path in declaration.time.field if path.startswith(f"{rule.list}[].")]
        times = _first_number(pl.DataFrame(ragged.fields, height=int(ragged.offsets[-1])), inner)
        for row, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
            if stop > start and not np.isnan(times[start:stop]).all():
                picked[row] = start + int(np.nanargmax(times[start:stop]))
    picked = np.where(stops > starts, picked, -1)
    index = pl.Series(picked, dtype=pl.Int64).replace(-1, None)
    fields = [series.gather(index).alias(f"{rule.list}[].{name}") for name, series in ragged.fields.items()]
    return decoded.frame.with_columns(fields) if decoded.frame.width else pl.DataFrame(fields), picked


def _without_sentinels(frame: pl.DataFrame, missing: tuple[float, ...]) -> pl.DataFrame:
    if not missing:
        return frame
    doubles = [name for name, kind in frame.schema.items() if kind == pl.Float64]
    if not doubles:
        return frame
    return frame.with_columns(pl.when(~pl.col(name).is_in(missing)).then(pl.col(name)).alias(name) for name in doubles)


def _coalesced(frame: pl.DataFrame, paths: Sequence[str], kind: type[pl.DataType]) -> pl.Series:
    have = [frame[path].cast(kind, strict=False) for path in paths if path in frame.columns]
    if not have:
        return pl.Series([None], dtype=kind).new_from_index(0, frame.height)
    result = have[0]
    for other in have[1:]:
        if result.null_count() == 0:
            break
        result = result.fill_null(other)
    return result


def _first_number(frame: pl.DataFrame, paths: Sequence[str]) -> Floats:
    """First of the fields that is not null, NaN if none is."""
    series = _coalesced(frame, paths, pl.Float64)
    return series.fill_null(float("nan")).to_numpy() if series.null_count() else series.to_numpy()


def _first_text(frame: pl.DataFrame, paths: Sequence[str], none: tuple[str, ...]) -> pl.Series:
    """First of the fields that is neither null nor one of the words for none; ``a+b`` joins two with a hyphen."""
    result: pl.Series | None = None
    for path in paths:
        parts = path.split("+")
        if not all(part in frame.columns for part in parts):
            continue
        text = _coalesced(frame, parts[:1], pl.String)
        for part in parts[1:]:
            text = pl.select(pl.concat_str([text, frame[part].cast(pl.String)], separator="-")).to_series()
        if none and text.is_in(none).any():
            text = pl.select(pl.when(~text.is_in(none)).then(text)).to_series()
        result = text if result is None else result.fill_null(text)
        if result.null_count() == 0:
            break
    return result if result is not None else pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)


def _or_null(values: Floats) -> pl.Series:
    return pl.Series(values, dtype=pl.Float64).fill_nan(None)


def _lacks(frame: pl.DataFrame, what: str, paths: Sequence[str]) -> str:
    """Words for a missing thing: that the schema lacks the field, or that the packet does."""
    parts = [part for path in paths for part in path.split("+")]
    if not any(part in frame.columns for part in parts):
        return f"the packet has no {what}: its schema has none of {', '.join(paths)}"
    return f"the packet has no {what}: {', '.join(part for part in parts if part in frame.columns)} missing"


def _as_history(
    time: pl.Series, mag: pl.Series, mag_err: pl.Series, band: pl.Series, positive: pl.Series
) -> dict[str, pl.Series]:
    floats = {"time": time, "mag": mag, "mag_err": mag_err}
    columns = {f"history.{name}": series.cast(pl.List(pl.Float64)) for name, series in floats.items()}
    columns["history.band"] = band.cast(pl.List(pl.UInt8))
    columns["history.positive"] = positive.cast(pl.List(pl.Boolean))
    return {name: series.alias(name) for name, series in columns.items()}
