"""What a notice says, whatever it is written in, and the frame made of many notices.

A notice is VOEvent XML, GCN or LVK JSON, LVK Avro, GCN Classic text or binary, a circular or a bare sky map. Each parser turns
its bytes into a `Notice`; `notice_frame` turns notices into the columns of a batch.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl

from broker.alert import COMMON, PRIVATE
from broker.decode.names import LONGEST, key, legible, short
from broker.errors import DecodeError
from broker.identifiers import gbm_burst, is_superevent_like, superevent
from broker.science.sky import radec_to_hpx

__all__ = [
    "ALIVE",
    "DEFAULT_CONTAINMENT",
    "PLACEHOLDERS",
    "Notice",
    "Placed",
    "Position",
    "Scalar",
    "digest",
    "name_event",
    "notice_frame",
    "position",
]

Scalar = str | float | int | bool | None

DEFAULT_CONTAINMENT = 0.9
"""Containment of an error radius that says nothing of it, as in GCN's unified schema."""

PLACEHOLDERS = frozenset({"", "-1", "0", "99999", "2147483647", "4294967295", "none", "null", "unknown", "undefined", "n/a"})
"""Event identifiers that stand for none: they would join unrelated events. Leading zeros do not count."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice; every field but `native_id` may be unknown.

    Parameters
    ----------
    native_id
        Deterministic: the same bytes always give the same.
    event_name
        What joins it to other notices of the same event; ``None`` where a placeholder stands.
    time
        UTC.
    ra, dec, ra_dec_error, containment_probability
        Degrees, ICRS; radius of the region that holds the source with that probability.
    far
        Hz.
    skymap
        FITS bytes, gzipped or not, as embedded.
    names
        Further names of the event, ``event_name`` aside.
    refers
        Names of the event of another mission that this notice follows up: its own event is that one.
    related
        Names of other events it speaks of, as a coincidence does.
    cites
        Citations of a VOEvent: how (``followup``, ``supersedes``, ``retraction``), and the ivorn.
    issued, serial
        When it was sent, UTC, and its number among those of its event: what puts notices in order.
    significant
        Whether its sender thinks the event significant.
    stage
        ``early_warning``, ``preliminary``, ``initial``, ``update`` or ``retracted`` where that is more than `alert_type` says.
    circular
        Number of a circular.
    mark
        What tells its content from another's under the same identifier, where that is not the bytes.
    deviations
        What departs from the format's schema or had to be put right, in words.
    fields
        Everything else, under dotted names.
    """

    native_id: str
    event_name: str | None = None
    time: datetime | None = None
    ra: float | None = None
    dec: float | None = None
    ra_dec_error: float | None = None
    containment_probability: float | None = None
    messenger: str | None = None
    mission: str | None = None
    instrument: str | None = None
    alert_type: str | None = None
    alert_tense: str | None = None
    far: float | None = None
    p_astro: float | None = None
    classification: str | None = None
    skymap: bytes | None = None
    skymap_url: str | None = None
    ivorn: str | None = None
    names: tuple[str, ...] = ()
    refers: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    cites: tuple[tuple[str, str], ...] = ()
    issued: datetime | None = None
    serial: int | None = None
    significant: bool | None = None
    stage: str | None = None
    circular: str | None = None
    mark: bytes | None = None
    deviations: tuple[str, ...] = ()
    fields: Mapping[str, Scalar] = field(default_factory=dict)


ALIVE = Notice("alive")
"""Stands for a heartbeat: no notice of anything."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A notice, the record it came in, which of that record it is, and the digest of its bytes."""

    notice: Notice
    record: int
    unit: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Position:
    """Where the source is: degrees, ICRS; all ``None`` for a notice without position."""

    ra: float | None = None
    dec: float | None = None
    error: float | None = None
    containment: float | None = None


def digest(data: bytes) -> bytes:
    """blake2b-16 of the bytes: tells a revision from a repeat."""
    return hashlib.blake2b(data, digest_size=16).digest()


def position(
    ra: float | None, dec: float | None, error: float | None = None, containment: float | None = None
) -> tuple[Position, list[str]]:
    """Position as given, without the values that stand for none, and what was odd about it.

    (0, 0) and (-1, -1) stand for no position, a radius of 0 or less for an unknown one, one of 180 degrees or more for the
    whole sky. A right ascension of exactly 360 is 0.

    Raises
    ------
    DecodeError
        If it is off the sphere.
    """
    if ra is None or dec is None or not (math.isfinite(ra) and math.isfinite(dec)):
        odd = ra is not None or dec is not None
        return Position(), [f"half a position: ra {ra}, dec {dec}"] if odd else []
    if (ra, dec) in {(0.0, 0.0), (-1.0, -1.0)}:
        return Position(), []
    if not (0.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0):
        raise DecodeError(f"position off the sphere: ra {ra}, dec {dec}; degrees are 0 to 360 and -90 to 90")
    notes = []
    if error is not None and error >= 180.0:
        notes.append(f"error radius of {error:g} degrees is the whole sky: taken as unknown")
    if error is None or not 0.0 < error < 180.0:
        error = None
    level = None if error is None else DEFAULT_CONTAINMENT if containment is None else containment
    if level is not None and not 0.0 < level <= 1.0:
        notes.append(f"containment_probability of {level:g} is not between 0 and 1")
        level = DEFAULT_CONTAINMENT
    return Position(ra % 360.0, dec, error, level), notes


