"""What the API's answers are made of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from broker.api.values import iso

__all__ = ["Alert", "AlertPage", "Annotations", "Classification", "Match", "MatchPage", "Picked", "SkyMapLevel", "Utc"]

Utc = Annotated[datetime, PlainSerializer(iso, return_type=str), Field(json_schema_extra={"format": "date-time"})]
"""A time that goes out as ISO 8601 with microseconds and ``Z``."""

Annotations = dict[str, Any]


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class SkyMapLevel(_Answer):
    """Where in an event's sky map an alert lies."""

    event: str = Field(examples=["S240422ed"])
    revision: int | None = None
    credible_level: float | None = Field(default=None, description="Smallest credible region that holds the alert, 0 to 1")
    density: float | None = Field(default=None, description="Probability per steradian")
    dt: float | None = Field(default=None, description="Seconds, alert minus event")
    volume_level: float | None = Field(
        default=None, description="Smallest credible volume that holds the alert, where map and host have a distance"
    )


class Picked(_Answer):
    """A filter that picked an alert."""

    filter: str = Field(examples=["ztf_bright_transients"])
    version: str = Field(examples=["1"])
    time: Utc | None = Field(default=None, description="When it was picked")


class Classification(_Answer):
    """What somebody takes an alert for."""

    id: str = Field(examples=["cls_0a1b2c3d4e5f0a1b2c3d4e5f"])
    classification: str = Field(examples=["SN Ia"])
    probability: float | None = Field(default=None, description="0 to 1")
    taxonomy: str | None = Field(default=None, description="What the class is one of", examples=["ELAsTiCC", "TNS"])
    classifier: str | None = Field(default=None, description="What or who found it", examples=["ParSNIP"])
    version: str | None = Field(default=None, description="Of the classifier", examples=["1.4.2"])
    reference: str | None = Field(default=None, description="A spectrum, an address, a paper")
    who: str = Field(description="The account that sent it; `local` where there are none")
    created: Utc = Field(description="When it was first sent")
    changed: Utc = Field(description="When it was last sent")


class Alert(_Answer):
    """An alert: the columns every alert has, and what we add."""

    alert_id: str = Field(description="`<stream>:<native id>`", examples=["ztf:2445391170915015005"])
    stream: str = Field(examples=["ztf"])
    object_id: str | None = Field(
        default=None, description="The survey's object, or the event's name", examples=["ZTF23aaxeydp"]
    )
    time: Utc | None = Field(default=None, description="Exposure or trigger time, UTC")
    ra: float | None = Field(default=None, description="Degrees, ICRS", examples=[187.7059])
    dec: float | None = Field(default=None, description="Degrees, ICRS", examples=[12.3911])
    ra_dec_error: float | None = Field(default=None, description="Degrees, radius of the containment_probability region")
    containment_probability: float | None = None
    hpx: str | None = Field(default=None, description="HEALPix index, NESTED, order 29, as a string")
    mag: float | None = None
    mag_err: float | None = None
    band: str | None = None
    reliability: float | None = Field(default=None, description="Real-bogus score, 0 to 1")
    positive: bool | None = Field(default=None, description="Brighter than the reference")
    event_name: str | None = None
    messenger: str | None = None
    mission: str | None = None
    instrument: str | None = None
    alert_type: str | None = None
    alert_tense: str | None = None
    far: float | None = Field(default=None, description="False alarm rate, Hz")
    p_astro: float | None = None
    classification: str | None = None
    received: Utc | None = Field(default=None, description="When we had it")
    processed: Utc | None = Field(default=None, description="When it was through")
    annotations: Annotations = Field(default_factory=dict, description="Catalogue matches, features and packet fields by name")
    skymaps: list[SkyMapLevel] = Field(default_factory=list)
    separation: float | None = Field(default=None, description="Degrees from the centre of a cone search")
    matches: list[Picked] | None = Field(default=None, description="Filters that picked it, where it was asked for alone")
    classifications: list[Classification] | None = Field(
        default=None, description="What it was said to be, where it was asked for alone"
    )
    cutouts: dict[str, str] | None = Field(
        default=None, description="Addresses of its images by kind, where it was asked for alone"
    )


class AlertPage(_Answer):
    """A page of alerts, newest first."""

    items: list[Alert]
    next: str | None = Field(default=None, description="Address of the next page; null at the end")


class Match(_Answer):
    """An alert a filter picked."""

    filter: str = Field(examples=["ztf_bright_transients"])
    version: str = Field(examples=["1"])
    seq: int | None = Field(default=None, description="Grows with each match; not given on the live stream")
    time: Utc | None = Field(default=None, description="When it was picked")
    update: str | None = Field(
        default=None, description="On the live stream, when told again: `rescored` or `retracted`", examples=["rescored"]
    )
    update_event: str | None = Field(default=None, description="The event that changed", examples=["S240422ed"])
    alert: Alert


class MatchPage(_Answer):
    """Matches: the latest, newest first; or those since a number, oldest first."""

    items: list[Match]
    next: str | None = Field(default=None, description="Where to ask for what comes after these")
