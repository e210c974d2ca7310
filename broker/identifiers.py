"""Names of events: as people and missions write them, and the keys under which the spellings of one name meet."""

from __future__ import annotations

import re
from datetime import date

__all__ = [
    "LVK",
    "author",
    "fold",
    "gbm_burst",
    "is_mock",
    "is_superevent_like",
    "messenger_of",
    "mission_named",
    "names_event",
    "names_in",
    "superevent",
]

LVK = "LVK"

_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=\w)")  # IceCube-230416A, not the sign of a number
_BLANKS = re.compile(r"\s+")
_SUPEREVENT = re.compile(r"([MT]?)(S|GW)(\d{6})([a-z]*)(_\d{6})?", re.IGNORECASE)
_LIKE = re.compile(r"[MT]?S\d{6}[a-z]*|[MT]?GW\d{6}[A-Z]*", re.IGNORECASE)
_MOCK = re.compile(r"[MT](S|GW?)?\d", re.IGNORECASE)

# What missions and their instruments are called in references to them; the first word found counts.
_MISSIONS = {
    "fermi": "Fermi",
    "gbm": "Fermi",
    "lat": "Fermi",
    "swift": "Swift",
    "bat": "Swift",
    "guano": "Swift",
    "xrt": "Swift",
    "uvot": "Swift",
    "lvk": LVK,
    "lvc": LVK,
    "ligo": LVK,
    "virgo": LVK,
    "kagra": LVK,
    "icecube": "IceCube",
    "einstein": "Einstein Probe",
    "ep": "Einstein Probe",
    "wxt": "Einstein Probe",
    "fxt": "Einstein Probe",
    "maxi": "MAXI",
    "gsc": "MAXI",
    "integral": "INTEGRAL",
    "ibis": "INTEGRAL",
    "svom": "SVOM",
    "eclairs": "SVOM",
    "grm": "SVOM",
    "calet": "CALET",
    "gecam": "GECAM",
    "konus": "Konus-Wind",
    "hawc": "HAWC",
    "km3net": "KM3NeT",
    "superk": "Super-Kamiokande",
    "kamiokande": "Super-Kamiokande",
    "chime": "CHIME",
    "dsa110": "DSA-110",
    "dsa": "DSA-110",
    "agile": "AGILE",
    "snews": "SNEWS",
}

# What the missions we know see. A VOEvent of anyone else is a stranger's: see `broker.store.authors`.
_SEEN = {
    "GW": (LVK,),
    "Neutrino": ("AMON", "IceCube", "KM3NeT", "SNEWS", "Super-Kamiokande"),
    "EM": (
        *("AGILE", "BeppoSAX", "Boom", "BurstCube", "CALET", "CBAT", "CGRO", "CHIME", "DSA-110", "Einstein Probe", "Fermi"),
        *("GECAM", "Glowbug", "HAWC", "HETE", "INTEGRAL", "IPN", "Konus-Wind", "MAXI", "MILAGRO", "MOA", "OGLE", "RXTE"),
        *("SVOM", "Suzaku", "Swift"),
    ),
}
_MESSENGERS = {mission.casefold(): messenger for messenger, missions in _SEEN.items() for mission in missions}

# Designations that tell one event from the next of the same source, as a date or a number behind the mission does.
_OF_EVENT = re.compile(r"(?:GRB|XRF|FRB|EP|bn)[ -]?\d{6,}\w*|(?:AT|SN) ?(?:19|20)\d{2}[A-Za-z]+|IceCube.*", re.IGNORECASE)
_GBM_BURST = re.compile(r"(?:GRB|bn)[ _]?(\d{9})", re.IGNORECASE)

# Designations in a line of text. Superevents and IceCube's names first: they hold letters that others begin with.
_GW = re.compile(r"(?<![A-Za-z0-9])([MT]?S\d{6}[a-z]+|[MT]?GW\d{6}(?:[A-Z]+|_\d{6})?|G\d{6})(?![A-Za-z0-9])")
_NEUTRINO = re.compile(r"(?<![A-Za-z0-9])(IceCube(?:Cascade)?)[- ]?(\d{6}[A-Za-z])(?![A-Za-z0-9])")
_LIGHT = re.compile(
    r"(?<![A-Za-z0-9])(?:(GRB|XRF|FRB) ?(\d{6,8}[A-Z]{0,3})|(EP) ?(\d{6}[a-z]+)|(AT|SN) ?((?:19|20)\d{2}[A-Za-z]{1,5})"
    r"|(SGR|MAXI|Swift|XTE|GX|IGR) ?(J?\d{3,6}(?:\.\d+)?[+-]\d{2,6}(?:\.\d+)?))(?![A-Za-z0-9])"
)


