"""Common columns of survey alerts, worked out from a packet's own fields as its stream's declaration says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.alert import COMMON
from broker.decode.columns import Decoded, Ragged, to_series
from broker.decode.declaration import Declaration
from broker.decode.names import LONGEST, endless
from broker.science.sky import radec_to_hpx
from broker.science.times import to_micros
from broker.telemetry import get_logger

__all__ = [
    "MAG_PER_E",
    "Checked",
    "band_of",
    "check",
    "common_columns",
    "direction",
    "items_of",
    "magnitudes",
    "numbers",
    "or_null",
    "paths_of",
    "signs",
    "texts",
]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MAG_PER_E = 2.5 / np.log(10.0)
_R90 = float(np.sqrt(-2.0 * np.log(0.1)))  # radius of 90 % of a round Gaussian, in sigmas
_FIRST = 315_532_800_000_000  # 1980
_LAST = 4_102_444_800_000_000  # 2100
_UNTIMED = np.iinfo(np.int64).min
_log = get_logger(__name__)
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
    """What makes a record an alert, by row, and what is wrong with the rows that are none.

    Parameters
    ----------
    frame
        The packet's own fields.
    words
        The common columns that are words: ``alert_id``, ``object_id``, ``band``, and ``positive``.
    ra, dec, micros
        Degrees; microseconds since 1970 UTC, the least integer there is where there is no time.
    picked
        Item of the declared list that is the alert, -1 for none.
    problems
        By row.
    """

    frame: pl.DataFrame
    words: pl.DataFrame
    ra: Floats
    dec: Floats
    micros: npt.NDArray[np.int64]
    picked: npt.NDArray[np.int64] | None
    problems: dict[int, str]


def check(declaration: Declaration, decoded: Decoded) -> Checked:
    """Identity, position and time of every row; see `Checked`."""
    d = declaration
    frame, picked = _with_element(d, decoded)
    words = frame.select(
        (pl.lit(f"{d.stream}:") + texts(frame, d.id, ("",))).alias("alert_id"),
        texts(frame, d.object, d.object_none).alias("object_id"),
        band_of(d, frame, d.band.field).alias("band"),
        direction(frame, d.positive).alias("positive"),
    )
    if words.height != decoded.source.size:  # nothing but constants: polars made one row of them
        words = words[:0] if decoded.source.size == 0 else pl.concat([words] * decoded.source.size)
    ra, dec = numbers(frame, d.ra), numbers(frame, d.dec)
    ra = np.where(ra == 360.0, 0.0, ra)
    days = numbers(frame, d.time.field)
    micros, timed = to_micros(days, d.time.format, d.time.scale)
    problems = dict(decoded.doubtful)
    with np.errstate(invalid="ignore"):
        tests: list[tuple[npt.ArrayLike, str, Floats | None]] = [
            (words["alert_id"].is_null().to_numpy(), _lacks(frame, "id", d.id), None),
            (endless(words["alert_id"]), f"the id has more than {LONGEST} bytes", None),
            (endless(words["object_id"]), f"the object's id has more than {LONGEST} bytes", None),
            (np.isnan(ra) | np.isnan(dec), _lacks(frame, "position", (*d.ra, *d.dec)), None),
            ((ra < 0.0) | (ra > 360.0), "the position is off the sphere: right ascension {} degrees", ra),
            (np.abs(dec) > 90.0, "the position is off the sphere: declination {} degrees", dec),
        ]
    # What nobody can date is still an alert: it goes on without a time, as the surveys' own examples do.
    timed = timed & (micros >= _FIRST) & (micros <= _LAST)
    if not timed.all():
        _log.warning("no time between 1980 and 2100", stream=d.stream, alerts=int((~timed).sum()), value=float(days[~timed][0]))
    for wrong, say, values in tests:
        for row in np.flatnonzero(wrong).tolist():
            problems.setdefault(row, say if values is None else say.format(float(values[row])))
    return Checked(frame, words, ra, dec, np.where(timed, micros, _UNTIMED), picked, problems)


def common_columns(declaration: Declaration, checked: Checked, keep: Flags) -> dict[str, pl.Series]:
    """Every common column, in order, for the rows to keep."""
    d, b = declaration, declaration.brightness
    frame, words = checked.frame, checked.words
    if not keep.all():
        frame, words = frame.filter(pl.Series(keep)), words.filter(pl.Series(keep))
    ra, dec, rows = checked.ra[keep], checked.dec[keep], int(keep.sum())
    mag, mag_err, bright = magnitudes(
        numbers(frame, b.mag), numbers(frame, b.mag_err), numbers(frame, b.flux), numbers(frame, b.flux_err),
        b.zeropoint, numbers(frame, b.zeropoint_field) if b.zeropoint_field else None,
    )  # fmt: skip
    if b.signed:
        bright = mag
    error = np.full(rows, np.nan)
    if d.position_error is not None:
        error = _R90 * np.fmax(numbers(frame, d.position_error.ra), numbers(frame, d.position_error.dec))
        error = np.where(error > 0, error, np.nan)
    columns = {
        "alert_id": words["alert_id"],
        "stream": pl.Series([d.stream], dtype=pl.String).new_from_index(0, rows),
        "object_id": words["object_id"],
        "time": pl.Series(checked.micros[keep]).replace(_UNTIMED, None).cast(COMMON["time"]),
        "ra": pl.Series(ra),
        "dec": pl.Series(dec),
        "ra_dec_error": or_null(error),
        "containment_probability": or_null(np.where(np.isnan(error), np.nan, 0.9)),
        "hpx": pl.Series(radec_to_hpx(ra, dec)),
        "mag": or_null(mag),
        "mag_err": or_null(mag_err),
        "band": words["band"],
        "reliability": or_null(numbers(frame, d.reliability)),
        "positive": signs(words["positive"], bright),
    }
    return {
        name: columns[name] if name in columns else pl.Series([None], dtype=dtype).new_from_index(0, rows)
        for name, dtype in COMMON.items()
    }


def magnitudes(  # noqa: PLR0917
    mag: Floats, mag_err: Floats, flux: Floats, flux_err: Floats, zeropoint: float, own: Floats | None
) -> tuple[Floats, Floats, Floats]:
    """Magnitudes and errors as given, else from fluxes: m = zeropoint - 2.5 log10 f, dm = 2.5 / ln 10 * df / f.

    Parameters
    ----------
    mag, mag_err, flux, flux_err : shape (n,)
        As given, NaN for none; mag, and any unit of flux.
    zeropoint, own
        The zero point of all, or each one's own.

    Returns
    -------
    mag, mag_err, flux
        NaN for none; a negative flux has no magnitude.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        lit = np.where(flux > 0, flux, np.nan)
        derived = (zeropoint if own is None else own) - 2.5 * np.log10(lit)
        derived_err = MAG_PER_E * flux_err / lit
    mag_err = np.where(np.isnan(mag), derived_err, mag_err)
    return np.where(np.isnan(mag), derived, mag), mag_err, flux


