from __future__ import annotations

import csv
import io
import json

import httpx
import numpy as np
import polars as pl
import pytest
from astropy.io import fits
from astropy.io.votable import parse, validate
from PIL import Image

from broker.api.render.image import png, stretch
from broker.errors import UsageError
from tests.api.world import BIG, World, stamp

ALERTS = "/api/v1/alerts"


def test_csv_holds_what_json_does(client: httpx.Client) -> None:
    rows = list(csv.DictReader(io.StringIO(client.get(f"{ALERTS}?stream=ztf&limit=5&format=csv").text)))
    items = client.get(f"{ALERTS}?stream=ztf&limit=5").json()["items"]
    assert [row["alert_id"] for row in rows] == [item["alert_id"] for item in items]
    assert [row["time"] for row in rows] == [item["time"] for item in items]
    assert [float(row["ra"]) for row in rows] == [item["ra"] for item in items]
    assert [row["candidate.candid"] for row in rows] == [item["annotations"]["candidate.candid"] for item in items]


def test_the_next_page_is_in_the_link_header(client: httpx.Client) -> None:
    seen: list[str] = []
    path = f"{ALERTS}?stream=ztf&limit=25&format=csv"
    while path:
        answer = client.get(path)
        seen += [row["alert_id"] for row in csv.DictReader(io.StringIO(answer.text))]
        path = answer.links.get("next", {}).get("url")
    assert len(seen) == len(set(seen)) == 60


def test_parquet_keeps_types(client: httpx.Client, here: World) -> None:
    answer = client.get(ALERTS, headers={"Accept": "application/vnd.apache.parquet"})
    frame = pl.read_parquet(io.BytesIO(answer.content))
    assert frame.schema["time"] == pl.Datetime("us", "UTC")
    assert frame.schema["hpx"] == pl.Int64
    merged = frame.join(here.frame, on="alert_id", suffix="_there")
    assert merged["hpx"].equals(merged["hpx_there"], check_names=False)


def test_votable_is_valid_and_read_by_astropy(client: httpx.Client) -> None:
    answer = client.get(f"{ALERTS}?limit=1000", headers={"Accept": "application/x-votable+xml"})
    assert answer.headers["content-type"].startswith("application/x-votable+xml")
    report = io.StringIO()
    assert validate(io.BytesIO(answer.content), output=report), report.getvalue()
    votable = parse(io.BytesIO(answer.content), verify="exception").get_first_table()
    fields = {field.name: field for field in votable.fields}
    assert (fields["ra"].ucd, str(fields["ra"].unit), fields["ra"].ref) == ("pos.eq.ra;meta.main", "deg", "icrs")
    assert fields["time"].xtype == "timestamp"
    table = votable.to_table(use_names_over_ids=True)
    items = client.get(f"{ALERTS}?limit=1000").json()["items"]
    assert list(table["alert_id"]) == [item["alert_id"] for item in items]
    for row, item in zip(table, items, strict=True):
        assert np.ma.is_masked(row["ra"]) or np.isnan(row["ra"]) if item["ra"] is None else row["ra"] == item["ra"]


def test_formats_of_an_empty_answer(client: httpx.Client) -> None:
    query = f"{ALERTS}?object=nobody"
    assert client.get(query).json() == {"items": [], "next": None}
    assert client.get(f"{query}&format=csv").text.count("\n") == 1
    assert pl.read_parquet(io.BytesIO(client.get(f"{query}&format=parquet").content)).height == 0
    assert len(parse(io.BytesIO(client.get(f"{query}&format=votable").content)).get_first_table().array) == 0


def test_light_curve_in_every_format(client: httpx.Client) -> None:
    path = "/api/v1/objects/ZTF24aa00001/lightcurve"
    points = client.get(path).json()["points"]
    rows = list(csv.DictReader(io.StringIO(client.get(f"{path}?format=csv").text)))
    table = parse(io.BytesIO(client.get(f"{path}?format=votable").content), verify="exception").get_first_table()
    assert [point["time"] for point in points] == [float(row["time"]) for row in rows] == list(table.array["c0"])
    assert {point["kind"] for point in points} == {"detection", "forced", "limit"}
    assert table.get_field_by_id_or_name("time").unit == "d"


def test_a_limit_has_no_error_and_it_is_null(client: httpx.Client) -> None:
    points = client.get("/api/v1/objects/ZTF24aa00001/lightcurve").json()["points"]
    assert all((point["mag_err"] is None) == (point["kind"] == "limit") for point in points)


def test_cutouts_as_fits_and_png(client: httpx.Client) -> None:
    path = f"{ALERTS}/ztf:{BIG + 1}/cutouts/difference"
    answer = client.get(f"{path}?format=fits")
    assert answer.headers["content-type"] == "application/fits"
    assert answer.content == stamp(2, hole=True)
    picture = Image.open(io.BytesIO(client.get(path).content))
    assert picture.size == (252, 252)
    alpha = np.asarray(picture)[..., -1]
    assert (alpha[24:] == 255).all()
    assert (alpha[:24] == 0).all(), "rows that are NaN are transparent, and the first row of ZTF's is the northern one"
    assert client.get(f"{path}?size=63").content != client.get(path).content


def test_the_star_is_brighter_than_the_sky() -> None:
    with fits.open(io.BytesIO(stamp(0))) as hdus:
        grey = stretch(hdus[0].data.astype(float))
    assert grey[31, 31] == 255
    assert np.median(grey) < 100


@pytest.mark.parametrize("pixels", [np.full((5, 5), np.nan), np.zeros((5, 5)), np.full((4, 4), np.inf)])
def test_images_without_contrast_are_drawn(pixels: np.ndarray) -> None:
    buffer = io.BytesIO()
    fits.PrimaryHDU(pixels).writeto(buffer)
    assert Image.open(io.BytesIO(png(buffer.getvalue()))).size[0] >= 4


@pytest.mark.parametrize("data", [b"", b"not FITS", stamp(0)[:3000]])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="cutout"):
        png(data)


def test_packet_has_its_kind_and_a_name(client: httpx.Client) -> None:
    answer = client.get(f"{ALERTS}/ztf:{BIG}/packet")
    assert answer.content == b"Obj\x01" + f"ztf:{BIG}".encode()
    assert answer.headers["content-type"] == "application/avro"
    assert answer.headers["content-disposition"] == f'attachment; filename="ztf_{BIG}.avro"'


def test_json_has_no_nan(client: httpx.Client) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads(client.get(f"{ALERTS}/ztf:{BIG}/fields").text, parse_constant=refuse)
