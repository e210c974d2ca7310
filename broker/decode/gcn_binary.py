"""GCN Classic's binary notices: 40 big-endian 32-bit integers, laid out by notice type.

Slots 0 to 8 are alike in nearly all types: type, serial number, hops, time sent, trigger, truncated Julian day, seconds of the
day in hundredths, right ascension and declination in 1e-4 degrees. Where error radius and flags are is in
``schemas/gcn/notice_types.csv``; the layout is GCN's public *Internet Socket Packet Definition Document*.
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta

from broker.decode.notice import ALIVE, Notice, Position, Scalar, name_event, position
from broker.decode.notice_names import at_place, burst_of_day
from broker.decode.notice_origin import stage_of
from broker.decode.notice_time import from_tjd
from broker.decode.notice_types import NoticeType, notice_types
from broker.errors import DecodeError

__all__ = ["LENGTH", "is_alive", "parse_binary", "plausible"]

LENGTH = 160
_PACKET = struct.Struct(">40i")
_TYPE, _SERIAL, _TRIGGER, _TJD, _SOD, _RA, _DEC, _FAR, _SUBSEC, _TEST, _FLAGS, _MISC, _LETTERS = (
    0,
    1,
    4,
    5,
    6,
    7,
    8,
    11,
    13,
    12,
    18,
    19,
    21,
)
_CLASSES, _INVALID, _URL, _RUN = 22, 23, slice(29, 39), 23
_ALIVE = frozenset({3, 142, 143})
_GECAM = frozenset({188, 189})  # seconds in 1e-4, not in hundredths
_DEGREES = 1e-4
_PREFIXES = ("G", "T", "M", "Y", "H", "E", "K", "S", "GW", "TS", "TGW", "MS", "MGW")
_LVC_CLASSES = ("BNS", "NSBH", "BBH", "Terrestrial")
_URL_LENGTH = 39
_RATE_SLOT = {171: 12, 172: 12, 176: 12}  # log10 of the rate per year, in 1e-4
_PER_YEAR = 365.25 * 86_400.0


def plausible(data: bytes) -> bool:
    """Whether the bytes may be a binary notice: their length, a type we know or a believable date."""
    if len(data) != LENGTH:
        return False
    slots = _PACKET.unpack(data)
    return 0 < slots[_TYPE] < 1000 and slots[_SERIAL] >= 0 and (slots[_TYPE] in _ALIVE or _time(slots) is not None)


def is_alive(data: bytes) -> bool:
    """Whether a binary notice is the old sign of life."""
    return len(data) == LENGTH and int.from_bytes(data[:4], "big") in _ALIVE


def parse_binary(data: bytes) -> Notice:
    """Notice of a 160-byte packet; of an unknown type, what nearly all types have in common.

    Raises
    ------
    DecodeError
        If it has another length, no type or no date, or lies off the sphere.
    """
    if len(data) != LENGTH:
        raise DecodeError(f"binary notice of {len(data)} bytes; it has {LENGTH}")
    slots = _PACKET.unpack(data)
    if not plausible(data):
        raise DecodeError(f"not a binary notice: type {slots[_TYPE]}, truncated Julian day {slots[_TJD]}")
    if is_alive(data):
        return ALIVE
    kind = notice_types().get(slots[_TYPE])
    name = kind.name if kind else f"TYPE_{slots[_TYPE]}"
    time = _time(slots)
    notes = [] if kind else [f"notice type {slots[_TYPE]} is unknown: read as most types are"]
    trigger = _trigger(slots, kind)
    place, odd = _place(slots, kind)
    pointing = kind is not None and kind.coords == "pointing"
    fields = _fields(slots, kind, name, trigger)
    if pointing and place.ra is not None:
        fields |= {"pointing.ra": place.ra, "pointing.dec": place.dec}
        place = Position()
    when = time.isoformat(timespec="milliseconds")[:23] if time else "undated"
    nameless = kind is not None and (kind.alert_type is None or kind.test)
    event = None if nameless else _event(slots, kind, trigger, place)
    burst = burst_of_day(trigger, time) if event and kind and kind.mission == "Fermi" else None
    return Notice(
        native_id=f"{name}:{trigger}:{slots[_SERIAL]}:{when}",
        event_name=event,
        names=(burst,) if burst else (),
        serial=slots[_SERIAL],
        stage=stage_of(name) if kind and kind.trigger_id == "lvc" else None,
        time=time,
        ra=place.ra,
        dec=place.dec,
        ra_dec_error=place.error,
        containment_probability=place.containment,
        messenger=kind.messenger if kind else None,
        mission=kind.mission if kind else None,
        instrument=kind.instrument if kind else None,
        alert_type=_alert_type(slots, kind),
        alert_tense="test" if _is_test(slots, kind, trigger) else "current",
        far=_far(slots, kind),
        p_astro=fields.get("p_astro"),  # type: ignore[arg-type]  # a float where it is there
        classification=_likeliest(fields),
        skymap_url=_url(slots) if kind and kind.trigger_id == "lvc" else None,
        deviations=tuple(notes + odd),
        fields=fields,
    )


def _time(slots: tuple[int, ...]) -> datetime | None:
    scale = 10_000.0 if slots[_TYPE] in _GECAM else 100.0
    time = from_tjd(slots[_TJD], slots[_SOD] / scale)
    kind = notice_types().get(slots[_TYPE])
    if time is not None and kind is not None and kind.trigger_id == "lvc" and 0 <= slots[_SUBSEC] < 1_000_000:
        time += timedelta(microseconds=slots[_SUBSEC])
    return time


def _trigger(slots: tuple[int, ...], kind: NoticeType | None) -> str:
    """Trigger's number or name; slot 4 holds more than that in some types."""
    number = slots[_TRIGGER]
    how = kind.trigger_id if kind else "plain"
    if how == "swift":
        return str(number & 0xFFFFFF)
    if how == "integral":
        return str(number & 0xFFFF)
    if how == "lvc":
        return _superevent(slots)
    if how == "icecube":
        return f"{slots[_RUN]}_{number & 0xFFFFFFFF}"
    return str(number if number < 0 else number & 0xFFFFFFFF)