def fold(name: str) -> str:
    """Key of a name: without regard to case, blanks, or a hyphen behind a letter.

    ``GRB 170817A`` and ``grb170817a`` share theirs, as do ``IceCube-230416A`` and ``IceCube 230416A``; ``Swift -12`` and
    ``Swift 12`` do not.
    """
    text = name.strip()
    if text.lower().startswith("ivo://"):
        return text.casefold()
    return _BLANKS.sub("", _HYPHEN.sub("", text)).casefold()


def superevent(name: str) -> str | None:
    r"""The name of a GW superevent as GraceDB spells it (``MS181101ab``, ``GW190521A``); ``None`` if it cannot be one.

    The form is GraceDB's: ``(T|M)?S\d{6}[a-z]+`` or ``(T|M)?GW\d{6}[A-Z]+``, the digits a date; of a published GW also
    the date alone, or the time after it.
    """
    found = _SUPEREVENT.fullmatch(name.strip())
    if found is None:
        return None
    kind, kind_of, day, letters, clock = found[1].upper(), found[2].upper(), found[3], found[4], found[5] or ""
    try:
        date(2000 + int(day[:2]), int(day[2:4]), int(day[4:]))
    except ValueError:
        return None
    if kind_of == "S":
        return f"{kind}S{day}{letters.lower()}" if letters and not clock else None
    return f"{kind}GW{day}{letters.upper()}{clock}" if not (letters and clock) else None


def is_superevent_like(name: str) -> bool:
    """Whether a name claims to be a superevent's, possible or not."""
    return _LIKE.fullmatch(name.strip()) is not None


def is_mock(name: str | None) -> bool:
    """Whether the name alone tells a test (T) or mock data (M): ``MS181101ab``, ``TS...``, ``MGW...``, ``M252714``."""
    return name is not None and _MOCK.match(name.strip()) is not None


def mission_named(text: str | None) -> str | None:
    """Mission of what a reference calls an instrument: ``Fermi-GBM``, ``GBM`` and ``Fermi`` are Fermi."""
    words = re.split(r"[^a-z0-9]+", (text or "").lower())
    return next((_MISSIONS[word] for word in words if word in _MISSIONS), None)


def messenger_of(mission: str | None) -> str | None:
    """What a mission sees, by its name and nothing like it: ``EM``, ``GW``, ``Neutrino``; ``None`` of a stranger."""
    return _MESSENGERS.get((mission or "").strip().casefold())


def author(ivorn: str | None) -> str | None:
    """Who wrote under that ivorn: what comes first in it, ``nasa.gsfc.gcn``."""
    return None if ivorn is None else re.split(r"[/#?]", ivorn.strip().lower().removeprefix("ivo://"), maxsplit=1)[0]


def gbm_burst(name: str) -> str | None:
    """``bn180116026``, the day and its thousandth, of ``bn180116026`` or ``GRB180116026``: what GBM calls its bursts."""
    found = _GBM_BURST.fullmatch(name.strip())
    return f"bn{found[1]}" if found else None


def names_event(name: str) -> bool:
    """Whether a name is one event's (``GRB 230220A``), and not a source's that may flare again (``OQ 334``)."""
    return superevent(name) is not None or _OF_EVENT.fullmatch(name.strip()) is not None


def names_in(line: str) -> list[str]:
    """Designations of events in a line of text, in their order: ``GRB 170817A``, ``S190425z``, ``IceCube-230416A``, ..."""
    found: list[tuple[int, str]] = [(hit.start(), superevent(hit[1]) or hit[1]) for hit in _GW.finditer(line)]
    found += [(hit.start(), f"{hit[1]}-{hit[2]}") for hit in _NEUTRINO.finditer(line)]
    for hit in _LIGHT.finditer(line):
        kind, number = next((hit[i], hit[i + 1]) for i in (1, 3, 5, 7) if hit[i])
        found.append((hit.start(), f"{kind}{'' if kind == 'EP' else ' '}{number}"))
    return list(dict.fromkeys(name for _, name in sorted(found)))
