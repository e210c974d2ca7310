"""Pictures of the sky for the follow-up programs: a map as colour, outlines and points over it. East is to the left.

References
----------
Snyder (1987), Map Projections: A Working Manual, USGS Professional Paper 1395, chapters 24 and 31.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import healpy
import numpy as np
import numpy.typing as npt

from consumers.cells import Cells, densest

__all__ = ["View", "figure", "paint", "picture_bytes", "points", "trace", "view_of"]

Floats = npt.NDArray[np.float64]

_PIXELS: Final = 900
_WHOLE: Final = 65.0  # degrees: what reaches farther is shown on the whole sky
_SMALLEST: Final = 0.02
_TINT: Final = ["#ffffff", "#fde0c5", "#f7a889", "#e2654f", "#a31e3f", "#4f0a33"]
_ROOT2: Final = float(np.sqrt(2.0))
_FAINT: Final[dict[str, Any]] = {"color": "#9aa3ad", "linewidth": 0.5, "zorder": 1}
_STEPS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)


@dataclass(frozen=True)
class View:
    """What part of the sky is shown: that within `radius` of a centre (degrees; Lambert), or all of it (Mollweide)."""

    ra: float
    dec: float
    radius: float

    @property
    def whole(self) -> bool:
        """Whether it is the whole sky."""
        return self.radius > _WHOLE

    @property
    def extent(self) -> tuple[float, float]:
        """Half the width and half the height on paper."""
        if self.whole:
            return 2.0 * _ROOT2, _ROOT2
        reach = float(np.degrees(2.0 * np.sin(np.radians(self.radius) / 2.0)))
        return reach, reach

    def forward(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Places on paper of positions in degrees."""
        lon = np.radians((np.asarray(ra, np.float64) - self.ra + 180.0) % 360.0 - 180.0)
        lat = np.radians(np.asarray(dec, np.float64))
        if self.whole:
            theta = _mollweide_angle(lat)
            return -2.0 * _ROOT2 / np.pi * lon * np.cos(theta), _ROOT2 * np.sin(theta)
        lat0 = np.radians(self.dec)
        along = np.sin(lat0) * np.sin(lat) + np.cos(lat0) * np.cos(lat) * np.cos(lon)
        scale = np.degrees(np.sqrt(2.0 / np.maximum(1.0 + along, 1e-12)))
        up = np.cos(lat0) * np.sin(lat) - np.sin(lat0) * np.cos(lat) * np.cos(lon)
        return -scale * np.cos(lat) * np.sin(lon), scale * up

    def backward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Positions in degrees of places on paper; NaN off the sphere."""
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.whole:
                theta = np.arcsin(y / _ROOT2)
                lat = np.arcsin((2.0 * theta + np.sin(2.0 * theta)) / np.pi)
                lon = -np.pi * x / (2.0 * _ROOT2 * np.cos(theta))
                off = ~(np.abs(lon) <= np.pi)
                return np.where(off, np.nan, np.degrees(lon) + self.ra), np.where(off, np.nan, np.degrees(lat))
            across, up, lat0 = -np.radians(x), np.radians(y), np.radians(self.dec)
            rho = np.hypot(across, up)
            angle = 2.0 * np.arcsin(rho / 2.0)
            share = np.where(rho > 0.0, np.sin(angle) / rho, 1.0)
            lat = np.arcsin(np.clip(np.cos(angle) * np.sin(lat0) + up * share * np.cos(lat0), -1.0, 1.0))
            lon = np.arctan2(across * share, np.cos(lat0) * np.cos(angle) - up * share * np.sin(lat0))
            return np.degrees(lon) + self.ra, np.degrees(lat)


def view_of(cells: Cells, also: tuple[Floats, Floats] | None = None, *, margin: float = 0.0) -> View:
    """View of the 90 % region of a map, and of what else is to be seen.

    Parameters
    ----------
    also
        Positions to have in it, degrees.
    margin
        Degrees around them.
    """
    inside = cells[densest(cells, 0.9)]
    vectors = inside.vectors
    if also is not None and len(also[0]):
        vectors = np.concatenate([vectors, np.asarray(healpy.ang2vec(*also, lonlat=True)).reshape(-1, 3)])
    middle = inside.probability @ inside.vectors
    if np.linalg.norm(middle) < 0.5 * inside.probability.sum():
        return View(180.0, 0.0, 180.0)
    middle /= np.linalg.norm(middle)
    ra, dec = (float(value[0]) for value in healpy.vec2ang(middle, lonlat=True))
    away = np.degrees(np.arccos(np.clip(vectors @ middle, -1.0, 1.0)).max())
    return View(ra, dec, max(_SMALLEST, 1.12 * float(away) + margin))


def figure(view: View, rect: tuple[float, float, float, float], size: tuple[float, float]) -> tuple[Any, Any]:
    """A figure (inches) and axes in it, of the shape of the view, with a grid of coordinates."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    made = Figure(figsize=size, dpi=110, facecolor="white")
    FigureCanvasAgg(made)
    axes = made.add_axes(rect)
    wide, high = view.extent
    axes.set_xlim(-1.01 * wide, 1.01 * wide)
    axes.set_ylim(-1.01 * high, 1.01 * high)
    axes.set_aspect("equal")
    axes.set_axis_off()
    _grid(axes, view)
    return made, axes


