"""Lines of right ascension and declination in pictures of sky maps, and their degrees."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from broker.science.projection import AzimuthalEqualArea, Mollweide, Projection

__all__ = ["draw_grid"]

FloatArray = npt.NDArray[np.float64]

_STEPS: Final = (
    *(lead * 10.0**power for power in range(-6, 1) for lead in (1.0, 2.0, 5.0)),
    10.0,
    15.0,
    30.0,
    45.0,
    90.0,
)  # degrees
_SAID: Final[dict[str, Any]] = {"fontsize": 7, "color": "#555555", "textcoords": "offset points"}


def draw_grid(axes: Any, projection: Projection) -> None:
    """Rim, parallels and meridians with their degrees."""
    wide, high = projection.extent
    if isinstance(projection, Mollweide):
        edge = np.linspace(0.0, 2.0 * np.pi, 361)
        axes.plot(wide * np.cos(edge), high * np.sin(edge), color="#444444", linewidth=0.8)
        step, turn = 30.0, 30.0
    else:
        axes.plot(wide * np.array([-1, 1, 1, -1, -1]), high * np.array([-1, -1, 1, 1, -1]), color="#444444", linewidth=0.8)
        step = next(value for value in _STEPS if value >= projection.radius / 3.5)
        turn = next(
            value
            for value in _STEPS
            if value >= min(projection.radius / 3.5 / max(np.cos(np.radians(projection.dec)), 0.02), 30.0)
        )
    x, y = np.linspace(-wide, wide, 300), np.linspace(-high, high, 300)
    ra, dec = projection.backward(x[None, :], y[:, None])
    east = (ra - projection.ra + 180.0) % 360.0 - 180.0  # without a leap in the middle of the picture
    east = np.where((np.abs(east) > 179.0) | (np.abs(dec) > 89.9), np.nan, east)
    meridians = _multiples(turn, east, projection.ra) - projection.ra
    parallels = _multiples(step, dec, 0.0)
    for surface, levels in ((east, meridians), (dec, parallels)):
        seen = np.ma.masked_invalid(surface)
        inside = [float(value) for value in levels if seen.min() < value < seen.max() and abs(value) < 179.0]
        if inside:
            axes.contour(x, y, seen, levels=inside, colors="#888888", linewidths=0.4, linestyles="solid")
    if isinstance(projection, Mollweide):
        _degrees_inside(axes, projection)
    else:
        _degrees_outside(axes, projection, (meridians + projection.ra) % 360.0, parallels)


def _multiples(step: float, surface: FloatArray, zero: float) -> FloatArray:
    """Multiples of a step among values that are counted from `zero`."""
    low, high = float(np.nanmin(surface)) + zero, float(np.nanmax(surface)) + zero
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1.0) * step


def _degrees_inside(axes: Any, projection: Mollweide) -> None:
    """Degrees of the whole sky: meridians below the equator, parallels left of the rim."""
    for ra in np.arange(30.0, 360.0, 30.0):
        x, y = (float(value) for value in projection.forward(ra, 0.0))
        axes.annotate(f"{ra:.6g}°", (x, y), (0, -3), ha="center", va="top", **_SAID)
    for dec in np.arange(-60.0, 90.0, 30.0):
        x, y = (float(value) for value in projection.forward(projection.ra + 179.999, dec))
        axes.annotate(f"{dec:+.6g}°" if dec else "0°", (x, y), (-4, 0), ha="right", va="center", **_SAID)


def _degrees_outside(axes: Any, projection: AzimuthalEqualArea, meridians: FloatArray, parallels: FloatArray) -> None:
    """Degrees of a close-up where its lines leave it: meridians below, parallels to the left."""
    wide, high = projection.extent
    along = np.linspace(-wide, wide, 2000)
    ra, dec = projection.backward(along, np.full_like(along, -high))
    for value in meridians:
        apart = (ra - value + 180.0) % 360.0 - 180.0
        crossed = np.flatnonzero((apart[:-1] * apart[1:] <= 0.0) & (np.abs(apart[:-1]) < 90.0) & (np.abs(dec[:-1]) < 89.9))
        for place in crossed[:1]:
            axes.annotate(f"{round(value, 6):.10g}°", (along[place], -high), (0, -3), ha="center", va="top", **_SAID)
    _, dec = projection.backward(np.full_like(along, -wide), along)
    for value in parallels:
        for place in np.flatnonzero((dec[:-1] - value) * (dec[1:] - value) <= 0.0)[:1]:
            name = f"{round(value, 6):+.10g}°" if value else "0°"
            axes.annotate(name, (-wide, along[place]), (-3, 0), ha="right", va="center", **_SAID)
