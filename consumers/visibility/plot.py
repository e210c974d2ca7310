"""Pictures of when something is up: altitude against time; for a map, how much of it, and which part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from astropy.time import Time, TimeDelta

from consumers import night, sky_picture
from consumers.cells import Cells, densest
from consumers.visibility.look import MapSight, Sight

__all__ = ["map_picture", "target_picture"]

_HOUR: Final = 1.0 / 24.0  # days
_COLOURS: Final = ["#1b6ca8", "#c0392b", "#1b7f5c", "#8e44ad", "#b9770e", "#34495e"]
_TWILIGHT: Final = ((0.0, "#f6e7c1"), (-6.0, "#c9d3e6"), (-12.0, "#9fb0d0"), (-18.0, "#76879f"))  # the Sun below, colour


def target_picture(title: str, place: tuple[float, float], seen: Sequence[Sight], least: float, sun_limit: float) -> bytes:
    """Altitude of a target against time, a panel a site, with the night shaded and the Moon.

    Parameters
    ----------
    place
        Right ascension and declination, degrees, ICRS.
    least, sun_limit
        As they were looked up with.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - a second, for pictures only
    from matplotlib.figure import Figure  # noqa: PLC0415

    made = Figure(figsize=(9.0, 0.8 + 3.1 * len(seen)), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(made)
    rows = made.subplots(len(seen), 1, squeeze=False)[:, 0]
    for axes, one in zip(rows, seen, strict=True):
        axes.set_title(_told(one), fontsize=9, loc="left")
        if one.night is None:
            axes.set_axis_off()
            continue
        times = _hours(one.night)
        x = _shade(axes, one, times)
        axes.axhline(least, color="#1b7f5c", linewidth=0.8, linestyle="--", label=f"{least:g}° wanted")
        axes.plot(x, night.altitude(one.site, *place, times), color="#8b1a1a", linewidth=1.8, label=_plain(title))
        axes.plot(x, night.moon_altitude(one.site, times), color="#111111", linewidth=1.2, linestyle=":", label="Moon")
        for start, end in one.windows:
            inside = night.grid(start, end)
            axes.plot(_numbers(inside), night.altitude(one.site, *place, inside), color="#d62728", linewidth=4.0)
        axes.set_ylim(0.0, 90.0)
        axes.set_ylabel("altitude (°)")
        _clock(axes)
    if shown := [axes for axes in rows if axes.axison]:
        shown[-1].set_xlabel("UTC")
        shown[0].legend(loc="upper right", fontsize=7, framealpha=0.9)
    made.suptitle(_plain(f"{title}   night: Sun below {sun_limit:g}°"), fontsize=10)
    return sky_picture.picture_bytes(made)


def map_picture(title: str, cells: Cells, seen: Sequence[MapSight], least: float) -> bytes:
    """A map with the part of the sky that each site reaches in its night, and how much of the map is up against time."""
    view = sky_picture.View(*_middle(cells), 180.0)
    made, axes = sky_picture.figure(view, (0.03, 0.42, 0.94, 0.5), (9.0, 8.0))
    sky_picture.paint(axes, view, cells)
    below = made.add_axes((0.09, 0.07, 0.86, 0.27))
    for number, one in enumerate(seen):
        colour = _COLOURS[number % len(_COLOURS)]
        told = f"{one.site.name}: {one.probability:.1%} at some time" if one.night else f"{one.site.name}: no night"
        below.plot([], [], color=colour, label=_plain(told))
        if one.times is None or one.up is None:
            continue
        below.plot(_numbers(one.times), 100.0 * one.up, color=colour, linewidth=1.8)
        _reach(axes, view, one, least, colour)
    below.set_ylim(0.0, max(1.0, 108.0 * max((float(one.up.max()) for one in seen if one.up is not None), default=1.0)))
    below.set_ylabel(f"% of the map above {least:g}°")
    below.set_xlabel("UTC")
    below.grid(linewidth=0.3)
    below.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.01), ncols=3, frameon=False)
    if any(one.times is not None for one in seen):
        _clock(below)
    made.suptitle(_plain(f"{title}: what is above {least:g}° in the dark"), fontsize=11, y=0.97)
    return sky_picture.picture_bytes(made)


def _middle(cells: Cells) -> tuple[float, float]:
    ra, _ = cells[densest(cells, 0.5)].position
    mean = np.degrees(np.angle(np.exp(1j * np.radians(ra)).sum()))
    return float(round(mean / 30.0) * 30.0 % 360.0), 0.0


def _reach(axes: Any, view: sky_picture.View, one: MapSight, least: float, colour: str) -> None:
    """Outline of the sky that stands high enough at some time of the night."""
    assert one.times is not None
    wide, high = view.extent
    x, y = np.meshgrid(np.linspace(-wide, wide, 361), np.linspace(-high, high, 181))
    ra, dec = view.backward(x, y)
    known = np.isfinite(ra)
    top = np.full(x.shape, np.nan)
    times = one.times[:: max(1, len(one.times) // 40)]
    times = Time(np.append(times.mjd, one.times[-1].mjd), format="mjd", scale="utc")
    top[known] = night.altitude(one.site, ra[known][:, None], dec[known][:, None], times).max(axis=1)
    axes.contour(x, y, np.ma.masked_invalid(top), levels=[least], colors=[colour], linewidths=1.4)


def _hours(dark: tuple[Time, Time]) -> Time:
    """Minutes from an hour and a half before a night to as long after it."""
    margin = TimeDelta(1.5 * _HOUR, format="jd")
    return night.grid(dark[0] - margin, dark[1] + margin, 60.0)


def _shade(axes: Any, one: Sight, times: Time) -> Any:
    """Twilight and night behind a panel; times as matplotlib counts them."""
    x, sun = _numbers(times), night.sun_altitude(one.site, times)
    for limit, colour in _TWILIGHT:
        axes.fill_between(x, 0.0, 90.0, where=sun < limit, color=colour, linewidth=0.0, step="mid")
    axes.set_xlim(x[0], x[-1])
    return x


def _numbers(times: Time) -> Any:
    return times.plot_date


def _clock(axes: Any) -> None:
    from matplotlib import dates  # noqa: PLC0415

    axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=4, maxticks=12))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]


def _told(one: Sight) -> str:
    if not one.windows or one.best is None:
        return _plain(one.why)
    moon = f"Moon {one.moon_separation:.0f}° away, {one.moon_illumination:.0%} lit"
    best = f"{one.best.strftime('%Y-%m-%d')}   best {one.best.strftime('%H:%M')} at airmass {one.airmass:.2f}"
    return _plain(f"{one.site.name}   {best}   {moon}")


def _plain(text: str) -> str:
    return text.replace("$", r"\$")
