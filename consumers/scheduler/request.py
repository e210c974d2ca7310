"""What a plan is wanted for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.scheduler.fields import Field
from consumers.scheduler.order import Timing
from consumers.sites import Site

__all__ = ["Limits", "Place", "Request"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a telescope may look at.

    Parameters
    ----------
    altitude
        Degrees, at least.
    airmass
        At most.
    moon
        Degrees from the Moon, at least, while the Moon is up.
    sun
        Degrees: the Sun is lower.
    """

    altitude: float = 30.0
    airmass: float = 2.5
    moon: float = 20.0
    sun: float = -18.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field can be put: of the telescope's own list, or a galaxy.

    Parameters
    ----------
    name
        The field's number or the galaxy's name.
    ra, dec
        Degrees, ICRS.
    probability
        Of a galaxy to be the host; 0 for a field.
    """

    name: str | int
    ra: float
    dec: float
    probability: float = 0.0


@dataclass(frozen=True)
class Request:
    """What a plan is wanted for.

    Parameters
    ----------
    places
        Where fields can be put; none where we choose. `galaxies` says that they are galaxies.
    level
        Probability of the region that is covered with fields of our own.
    most
        Fields at most.
    """

    site: Site
    fov: Field
    timing: Timing = field(default_factory=Timing)
    limits: Limits = field(default_factory=Limits)
    places: Sequence[Place] | None = None
    galaxies: bool = False
    level: float = 0.9
    overlap: float = 0.0
    most: int = 1000
