"""The simulator, handed what it may not import: the LSST schema and galaxies of a catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from broker.decode.schemas import LsstPackage
from broker.errors import UsageError
from broker.simulate import gcn, lsst, lvk, ztf
from broker.simulate.night import Night, make_night
from broker.simulate.survey import Packet
from broker.store import catalogs

__all__ = ["STREAMS", "lsst_schema", "nearby_galaxies", "night", "packets"]

STREAMS = ("ztf", "lsst", "gcn", "lvk")


def packets(
    stream: str,
    seed: int,
    count: int,
    start: datetime,
    *,
    version: str = "",
    cutouts: bool = True,
    history: int = 35,
    tense: str = "test",
) -> Iterator[Packet]:
    """So many packets of a stream.

    Parameters
    ----------
    version
        LSST schema, ``major.minor``; the newest installed where not given.
    cutouts
        Whether survey packets carry images.
    history
        Earlier epochs a survey packet has at most.
    tense
        ``alert_tense`` of notices.
    """
    if stream == "ztf":
        return ztf.packets(seed, count, start, cutouts=cutouts, history=history)
    if stream == "lsst":
        stamp = 64 if cutouts else 0
        return lsst.packets(lsst_schema(version), seed, count, start, stamp=stamp, history=history)
    if stream == "gcn":
        return gcn.packets(seed, count, start, tense=tense)
    if stream == "lvk":
        return lvk.packets(seed, count, start, mock=tense == "test")
    raise UsageError(f"no simulator of {stream!r}: there are {', '.join(STREAMS)}")


def night(seed: int, start: datetime, duration: float, rates: Mapping[str, float], galaxies: npt.NDArray[np.float64]) -> Night:
    """A simulated night of both surveys with a burst, a gravitational-wave event and a neutrino."""
    return make_night(seed, start, duration, rates, lsst_schema=lsst_schema(), galaxies=galaxies)


def lsst_schema(version: str = "") -> Mapping[str, Any]:
    """Alert schema of the installed lsst-alert-packet.

    Raises
    ------
    SchemaUnavailableError
        There is no such version, or no such package.
    """
    source = LsstPackage()
    if not version:
        newest: Mapping[str, Any] = source.by_id("lsst", max(source.versions))
        return newest
    try:
        major, minor = (int(part) for part in version.split("."))
    except ValueError as error:
        raise UsageError(f"{version!r} is not a schema version: give one such as 10.0") from error
    found: Mapping[str, Any] = source.by_id("lsst", 100 * major + minor)
    return found


def nearby_galaxies(folder: Path) -> npt.NDArray[np.float64]:
    """Right ascension and declination in degrees, shape (n, 2), of OpenNGC's galaxies."""
    catalog = catalogs.open_catalog(folder, "ngc")
    galaxies = np.char.startswith(np.asarray(catalog.columns["type"]).astype(str), "G")
    return np.stack([catalog.ra[galaxies], catalog.dec[galaxies]], axis=1)
