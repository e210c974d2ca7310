"""Pictures of sky maps: the whole sky, or what matters of it, with contours, galactic plane, Sun, Moon and candidates."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from broker.errors import SkyMapError
from broker.science.projection import AzimuthalEqualArea, Mollweide, Projection, galactic_plane
from broker.science.sky import radec_to_hpx, separation
from broker.science.skygrid import draw_grid
from broker.science.skymap import SkyMap, area, distance_moments, levels_at, region
from broker.science.solar import moon, sun

__all__ = ["Candidate", "Format", "View", "draw", "zoomed"]

FloatArray = npt.NDArray[np.float64]
Format = Literal["png", "svg"]

_CONTOURS: Final = ((0.5, "#7a1f1f", "solid"), (0.9, "#c44e4e", "solid"))
_PIXELS: Final = 1000  # across a picture's map
_LABELLED: Final = 40  # candidates that are named at most
_SMALLEST: Final = 1e-3  # degrees: half the width of the closest view
_WIDEST: Final = 90.0
_SEEN: Final = 30.0  # square degrees: a smaller 90 % region gets a ring in a picture of the whole sky
_TINT: Final = ["#ffffff", "#fde0c5", "#f7a889", "#e2654f", "#a31e3f", "#4f0a33"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A position to mark: degrees, ICRS."""

    name: str
    ra: float
    dec: float


@dataclass(frozen=True, slots=True)
class View:
    """What a picture shows besides the map.

    Parameters
    ----------
    zoom
        Only where the map is, instead of the whole sky.
    radius
        Half the width of a zoomed picture in degrees; of the size of the map where not given.
    time
        For which the Sun and the Moon are drawn, UTC; neither where not given.
    candidates
        Positions to mark; the last ones lie over the others and are named first.
    title
        Above the picture.
    """

    zoom: bool = False
    radius: float | None = None
    time: datetime | None = None
    candidates: Sequence[Candidate] = field(default_factory=tuple)
    title: str = ""


def zoomed(skymap: SkyMap, radius: float | None = None) -> AzimuthalEqualArea:
    """Projection of the part of the sky where a map is: around its 90 % region, or its peak where that is scattered."""
    import healpy  # noqa: PLC0415 - slow to load

    inside = region(skymap, 0.9)
    vectors = _vectors(skymap, inside)
    weight = skymap.prob[inside]
    middle = weight @ vectors / weight.sum()
    if np.linalg.norm(middle) < 0.7:  # several spots, or a ring: the likeliest place
        middle = _vectors(skymap, skymap.density == skymap.density.max()).mean(axis=0)
    ra, dec = (float(value[0]) for value in healpy.vec2ang(middle / np.linalg.norm(middle), lonlat=True))
    if radius is None:
        lon, lat = healpy.vec2ang(vectors, lonlat=True)
        apart = np.atleast_1d(separation(ra, dec, lon, lat))
        cell = np.degrees(np.sqrt((skymap.stop - skymap.start)[inside].min() * 4.0 * np.pi / (12 << 58)))
        radius = 1.4 * float(apart.max()) + 4.0 * float(cell)
    return AzimuthalEqualArea(ra, dec, float(np.clip(radius, _SMALLEST, _WIDEST)))


def _vectors(skymap: SkyMap, rows: npt.NDArray[np.bool_]) -> FloatArray:
    import healpy  # noqa: PLC0415 - as above

    middle = (skymap.start[rows] + skymap.stop[rows]) // 2
    return np.column_stack(healpy.pix2vec(1 << 29, middle, nest=True))


def draw(skymap: SkyMap, fmt: Format, view: View = View()) -> bytes:
    """Picture of a map as a PNG or SVG file.

    Raises
    ------
    SkyMapError
        No such format; matplotlib is not installed.
    """
    if fmt not in {"png", "svg"}:
        raise SkyMapError(f"no pictures of format {fmt!r}: png or svg")
    try:
        # needs a second to load, and only pictures need it
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise SkyMapError("pictures of sky maps need matplotlib: pip install matplotlib") from error
    projection = zoomed(skymap, view.radius) if view.zoom else Mollweide()
    wide, high = projection.extent
    tall = 5.9 if high < wide else 10.6
    figure = Figure(figsize=(10.0, tall), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    side = 0.07 if view.zoom else 0.04  # for degrees of many digits
    axes = figure.add_axes((side, 0.5 / tall, 1.0 - 2.0 * side, 1.0 - 0.95 / tall))
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-1.02 * wide, 1.02 * wide)
    axes.set_ylim(-1.02 * high, 1.02 * high)
    axes.apply_aspect()  # so that names know where they are
    _paint(axes, skymap, projection)
    draw_grid(axes, projection)
    _line(axes, projection, *galactic_plane(), color="#3b6ea8", linestyle="--", linewidth=1.0, label="galactic plane")
    _bodies(axes, projection, view.time)
    _candidates(axes, projection, view.candidates)
    if isinstance(projection, Mollweide) and area(skymap, 0.9) < _SEEN:
        around = zoomed(skymap)
        _mark(axes, projection, (around.ra, around.dec), "90 % region", markersize=16, color="#7a1f1f", markerfacecolor="none")
    figure.suptitle(_told(skymap, view.title), fontsize=11, y=1.0 - 0.15 / tall)
    figure.legend(loc="lower center", ncols=7, fontsize=8, frameon=False, bbox_to_anchor=(0.5, 0.0))
    out = io.BytesIO()
    figure.savefig(out, format=fmt, metadata={"Date": None} if fmt == "svg" else {"Software": "Nuncius"})
    return out.getvalue()


