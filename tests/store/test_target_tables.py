"""Tables of targets of every form say the same, and what is wrong in one is told by row and column."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy import units as u
from astropy.io.fits import Header, PrimaryHDU
from astropy.table import MaskedColumn, Table

from broker.api.render.formats import Format
from broker.api.render.table import render
from broker.api.watchlists import written
from broker.errors import UsageError
from broker.store.target_tables import SCHEMA, checked, read_targets

ROWS = [("SN 2023ixf", 210.910674, 54.31165, 5.0), ("0042", 0.0, -90.0, None), ("ü", 359.999999, 89.5, 36_000.0)]
FRAME = pl.DataFrame(ROWS, schema=SCHEMA, orient="row")
CSV = "id,ra,dec,radius\nSN 2023ixf,210.910674,54.31165,5\n0042,0,-90,\nü,359.999999,89.5,36000\n"


def of_astropy(kind: str, **names: str) -> bytes:
    columns = {
        names.get("id", "id"): [row[0] if kind == "votable" else row[0].replace("ü", "u") for row in ROWS],
        names.get("ra", "ra"): np.array([row[1] for row in ROWS]) * u.deg,
        names.get("dec", "dec"): np.array([row[2] for row in ROWS]) * u.deg,
    }
    table = Table(columns)
    table[names.get("radius", "radius")] = MaskedColumn(
        [row[3] or 0.0 for row in ROWS], mask=[row[3] is None for row in ROWS], unit="arcsec"
    )
    out = io.BytesIO()
    table.write(out, format=kind)
    return out.getvalue()


def parquet() -> bytes:
    out = io.BytesIO()
    FRAME.write_parquet(out)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        CSV.encode(),
        b"\xef\xbb\xbf" + CSV.encode(),
        b"# made by hand\n\n" + CSV.replace("\n", "\r\n").encode(),
        CSV.replace(",", "\t").encode(),
        CSV.replace(",", ";").encode(),
        CSV.replace("id,ra,dec,radius", " Name , RAJ2000, DEJ2000 ,radius_arcsec").encode(),
        CSV.replace("id,ra,dec,radius", "objid,RA_deg,DEC_deg,radius").encode(),
        gzip.compress(CSV.encode()),
        of_astropy("votable"),
        of_astropy("votable", id="main_id", ra="RAJ2000", dec="DEJ2000"),
        parquet(),
        bytes(render(written(FRAME), Format.csv, name="x", description="x").body),
        bytes(render(written(FRAME), Format.votable, name="x", description="x").body),
        bytes(render(written(FRAME), Format.parquet, name="x", description="x").body),
    ],
    ids=["csv", "bom", "comments", "tabs", "semicolons", "other names", "more names", "gzip", "votable", "vizier", "parquet",
         "our csv", "our votable", "our parquet"],
)  # fmt: skip
def test_every_form(data: bytes) -> None:
    found = read_targets(data, "targets")
    assert found.frame.rows() == ROWS
    assert dict(found.frame.schema) == SCHEMA
    assert found.ignored == ()


def test_rows_of_one_id_are_kept_and_counted() -> None:
    found = read_targets(b"id,ra,dec\na,1,2\nb,3,4\na,5,6\na,7,8\n", "x")
    assert found.frame["id"].to_list() == ["a", "b", "a", "a"]
    assert found.repeated == 2
    assert read_targets(b"id,ra,dec\na,1,2\n,3,4\n", "x").repeated == 0


def test_fits() -> None:
    table = Table(
        {"NAME": ["a", "b"], "RA": np.array([10, 20], np.float32), "DEC": [1.5, -2.5], "B": [1, 2], "V": [[1, 2]] * 2}
    )
    out = io.BytesIO()
    table.write(out, format="fits")
    found = read_targets(out.getvalue(), "x.fits")
    assert found.frame.rows() == [("a", 10.0, 1.5, None), ("b", 20.0, -2.5, None)]
    assert found.ignored == ("B",)


def test_units_are_heeded() -> None:
    table = Table({"ra": [1.0] * u.hourangle, "dec": [0.1] * u.rad, "radius": [2.0] * u.arcmin})
    out = io.BytesIO()
    table.write(out, format="votable")
    (row,) = read_targets(out.getvalue(), "x").frame.rows()
    assert row[1:] == pytest.approx((15.0, np.degrees(0.1), 120.0))
    assert read_targets(b"ra,dec,radius_deg\n1,2,0.01\n", "x").frame["radius"].to_list() == pytest.approx([36.0])
    table["dec"].unit = u.Jy
    out = io.BytesIO()
    table.write(out, format="votable")
    with pytest.raises(UsageError, match="'dec' is in Jy"):
        read_targets(out.getvalue(), "x")


def test_sexagesimal_and_names_that_are_missing() -> None:
    found = read_targets(b"ra,dec,name\n12:30:49.4,-00:23:28,\n12h30m49.4s,+12d23m28s,M87\n", "x").frame
    assert found.rows() == [
        ("1", pytest.approx(187.7058333), pytest.approx(-0.3911111), None),
        ("M87", pytest.approx(187.7058333), pytest.approx(12.3911111), None),
    ]
    assert read_targets(b"ra,dec\n1,2\n3,4\n", "x").frame["id"].to_list() == ["1", "2"]
    assert read_targets(b"ra,dec,mag,z\n360,2,3,4\n", "x").ignored == ("mag", "z")
    assert read_targets(b"ra,dec\n360,2\n", "x").frame["ra"].to_list() == [0.0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("ra,dec\n", "one at least"),
        ("ra,dec\n1,2\nnan,3\n", "row 2, column 'ra' is nan"),
        ("ra,dec\n1,2\n,3\n", "row 2, column 'ra' is empty"),
        ("ra,dec\n1,2\n361,3\n-1,3\n", r"row 2, column 'ra' is 361.0, which cannot be \(2 rows are like that\)"),
        ("RA,DE\n1,2\n1,-90.5\n", "row 2, column 'DE' is -90.5"),
        ("ra,dec\n1,inf\n", "row 1, column 'dec' is inf"),
        ("ra,dec\n1,x2\n", "row 1, column 'dec' is 'x2', which is no number"),
        ("ra,dec\n12:00:00,10:00:00\n1.5,2\n", "row 2, column 'ra' is '1.5', which is no angle"),
        ("ra,dec,radius\n1,2,3\n1,2,0\n", "row 2, column 'radius' is 0.0"),
        ("ra,dec,radius\n1,2,nan\n", "row 1, column 'radius' is nan"),
        ("ra,dec,radius\n1,2,-1\n", "row 1, column 'radius' is -1"),
        ("ra,dec,radius\n1,2,40000\n", "region add"),
        ("ra,dec,raduis\n1,2,3\n", "column 'raduis': call it 'radius'"),
        ("raa,dec\n1,2\n", "no column of right ascension, it has raa, dec: is 'raa' meant"),
        ("ra,declin\n1,2\n", "no column of declination, it has ra, declin: is 'declin' meant"),
        ("x,y\n1,2\n", "no column of right ascension, it has x, y: call it 'ra'"),
        ("1.5,2.5\n3,4\n", "first line holds numbers"),
        ("<html></html>", "no VOTable"),
        ("<!DOCTYPE VOTABLE [<!ENTITY a 'b'>]><VOTABLE/>", "entities"),
        ("<VOTABLE></VOTABLE>", "targets"),
        ("ra,dec\n1,2,3\n", "targets"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read_targets(text.encode(), "targets")


@pytest.mark.parametrize(
    "data", [b"SIMPLE  =" + b" " * 100, of_astropy("fits")[:6000], b"PAR1xx", b"\x1f\x8bxx", b"\xff\xfe\x00a", b"\x89PNG"]
)
def test_what_is_no_table(data: bytes) -> None:
    with pytest.raises(UsageError, match="targets"):
        read_targets(data, "targets")


def test_more_than_a_list_should_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.store.target_tables._MOST", 2)
    with pytest.raises(UsageError, match="catalog add"):
        checked(pl.DataFrame({"ra": [1.0] * 3, "dec": [2.0] * 3}))


def votable(inside: str, fields: str = "") -> bytes:
    return f"""<?xml version="1.0"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>
