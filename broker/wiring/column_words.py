"""Unit and meaning of the columns that are ours: the common ones, and what the steps add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from broker.alert import BANDS, COMMON, EVENT_KINDS
from broker.filtering.columns import ColumnInfo, type_of
from broker.process import associate, features, localise
from broker.science.lightcurve import FEATURES, FEATURES_OF_BAND

__all__ = ["CATALOGS", "COMMON_WORDS", "NOTICES", "catalog_columns", "common", "light_curve", "lists", "own_map", "sky_maps"]

Words = tuple[str, str]
"""Unit, empty for none, and meaning."""

COMMON_WORDS: Final[Mapping[str, Words]] = {
    "alert_id": ("", "<stream>:<native id>, the same whenever the packet comes"),
    "stream": ("", "survey or network it came from"),
    "object_id": ("", "the survey's object, or the event's name"),
    "time": ("", "UTC: of the exposure or the trigger"),
    "ra": ("deg", "right ascension, ICRS"),
    "dec": ("deg", "declination, ICRS"),
    "ra_dec_error": ("deg", "radius of the region that holds containment_probability"),
    "containment_probability": ("", "probability that the source is within ra_dec_error"),
    "hpx": ("", "HEALPix index of the place, NESTED, order 29"),
    "mag": ("mag", "of the difference image, AB unless the survey says otherwise"),
    "mag_err": ("mag", "one sigma"),
    "band": ("", f"one of {' '.join(BANDS)}"),
    "reliability": ("", "real-bogus score, 0 bogus to 1 real"),
    "positive": ("", "whether it is brighter than the reference"),
    "event_name": ("", "name of the event, such as S240422ed or GRB240422A"),
    "messenger": ("", "EM, GW or Neutrino"),
    "mission": ("", "such as Fermi"),
    "instrument": ("", "such as GBM"),
    "alert_type": ("", "initial, subsequent, update or retraction"),
    "alert_tense": ("", "current, archival, planned, injection, commanded or test"),
    "far": ("Hz", "false-alarm rate"),
    "p_astro": ("", "probability of an astrophysical origin"),
    "classification": ("", "the likeliest class; the probability of one is classification['BNS']"),
}

SURVEYS: Final = frozenset({"mag", "mag_err", "band", "reliability", "positive"})
NOTICES: Final = frozenset(
    {"event_name", "messenger", "mission", "instrument", "alert_type", "alert_tense", "far", "p_astro", "classification"}
)
"""Common columns that surveys' alerts, and that notices have not: null there."""

_EVENTS: Final[Mapping[str, Words]] = {
    "event": ("", "name of the {kind} event whose live sky map holds the alert deepest"),
    "credible_level": ("", "smallest credible region of that map that holds the alert, 0 to 1"),
    "density": ("sr-1", "probability per steradian of that map at the alert"),
    "dt": ("s", "the alert's time minus that event's"),
    "volume_level": ("", "smallest credible volume that holds it, where map and alert have a distance"),
}
_KINDS: Final = {"gw": "gravitational-wave", "grb": "electromagnetic", "neutrino": "neutrino"}
_FEATURES: Final = {"n_det": "", "age": "d", "since_last": "d", "peak_mag": "mag", "rate": "mag/d", "g_r": "mag"}
_OWN_MAP: Final[Mapping[str, Words]] = {
    "skymap.area50": ("deg2", "area of the 50 % region of the notice's own sky map"),
    "skymap.area90": ("deg2", "area of the 90 % region of the notice's own sky map"),
    "skymap.distmean": ("Mpc", "mean distance in the notice's own sky map"),
    "skymap.diststd": ("Mpc", "standard deviation of that distance"),
    "skymap.order": ("", "finest HEALPix order of the notice's own sky map"),
}