def _paint(axes: Any, skymap: SkyMap, projection: Projection) -> None:
    """Density as colour, and contours of the credible level."""
    from matplotlib.colors import LinearSegmentedColormap  # noqa: PLC0415

    wide, high = projection.extent
    across, down = _PIXELS, round(_PIXELS * high / wide)
    x = (np.arange(across) + 0.5) / across * 2.0 * wide - wide
    y = (np.arange(down) + 0.5) / down * 2.0 * high - high
    ra, dec = projection.backward(x[None, :], y[:, None])
    level, density = levels_at(skymap, radec_to_hpx(ra, dec))
    peak = np.nanmax(density)
    shown = np.ma.masked_invalid(density / peak if peak > 0.0 else density)
    tint = LinearSegmentedColormap.from_list("probability", _TINT)
    axes.imshow(
        shown, origin="lower", extent=(-wide, wide, -high, high), cmap=tint, vmin=0.0, vmax=1.0, interpolation="nearest"
    )
    surface = np.ma.masked_invalid(level)
    for value, colour, style in _CONTOURS:
        if surface.min() < value < surface.max():
            axes.contour(x, y, surface, levels=[value], colors=[colour], linestyles=style, linewidths=1.2)
        axes.plot([], [], color=colour, linestyle=style, label=f"{value:.0%}: {_degrees2(area(skymap, value))}")


def _degrees2(value: float) -> str:
    return f"{value:,.0f} deg²" if value >= 100.0 else f"{value:.3g} deg²"


def _told(skymap: SkyMap, title: str) -> str:
    told = [title or skymap.facts.name, skymap.facts.time[:19]]
    if (moments := distance_moments(skymap)) is not None:
        told.append(f"{moments[0]:.0f} ± {moments[1]:.0f} Mpc")
    return "   ".join(part.replace("$", r"\$") for part in told if part)


def _line(axes: Any, projection: Projection, ra: npt.ArrayLike, dec: npt.ArrayLike, **style: Any) -> None:
    """Line through positions, broken where it leaves one side of the picture for the other."""
    x, y = projection.forward(ra, dec)
    wide, high = projection.extent
    if not ((np.abs(x) <= wide) & (np.abs(y) <= high)).any():
        return
    x = np.where((np.abs(x) <= wide) & (np.abs(y) <= high), x, np.nan)
    leap = np.flatnonzero(~(np.hypot(np.diff(x), np.diff(y)) < 0.3 * wide)) + 1
    axes.plot(np.insert(x, leap, np.nan), np.insert(y, leap, np.nan), **style)


def _bodies(axes: Any, projection: Projection, time: datetime | None) -> None:
    if time is None:
        return
    for name, place, colour in (("Sun", sun(time), "#f2b705"), ("Moon", moon(time), "#9aa3ad")):
        _mark(axes, projection, place, name, markersize=11, color=colour, markeredgecolor="#555555")


def _candidates(axes: Any, projection: Projection, candidates: Sequence[Candidate]) -> None:
    if not candidates:
        return
    x, y = projection.forward([one.ra for one in candidates], [one.dec for one in candidates])
    wide, high = projection.extent
    seen = (np.abs(x) <= wide) & (np.abs(y) <= high)
    axes.plot(
        x[seen], y[seen], "D", markersize=4, color="#1b7f5c", markeredgecolor="white", label="candidates", linestyle="none"
    )
    _names(axes, [(candidates[number].name, x[number], y[number]) for number in reversed(np.flatnonzero(seen).tolist())])


def _names(axes: Any, wanted: Sequence[tuple[str, float, float]]) -> None:
    """Names beside points, the first ones first, none over another: each where there is room for it, or nowhere."""
    taken: list[Any] = []
    for name, x, y in wanted:
        if len(taken) == _LABELLED or not name:
            break
        for right, up in ((5, 3), (-5, 3), (5, -10), (-5, -10)):
            text = axes.annotate(
                name.replace("$", r"\$"),
                (x, y),
                (right, up),
                textcoords="offset points",
                ha="left" if right > 0 else "right",
                fontsize=7,
                color="#0d4a35",
                bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.6},
            )
            box = text.get_window_extent()
            if (
                axes.bbox.fully_contains(box.x0, box.y0)
                and axes.bbox.fully_contains(box.x1, box.y1)
                and not box.count_overlaps(taken)
            ):
                taken.append(box)
                break
            text.remove()


def _mark(axes: Any, projection: Projection, place: tuple[float, float], name: str, **style: Any) -> None:
    """A circle with a line in the legend, where it is in the picture."""
    x, y = (float(value) for value in projection.forward(*place))
    wide, high = projection.extent
    if abs(x) <= wide and abs(y) <= high:
        axes.plot([x], [y], "o", label=name, linestyle="none", **style)
