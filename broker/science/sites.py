"""Where observatories are: geodetic longitude (east) and latitude in degrees, height in metres.

Positions as observatories publish them, to an arcminute or better; names as astropy's list of sites has them, or as people say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["SITES", "Site", "sites", "use"]


class Site(NamedTuple):
    """A place on the Earth.

    Parameters
    ----------
    longitude, latitude
        Degrees, east and north, geodetic.
    height
        Metres above the ellipsoid.
    """

    longitude: float
    latitude: float
    height: float


_PLACES: Final[Mapping[str, Site]] = {
    "apo": Site(-105.82, 32.78, 2798),
    "cfht": Site(-155.4717, 19.8267, 4215),
    "ctio": Site(-70.815, -30.1653, 2215),
    "flwo": Site(-110.8775, 31.6809, 2320),
    "gemini_north": Site(-155.469, 19.8238, 4213),
    "gemini_south": Site(-70.7367, -30.2407, 2750),
    "greenwich": Site(-0.001475, 51.477811, 46),
    "haleakala": Site(-156.169, 20.7155, 3048),
    "keck": Site(-155.4783, 19.8283, 4160),
    "kpno": Site(-111.6, 31.9633, 2120),
    "lapalma": Site(-17.88, 28.7583, 2327),
    "lasilla": Site(-70.73, -29.2567, 2347),
    "lco": Site(-70.7017, -29.0033, 2282),
    "lick": Site(-121.6367, 37.3433, 1290),
    "lowell": Site(-111.535, 35.0967, 2198),
    "mcdonald": Site(-104.0217, 30.6717, 2075),
    "mmt": Site(-110.885, 31.6883, 2608),
    "palomar": Site(-116.863, 33.356, 1706),
    "paranal": Site(-70.404987, -24.627439, 2669),
    "rubin": Site(-70.7494, -30.2446, 2663),
    "sso": Site(149.0612, -31.2734, 1149),
    "subaru": Site(-155.4761, 19.8256, 4139),
}

SITES: Final[Mapping[str, Site]] = {**_PLACES, "lsst": _PLACES["rubin"], "ztf": _PLACES["palomar"]}
"""Those that come with Nuncius, by name, in lower case."""

_all: Mapping[str, Site] = SITES


def sites() -> Mapping[str, Site]:
    """Every site by name, in lower case: `SITES`, and those that `use` was told of."""
    return _all


def use(own: Mapping[str, Site]) -> None:
    """Know sites of the user's own from now on, in place of those told before; they win over ours of the same name.

    One process has one list, as it has one settings file: what compiles a filter need not be handed it.
    """
    global _all  # noqa: PLW0603 - replaced whole, so that whoever reads it meanwhile has the old or the new
    _all = {**SITES, **{name.lower(): site for name, site in own.items()}}
