"""Where observatories are: by name, from a table of one's own, or as ``name=longitude,latitude,height``.

Names are those of astropy's list of sites. It is no part of the package, which fetches it from the network when first asked:
so its optical observatories are written down here, rounded to some 10 m, with a few more. Where astropy has fetched its list
before, the rest of it is known too. Nothing is fetched.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from consumers.errors import RequestError

__all__ = ["SITES", "Site", "find", "load", "names"]


@dataclass(frozen=True, slots=True)
class Site:
    """A place on the Earth.

    Parameters
    ----------
    name
        As it was asked for.
    longitude, latitude
        Degrees, geodetic, east and north; a longitude beyond 180 is taken for the same one west of Greenwich.
    height
        Metres above the ellipsoid.
    """

    name: str
    longitude: float
    latitude: float
    height: float = 0.0

    def __post_init__(self) -> None:
        numbers = (self.longitude, self.latitude, self.height)
        if not all(math.isfinite(number) for number in numbers):
            raise RequestError(f"site {self.name!r} has a longitude, latitude or height that is not a number: {numbers}")
        if not (-360 <= self.longitude <= 360 and -90 <= self.latitude <= 90 and -500 <= self.height <= 10_000):
            raise RequestError(
                f"site {self.name!r} is not on the Earth: longitude {self.longitude:g} and latitude {self.latitude:g} are in "
                f"degrees, east and north, height {self.height:g} in metres"
            )
        if not -180 <= self.longitude <= 180:  # so that local noon, and the date of a night, are those of the place
            object.__setattr__(self, "longitude", (self.longitude + 180.0) % 360.0 - 180.0)


_PLACES: Final[Mapping[str, tuple[float, float, float]]] = {
    "aao": (149.0661, -31.2770, 1164),
    "apo": (-105.8200, 32.7800, 2798),
    "bao": (117.5750, 40.3933, 950),
    "caha": (-2.5461, 37.2236, 2168),
    "cfht": (-155.4717, 19.8267, 4215),
    "ctio": (-70.8150, -30.1653, 2215),
    "dao": (-123.4167, 48.5217, 229),
    "dct": (-111.4225, 34.7443, 2337),
    "dome_a": (77.1167, -80.3667, 4087),
    "ekar": (11.5811, 45.8486, 1413),
    "flwo": (-110.8775, 31.6809, 2320),
    "gemini_north": (-155.4690, 19.8238, 4213),
    "gemini_south": (-70.7367, -30.2407, 2750),
    "greenwich": (-0.001475, 51.477811, 46),
    "haleakala": (-156.1690, 20.7155, 3048),
    "het": (-104.0147, 30.6814, 2026),
    "iao": (78.9642, 32.7794, 4500),
    "irtf": (-155.4720, 19.8262, 4168),
    "keck": (-155.4783, 19.8283, 4160),
    "kpno": (-111.6000, 31.9633, 2120),
    "lapalma": (-17.8800, 28.7583, 2327),
    "lasilla": (-70.7300, -29.2567, 2347),
    "lbt": (-109.8719, 32.7016, 2902),
    "lco": (-70.7017, -29.0033, 2282),
    "lick": (-121.6367, 37.3433, 1290),
    "lowell": (-111.5350, 35.0967, 2198),
    "mcdonald": (-104.0217, 30.6717, 2075),
    "mdm": (-111.6167, 31.9500, 1938),
    "mjo": (170.4651, -43.9857, 1029),
    "mmt": (-110.8850, 31.6883, 2608),
    "mso": (149.0243, -35.3207, 767),
    "mtbigelow": (-110.7317, 32.4167, 2510),
    "oaj": (-1.0161, 40.0420, 1956),
    "oao": (133.5940, 34.5771, 370),
    "oca": (-70.2013, -24.5987, 2817),
    "ohp": (5.7133, 43.9308, 650),
    "omm": (-71.1525, 45.4557, 1108),
    "palomar": (-116.8630, 33.3560, 1706),
    "paranal": (-70.4050, -24.6274, 2669),
    "rubin": (-70.7494, -30.2446, 2663),
    "salt": (20.8108, -32.3758, 1798),
    "south_pole": (0.0, -90.0, 2835),
    "spm": (-115.4869, 31.0292, 2830),
    "sso": (149.0612, -31.2734, 1149),
    "subaru": (-155.4761, 19.8256, 4139),
    "teide": (-16.5097, 28.3000, 2390),
    "tno": (98.4867, 18.5906, 2457),
    "tug": (30.3356, 36.8242, 2500),
    "ukirt": (-155.4703, 19.8224, 4198),
    "vbo": (78.8266, 12.5767, 725),
    "wise": (34.7622, 30.5974, 875),
    "wiyn": (-111.6006, 31.9581, 2091),
}
_ALSO: Final = {
    "ldt": "dct",
    "lsst": "rubin",
    "mauna_kea": "cfht",
    "saao": "salt",
    "siding_spring": "sso",
    "vlt": "paranal",
    "ztf": "palomar",
}

SITES: Final[Mapping[str, Site]] = {name: Site(name, *_PLACES[_ALSO.get(name, name)]) for name in sorted((*_PLACES, *_ALSO))}
"""Those that come with the client, by name, in lower case."""


def find(name: str, extra: Mapping[str, Any] = {}) -> Site:
    """A site by what the command line calls it.

    Parameters
    ----------
    name
        A name, in upper or lower case, or ``name=longitude,latitude[,height]`` in degrees and metres.
    extra
        Sites of one's own, by name: a `Site`, or a table with ``longitude``, ``latitude`` and ``height``. They win over ours.

    Raises
    ------
    RequestError
        No such site, or one that is not on the Earth.
    """
    label, equals, numbers = name.partition("=")
    label = label.strip()
    if equals:
        return _written(name, label, numbers)
    own = {key.lower(): value for key, value in extra.items()}
    wanted = label.lower()
    if wanted in own:
        return _of_table(label, own[wanted])
    if (known := SITES.get(wanted)) is not None:
        return Site(label, known.longitude, known.latitude, known.height)
    if (fetched := _of_astropy(label)) is not None:
        return fetched
    near = get_close_matches(wanted, [*own, *SITES], 3)
    meant = f"; near it: {', '.join(near)}" if near else ""
    raise RequestError(
        f"no site {label[:100]!r}{meant}: write it as name=longitude,latitude,height (degrees east and north, metres), or as a "
        f"table [sites.<name>] of the file that --config names"
    )


def load(file: Path) -> Mapping[str, Site]:
    """Sites of one's own: the tables ``[sites.<name>]`` of a TOML file, such as ``nuncius.toml``.

    Raises
    ------
    RequestError
        It cannot be read, or a table is none of a site.
    """
    try:
        tables = tomllib.loads(file.read_text("utf-8")).get("sites", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RequestError(f"{file}: {error}") from error
    if not isinstance(tables, dict):
        raise RequestError(f"{file}: sites is no table: write [sites.<name>] with longitude, latitude and height")
    return {name: _of_table(name, table) for name, table in tables.items()}


def names(extra: Mapping[str, Any] = {}) -> list[str]:
    """Names there are, sorted."""
    return sorted({*SITES, *(name.lower() for name in extra)})


def _written(text: str, label: str, numbers: str) -> Site:
    try:
        values = [float(number) for number in numbers.split(",")]
    except ValueError:
        values = []
    if not label or len(values) not in {2, 3}:
        raise RequestError(
            f"site {text[:100]!r} is none: write it as name=longitude,latitude,height, such as tower=11.58,45.85,1413"
        )
    return Site(label, *values)


def _of_table(name: str, table: Any) -> Site:
    if isinstance(table, Site):
        return Site(name, table.longitude, table.latitude, table.height)
    if not isinstance(table, Mapping) or not {"longitude", "latitude"} <= set(table):
        raise RequestError(f"site {name!r} needs longitude and latitude (degrees, east and north) and may have height (metres)")
    try:
        return Site(name, float(table["longitude"]), float(table["latitude"]), float(table.get("height", 0.0)))
    except (TypeError, ValueError) as error:
        raise RequestError(f"site {name!r}: {error}") from error


def _of_astropy(name: str) -> Site | None:
    """A site of the list that astropy has fetched some time before; none where it has not, or is not installed."""
    try:
        from astropy.coordinates import EarthLocation  # noqa: PLC0415 - the list of names is there without it
        from astropy.coordinates.errors import UnknownSiteException  # noqa: PLC0415
        from astropy.utils.data import conf  # noqa: PLC0415
    except ImportError:
        return None
    try:
        with conf.set_temp("allow_internet", False):
            place = EarthLocation.of_site(name)
    except (UnknownSiteException, OSError):  # no such site; no list
        return None
    longitude, latitude, height = place.geodetic
    return Site(name, float(longitude.deg), float(latitude.deg), float(height.to_value("m")))
