"""When a place, or a probability map, stands high enough in the dark at a site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from astropy.time import Time

from consumers import night
from consumers.cells import Cells, coarser
from consumers.night import stamp
from consumers.sites import Site

__all__ = ["MapSight", "Sight", "map_sight", "probability_up", "sight"]

Floats = npt.NDArray[np.float64]
Span = tuple[Time, Time]

_MAP_ORDER: Final = 7  # cells of half a degree: what is finer is put together
_BLOCK: Final = 4_000_000  # heights worked out at once
_SOME: Final = 0.01  # of the probability: with less up, a map is not


@dataclass(frozen=True)
class Sight:
    """A target over one night at a site.

    Parameters
    ----------
    site
        Where.
    night
        Begin and end of the dark; none where it does not get dark.
    windows
        When it is dark and the target high enough, in order; none where it never is.
    best
        When it stands highest of these, else of the dark.
    altitude, airmass, moon_separation, moon_altitude
        Then: degrees, but for the airmass.
    moon_illumination
        Part of the disc that is lit then.
    why
        In words, where it is not up.
    """

    site: Site
    night: Span | None
    windows: tuple[Span, ...] = ()
    best: Time | None = None
    altitude: float = np.nan
    airmass: float = np.inf
    moon_separation: float = np.nan
    moon_altitude: float = np.nan
    moon_illumination: float = np.nan
    why: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            **_place_and_night(self.site, self.night),
            "up": bool(self.windows),
            "rise": stamp(self.windows[0][0]) if self.windows else None,
            "set": stamp(self.windows[-1][1]) if self.windows else None,
            "windows": [{"start": stamp(start), "end": stamp(end)} for start, end in self.windows],
            "best": stamp(self.best) if self.windows and self.best is not None else None,
            "highest": _number(self.altitude),
            "airmass": _number(self.airmass) if self.windows else None,
            "moon_separation": _number(self.moon_separation),
            "moon_altitude": _number(self.moon_altitude),
            "moon_illumination": _number(self.moon_illumination),
            "reason": self.why or None,
        }


@dataclass(frozen=True)
class MapSight:
    """A map over one night at a site.

    Parameters
    ----------
    site, night
        As of a `Sight`.
    times, up
        Every five minutes of the dark: how much of the probability stands high enough.
    probability
        How much does at some time of the night.
    best
        When most of it does.
    why
        In words, where nothing of it is up.
    """

    site: Site
    night: Span | None
    times: Time | None = None
    up: Floats | None = None
    probability: float = 0.0
    best: Time | None = None
    moon_illumination: float = np.nan
    why: str = ""

    @property
    def window(self) -> Span | None:
        """First and last time at which at least 1 % of the probability is up."""
        if self.times is None or self.up is None or not (self.up >= _SOME).any():
            return None
        some = np.flatnonzero(self.up >= _SOME)
        return self.times[some[0]], self.times[some[-1]]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        window = self.window
        series = [] if self.times is None or self.up is None else zip(self.times, self.up, strict=True)
        return {
            **_place_and_night(self.site, self.night),
            "up": self.probability > 0.0,
            "probability": self.probability,
            "from": stamp(window[0]) if window else None,
            "until": stamp(window[1]) if window else None,
            "best": stamp(self.best) if self.best is not None else None,
            "probability_at_best": float(self.up.max()) if self.up is not None else 0.0,
            "moon_illumination": _number(self.moon_illumination),
            "series": [{"time": stamp(time), "probability": float(part)} for time, part in series],
            "reason": self.why or None,
        }


def sight(site: Site, place: tuple[float, float], dark: Span | None, least: float, sun_limit: float = -18.0) -> Sight:
    """A target over a night.

    Parameters
    ----------
    place
        Right ascension and declination, degrees, ICRS.
    dark
        Begin and end of the night, of `consumers.night`.
    least
        Altitude that is high enough, degrees.
    sun_limit
        What `dark` was found with, for the words.
    """
    if dark is None:
        return Sight(site, None, why=_never_dark(site, sun_limit))

    def height(times: Time) -> Floats:
        return night.altitude(site, *place, times)

    windows = tuple(night.windows(height, *dark, least))
    best = _highest(height, dark)
    altitude = float(height(best))
    why = ""
    if not windows:
        why = f"never up at {site.name}: in the dark it stands at {altitude:.1f} degrees at most, {least:g} are wanted"
        if altitude <= 0.0:
            why = f"never up at {site.name}: it stays below the horizon while it is dark"
    return Sight(
        site,
        dark,
        windows,
        best,
        altitude,
        float(night.airmass(altitude)),
        float(night.moon_separation(site, *place, best)),
        float(night.moon_altitude(site, best)),
        float(night.moon_illumination(best)),
        why,
    )


def map_sight(site: Site, cells: Cells, dark: Span | None, least: float, sun_limit: float = -18.0) -> MapSight:
    """A map over a night; cells below half a degree are put together.

    Parameters
    ----------
    dark, least, sun_limit
        As `sight`.
    """
    if dark is None:
        return MapSight(site, None, why=_never_dark(site, sun_limit))
    times = night.grid(*dark)
    cells = coarser(cells, _MAP_ORDER)
    cells = cells[cells.probability > 0.0]
    up, ever = probability_up(site, cells, times, least)
    total = float(cells.probability.sum())
    best = times[int(up.argmax())]
    why = "" if ever > 0.0 else f"never up at {site.name}: none of the map stands at {least:g} degrees while it is dark"
    lit = float(night.moon_illumination(best))
    return MapSight(site, dark, times, up / total, ever / total, best if ever > 0.0 else None, lit, why)


def probability_up(site: Site, cells: Cells, times: Time, least: float) -> tuple[Floats, float]:
    """How much of the probability stands high enough at each time, and at any of them."""
    ra, dec = cells.position
    up, ever = np.zeros(len(times)), 0.0
    step = max(1, _BLOCK // len(times))
    for first in range(0, len(cells), step):
        part = slice(first, first + step)
        high = night.altitude(site, ra[part, None], dec[part, None], times) >= least
        up += cells.probability[part] @ high
        ever += float(cells.probability[part][high.any(axis=1)].sum())
    return up, ever


def _highest(height: Any, dark: Span) -> Time:
    """When something stands highest, to a second: the highest of ever finer grids."""
    start, end = dark
    for step in (300.0, 10.0, 0.5):
        times = night.grid(start, end, step)
        at = int(np.argmax(height(times)))
        start, end = times[max(0, at - 1)], times[min(len(times) - 1, at + 1)]
    return times[at]


def _never_dark(site: Site, sun_limit: float) -> str:
    return f"no night at {site.name}: the Sun does not go below {sun_limit:g} degrees"


def _place_and_night(site: Site, dark: Span | None) -> dict[str, Any]:
    return {
        "site": site.name,
        "longitude": site.longitude,
        "latitude": site.latitude,
        "height": site.height,
        "night": None if dark is None else {"start": stamp(dark[0]), "end": stamp(dark[1])},
    }


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
