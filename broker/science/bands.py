"""What a band is called, and what part of the spectrum it is.

Limits are nominal: half of the peak for filters, what they are made for with instruments. They sort and label measurements;
none enters a flux.

References
----------
Ivezić et al. (2019), ApJ 873, 111 (ugrizy); Bessell (2005), ARA&A 43, 293 (UBVRI); Cohen et al. (2003), AJ 126, 1090 (JHKs);
Poole et al. (2008), MNRAS 383, 627 (UVOT); Tonry et al. (2018), PASP 130, 064505 (c, o); IEEE Std 521-2019 (radio letters).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

__all__ = ["REGIMES", "UNITS", "Spectrum", "of_band", "of_instrument", "regime_of"]

REGIMES: Final = ("radio", "infrared", "optical", "ultraviolet", "x-ray", "gamma-ray", "gw", "neutrino")
"""From long waves to short ones, then what is no light."""

_KEV_NM: Final = 1.239841984  # hc in keV nm (CODATA 2018)
_KEV_HZ: Final = 4.135667696e-18  # h in keV s (CODATA 2018)

# Of each unit: what kind of quantity, and how many nm, Hz or keV it is.
_LENGTH: Final = {"nm": 1.0, "angstrom": 0.1, "um": 1e3, "mm": 1e6, "cm": 1e7, "m": 1e9}
_FREQUENCY: Final = {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9, "THz": 1e12}
_ENERGY: Final = {"eV": 1e-3, "keV": 1.0, "MeV": 1e3, "GeV": 1e6, "TeV": 1e9, "PeV": 1e12}
UNITS: Final = (*_LENGTH, *_FREQUENCY, *_ENERGY)
"""Units of wavelength, frequency and energy that the limits of a band can have."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A part of the spectrum.

    Parameters
    ----------
    regime
        One of `REGIMES`.
    low, high
        Limits in `unit`, the lesser number first; ``None`` where not known.
    unit
        One of `UNITS`.
    """

    regime: str
    low: float | None = None
    high: float | None = None
    unit: str | None = None

    @property
    def energy(self) -> tuple[float, float] | None:
        """Least and greatest energy of its photons, keV; ``None`` where not known, or where it is no light."""
        if self.low is None or self.high is None or self.unit is None or self.regime in {"gw", "neutrino"}:
            return None
        return energy(self.low, self.high, self.unit)

    @property
    def wavelength(self) -> float | None:
        """Middle, nm: the geometric mean of its limits; ``None`` where these are not known."""
        limits = self.energy
        return None if limits is None else _KEV_NM / math.sqrt(limits[0] * limits[1])


def energy(low: float, high: float, unit: str) -> tuple[float, float]:
    """Limits of wavelength, frequency or energy as energies, keV, the lesser first.

    Parameters
    ----------
    low, high
        Above 0.
    unit
        One of `UNITS`.
    """
    if unit in _LENGTH:
        return _KEV_NM / (max(low, high) * _LENGTH[unit]), _KEV_NM / (min(low, high) * _LENGTH[unit])
    factor = _FREQUENCY[unit] * _KEV_HZ if unit in _FREQUENCY else _ENERGY[unit]
    return min(low, high) * factor, max(low, high) * factor


def regime_of(low: float, high: float, unit: str) -> str:
    """Regime in which the middle of some limits lies.

    Radio below 300 GHz, infrared up to 1 µm, optical up to 320 nm, ultraviolet up to 0.1 keV, X-rays up to 15 keV.
    """
    limits = energy(low, high, unit)
    middle = math.sqrt(limits[0] * limits[1])
    ends = (("radio", 3e11 * _KEV_HZ), ("infrared", _KEV_NM / 1000.0), ("optical", _KEV_NM / 320.0), ("ultraviolet", 0.1))
    return next((name for name, end in ends if middle < end), "x-ray" if middle < 15.0 else "gamma-ray")


def _filters(regime: str, unit: str, limits: dict[str, tuple[float, float]]) -> dict[str, Spectrum]:
    return {name: Spectrum(regime, low, high, unit) for name, (low, high) in limits.items()}


# Capitals matter: U is Bessell's, u the survey's.
_BANDS: Final[dict[str, Spectrum]] = {
    **_filters("optical", "nm", {"u": (320, 400), "g": (400, 552), "r": (552, 691), "i": (691, 818), "z": (818, 922)}),
    **_filters("optical", "nm", {"U": (334, 399), "B": (392, 481), "V": (503, 587), "R": (562, 720), "I": (721, 875)}),
    **_filters("optical", "nm", {"c": (420, 650), "o": (560, 820), "G": (330, 1050), "w": (400, 820), "TESS": (600, 1000)}),
    **_filters("infrared", "nm", {"y": (950, 1080), "Y": (970, 1070), "J": (1154, 1316), "H": (1537, 1788)}),
    **_filters("infrared", "nm", {"K": (2028, 2290), "Ks": (2028, 2290), "W1": (2800, 3800), "W2": (4100, 5200)}),
    **_filters("ultraviolet", "nm", {"UVW1": (225, 295), "UVM2": (200, 250), "UVW2": (160, 226), "FUV": (134, 179)}),
    **_filters("ultraviolet", "nm", {"NUV": (177, 283)}),
    **_filters("radio", "GHz", {"VHF": (0.03, 0.3), "UHF": (0.3, 1), "L": (1, 2), "S": (2, 4), "C": (4, 8), "X": (8, 12)}),
    **_filters("radio", "GHz", {"Ku": (12, 18), "Ka": (26.5, 40)}),
}
_REGIME_WORDS: Final = {
    "clear": "optical", "open": "optical", "white": "optical", "unfiltered": "optical", "optical": "optical",
    "nir": "infrared", "ir": "infrared", "infrared": "infrared", "near-infrared": "infrared",
    "uv": "ultraviolet", "ultraviolet": "ultraviolet", "xray": "x-ray", "x-ray": "x-ray", "x-rays": "x-ray",
    "gamma": "gamma-ray", "gamma-ray": "gamma-ray", "gamma-rays": "gamma-ray", "radio": "radio",
    "mm": "radio", "submm": "radio", "gw": "gw", "neutrino": "neutrino",
}  # fmt: skip

# What missions and instruments see, by the word they are known by, in lower case.
_INSTRUMENTS: Final[dict[str, Spectrum]] = {
    "gbm": Spectrum("gamma-ray", 8, 40_000, "keV"),
    "lat": Spectrum("gamma-ray", 0.02, 300, "GeV"),
    "bat": Spectrum("gamma-ray", 15, 150, "keV"),
    "xrt": Spectrum("x-ray", 0.3, 10, "keV"),
    "uvot": Spectrum("ultraviolet", 160, 800, "nm"),
    "wxt": Spectrum("x-ray", 0.5, 4, "keV"),
    "fxt": Spectrum("x-ray", 0.3, 10, "keV"),
    "eclairs": Spectrum("gamma-ray", 4, 150, "keV"),
    "grm": Spectrum("gamma-ray", 15, 5000, "keV"),
    "mxt": Spectrum("x-ray", 0.2, 10, "keV"),
    "vt": Spectrum("optical", 400, 1000, "nm"),
    "gsc": Spectrum("x-ray", 2, 30, "keV"),
    "maxi": Spectrum("x-ray", 2, 30, "keV"),
    "nicer": Spectrum("x-ray", 0.2, 12, "keV"),
    "nustar": Spectrum("x-ray", 3, 79, "keV"),
    "chandra": Spectrum("x-ray", 0.1, 10, "keV"),
    "xmm": Spectrum("x-ray", 0.15, 15, "keV"),
    "ixpe": Spectrum("x-ray", 2, 8, "keV"),
    "ibis": Spectrum("gamma-ray", 15, 1000, "keV"),
    "integral": Spectrum("gamma-ray", 15, 10_000, "keV"),
    "spi-acs": Spectrum("gamma-ray", 75, 8000, "keV"),
    "konus": Spectrum("gamma-ray", 20, 20_000, "keV"),
    "konus-wind": Spectrum("gamma-ray", 20, 20_000, "keV"),
    "calet": Spectrum("gamma-ray", 7, 20_000, "keV"),
    "cgbm": Spectrum("gamma-ray", 7, 20_000, "keV"),
    "gecam": Spectrum("gamma-ray", 15, 5000, "keV"),
    "czti": Spectrum("gamma-ray", 20, 200, "keV"),
    "agile": Spectrum("gamma-ray", 0.35, 100, "MeV"),
    "hawc": Spectrum("gamma-ray", 0.1, 100, "TeV"),
    "h.e.s.s.": Spectrum("gamma-ray", 0.03, 100, "TeV"),
    "hess": Spectrum("gamma-ray", 0.03, 100, "TeV"),
    "magic": Spectrum("gamma-ray", 0.03, 100, "TeV"),
    "veritas": Spectrum("gamma-ray", 0.085, 30, "TeV"),
    "lhaaso": Spectrum("gamma-ray", 0.1, 1000, "TeV"),
    "chime": Spectrum("radio", 400, 800, "MHz"),
    "dsa-110": Spectrum("radio", 1280, 1530, "MHz"),
    "lvk": Spectrum("gw", 10, 5000, "Hz"),
    "icecube": Spectrum("neutrino"),
    "km3net": Spectrum("neutrino"),
    "super-kamiokande": Spectrum("neutrino"),
    "snews": Spectrum("neutrino"),
    "amon": Spectrum("neutrino"),
}  # fmt: skip
# What most of a mission's notices come from, where they do not say.
_MISSIONS: Final = {"fermi": "gbm", "swift": "bat", "einstein probe": "wxt", "svom": "eclairs", "ligo": "lvk"}
_SURVEY: Final = re.compile(
    r"^(?:sdss|ztf|lsst|ps1|panstarrs|atlas|bessell|johnson|cousins|2mass|des|decam|uvot)[ _:.-]*", re.IGNORECASE
)


def of_band(name: str | None) -> Spectrum | None:
    """What a band's name says: ``r``, ``r'``, ``ztf_r``, ``UVW1``, ``XRT``, ``0.3-10 keV``; ``None`` where it is not known."""
    text = (name or "").strip()
    if not text:
        return None
    if limits := _LIMITS.fullmatch(text):
        low, high = sorted((float(limits[1]), float(limits[2])))
        unit = next((unit for unit in UNITS if unit.casefold() == limits[3].casefold()), None)
        return Spectrum(regime_of(low, high, unit), low, high, unit) if unit and low > 0 else None
    bare = _SURVEY.sub("", text).removesuffix("'").removesuffix("-band") or text
    lower = bare.casefold()
    found = _BANDS.get(bare) or (_BANDS.get(bare.upper()) if len(bare) > 2 else None)
    found = found or _INSTRUMENTS.get(lower)
    return found or (Spectrum(_REGIME_WORDS[lower]) if lower in _REGIME_WORDS else None)


_LIMITS: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:-|–|to)\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)", re.ASCII)  # noqa: RUF001 - people write it so


def of_instrument(mission: str | None, instrument: str | None = None) -> Spectrum | None:
    """What a mission's instrument sees, or the one that most of its notices come from; ``None`` where it is not known."""
    for text in (instrument, mission):
        whole = (text or "").strip().casefold()
        for word in (whole, *re.split(r"[\s/_,+]+", whole)):
            if word in _INSTRUMENTS:
                return _INSTRUMENTS[word]
            if word in _MISSIONS and word == whole:
                return _INSTRUMENTS[_MISSIONS[word]]
    return None
