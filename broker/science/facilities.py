"""Who observed, as the subject of a circular says it, and in what light.

Subjects of GCN circulars name the event, then who saw what: ``GRB 260101A: Swift/XRT afterglow detection``. What is found is a
label for people; nothing is decided by it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from broker.science.bands import Spectrum, of_instrument

__all__ = ["Facility", "facility_of"]


@dataclass(frozen=True, slots=True)
class Facility:
    """Who observed.

    Parameters
    ----------
    name
        Telescope or instrument; ``None`` where the subject names none that we know.
    spectrum
        What light it saw; ``None`` where not told.
    """

    name: str | None
    spectrum: Spectrum | None


_OPTICAL, _RADIO, _INFRARED = Spectrum("optical"), Spectrum("radio"), Spectrum("infrared")

# Instruments first, for their mission's name stands beside them. Case matters: NOT and SAO are telescopes, not is not.
_KNOWN: Final[tuple[tuple[str, str, Spectrum | None], ...]] = (
    ("UVOT", "Swift UVOT", of_instrument(None, "UVOT")),
    ("XRT", "Swift XRT", of_instrument(None, "XRT")),
    ("BAT(?:-GUANO)?|GUANO", "Swift BAT", of_instrument(None, "BAT")),
    ("Fermi[ /-]?LAT|LAT", "Fermi LAT", of_instrument(None, "LAT")),
    ("GBM", "Fermi GBM", of_instrument(None, "GBM")),
    ("WXT", "EP WXT", of_instrument(None, "WXT")),
    ("FXT", "EP FXT", of_instrument(None, "FXT")),
    ("SVOM[ /-]?VT|VT", "SVOM VT", of_instrument(None, "VT")),
    ("MXT", "SVOM MXT", of_instrument(None, "MXT")),
    ("ECLAIRs", "SVOM ECLAIRs", of_instrument(None, "ECLAIRs")),
    ("GRM", "SVOM GRM", of_instrument(None, "GRM")),
    ("Konus(?:-Wind)?", "Konus-Wind", of_instrument(None, "Konus")),
    ("MAXI(?:/GSC)?", "MAXI", of_instrument(None, "MAXI")),
    ("CALET", "CALET", of_instrument(None, "CALET")),
    ("GECAM(?:-[BC])?", "GECAM", of_instrument(None, "GECAM")),
    ("INTEGRAL|IBAS|SPI-ACS", "INTEGRAL", of_instrument(None, "INTEGRAL")),
    ("AstroSat|CZTI", "AstroSat CZTI", of_instrument(None, "CZTI")),
    ("AGILE", "AGILE", of_instrument(None, "AGILE")),
    ("NICER", "NICER", of_instrument(None, "NICER")),
    ("NuSTAR", "NuSTAR", of_instrument(None, "NuSTAR")),
    ("Chandra", "Chandra", of_instrument(None, "Chandra")),
    ("XMM(?:-Newton)?", "XMM-Newton", of_instrument(None, "XMM")),
    ("IXPE", "IXPE", of_instrument(None, "IXPE")),
    ("HAWC", "HAWC", of_instrument(None, "HAWC")),
    (r"H\.?E\.?S\.?S\.?", "H.E.S.S.", of_instrument(None, "HESS")),
    ("MAGIC", "MAGIC", of_instrument(None, "MAGIC")),
    ("LHAASO", "LHAASO", of_instrument(None, "LHAASO")),
    ("IceCube", "IceCube", of_instrument("IceCube")),
    ("KM3NeT", "KM3NeT", of_instrument("KM3NeT")),
    ("LIGO|LVK|Virgo|KAGRA", "LVK", of_instrument("LVK")),
    ("ATCA", "ATCA", _RADIO),
    ("E?VLA", "VLA", _RADIO),
    ("ALMA", "ALMA", _RADIO),
    ("u?GMRT", "GMRT", _RADIO),
    ("MeerKAT", "MeerKAT", _RADIO),
    ("AMI(?:-LA)?", "AMI-LA", _RADIO),
    ("NOEMA", "NOEMA", _RADIO),
    ("SMA", "SMA", _RADIO),
    ("e-MERLIN", "e-MERLIN", _RADIO),
    ("ASKAP", "ASKAP", _RADIO),
    ("VLBI|EVN|VLBA", "VLBI", _RADIO),
    ("CHIME", "CHIME", of_instrument("CHIME")),
    ("JWST", "JWST", _INFRARED),
    ("PRIME", "PRIME", _INFRARED),
    ("WINTER", "WINTER", _INFRARED),
    ("HST|Hubble", "HST", None),
    *(
        (pattern, name, _OPTICAL)
        for pattern, name in (
            ("ZTF", "ZTF"), ("DECam", "DECam"), ("ATLAS", "ATLAS"), ("Pan-STARRS\\d?", "Pan-STARRS"), ("GOTO", "GOTO"),
            ("BlackGEM", "BlackGEM"), ("MeerLICHT", "MeerLICHT"), ("MASTER", "MASTER"), ("GROND", "GROND"), ("REM", "REM"),
            ("TAROT", "TAROT"), ("KAIT", "KAIT"), ("LCOGT|LCO", "LCO"), ("Liverpool Telescope|LT", "Liverpool Telescope"),
            ("NOT|Nordic Optical Telescope", "NOT"), ("GTC", "GTC"), ("TNG", "TNG"), ("CAHA|Calar Alto", "Calar Alto"),
            ("OSN", "OSN"), ("X-?[Ss]hooter", "VLT X-shooter"), ("VLT|MUSE|FORS2", "VLT"), ("Keck", "Keck"),
            ("Gemini(?:-[NS])?", "Gemini"), ("LBT", "LBT"), ("Subaru", "Subaru"), ("SOAR", "SOAR"),
            ("Magellan", "Magellan"), ("SALT", "SALT"), ("MMT", "MMT"), ("COLIBR[IÍ]", "COLIBRÍ"), ("DDOTI", "DDOTI"),
            ("COATLI", "COATLI"), ("RATIR", "RATIR"), ("BOOTES(?:-\\d)?", "BOOTES"), ("GMG", "GMG"),
            ("Xinglong|NAOC", "Xinglong"), ("Lijiang", "Lijiang"), ("Mephisto", "Mephisto"), ("SAO RAS", "SAO RAS"),
            ("AbAO", "AbAO"), ("Maidanak", "Maidanak"), ("Mondy", "Mondy"), ("Nanshan", "Nanshan"), ("CrAO", "CrAO"),
            ("TSHAO", "TSHAO"), ("HCT", "HCT"), ("DOT|Devasthal", "DOT"), ("GIT|GROWTH-India", "GIT"), ("Kinder", "Kinder"),
            ("LOT", "LOT"), ("Palomar|P200|P60", "Palomar"), ("SEDM", "SEDM"), ("GRANDMA", "GRANDMA"), ("TRT", "TRT"),
            ("Virtual Telescope", "Virtual Telescope"), ("KM-?TNet", "KMTNet"), ("T193|OHP", "OHP"),
            ("Rubin|LSST", "Rubin"), ("SVOM[ /]?(?:C-)?GFT|C-GFT", "SVOM GFT"), ("GWAC", "SVOM GWAC"), ("WFST", "WFST"),
            ("VISTA", "VISTA"), ("NTT|EFOSC2?|ePESSTO\\+?", "NTT"),
        )
    ),
)  # fmt: skip
# Where none of their instruments is named.
_MISSIONS: Final = (
    ("Swift", "Swift", None),
    ("Fermi", "Fermi", of_instrument("Fermi")),
    ("SVOM", "SVOM", None),
    ("Einstein Probe", "Einstein Probe", None),
)


def _compiled(known: Sequence[tuple[str, str, Spectrum | None]]) -> tuple[tuple[re.Pattern[str], str, Spectrum | None], ...]:
    return tuple((re.compile(rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])"), name, seen) for pattern, name, seen in known)


_INSTRUMENTS, _OTHERWISE = _compiled(_KNOWN), _compiled(_MISSIONS)
_LIGHT: Final = (
    (re.compile(r"\b(?:radio|\d+(?:\.\d+)? ?[GM]Hz|VHF|millimet(?:er|re)|mm)\b", re.IGNORECASE), "radio"),
    (re.compile(r"\b(?:NIR|near[- ]infrared|infrared|JHK\w*)\b", re.IGNORECASE), "infrared"),
    (
        re.compile(r"\b(?:optical|redshift|spectroscop\w+|photometr\w+|afterglow imaging|[gri]-band)\b", re.IGNORECASE),
        "optical",
    ),
    (re.compile(r"\b(?:UV|ultraviolet)\b", re.IGNORECASE), "ultraviolet"),
    (re.compile(r"\bX-?rays?\b", re.IGNORECASE), "x-ray"),
    (re.compile(r"\b(?:gamma-?rays?|VHE|TeV|GeV)\b", re.IGNORECASE), "gamma-ray"),
)
# Names of events hold names of telescopes: Swift J1727, MAXI J1820, EP260101a, IceCube-260101A.
_EVENT: Final = re.compile(
    r"^\s*(?:[^:]{0,120}?\d{4,}[^:]{0,120}):|\b(?:Swift|MAXI|IGR|XTE|GX|SGR) ?J?\d{3,}\S*|\bEP ?\d{6}\w*"
    r"|\bIceCube(?:Cascade)?[- ]\d{6}\w"
)


def facility_of(subject: str | None) -> Facility:
    """Who observed, and in what light, by the subject of a circular.

    What is named first behind the event's name counts, an instrument before a mission.
    """
    text = _EVENT.sub(" ", subject or "")
    light = next((Spectrum(regime) for find, regime in _LIGHT if find.search(text)), None)
    for known in (_INSTRUMENTS, _OTHERWISE):
        hits = [(match.start(), rank) for rank, (find, _, _) in enumerate(known) if (match := find.search(text))]
        if hits:
            _, name, seen = known[min(hits)[1]]
            return Facility(name, seen or light)
    return Facility(None, light)
