"""A picture of a light curve, to be read at a glance: bright is up, a colour and a shape a band, limits as carets."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["BANDS", "OTHER", "Look", "draw"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Look:
    """Colour and marker of a band; the shape tells bands apart for those who see colours otherwise."""

    colour: str
    marker: str


BANDS: Final = {
    "u": Look("#1c6fd0", "*"),
    "g": Look("#13804c", "o"),
    "r": Look("#c2410c", "s"),
    "i": Look("#8a6400", "D"),
    "z": Look("#a8247c", "^"),
    "y": Look("#6a3fd0", "h"),
    "Y": Look("#6a3fd0", "h"),
    "c": Look("#0b7f8c", "p"),
    "o": Look("#d97706", "P"),
    "w": Look("#4a5670", "d"),
    "G": Look("#2f6b3a", "8"),
    "B": Look("#2744b0", "<"),
    "V": Look("#3f8f1f", ">"),
    "R": Look("#a11d1d", "s"),
    "I": Look("#7a3b10", "D"),
    "J": Look("#8f1f5c", "<"),
    "H": Look("#70204a", ">"),
    "K": Look("#4d1836", "v"),
}
"""By name, from blue to red within a survey's set; the same as on the pages."""

OTHER: Final = Look("#4a5670", "X")
_COLUMNS: Final = {
    "time": pl.Float64,
    "mag": pl.Float64,
    "mag_err": pl.Float64,
    "limit": pl.Float64,
    "band": pl.String,
    "kind": pl.String,
    "positive": pl.Boolean,
}
_ORDER: Final = {name: number for number, name in enumerate(BANDS)}
_EPOCH: Final = 40_587.0  # MJD of 1970-01-01
_WORST: Final = 1.0  # magnitudes of error that are drawn at most
_MOST: Final = 20_000  # points


def draw(curve: pl.DataFrame, *, title: str = "", now: float | None = None) -> bytes | None:
    """Light curve as a PNG file; ``None`` where there is nothing to draw.

    Parameters
    ----------
    curve
        Columns ``time`` (MJD, UTC), ``mag``, ``mag_err``, ``band``, ``kind`` (``detection``, ``forced``, ``limit``), and where
        there are any ``limit`` and ``positive``. A limit's value is in ``limit``, else in ``mag``.
    now
        MJD of the measurement that this is about; it gets a ring.
    """
    points = _points(curve)
    if points.is_empty():
        return None
    # needs a second to load, and only pictures need it
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(8.0, 4.8), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.09, 0.115, 0.725, 0.715))  # set: to have it found out takes as long as the drawing
    for band in sorted(points["band"].unique().to_list(), key=lambda name: (_ORDER.get(name, 99), name)):
        _band(axes, band, points.filter(pl.col("band") == band))
    _ring(axes, points, now)
    _meanings(axes, points)
    _scales(axes, points)
    if title:
        figure.text(0.02, 0.965, title.replace("$", r"\$"), fontsize=12, fontweight="bold", va="center")
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": "Nuncius"})
    return out.getvalue()


def _points(curve: pl.DataFrame) -> pl.DataFrame:
    """What can be drawn: ``time``, ``mag``, ``mag_err``, ``band``, ``kind``, ``positive``."""
    if "time" not in curve.columns:
        return pl.DataFrame(schema=_COLUMNS)
    frame = curve.select(
        (pl.col(name) if name in curve.columns else pl.lit(None)).cast(kind).alias(name) for name, kind in _COLUMNS.items()
    ).with_columns(
        pl.col("kind").fill_null("detection"), pl.col("band").fill_null("?"), pl.col("positive").fill_null(value=True)
    )
    value = pl.when(pl.col("kind") == "limit").then(pl.coalesce("limit", "mag")).otherwise(pl.col("mag"))
    drawn = frame.with_columns(value.alias("mag")).filter(pl.col("time").is_finite() & pl.col("mag").is_finite())
    return drawn.sort("time").tail(_MOST)