def paint(axes: Any, view: View, cells: Cells) -> None:
    """A map as colour: probability by area."""
    from matplotlib.colors import LinearSegmentedColormap  # noqa: PLC0415

    wide, high = view.extent
    across, down = _PIXELS, round(_PIXELS * high / wide)
    x = np.broadcast_to((np.arange(across) + 0.5) / across * 2.0 * wide - wide, (down, across))
    y = np.broadcast_to(((np.arange(down) + 0.5) / down * 2.0 * high - high)[:, None], (down, across))
    ra, dec = view.backward(x, y)
    seen = np.isfinite(ra) & np.isfinite(dec)
    pixel = healpy.ang2pix(1 << 29, np.where(seen, ra, 0.0), np.where(seen, dec, 0.0), nest=True, lonlat=True)
    row = np.maximum(np.searchsorted(cells.start, pixel, "right") - 1, 0)
    density = np.where(seen & (pixel < cells.stop[row]), cells.density[row], np.nan)
    tint = LinearSegmentedColormap.from_list("probability", _TINT)
    where = (-wide, wide, -high, high)
    axes.imshow(density, origin="lower", extent=where, cmap=tint, vmin=0.0, interpolation="nearest", zorder=0)


def trace(axes: Any, view: View, ra: npt.ArrayLike, dec: npt.ArrayLike, **style: Any) -> None:
    """A line through positions, broken where it leaves one side of the picture for the other."""
    x, y = view.forward(ra, dec)
    leap = np.flatnonzero(~(np.hypot(np.diff(x), np.diff(y)) < 0.5 * view.extent[0])) + 1
    axes.plot(np.insert(x, leap, np.nan), np.insert(y, leap, np.nan), clip_on=True, **style)


def points(axes: Any, view: View, ra: npt.ArrayLike, dec: npt.ArrayLike, **style: Any) -> None:
    """Marks at positions that are in the picture."""
    x, y = view.forward(ra, dec)
    seen = (np.abs(x) <= view.extent[0]) & (np.abs(y) <= view.extent[1])
    axes.plot(x[seen], y[seen], linestyle="none", **style)


def picture_bytes(made: Any) -> bytes:
    """A figure as PNG."""
    import io  # noqa: PLC0415

    out = io.BytesIO()
    made.savefig(out, format="png", metadata={"Software": "Nuncius"})
    return out.getvalue()


def _mollweide_angle(lat: Floats) -> Floats:
    theta = lat.copy()
    for _ in range(60):  # Newton's rule
        slope = 2.0 * (1.0 + np.cos(2.0 * theta))
        theta = theta - (2.0 * theta + np.sin(2.0 * theta) - np.pi * np.sin(lat)) / np.maximum(slope, 1e-6)
        theta = np.clip(theta, -np.pi / 2.0, np.pi / 2.0)
    return np.where(np.abs(lat) >= np.pi / 2.0 - 1e-9, np.sign(lat) * np.pi / 2.0, theta)


def _grid(axes: Any, view: View) -> None:
    """Meridians and parallels, with their degrees."""
    wide, high = view.extent
    if view.whole:
        around = np.linspace(-179.999, 179.999, 361)
        for dec in range(-60, 90, 30):
            trace(axes, view, view.ra + around, np.full(361, float(dec)), **_FAINT)
        for ra in range(0, 360, 60):
            trace(axes, view, np.full(181, float(ra)), np.linspace(-90, 90, 181), **_FAINT)
            x, y = view.forward([float(ra)], [0.0])
            if abs(x[0]) < 0.97 * wide:
                axes.text(x[0], y[0], f"{ra}°", fontsize=7, color="#666666", zorder=4)
        for side in (-179.9999, 179.9999):
            trace(axes, view, np.full(181, view.ra + side), np.linspace(-90, 90, 181), **(_FAINT | {"color": "#555555"}))
        return
    step = next((step for step in _STEPS if 2.0 * view.radius / step <= 7.0), 30.0)
    near = max(np.cos(np.radians(min(89.0, abs(view.dec)))), 1e-3)
    wider = next((one for one in _STEPS if 2.0 * view.radius / near / one <= 7.0), 30.0)
    reach = min(180.0, 1.5 * view.radius / near) if abs(view.dec) + view.radius < 88.0 else 180.0
    lines = np.arange(np.ceil((view.ra - reach) / wider), (view.ra + reach) / wider) * wider
    for dec in np.arange(np.ceil((view.dec - view.radius) / step), (view.dec + view.radius) / step) * step:
        if abs(dec) <= 90.0:
            _labelled(
                axes,
                view,
                (view.ra + np.linspace(-reach, reach, 400), np.full(400, dec)),
                f"{dec:+g}°" if dec else "0°",
                "left",
            )
    for ra in lines:
        spread = np.clip(view.dec + np.linspace(-1.5, 1.5, 400) * view.radius, -90.0, 90.0)
        _labelled(axes, view, (np.full(400, ra), spread), f"{ra % 360.0:g}°", "bottom")
    axes.plot([-wide, wide, wide, -wide, -wide], [-high, -high, high, high, -high], color="#555555", linewidth=0.8, zorder=3)


def _labelled(axes: Any, view: View, line: tuple[Floats, Floats], name: str, side: str) -> None:
    """A line of the grid inside the frame, and its name where it meets a side of it."""
    wide, high = view.extent
    x, y = view.forward(*line)
    inside = (np.abs(x) <= wide) & (np.abs(y) <= high)
    axes.plot(np.where(inside, x, np.nan), np.where(inside, y, np.nan), **_FAINT)
    if not inside.any():
        return
    rows = np.flatnonzero(inside)
    at = rows[np.argmin(x[rows])] if side == "left" else rows[np.argmin(y[rows])]
    font: dict[str, Any] = {"fontsize": 7, "color": "#444444", "clip_on": False}
    if side == "left" and x[at] < -0.97 * wide:
        axes.text(-1.015 * wide, y[at], name, ha="right", va="center", **font)
    if side == "bottom" and y[at] < -0.97 * high:
        axes.text(x[at], -1.02 * high, name, ha="center", va="top", **font)
