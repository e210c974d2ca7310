"""Coverage maps of every form are read as mocpy reads them, and damaged ones are refused with a reason."""

from __future__ import annotations

import gzip
import io
import json

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from mocpy import MOC, TimeMOC

from broker.errors import UsageError
from broker.science import moc
from broker.science.moc_read import order_of, read_moc
from broker.science.sky import NPIX29, in_ranges

TEXT = "3/5-7 9 5/1000 29/3000000000000000000"
MOST = MOC.from_string(TEXT)


def written(found: MOC, **how: bool) -> bytes:
    out = io.BytesIO()
    found.serialize("fits", **how).writeto(out)
    return out.getvalue()


def table(values: np.ndarray, form: str = "K", **cards: str) -> bytes:
    hdu = fits.BinTableHDU.from_columns([fits.Column("UNIQ", form, array=values)])
    hdu.header.update({"ORDERING": "NUNIQ", "COORDSYS": "C"} | cards)
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)
    return out.getvalue()


def of_time() -> bytes:
    out = io.BytesIO()
    TimeMOC.from_depth61_ranges(10, np.array([[0, 1 << 51]], np.uint64)).serialize("fits").writeto(out)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        moc.to_fits(MOST),
        written(MOST),
        written(MOST, v1_compatible=True),
        gzip.compress(written(MOST)),
        moc.to_ascii(MOST).encode(),
        json.dumps(moc.to_json(MOST)).encode(),
        b"3/5, 6,7 9 6\n5/ 1000\n29/3000000000000000000 3/\n",
    ],
    ids=["ours", "ranges", "uniq", "gzip", "ascii", "json", "loosely written"],
)
def test_every_form(data: bytes) -> None:
    np.testing.assert_array_equal(read_moc(data), MOST.to_depth29_ranges.astype(np.int64))
    assert order_of(read_moc(data)) == 29


@given(st.lists(st.tuples(st.integers(0, 29), st.floats(0, 1, exclude_max=True)), min_size=1, max_size=30))
def test_as_mocpy_has_it(cells: list[tuple[int, float]]) -> None:
    chosen = [(order, int(part * (12 << 2 * order))) for order, part in cells]
    orders, numbers = (np.array(column) for column in zip(*chosen, strict=True))
    expected = MOC.from_healpix_cells(numbers.astype(np.uint64), orders.astype(np.uint8), 29)
    found = read_moc(" ".join(f"{order}/{number}" for order, number in chosen).encode())
    np.testing.assert_array_equal(found, expected.to_depth29_ranges.astype(np.int64))
    np.testing.assert_array_equal(read_moc(moc.to_fits(expected)), found)
    order = order_of(found)
    assert not (found % (1 << 2 * (29 - order))).any()
    assert order == 0 or (found % (1 << 2 * (30 - order))).any()
    inside = np.array([found[0, 0], found[-1, 1] - 1, -1, found[-1, 1] if found[-1, 1] < NPIX29 else -1])
    assert in_ranges(inside, found).tolist() == [True, True, False, False]


def test_nothing_and_everything() -> None:
    assert read_moc(b"3/").shape == read_moc(b"{}").shape == read_moc(table(np.empty(0, np.int64))).shape == (0, 2)
    whole = read_moc(b"0/0-11")
    assert (whole.tolist(), order_of(whole)) == ([[0, NPIX29]], 0)
    assert order_of(read_moc(b"3/5 29/1 0")) == 29


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"SIMPLE  =" + b" " * 5000, "cannot be read"),
        (written(MOST)[:2880], "has none"),
        (written(MOST)[:5770], "cannot be read"),
        (table(np.array([1.5]), "D"), "no whole numbers"),
        (table(np.array([3])), "no UNIQ number"),
        (table(np.array([1 << 62])), "finer order than 29"),
        (table(np.array([4]), COORDSYS="G"), "COORDSYS is G"),
        (table(np.array([4]), ORDERING="NESTED"), "ORDERING is NESTED"),
        (table(np.array([4]), ORDERING="RANGE"), "pairs"),
        (table(np.array([0, NPIX29 + 1]), ORDERING="RANGE"), "does not have"),
        (table(np.array([[4, 5]]), "PK(2)"), "lists of differing length"),
        (of_time(), "MOCDIM is TIME"),
        (b"3/5-7 99999", "only 0 to 767"),
        (b"3/5-2", "no cells 5 to 2"),
        (b"40/1", "order 40"),
        (b"5 6", "'5' is no cell"),
        (b"hello", "'hello' is no cell"),
        (b'{"3": [-1]}', "order 3"),
        (b'{"3": [768]}', "only 0 to 767"),
        (b'{"3": 5}', "list of cells"),
        (b"[1]", "object"),
        (b'{"3"', "not JSON"),
        (b"\xff\xfe\x00", "neither FITS nor text"),
        (b"\x1f\x8bxx", "unpacked"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read_moc(data)


@pytest.mark.parametrize("data", [b"0/" + b"1 " * 11, b'{"0": [1,1,1,1,1,1], "1": [1,1,1,1,1]}'])
def test_more_cells_than_are_written_out(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("broker.science.moc_read._MOST", 10)
    with pytest.raises(UsageError, match="10 cells in JSON or text"):
        read_moc(gzip.compress(data))