def _band(axes: Any, band: str, points: pl.DataFrame) -> None:
    look = BANDS.get(band, OTHER)
    shown = False
    for (kind, positive), rows in points.partition_by("kind", "positive", as_dict=True, maintain_order=True).items():
        time, mag = rows["time"].to_numpy(), rows["mag"].to_numpy()
        if kind == "limit":
            axes.plot(time, mag, linestyle="none", marker=_caret(), markersize=7, color=look.colour, alpha=0.55)
            continue
        filled = kind == "detection" and positive
        axes.errorbar(
            time,
            mag,
            yerr=np.clip(np.nan_to_num(rows["mag_err"].to_numpy().astype(float), nan=0.0), 0.0, _WORST),
            linestyle="none",
            marker=look.marker,
            markersize=(9 if look.marker == "*" else 6) if kind == "detection" else 5,
            color=look.colour,
            markerfacecolor=look.colour if filled else "white",
            markeredgecolor=look.colour,
            markeredgewidth=1.2,
            elinewidth=1.0,
            capsize=2.0,
            alpha=1.0 if kind == "detection" else 0.6,
            zorder=3 if kind == "detection" else 2,
        )
        shown = True
    axes.plot(
        [], [], linestyle="none", marker=look.marker if shown else _caret(), color=look.colour, label=band.replace("$", r"\$")
    )


def _caret() -> Any:
    from matplotlib.markers import CARETDOWNBASE  # noqa: PLC0415

    return CARETDOWNBASE


def _ring(axes: Any, points: pl.DataFrame, now: float | None) -> None:
    measured = points.filter(pl.col("kind") != "limit")
    if now is None or measured.is_empty():
        return
    apart = np.abs(measured["time"].to_numpy() - now)
    nearest = int(apart.argmin())
    if apart[nearest] < 1e-3:  # a minute and a half: surveys give the beginning or the middle of an exposure
        axes.plot(
            measured["time"][nearest], measured["mag"][nearest], "o", markersize=15, markerfacecolor="none",
            markeredgecolor="black", markeredgewidth=1.3, zorder=4, label="this alert",
        )  # fmt: skip


def _meanings(axes: Any, points: pl.DataFrame) -> None:
    """What hollow markers and carets are, where there are any."""
    grey = {"linestyle": "none", "color": "#4a5670", "markeredgewidth": 1.2}
    measured = pl.col("kind") != "limit"
    if not points.filter(measured & ~pl.col("positive")).is_empty():
        axes.plot([], [], marker="o", markersize=6, markerfacecolor="white", label="fainter than\nreference", **grey)
    if not points.filter((pl.col("kind") == "forced") & pl.col("positive")).is_empty():
        axes.plot([], [], marker="o", markersize=5, markerfacecolor="white", alpha=0.6, label="forced", **grey)
    if not points.filter(~measured).is_empty():
        axes.plot([], [], marker=_caret(), markersize=7, alpha=0.55, label="limit", **grey)


def _scales(axes: Any, points: pl.DataFrame) -> None:
    """Magnitudes upside down; days below, dates above; room for what is drawn and for no outlier's error."""
    import matplotlib.dates  # noqa: PLC0415
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    time, mag = points["time"].to_numpy(), points["mag"].to_numpy()
    error = np.clip(np.nan_to_num(points["mag_err"].to_numpy().astype(float), nan=0.0), 0.0, _WORST)
    pad = max(float(np.ptp(time)) * 0.04, 0.02)
    low, high = float((mag - error).min()), float((mag + error).max())
    room = max((high - low) * 0.08, 0.1)
    axes.set_xlim(time.min() - pad, time.max() + pad)
    axes.set_ylim(high + room, low - room)
    axes.set_xlabel("MJD (UTC)")
    axes.set_ylabel("magnitude")
    axes.ticklabel_format(axis="x", useOffset=False, style="plain")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))  # two digits after the point at most
    axes.grid(color="#d5dbe3", linewidth=0.6)
    axes.set_axisbelow(True)
    dates = axes.secondary_xaxis("top", functions=(lambda mjd: mjd - _EPOCH, lambda day: day + _EPOCH))
    made: Any = matplotlib.dates  # has no types
    locator = made.AutoDateLocator(minticks=3, maxticks=6)
    dates.xaxis.set_major_locator(locator)
    dates.xaxis.set_major_formatter(made.ConciseDateFormatter(locator, show_offset=True))
    dates.set_xlabel("date (UTC)")
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=10, handletextpad=0.3)
