"""What observers send and get back: models of observations and classifications."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from broker.api.models import Utc
from broker.api.principal import ForbiddenError, Principal
from broker.science.bands import UNITS
from broker.science.coverage import check, middle
from broker.science.outline import MOST_CORNERS
from broker.store.observations import Status
from broker.store.sequence_steps import spectrum_of

__all__ = [
    "ClassificationsIn",
    "DepthUnit",
    "Kept",
    "Observation",
    "ObservationIn",
    "ObservationsIn",
    "Range",
    "may_take_out",
    "range_of",
]

_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(minutes=5)  # by which a sender's clock may be ahead of ours
_NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=_NO_CONTROLS)]
Text = Annotated[str, Field(max_length=2000, pattern=_NO_CONTROLS)]
Ra = Annotated[float, Field(ge=0, le=360, allow_inf_nan=False, description="Degrees, ICRS")]
Dec = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False, description="Degrees, ICRS")]
Finite = Annotated[float, Field(allow_inf_nan=False, gt=-1e30, lt=1e30)]
Positive = Annotated[float, Field(allow_inf_nan=False, gt=1e-30, lt=1e30)]
Unit = Literal[*UNITS]  # type: ignore[valid-type]
DepthUnit = Literal["ab_mag", "vega_mag", "flux_erg", "flux_jy"]


def _in_time(value: datetime) -> datetime:
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    if not _EARLIEST <= aware < _LATEST:
        raise ValueError("a time lies between the years 1900 and 2200")
    return aware


Instant = Annotated[datetime, AfterValidator(_in_time)]


class Circle(BaseModel):
    """A round field of view around the observation's position."""

    type: Literal["circle"]
    radius: float = Field(ge=1e-5, le=90, allow_inf_nan=False, description="Degrees")


class Polygon(BaseModel):
    """A field of view with corners."""

    type: Literal["polygon"]
    vertices: list[tuple[Annotated[float, Field(ge=-360, le=720, allow_inf_nan=False)], Dec]] = Field(
        min_length=3,
        max_length=MOST_CORNERS,
        description="Right ascension and declination of each corner, degrees, going round; edges are great circles",
        examples=[[[10.0, -5.0], [11.0, -5.0], [11.0, -4.0], [10.0, -4.0]]],
    )


class _Photometry(BaseModel):
    """What was measured of a source, or how faint it is at least."""

    object: Name | None = Field(
        default=None, description="What it is called: best, as the alerts call it", examples=["ZTF23aaxeydp"]
    )
    kind: Literal["detection", "limit"] = Field(
        default="detection", description="`limit`: not seen, `mag` or `flux` is the limit"
    )
    ra: Ra | None = None
    dec: Dec | None = None
    band: Name | None = Field(default=None, description="The observation's unless given")
    mag: Finite | None = None
    mag_err: Annotated[float, Field(ge=0, lt=1e30, allow_inf_nan=False)] | None = None
    mag_system: Literal["ab", "vega"] | None = Field(default=None, description="AB unless given")
    flux: Finite | None = None
    flux_err: Annotated[float, Field(ge=0, lt=1e30, allow_inf_nan=False)] | None = None
    flux_unit: Name | None = Field(default=None, examples=["uJy", "erg/cm2/s"])


class PhotometryIn(_Photometry):
    """A measurement that is sent."""

    time: Instant | None = Field(default=None, description="UTC; the observation's unless given")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.mag is None and self.flux is None:
            raise ValueError("photometry has a mag or a flux")
        if self.flux is not None and self.flux_unit is None:
            raise ValueError("a flux has a flux_unit, such as uJy")
        return self


class PhotometryOut(_Photometry):
    """A measurement as it is kept."""

    time: Utc | None = None


class _Observation(BaseModel):
    """What an observation says, whichever way it goes."""

    id: Name | None = Field(
        default=None, description="The sender's own: sent again, it is the same observation", examples=["night1/17"]
    )
    status: Status = Field(default="completed", description="`planned` can become `completed` or `cancelled`")
    footprint: Annotated[Circle | Polygon, Field(discriminator="type")] | None = Field(
        default=None, description="Field of view; without one nothing is covered"
    )
    telescope: Name = Field(examples=["Liverpool Telescope"])
    instrument: Name | None = Field(default=None, examples=["IO:O"])
    band: Name | None = Field(default=None, examples=["r"])
    band_min: Positive | None = Field(
        default=None, description="Limits of the band, where its name does not tell, in `band_unit`"
    )
    band_max: Positive | None = None
    band_unit: Unit | None = Field(default=None, description="A wavelength, a frequency or an energy", examples=["keV"])
    depth: Finite | None = Field(default=None, description="Limit of what could be seen, in `depth_unit`", examples=[21.5])
    depth_unit: DepthUnit | None = Field(default=None, description="`ab_mag` unless given; fluxes are in erg/cm²/s and Jy")
    exposure: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = Field(default=None, description="Seconds")
    reference: Text | None = Field(default=None, description="Where it is told of", examples=["GCN 39000"])
    note: Text | None = None


