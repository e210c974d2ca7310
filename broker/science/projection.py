"""Maps of the sphere on paper: Mollweide for all of it, Lambert's azimuthal equal-area for a part. East is to the left.

References
----------
Snyder (1987), Map Projections: A Working Manual, USGS Professional Paper 1395, chapters 24 and 31.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["AzimuthalEqualArea", "Mollweide", "Projection", "galactic_plane"]

FloatArray = npt.NDArray[np.float64]

# Rows are the axes of galactic coordinates in ICRS (ESA 1997, The Hipparcos and Tycho Catalogues, vol. 1, eq. 1.5.11).
_GALACTIC = np.array(
    [
        [-0.0548755604162154, -0.8734370902348850, -0.4838350155487132],
        [0.4941094278755837, -0.4448296299600112, 0.7469822444972189],
        [-0.8676661490190047, -0.1980763734312015, 0.4559837761750669],
    ]
)


@dataclass(frozen=True, slots=True)
class Mollweide:
    """The whole sphere in an ellipse of half-axes 2 sqrt(2) and sqrt(2); `ra` in degrees is in the middle."""

    ra: float = 180.0

    @property
    def extent(self) -> tuple[float, float]:
        """Half-width and half-height."""
        return 2.0 * np.sqrt(2.0), np.sqrt(2.0)

    def forward(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Places on paper of positions in degrees."""
        lon = np.radians((np.asarray(ra, np.float64) - self.ra + 180.0) % 360.0 - 180.0)
        lat = np.radians(np.asarray(dec, np.float64))
        theta = 2.0 * np.arcsin(np.clip(2.0 * lat / np.pi, -1.0, 1.0))  # of 2 theta; Newton's rule, steady up to the poles
        for _ in range(60):
            slope = 1.0 + np.cos(theta)
            move = (theta + np.sin(theta) - np.pi * np.sin(lat)) / np.maximum(slope, 1e-9)
            theta = np.clip(theta - move, -np.pi, np.pi)
        theta = np.where(np.abs(lat) >= np.pi / 2.0, np.sign(lat) * np.pi, theta) / 2.0
        return -2.0 * np.sqrt(2.0) / np.pi * lon * np.cos(theta), np.sqrt(2.0) * np.sin(theta)

    def backward(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Positions in degrees of places on paper; NaN outside the ellipse."""
        across, up = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            theta = np.arcsin(up / np.sqrt(2.0))
            lat = np.arcsin((2.0 * theta + np.sin(2.0 * theta)) / np.pi)
            lon = -np.pi * across / (2.0 * np.sqrt(2.0) * np.cos(theta))
        outside = ~(np.abs(lon) <= np.pi * (1.0 + 1e-9))
        ra = (np.degrees(lon) + self.ra) % 360.0
        return np.where(outside, np.nan, ra), np.where(outside, np.nan, np.degrees(lat))


@dataclass(frozen=True, slots=True)
class AzimuthalEqualArea:
    """The sphere within `radius` of a centre, all in degrees; on paper a degree at the centre is one."""

    ra: float
    dec: float
    radius: float

    @property
    def extent(self) -> tuple[float, float]:
        """Half-width and half-height."""
        reach = float(np.degrees(2.0 * np.sin(np.radians(self.radius) / 2.0)))
        return reach, reach

    def forward(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Places on paper of positions in degrees."""
        lon, lat, lat0 = np.radians(np.asarray(ra, np.float64) - self.ra), np.radians(np.asarray(dec)), np.radians(self.dec)
        along = np.sin(lat0) * np.sin(lat) + np.cos(lat0) * np.cos(lat) * np.cos(lon)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.degrees(np.sqrt(2.0 / np.maximum(1.0 + along, 0.0)))
            x = -scale * np.cos(lat) * np.sin(lon)
            y = scale * (np.cos(lat0) * np.sin(lat) - np.sin(lat0) * np.cos(lat) * np.cos(lon))
        return x, y

    def backward(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Positions in degrees of places on paper; NaN off the sphere."""
        across, up = np.broadcast_arrays(-np.radians(np.asarray(x, np.float64)), np.radians(np.asarray(y, np.float64)))
        rho = np.hypot(across, up)
        lat0 = np.radians(self.dec)
        with np.errstate(invalid="ignore"):
            angle = 2.0 * np.arcsin(rho / 2.0)
        share = np.where(rho > 0.0, np.sin(angle) / np.where(rho > 0.0, rho, 1.0), 1.0)
        lat = np.arcsin(np.clip(np.cos(angle) * np.sin(lat0) + up * share * np.cos(lat0), -1.0, 1.0))
        lon = np.arctan2(across * share, np.cos(lat0) * np.cos(angle) - up * share * np.sin(lat0))
        return (np.degrees(lon) + self.ra) % 360.0, np.degrees(lat)


Projection = Mollweide | AzimuthalEqualArea


def galactic_plane(points: int = 721) -> tuple[FloatArray, FloatArray]:
    """Right ascensions and declinations of the galactic equator, degrees, from the galactic centre round."""
    longitude = np.radians(np.linspace(0.0, 360.0, points))
    vectors = np.column_stack([np.cos(longitude), np.sin(longitude), np.zeros(points)]) @ _GALACTIC
    return np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360.0, np.degrees(np.arcsin(vectors[:, 2]))