def _superevent(slots: tuple[int, ...]) -> str:
    """``MS240511j``: prefix and first letter in the bits of slot 19, the date in slot 4, a second letter in slot 21."""
    which = (slots[_MISC] >> 20) & 0xF
    letters = "".join(chr(code) for code in ((slots[_MISC] >> 10) & 0xFF, slots[_LETTERS] & 0xFF) if 97 <= code <= 122)
    prefix = _PREFIXES[which - 1] if 1 <= which <= len(_PREFIXES) else "S"
    return f"{prefix}{slots[_TRIGGER]:06d}{letters}"


def _event(slots: tuple[int, ...], kind: NoticeType | None, trigger: str, place: Position) -> str | None:
    if kind and kind.trigger_id == "shared":
        return at_place(kind.mission, trigger, place)
    if kind and kind.trigger_id == "icecube" and name_event(None, str(slots[_TRIGGER])) is None:
        return None
    return name_event(kind.mission if kind and kind.trigger_id != "lvc" else None, trigger)


def _place(slots: tuple[int, ...], kind: NoticeType | None) -> tuple[Position, list[str]]:
    if kind is not None and kind.coords == "none":
        return Position(), []
    error = round(slots[kind.error_slot] * kind.error_unit, 7) if kind and kind.error_slot is not None else None
    return position(
        round(slots[_RA] * _DEGREES, 4), round(slots[_DEC] * _DEGREES, 4), error, kind.containment if kind else None
    )


def _alert_type(slots: tuple[int, ...], kind: NoticeType | None) -> str | None:
    if kind is None:
        return None
    retracted = kind.flags in {"test", "retraction"} and slots[_FLAGS] & (1 << 5)
    if retracted or (kind.flags == "integral" and slots[_TEST] & (1 << 30)):
        return "retraction"
    return kind.alert_type


def _is_test(slots: tuple[int, ...], kind: NoticeType | None, trigger: str) -> bool:
    if kind is None:
        return False
    if kind.test or (kind.trigger_id == "lvc" and trigger[0] in "MT"):
        return True
    return bool((kind.flags == "test" and slots[_FLAGS] & 2) or (kind.flags == "integral" and slots[_TEST] & (1 << 31)))


def _far(slots: tuple[int, ...], kind: NoticeType | None) -> float | None:
    if kind is not None and kind.trigger_id == "lvc" and slots[_FAR]:
        return float(10.0 ** (slots[_FAR] * 1e-4)) if abs(slots[_FAR]) < 3_000_000 else None
    slot = _RATE_SLOT.get(slots[_TYPE])
    if slot is None or abs(slots[slot]) >= 3_000_000:
        return None
    return float(10.0 ** (slots[slot] * 1e-4)) / _PER_YEAR


def _fields(slots: tuple[int, ...], kind: NoticeType | None, name: str, trigger: str) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {
        "notice_type": name,
        "packet_type": slots[_TYPE],
        "serial": slots[_SERIAL],
        "trigger_id": trigger,
    }
    found |= {f"slot{index}": value for index, value in enumerate(slots)}
    if kind and kind.trigger_id == "swift":
        found["observation"] = (slots[_TRIGGER] >> 24) & 0xFF
    if kind and kind.trigger_id == "lvc" and slots[_CLASSES]:
        percent = struct.pack(">i", slots[_CLASSES])
        found |= {f"classification.{label}": value / 100.0 for label, value in zip(_LVC_CLASSES, percent, strict=True)}
        found["p_astro"] = 1.0 - percent[3] / 100.0 if percent[3] <= 100 else None
    return found


def _likeliest(fields: dict[str, Scalar]) -> str | None:
    classes = {name: fields.get(f"classification.{name}") for name in _LVC_CLASSES}
    known = {name: value for name, value in classes.items() if isinstance(value, float)}
    return max(known, key=known.__getitem__) if known else None


def _url(slots: tuple[int, ...]) -> str | None:
    """Address of the sky map: little-endian text, below GraceDB's superevents; ``.fits`` may not have fitted whole."""
    text = b"".join(struct.pack("<i", slot) for slot in slots[_URL]).partition(b"\0")[0].decode("ascii", "replace")
    if len(text) == _URL_LENGTH and text.endswith(".fit"):
        text += "s"
    return f"https://gracedb.ligo.org/api/superevents/{text}" if text.endswith((".fits", ".gz")) else None