<FIELD name="ra" datatype="double"/><FIELD name="dec" datatype="double"/>{fields}<DATA>{inside}</DATA>
</TABLE></RESOURCE></VOTABLE>""".encode()


def test_no_votable_has_other_files_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(struct.pack(">dd", 12.5, 33.25))
    for stream in (
        f'<BINARY><STREAM href="{secret.as_uri()}"/></BINARY>',
        f"<BINARY2><STREAM encoding='base64' actuate='>'\n href = '{secret.as_uri()}'/></BINARY2>",
        f'<FITS extnum="1"><STREAM href="{secret.as_uri()}"/></FITS>',
    ):
        with pytest.raises(UsageError, match="elsewhere"):
            read_targets(votable(stream), "targets")
    linked = votable("<TABLEDATA><TR><TD>1</TD><TD>2</TD></TR></TABLEDATA>").replace(
        b"<DATA>", b'<LINK href="http://example.org"/><DATA>'
    )
    assert read_targets(linked, "targets").frame.height == 1


def test_no_votable_hides_entities_in_another_encoding() -> None:
    inside = votable("<TABLEDATA><TR><TD>&a;</TD><TD>2</TD></TR></TABLEDATA>").decode().partition("?>")[2]
    text = f'<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE VOTABLE [<!ENTITY a "10">]><!-- hidden!! -->{inside}'
    with pytest.raises(UsageError, match="UTF-8"):  # its bytes hold the word VOTABLE all the same
        read_targets(text.encode("utf-16-le").replace("hidd".encode("utf-16-le"), b"VOTABLE "), "targets")


def fits(rows: int, forms: dict[str, str], width: int, inside: bytes, heap: bytes = b"") -> bytes:
    header = Header([("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", width), ("NAXIS2", rows)])
    header.extend([("PCOUNT", len(heap)), ("GCOUNT", 1), ("TFIELDS", len(forms))])
    for number, (name, form) in enumerate(forms.items(), 1):
        header.extend([(f"TTYPE{number}", name), (f"TFORM{number}", form)])
    out = io.BytesIO()
    PrimaryHDU().writeto(out)
    body = inside + heap
    return out.getvalue() + header.tostring().encode() + body + bytes(-len(body) % 2880)


def parquet_of(**columns: pl.Series) -> bytes:
    out = io.BytesIO()
    pl.DataFrame(columns).write_parquet(out)
    return out.getvalue()


PLACES = {"ra": pl.Series([1.0]), "dec": pl.Series([2.0])}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (fits(10**9, {"ra": "D", "dec": "D"}, 16, bytes(160)), "truncated"),
        (fits(10**9, {"ra": "0D", "dec": "0D"}, 0, b""), "catalog add"),
        (
            fits(2, {"ra": "D", "dec": "D", "x": "PB"}, 24, (bytes(16) + struct.pack(">ii", 9, 0)) * 2, bytes(9)),
            "column 3 holds lists",
        ),
        (votable("<TABLEDATA/>", '<FIELD name="x" datatype="double" arraysize="9999999"/>'), "arrays larger"),
        (votable("<TABLEDATA/>", '<FIELD name="x" datatype="double" arraysize="&#57;9999"/>'), "no number"),
        (parquet_of(ra=pl.repeat(1.0, 10_000_001, eager=True), dec=pl.repeat(1.0, 10_000_001, eager=True)), "catalog add"),
        (parquet_of(**PLACES, id=pl.Series([[1]])), "holds List"),
        (parquet_of(**PLACES, id=pl.Series([b"\xff"])), "holds Binary"),
        (parquet_of(**PLACES, id=pl.Series(["a" * 2001])), "row 1, column 'id' is longer"),
        (parquet_of(ra=pl.Series([1.0, 1.0]), dec=pl.Series([2.0, float("nan")])), "row 2, column 'dec' is nan"),
        (b"id,ra,dec\n" + b"a" * 2001 + b",1,2\n", "row 1, column 'id' is longer"),
        (b"ra,dec" + b"," * 10_000 + b"\n1,2\n", "10,002 columns"),
        (b"ra" * 1_000_000 + b"\n1,2\n", "first line has 2,000,000 letters"),
        (gzip.compress(b"ra,dec\n" + b"\r" * 20_020_000), "10,000,000 lines"),
    ],
    ids=["fits rows", "fits no width", "fits heap", "arraysize", "arraysize hidden", "parquet rows", "list", "bytes",
         "parquet id", "nan", "csv id", "columns", "line", "lines"],
)  # fmt: skip
def test_what_is_small_and_would_be_large(data: bytes, reason: str) -> None:
    assert len(data) < 5_000_000
    with pytest.raises(UsageError, match=reason):
        read_targets(data, "targets")