CATALOGS: Final[Mapping[str, Mapping[str, tuple[str, str, str]]]] = {
    "ngc": {
        "type": ("text", "", "G galaxy, PN planetary nebula, GCl globular cluster, ... as OpenNGC has them"),
        "b_mag": ("number", "mag", "B magnitude"),
        "v_mag": ("number", "mag", "V magnitude"),
        "major_axis": ("number", "arcmin", "major axis"),
        "z": ("number", "", "redshift"),
    },
    "glade": {
        "name": ("text", "", "name of the galaxy"),
        "z": ("number", "", "redshift"),
        "z_err": ("number", "", "its error"),
        "dist": ("number", "Mpc", "luminosity distance"),
        "b_mag": ("number", "mag", "apparent B magnitude"),
        "major_axis": ("number", "arcmin", "major axis, D25"),
        "stellar_mass": ("number", "1e10 solMass", "mass in stars"),
    },
    "gaia": {
        "phot_g_mean_mag": ("number", "mag", "G magnitude"),
        "pmra": ("number", "mas/yr", "proper motion in right ascension, times the cosine of declination"),
        "pmdec": ("number", "mas/yr", "proper motion in declination"),
    },
}
"""Type, unit and meaning of the columns of the catalogues that come from packages."""


def common(*, survey: bool) -> list[ColumnInfo]:
    """Columns every alert has; what surveys, or notices, never fill says so."""
    never = NOTICES if survey else SURVEYS
    whose = "notices" if survey else "surveys"
    found = []
    for name, dtype in COMMON.items():
        unit, meaning = COMMON_WORDS[name]
        found.append(
            ColumnInfo(name, type_of(dtype), unit, f"{meaning}; of {whose} alone" if name in never else meaning, "common")
        )
    return found


def light_curve() -> list[ColumnInfo]:
    """What the light curve in the packet says, in all bands and in one."""
    whole = [(f"{features.PREFIX}{name}", _FEATURES[name], meaning) for name, meaning in FEATURES.items()]
    of_bands = [
        (f"{features.PREFIX}{name}.{band}", _FEATURES[name], meaning.replace("that band", f"band {band}"))
        for band in BANDS
        for name, meaning in FEATURES_OF_BAND.items()
    ]
    return [
        ColumnInfo(name, type_of(features.COLUMNS[name]), unit, meaning, "light curve")
        for name, unit, meaning in (*whole, *of_bands)
    ]


def sky_maps() -> list[ColumnInfo]:
    """What the live sky maps say of an alert."""
    found = [ColumnInfo("skymaps", "list", "", "live maps that hold it: see in_skymap, skymap_level and in_event", "sky maps")]
    for kind in EVENT_KINDS.values():
        for name, (unit, meaning) in _EVENTS.items():
            column = f"{kind}.{name}"
            told = meaning.format(kind=_KINDS[kind])
            found.append(ColumnInfo(column, type_of(associate.COLUMNS[column]), unit, told, "sky maps"))
    return found


def own_map() -> list[ColumnInfo]:
    """What the map that a notice brings says."""
    return [
        ColumnInfo(name, type_of(dtype), *_OWN_MAP[name], "sky map of the notice") for name, dtype in localise.COLUMNS.items()
    ]


def catalog_columns(name: str, more: Mapping[str, tuple[str, str, str]], note: str = "") -> list[ColumnInfo]:
    """Columns of a catalogue.

    Parameters
    ----------
    more
        Type, unit and meaning of its own columns.
    note
        What is to be said of all of them.
    """
    rows = {
        "sep": ("number", "arcsec", f"to the nearest object of {name} that is near enough, else null"),
        "id": ("text", "", "name or number of that object"),
        **more,
    }
    return [
        ColumnInfo(f"{name}.{column}", type_, unit, f"{meaning}{note}", f"catalogue {name}")
        for column, (type_, unit, meaning) in rows.items()
    ]


def lists(watchlists: Sequence[str], regions: Sequence[str]) -> list[ColumnInfo]:
    """Columns of watchlists and regions."""
    found = []
    for name in watchlists:
        of, source = f"of watchlist {name}", "watchlist"
        found += [
            ColumnInfo(
                f"watchlist.{name}.inside", "boolean", "", f"whether it is within the own radius of a target {of}", source
            ),
            ColumnInfo(f"watchlist.{name}.sep", "number", "arcsec", f"to the nearest target {of} within a degree", source),
            ColumnInfo(f"watchlist.{name}.id", "text", "", f"that target {of}", source),
        ]
    return found + [ColumnInfo(f"moc.{name}", "boolean", "", f"whether it is in region {name}", "region") for name in regions]
