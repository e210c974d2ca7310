"""What there is to say of a sky map in a few numbers."""

from __future__ import annotations

from typing import Any

import healpy
import numpy as np

from broker.science.sky import ORDER
from broker.science.skymap import SkyMap, area, distance_moments

__all__ = ["info"]


def info(skymap: SkyMap) -> dict[str, Any]:
    """Order, areas in square degrees, distances in Mpc (``None`` in 2D), peak in degrees, and what the header says."""
    mean, std = distance_moments(skymap) or (None, None)
    best = int(np.argmax(skymap.density))
    ra, dec = healpy.pix2ang(1 << ORDER, int(skymap.start[best] + skymap.stop[best]) // 2, nest=True, lonlat=True)
    facts = skymap.facts
    return {
        "order": facts.order,
        "cells": int(skymap.start.size),
        "dimensions": 3 if skymap.is_3d else 2,
        "area50": area(skymap, 0.5),
        "area90": area(skymap, 0.9),
        "distmean": mean,
        "diststd": std,
        "normalised": facts.normalised,
        "total": facts.total,
        "ra": float(ra),
        "dec": float(dec),
        "name": facts.name or None,
        "time": facts.time or None,
        "creator": facts.creator or None,
        "instruments": facts.instruments or None,
    }