def signs(words: pl.Series, flux: Floats) -> pl.Series:
    """Brighter than the reference: as the packet says, else by the sign of its flux, else null."""
    if words.null_count() == 0:
        return words
    said = words.cast(pl.Float64).to_numpy()
    both = np.where(np.isnan(said), np.where(np.isnan(flux), np.nan, flux > 0), said)
    return or_null(both).cast(pl.Boolean)


def direction(frame: pl.DataFrame, paths: Sequence[str]) -> pl.Expr:
    """Whether words such as t, 1, f, 0, -1 say brighter than the reference; null for any other."""
    have = [path for path in paths if path in frame.columns]
    if have and all(frame.schema[path] == pl.Boolean for path in have):
        return pl.coalesce(have)
    if not have:
        return pl.lit(None, dtype=pl.Boolean)
    lower = texts(frame, have, ()).str.to_lowercase()
    return pl.when(lower.is_in(_POSITIVE)).then(True).when(lower.is_in(_NEGATIVE)).then(False)


def band_of(declaration: Declaration, frame: pl.DataFrame, paths: Sequence[str]) -> pl.Expr:
    """Names of bands as we write them, from a survey's own names or numbers; null where it names none.

    The first path that yields one counts.
    """
    rule = declaration.band
    if rule.value is not None:
        return pl.lit(rule.value)
    found = []
    for path in paths:
        if path not in frame.columns:
            continue
        name = pl.col(path).cast(pl.String)
        if rule.pattern is not None:
            name = name.str.extract(rule.pattern, 1)
        if rule.map:
            given = dict(rule.map)
            only_numbers = all(key.isdigit() for key in given)
            default = pl.lit(None, dtype=pl.String) if only_numbers else name
            name = name.replace_strict(list(given), list(given.values()), default=default, return_dtype=pl.String)
        found.append(pl.when(name != "").then(name))
    return pl.coalesce(found) if found else pl.lit(None, dtype=pl.String)


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
        times = numbers(items_of(ragged), inner)
        for row, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
            if stop > start and not np.isnan(times[start:stop]).all():
                picked[row] = start + int(np.nanargmax(times[start:stop]))
    picked = np.where(stops > starts, picked, -1)
    index = pl.Series(picked, dtype=pl.Int64).replace(-1, None)
    fields = [series.gather(index).alias(f"{rule.list}[].{name}") for name, series in ragged.fields.items()]
    return decoded.frame.with_columns(fields) if decoded.frame.width else pl.DataFrame(fields), picked


def items_of(ragged: Ragged) -> pl.DataFrame:
    """All items of a list, flat."""
    return pl.DataFrame(ragged.fields) if ragged.fields else pl.DataFrame(height=int(ragged.offsets[-1]))


def numbers(frame: pl.DataFrame, paths: Sequence[str]) -> Floats:
    """First of the fields that is not null, NaN if none is."""
    result: Floats | None = None
    for path in paths:
        if path in frame.columns:
            values = frame[path].cast(pl.Float64, strict=False).to_numpy()
            result = values if result is None else np.where(np.isnan(result), values, result)
    return result if result is not None else np.full(frame.height, np.nan)


def texts(frame: pl.DataFrame, paths: Sequence[str], none: tuple[str, ...]) -> pl.Expr:
    """First of the fields that is neither null nor one of the words for none; ``a+b`` joins two with a hyphen."""
    found = []
    for path in paths:
        parts = path.split("+")
        if all(part in frame.columns for part in parts):
            text = pl.concat_str([pl.col(part).cast(pl.String) for part in parts], separator="-")
            text = text if len(parts) > 1 else pl.col(path).cast(pl.String)
            found.append(pl.when(~text.is_in(none)).then(text) if none else text)
    return pl.coalesce(found) if found else pl.lit(None, dtype=pl.String)


def or_null(values: Floats) -> pl.Series:
    """Numbers with null for NaN."""
    return to_series("", values, ~np.isnan(values))


def _lacks(frame: pl.DataFrame, what: str, paths: Sequence[str]) -> str:
    """Words for a missing thing: that the schema lacks the field, or that the packet does."""
    parts = [part for path in paths for part in path.split("+")]
    if not any(part in frame.columns for part in parts):
        return f"the packet has no {what}: its schema has none of {', '.join(paths)}"
    return f"the packet has no {what}: {', '.join(part for part in parts if part in frame.columns)} missing"
