"""Who sent a VOEvent, of what type it is and which event it speaks of: from its ivorn and a few well-known parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from broker.decode.notice import Position, name_event
from broker.decode.notice_names import OVERFLOWN, at_place, burst_of_day, burst_of_urls
from broker.decode.notice_params import Param
from broker.decode.notice_types import NoticeType, notice_types
from broker.identifiers import is_mock, messenger_of, mission_named

__all__ = ["Origin", "authority", "names_of", "origin_of", "request_of", "stage_of", "stream_of_ivorn"]

_GCN = "nasa.gsfc.gcn"
_GW = "gwnet"
_MISSIONS = {"swift": "Swift", "fermi": "Fermi", "konus": "Konus-Wind", "calet": "CALET", "sk_sn": "Super-Kamiokande"}
_GIVEN_NAMES = (
    "GraceID",
    "event_name",
    "Event_name",
    "alert identifier",
    "gsaweb_params.Name",
    "asassn_params.id_assasn",
    "asassn_params.id_other",
    "Asteroid params.CSSID",
    "Burst_Id",
)
_STAGES = {
    "retract": "retracted",  # before the stage it is sent at
    "earlywarning": "early_warning",
    "preliminary": "preliminary",
    "initial": "initial",
    "update": "update",
}
_NUMBERS = ("TrigID", "Trigger_Number", "TRIGGER_NUM", "Event_ID", "Trigger_ID", "Trans_Num")


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a VOEvent before its parameters are read in full.

    Parameters
    ----------
    names
        Of the event, the first of them its own name; `names_of` has those, too, that its place and time give.
    number
        The number it is counted under; empty where its type reports no event.
    shared
        Whether other sources are counted under that number, too.
    known
        Whether its notice type is one of GCN's, so that an empty `alert_type` means it reports no event.
    coords
        What its position is: ``source``, ``pointing``, ``none``, or empty if the type does not say.
    """

    mission: str | None
    instrument: str | None
    messenger: str | None
    names: tuple[str, ...]
    number: str
    shared: bool
    alert_type: str | None
    notice_type: str | None
    coords: str
    containment: float | None
    test: bool
    known: bool


def authority(ivorn: str) -> str:
    """What comes between ``ivo://`` and ``#``: ``nasa.gsfc.gcn/SWIFT``; without ``#``, its first two parts."""
    before, mark, _ = ivorn.removeprefix("ivo://").partition("#")
    return before.strip("/") if mark else "/".join(before.split("/")[:2])


def stream_of_ivorn(ivorn: str) -> str:
    """Stream by authority: ``gcn`` for nasa.gsfc.gcn, ``lvk`` for gwnet, else ``voevent``."""
    host = authority(ivorn).partition("/")[0].lower()
    if host == _GCN or host.startswith(_GCN + "."):
        return "gcn"
    return "lvk" if host == _GW else "voevent"


def origin_of(ivorn: str, params: Mapping[str, Param]) -> Origin:
    """Origin of the event with that ivorn and those parameters."""
    stream = stream_of_ivorn(ivorn)
    kind = _type(params) if stream in {"gcn", "lvk"} else None
    if stream == "lvk":
        instrument = params["Instruments"].text if "Instruments" in params else None
        mission, messenger = "LVK", "GW"
    else:
        mission = (kind.mission if kind else None) or _mission(ivorn, stream)
        instrument = kind.instrument if kind else None
        messenger = (kind.messenger if kind else None) or ""
    unnamed = kind is not None and (kind.alert_type is None or (kind.test and stream != "lvk"))
    shared = kind is not None and kind.trigger_id == "shared"
    names = () if unnamed else _names(mission, params, kind)
    return Origin(
        mission=mission or None,
        instrument=instrument or None,
        messenger=messenger or None,
        names=names,
        number="" if unnamed else _number(params),
        shared=shared,
        alert_type=kind.alert_type if kind else None,
        notice_type=kind.name if kind else None,
        coords=kind.coords if kind else "",
        containment=kind.containment if kind else None,
        test=bool(kind and kind.test) or (stream == "lvk" and any(map(is_mock, names))),
        known=kind is not None,
    )


def names_of(
    origin: Origin, ivorn: str, params: Mapping[str, Param], place: Position, time: datetime | None
) -> tuple[str, ...]:
    """Every name of the event; its ivorn where its number is of several sources, or overflowed, and nothing else names it."""
    found: list[str | None] = list(origin.names)
    if origin.shared and origin.number:
        found.append(at_place(origin.mission, origin.number, place))
    if origin.mission == "Fermi" and found:
        found += [burst_of_day(origin.number, time), burst_of_urls(param.text for param in params.values())]
    if not any(found) and (origin.shared or origin.number in OVERFLOWN):
        found.append(ivorn)
    return tuple(dict.fromkeys(name for name in found if name))


def request_of(origin: Origin, params: Mapping[str, Param]) -> tuple[str, ...]:
    """What the candidates of a telescope's search are of: the burst, or the request to look, by the number they share."""
    if not origin.shared or "Telescope" not in params:
        return ()
    mission = mission_named(params["Telescope"].text)
    name = name_event(mission, origin.number) if mission else None
    return (name,) if name else ()


def stage_of(words: str) -> str | None:
    """Stage of an LVK notice by its type: ``LVC_EARLY_WARNING``, ``EarlyWarning``, ``LVC Update Skymap``."""
    text = "".join(part for part in words.lower() if part.isalpha())
    return next((stage for word, stage in _STAGES.items() if word in text), None)


def _mission(ivorn: str, stream: str) -> str:
    """Mission by the ivorn; a stranger who calls itself as one that we know stays a stranger."""
    whole = authority(ivorn)
    if stream == "gcn":
        path = whole.partition("/")[2]
        return _MISSIONS.get(path.lower(), path)
    return f"ivo://{whole}" if messenger_of(whole) else whole


def _type(params: Mapping[str, Param]) -> NoticeType | None:
    text = params["Packet_Type"].text if "Packet_Type" in params else ""
    return notice_types().get(int(text)) if text.isdecimal() else None


def _names(mission: str, params: Mapping[str, Param], kind: NoticeType | None) -> tuple[str, ...]:
    """Names the parameters have for the event: names first, then a number within a run, then plain numbers of its own."""
    found: list[str | None] = [name_event(None, params[name].text) for name in _GIVEN_NAMES if name in params]
    run, number = (params[name].text if name in params else "" for name in ("run_id", "event_id"))
    if run and number:  # IceCube and HAWC: an event has its number within a run
        found.append(None if name_event(None, number) is None else name_event(mission, f"{run}_{number}"))
    else:
        number = "" if kind is not None and kind.trigger_id == "shared" else _number(params)
        if kind is not None and kind.trigger_id == "integral" and number.isdecimal():
            found.append(name_event(mission, str(int(number) & 0xFFFF)))  # above it, which of the trigger's messages it is
        found.append(name_event(mission, number))
    return tuple(dict.fromkeys(name for name in found if name))


def _number(params: Mapping[str, Param]) -> str:
    """The first of the parameters for it that is a number and no placeholder; one that overflowed if there is no other."""
    texts = [text for name in _NUMBERS if name in params and not (text := params[name].text).startswith("0x")]
    named = (text for text in texts if name_event(None, text))
    return next(named, next((text for text in texts if text.lstrip("0") in OVERFLOWN), ""))
