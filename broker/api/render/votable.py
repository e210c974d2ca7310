"""Frames as VOTable 1.4, with UCDs, units and a coordinate system, so that TOPCAT and pyvo know what they read."""

from __future__ import annotations

import io
import re
from typing import NamedTuple

import numpy as np
import polars as pl
from astropy.io.votable import tree

__all__ = ["votable"]


class Meaning(NamedTuple):
    """What a column is, in the terms of the Virtual Observatory."""

    ucd: str | None = None
    unit: str | None = None
    description: str | None = None


_MEANINGS = {
    "alert_id": Meaning("meta.id;meta.main", None, "<stream>:<native id>"),
    "stream": Meaning("meta.dataset", None, "survey or network the alert came from"),
    "object_id": Meaning("meta.id;src", None, "the survey's object, or the event's name"),
    "ra": Meaning("pos.eq.ra;meta.main", "deg", "right ascension, ICRS"),
    "dec": Meaning("pos.eq.dec;meta.main", "deg", "declination, ICRS"),
    "ra_dec_error": Meaning("stat.error;pos.eq", "deg", "radius of the containment_probability region"),
    "containment_probability": Meaning("stat.probability", None, "probability inside ra_dec_error"),
    "hpx": Meaning("pos.healpix", None, "HEALPix index, NESTED, order 29"),
    "mag_err": Meaning("stat.error;phot.mag", "mag", "1 sigma"),
    "band": Meaning("meta.id;instr.filter", None, "photometric band"),
    "flux_err": Meaning("stat.error;phot.flux", "nJy", "1 sigma"),
    "flux": Meaning("phot.flux", "nJy", "of the difference image"),
    "reliability": Meaning("stat.probability", None, "real-bogus score, 0 to 1"),
    "event_name": Meaning("meta.id", None, None),
    "mission": Meaning("meta.id;instr.obsty", None, None),
    "instrument": Meaning("meta.id;instr", None, None),
    "far": Meaning(None, "Hz", "false alarm rate"),
    "p_astro": Meaning("stat.probability", None, "probability of an astrophysical origin"),
    "classification": Meaning("meta.code.class", None, "the likeliest class"),
    "rank": Meaning("meta.number", None, "1 is the likeliest"),
    "probability": Meaning("stat.probability", None, "to be the host, if the host is among the galaxies ranked"),
    "dist": Meaning("pos.distance", "Mpc", "luminosity distance"),
    "luminosity": Meaning("phys.luminosity", "solLum", "in the band galaxies are weighed in"),
    "b_mag": Meaning("phot.mag;em.opt.B", "mag", None),
    "credible_level": Meaning("stat.probability", None, "smallest credible region of the sky that holds it"),
    "density": Meaning("stat.probability", "sr-1", "probability per steradian"),
    "volume_level": Meaning("stat.probability", None, "smallest credible volume that holds it"),
    "volume_density": Meaning("stat.probability", "Mpc-3", "probability per volume"),
    "kind": Meaning("meta.code", None, "detection, forced or limit"),
    "radius_arcsec": Meaning("phys.angSize", "arcsec", "radius around a target within which an alert matches it"),
}
_DATATYPES: dict[type[pl.DataType] | pl.DataType, str] = {
    pl.Boolean: "boolean",
    pl.Int8: "short",
    pl.UInt8: "short",
    pl.Int16: "short",
    pl.UInt16: "int",
    pl.Int32: "int",
    pl.UInt32: "long",
    pl.Int64: "long",
    pl.Float32: "float",
    pl.Float64: "double",
}
# What XML 1.0 cannot hold, even escaped.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAGNITUDE = Meaning("phot.mag", "mag", "AB unless the survey says otherwise")
_MJD = Meaning("time.epoch", "d", "MJD, UTC")
_ISO = Meaning("time.epoch", None, "ISO 8601, UTC")


def _meaning(name: str, dtype: pl.DataType) -> Meaning:
    if name == "time":
        return _MJD if dtype.is_float() else _ISO
    if name == "mag":
        return _MAGNITUDE
    if name.endswith(".sep"):
        return Meaning("pos.angDistance", "arcsec", f"separation from the nearest in {name.removesuffix('.sep')}")
    return _MEANINGS.get(name, Meaning())


def _field(votable_file: tree.VOTableFile, number: int, name: str, dtype: pl.DataType) -> tree.Field:
    meaning = _meaning(name, dtype)
    datatype = _DATATYPES.get(dtype.base_type())
    made = tree.Field(
        votable_file,
        name=name,
        ID=f"c{number}",
        datatype=datatype or ("char" if meaning is _ISO else "unicodeChar"),  # DALI has timestamps in char
        arraysize=None if datatype else "*",
        ucd=meaning.ucd,
        unit=meaning.unit,
        xtype="timestamp" if meaning is _ISO else None,
    )
    if name in {"ra", "dec", "ra_dec_error"}:
        made.ref = "icrs"
    if meaning.description:
        made.description = meaning.description
    return made


def _filled(series: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    if series.dtype == pl.String:
        return np.array([_UNPRINTABLE.sub("\ufffd", text or "") for text in series.to_list()], dtype=object)
    if series.dtype.is_float():
        return series.fill_null(float("nan")).to_numpy()
    return series.fill_null(value=False).to_numpy() if series.dtype == pl.Boolean else series.fill_null(0).to_numpy()


def votable(frame: pl.DataFrame, *, name: str, description: str) -> bytes:
    """VOTable document.

    Parameters
    ----------
    frame
        Of scalar columns; a null is an empty cell.
    name, description
        Of the table.
    """
    document = tree.VOTableFile(version="1.4")
    resource = tree.Resource(type="results")
    document.resources.append(resource)
    resource.infos.append(tree.Info(name="QUERY_STATUS", value="OK"))
    resource.coordinate_systems.append(tree.CooSys(ID="icrs", system="ICRS"))
    table = tree.TableElement(document, name=name)
    table.description = description
    resource.tables.append(table)
    fields = [_field(document, number, column, dtype) for number, (column, dtype) in enumerate(frame.schema.items())]
    table.fields.extend(fields)
    table.create_arrays(frame.height)
    for field in fields:
        series = frame[field.name]
        table.array[field.ID] = _filled(series)
        table.array.mask[field.ID] = series.is_null().to_numpy()
    buffer = io.BytesIO()
    document.to_xml(buffer)
    return buffer.getvalue()