class ObservationIn(_Observation):
    """An observation that is sent."""

    time: Instant = Field(description="When it began, UTC: ISO 8601; not after now unless it is planned or cancelled")
    ra: Ra | None = Field(
        default=None, description="Degrees, ICRS: of the field's centre; of polygons their middle unless given"
    )
    dec: Dec | None = None
    reporter: Name | None = Field(default=None, description="Who is to be named; the account unless given")
    photometry: list[PhotometryIn] = Field(default_factory=list, max_length=1000)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.ra is None or self.dec is None) and not isinstance(self.footprint, Polygon):
            raise ValueError("ra and dec are needed, but with a polygon")
        limits = (self.band_min, self.band_max, self.band_unit)
        if any(one is None for one in limits) and any(one is not None for one in limits):
            raise ValueError("band_min, band_max and band_unit come together")
        if self.depth_unit in {"flux_erg", "flux_jy"} and self.depth is not None and self.depth <= 0:
            raise ValueError("a limit of flux is above 0")
        return self

    @model_validator(mode="after")
    def _has_begun(self) -> Self:
        if self.status == "completed" and self.time > datetime.now(UTC) + _AHEAD:
            raise ValueError(f"what begins at {self.time.isoformat()} cannot be completed yet: send it with the status planned")
        return self

    def row(self, reporter: str) -> dict[str, Any]:
        """As `broker.store.observations.post` wants it.

        Raises
        ------
        UsageError
            The footprint is none.
        """
        footprint = None if self.footprint is None else self.footprint.model_dump(mode="json")
        ra, dec = (self.ra, self.dec) if self.ra is not None and self.dec is not None else middle((footprint or {})["vertices"])
        if footprint is not None:
            check(ra, dec, footprint)  # what cannot be is refused now, and not when coverage is asked for
        measured = [one.model_dump(mode="json", exclude_none=True) for one in self.photometry]
        kept = self.model_dump(exclude={"id", "footprint", "photometry", "ra", "dec", "reporter"})
        return kept | {
            "sender_id": self.id,
            "ra": ra,
            "dec": dec,
            "footprint": footprint,
            "photometry": measured or None,
            "depth_unit": (self.depth_unit or "ab_mag") if self.depth is not None else None,
            "reporter": self.reporter or reporter,
        }


class ObservationsIn(BaseModel):
    """Observations of an event, kept all or none."""

    observations: list[ObservationIn] = Field(min_length=1, max_length=1000)


class Range(BaseModel):
    """What part of the spectrum a band is; null where that is not known."""

    regime: str | None = Field(
        default=None, description="`radio`, `infrared`, `optical`, `ultraviolet`, `x-ray`, `gamma-ray`; `gw`, `neutrino`"
    )
    min: float | None = None
    max: float | None = None
    unit: str | None = Field(default=None, description="Of `min` and `max`", examples=["nm"])
    wavelength_nm: float | None = Field(default=None, description="Middle")
    energy_min_kev: float | None = None
    energy_max_kev: float | None = None


def may_take_out(asks: Principal, row: Mapping[str, Any]) -> None:
    """Refuse to take out what another sent, but for administrators.

    Raises
    ------
    ForbiddenError
        It is another's.
    """
    if not asks.admin and row["who"] != asks.name:
        raise ForbiddenError(f"{row['id']} was sent by {row['who']!r}: they may take it out, and administrators")


def range_of(spectrum: Any) -> Range:
    """A `broker.science.bands.Spectrum`, or none, as answers have it."""
    if spectrum is None:
        return Range()
    low, high = spectrum.energy or (None, None)
    return Range(
        regime=spectrum.regime,
        min=spectrum.low,
        max=spectrum.high,
        unit=spectrum.unit,
        wavelength_nm=spectrum.wavelength,
        energy_min_kev=low,
        energy_max_kev=high,
    )


class Observation(_Observation):
    """An observation as it is kept."""

    observation_id: str = Field(description="Ours", examples=["obs_0a1b2c3d4e5f0a1b2c3d4e5f"])
    time: Utc = Field(description="When it began or is to begin")
    ra: float = Field(description="Degrees, ICRS: of the field's centre")
    dec: float
    spectrum: Range
    photometry: list[PhotometryOut] = Field(default_factory=list)
    reporter: str = Field(description="Who is to be named")
    who: str = Field(description="The account that sent it; `local` where there are none")
    created: Utc = Field(description="When it was first sent")
    changed: Utc = Field(description="When it was last sent otherwise than before")

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """A row of `broker.store.observations`."""
        more = {"observation_id": row["id"], "id": row["sender_id"], "photometry": row["photometry"] or []}
        return cls.model_validate({**row, **more, "spectrum": range_of(spectrum_of(row))})


class Kept(BaseModel):
    """What became of observations that were sent."""

    event: str = Field(description="The name the event goes by")
    new: int
    changed: int
    unchanged: int = Field(description="Sent before, and the same")
    items: list[Observation] = Field(description="As they are now, in the order they were sent")


class ClassificationIn(BaseModel):
    """A class for an alert."""

    classification: Name = Field(examples=["SN Ia"])
    probability: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    taxonomy: Name | None = Field(default=None, description="What the class is one of", examples=["ELAsTiCC", "TNS"])
    classifier: Name | None = Field(default=None, description="What or who found it", examples=["ParSNIP"])
    version: Name | None = Field(default=None, description="Of the classifier", examples=["1.4.2"])
    reference: Text | None = Field(default=None, description="A spectrum, an address, a paper")


class ClassificationsIn(BaseModel):
    """Classifications of an alert, kept all or none."""

    classifications: list[ClassificationIn] = Field(min_length=1, max_length=200)