def name_event(mission: str | None, identifier: str | None) -> str | None:
    """Event's name from its identifier.

    A name stays as it is (``GRB 230410A``, ``S190425z``, ``IceCube-230416A``). A bare number is a mission's own counter, and
    two missions' counters meet (SNEWS 1000050, Swift 1000050): it is put behind the mission's name, as GCN's notices write
    such references (``Fermi 694215970``). Placeholders name nothing, nor do superevents' names that cannot be.
    """
    text = (identifier or "").strip()
    bare = text.lstrip("0") or text[:1]
    if text.lower() in PLACEHOLDERS or bare in PLACEHOLDERS:
        return None
    if is_superevent_like(text):
        return superevent(text)
    if re.fullmatch(r"-?\d+(_\d+)?", text) and mission:
        return f"{mission} {bare}"
    return text


def notice_frame(stream: str, placed: Sequence[Placed], wanted: Collection[str]) -> pl.DataFrame:
    """Columns of the notices: the common ones, ours, and those of `wanted` that any notice has.

    Parameters
    ----------
    wanted
        Dotted names of further fields. Numbers become Float64, truth values Boolean, all else (and mixtures) String.
    """
    notices = [_clean(entry.notice) for entry in placed]
    names = ("event_name", "time", "messenger", "mission", "instrument", "alert_type", "alert_tense", "far", "p_astro")
    places = ("ra", "dec", "ra_dec_error", "containment_probability", "classification")
    columns: dict[str, Sequence[object]] = {name: [getattr(n, name) for n in notices] for name in names + places}
    columns["alert_id"] = [f"{stream}:{short(n.native_id)}" for n in notices]
    columns["stream"] = [stream] * len(notices)
    columns["object_id"] = columns["event_name"]
    columns["hpx"] = _hpx(notices)
    columns["_record"] = [entry.record for entry in placed]
    columns["_unit"] = [entry.unit for entry in placed]
    columns["_digest"] = [entry.digest for entry in placed]
    columns["_event"] = [_event(n) for n in notices]
    columns["_skymap"] = [n.skymap for n in notices]
    columns["_skymap_url"] = [n.skymap_url for n in notices]
    columns["_deviations"] = [legible("; ".join(n.deviations)) or None for n in notices]
    schema = {**COMMON, **PRIVATE}
    nothing = [None] * len(notices)
    frame = pl.DataFrame({name: columns.get(name, nothing) for name in schema}, schema=schema)
    # What is null in all of them has no kind, and is left out: to filters that is null as well.
    told = {name for notice in notices for name, value in notice.fields.items() if value is not None}
    extra = [_column(name, notices) for name in sorted(wanted) if name not in schema and name in told]
    return frame.with_columns(extra)


def _event(notice: Notice) -> dict[str, object]:
    def text(name: str) -> str | None:
        value = notice.fields.get(name)
        return legible(value)[:LONGEST] if isinstance(value, str) else None

    names = (notice.event_name, *notice.names) if notice.event_name else notice.names
    return {
        "names": [key(name) for name in dict.fromkeys([*names, *filter(None, map(gbm_burst, names))])],
        "refers": [key(name) for name in notice.refers],
        "related": [key(name) for name in notice.related],
        "cites": [f"{key(how)} {key(ivorn)}" for how, ivorn in notice.cites],
        "ivorn": None if notice.ivorn is None else key(notice.ivorn),
        "issued": notice.issued,
        "serial": notice.serial if notice.serial is not None and abs(notice.serial) < 1 << 62 else None,
        "significant": notice.significant,
        "stage": notice.stage,
        "type": text("notice_type"),
        "search_group": text("group"),
        "search": text("search"),
        "circular": None if notice.circular is None else key(notice.circular),
        "subject": text("subject") if notice.circular else None,
        "submitter": text("submitter") if notice.circular else None,
    }


_TEXTS = ("native_id", "event_name", "messenger", "mission", "instrument", "alert_type", "alert_tense", "classification")


def _clean(notice: Notice) -> Notice:
    """Notice without what JSON can write and a database or UTF-8 cannot hold: zero bytes, half surrogates, endless names."""
    texts = {name: getattr(notice, name) for name in _TEXTS}
    changed: dict[str, Any] = {name: cleaned for name, text in texts.items() if text and (cleaned := key(text)) != text}
    if notice.skymap_url and (url := legible(notice.skymap_url)) != notice.skymap_url:
        changed["skymap_url"] = url
    return replace(notice, **changed) if changed else notice


def _hpx(notices: Sequence[Notice]) -> list[int | None]:
    ra = [math.nan if n.ra is None else n.ra for n in notices]
    dec = [math.nan if n.dec is None else n.dec for n in notices]
    return [cell if cell >= 0 else None for cell in radec_to_hpx(ra, dec).tolist()]


def _column(name: str, notices: Sequence[Notice]) -> pl.Series:
    values = [n.fields.get(name) for n in notices]
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pl.Series(name, values, pl.Boolean)
    if kinds and kinds <= {int, float}:
        return pl.Series(name, [None if value is None else float(value) for value in values], pl.Float64)
    texts = [None if value is None else legible(value if isinstance(value, str) else _text(value)) for value in values]
    return pl.Series(name, texts, pl.String)


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
