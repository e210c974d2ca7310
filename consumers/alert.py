"""An alert as a subscriber gets it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from consumers.errors import BadRecordError, RequestError

__all__ = ["Alert", "PacketAddress", "SkyMapLevel", "alert_from"]


@dataclass(frozen=True, slots=True)
class SkyMapLevel:
    """Where in an event's sky map an alert lies.

    Parameters
    ----------
    credible_level
        Smallest credible region that holds the alert, 0 to 1.
    density
        Probability per steradian.
    dt
        Seconds, alert minus event.
    volume_level
        Smallest credible volume that holds the alert, 0 to 1, where map and host have a distance.
    """

    event: str | None
    revision: int | None = None
    credible_level: float | None = None
    density: float | None = None
    dt: float | None = None
    volume_level: float | None = None


@dataclass(frozen=True, slots=True)
class PacketAddress:
    """Where in the broker's archive the bytes are that the alert came in; `unit` says which alert of them."""

    file: str
    offset: int
    length: int
    unit: int = 0


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert; what it does not have is ``None``.

    Parameters
    ----------
    alert_id
        ``<stream>:<native id>``.
    object_id
        The survey's object, or the event's name.
    time
        Exposure or trigger time, UTC.
    ra, dec, ra_dec_error
        Degrees, ICRS; the error is the radius of the `containment_probability` region.
    hpx
        HEALPix index, NESTED, order 29.
    mag, mag_err, band, reliability, positive
        Of a survey alert: magnitude of the difference, and whether it is brighter than the reference.
    event_name, messenger, mission, instrument, alert_type, alert_tense, far, p_astro, classification
        Of a notice, as in GCN's unified schema.
    annotations
        Catalogue matches, features and packet fields by name (``gaia.sep``, ``candidate.rb``).
    skymaps
        Sky maps it lies in.
    filters
        Names of the filters that picked it.
    archive
        Where the broker keeps its bytes.
    packet
        The bytes themselves, on topics that carry them.
    update
        Why it is told on a sky map's account and not as it came: ``rescored`` (an event's new map holds it, or holds it at
        another level) or ``retracted`` (the event is no more, or its map no longer holds it); ``None`` for an alert as it came.
    update_event
        The event whose map changed.
    topic, partition, offset
        The record it came in; from the API, partition and offset are -1.
    timestamp
        When the broker put it out, UTC.
    headers
        Of the record.
    position
        Over the API: hand it to `subscribe` as `start_at` to go on after this alert.
    """

    alert_id: str
    stream: str
    object_id: str | None = None
    time: datetime | None = None
    ra: float | None = None
    dec: float | None = None
    ra_dec_error: float | None = None
    containment_probability: float | None = None
    hpx: int | None = None
    mag: float | None = None
    mag_err: float | None = None
    band: str | None = None
    reliability: float | None = None
    positive: bool | None = None
    event_name: str | None = None
    messenger: str | None = None
    mission: str | None = None
    instrument: str | None = None
    alert_type: str | None = None
    alert_tense: str | None = None
    far: float | None = None
    p_astro: float | None = None
    classification: str | None = None
    annotations: Mapping[str, Any] = field(default_factory=dict)
    skymaps: tuple[SkyMapLevel, ...] = ()
    filters: tuple[str, ...] = ()
    archive: PacketAddress | None = None
    packet: bytes | None = field(default=None, repr=False)
    update: str | None = None
    update_event: str | None = None
    topic: str = ""
    partition: int = -1
    offset: int = -1
    timestamp: datetime | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    position: str | None = field(default=None, repr=False)
    _commit: Callable[[Alert], None] | None = field(default=None, repr=False, compare=False)

    def commit(self) -> None:
        """Tell the group that this alert, and all before it in its partition, are done with.

        Raises
        ------
        RequestError
            The stream was opened without a group, or over the API.
        """
        if self._commit is None:
            raise RequestError("nothing to commit to: open the stream on Kafka and with a group, subscribe(..., group='name')")
        self._commit(self)


# What comes by name, and what is not the alert itself but our account of it.
_NAMES = [item.name for item in fields(Alert)]
_SCALARS = frozenset(_NAMES[: _NAMES.index("annotations")])
_SHAPED = frozenset(
    {"annotations", "skymaps", "filters", "filter", "filter_version", "packet", "archive", "matches", "cutouts"}
)


_UPDATE, _EVENT = "nuncius.update", "nuncius.event"


def alert_from(record: Mapping[str, Any], **origin: Any) -> Alert:
    """Alert of a decoded record or of the API's JSON.

    Parameters
    ----------
    origin
        `topic`, `partition` and what else of `Alert` says where it is from.

    Raises
    ------
    BadRecordError
        It has no ``alert_id``, or a value of the wrong kind.
    """
    values: dict[str, Any] = {name: record[name] for name in _SCALARS if record.get(name) is not None}
    if not values.get("alert_id"):
        raise BadRecordError("the record has no alert_id: it is no alert of Nuncius")
    try:
        values["stream"] = values.get("stream") or values["alert_id"].split(":", 1)[0]
        values["time"] = _utc(values.get("time"))
        values["hpx"] = int(values["hpx"]) if "hpx" in values else None
        more = {
            name: value for name, value in record.items() if name not in _SCALARS and name not in _SHAPED and value is not None
        }
        values["annotations"] = {**more, **(record.get("annotations") or {})}
        values["skymaps"] = tuple(_level(entry) for entry in record.get("skymaps") or ())
        values["filters"] = _names(record)
        values["archive"] = _address(record.get("archive"))
        values["packet"] = record.get("packet")
        told = dict(origin.get("headers", ()))
        for name, header in (("update", _UPDATE), ("update_event", _EVENT)):
            if header in told:
                origin.setdefault(name, told[header].decode("utf-8", "replace"))
        return Alert(**values, **origin)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise BadRecordError(f"alert {values['alert_id']} has a value of the wrong kind: {error}") from error


def _utc(value: Any) -> datetime | None:
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def _level(entry: Mapping[str, Any]) -> SkyMapLevel:
    return SkyMapLevel(
        **{item.name: entry.get(item.name) for item in fields(SkyMapLevel) if item.name != "event"}, event=entry["event"]
    )


def _names(record: Mapping[str, Any]) -> tuple[str, ...]:
    listed = record.get("filters") or record.get("matches") or ([record["filter"]] if record.get("filter") else [])
    return tuple(entry if isinstance(entry, str) else str(entry.get("filter") or entry.get("name")) for entry in listed)


def _address(entry: Any) -> PacketAddress | None:
    if not isinstance(entry, Mapping) or entry.get("file") is None:
        return None
    return PacketAddress(str(entry["file"]), int(entry["offset"]), int(entry["length"]), int(entry.get("unit") or 0))
