"""Maps of events in every form, and maps that are sent to us."""

from __future__ import annotations

import base64
import gzip
import io
import json

import fastavro
import httpx
import numpy as np
import pytest
from astropy.io import fits
from mocpy import MOC
from PIL import Image

from broker.science.moc import moc_of
from broker.science.skymap import area, from_cone
from broker.science.skymap_fits import read_skymap
from broker.science.skymap_write import write_skymap

EVENT = "/api/v1/events/S240422ed/skymap"
MAP = from_cone(250.0, -20.0, 9.0)
FITS = write_skymap(MAP)


def test_the_map_as_fits(client: httpx.Client) -> None:
    answer = client.get(EVENT)
    assert answer.headers["content-type"] == "application/fits"
    assert 'filename="S240422ed.multiorder.fits"' in answer.headers["content-disposition"]
    found = read_skymap(answer.content)
    assert area(found, 0.9) == pytest.approx(area(MAP, 0.9))


def test_numbers_and_regions(client: httpx.Client, tmp_path) -> None:
    numbers = client.get(EVENT, params={"format": "info"}).json()
    assert numbers["area90"] == pytest.approx(area(MAP, 0.9))
    assert (numbers["distmean"], numbers["dimensions"], numbers["normalised"]) == (None, 2, True)
    region = moc_of(MAP, 0.5)
    assert MOC.from_string(client.get(EVENT, params={"format": "moc-ascii", "level": 0.5}).text) == region
    assert MOC.from_json(client.get(EVENT, params={"format": "moc-json", "level": 0.5}).json()) == region
    file = tmp_path / "moc.fits"
    file.write_bytes(client.get(EVENT, params={"format": "moc-fits", "level": 0.5}).content)
    assert MOC.from_fits(file) == region
    contours = client.get(EVENT, params={"format": "contours"}).json()
    assert [feature["properties"]["credible_level"] for feature in contours["features"]] == [0.5, 0.9]


def test_pictures(client: httpx.Client) -> None:
    whole = client.get(EVENT, params={"format": "png"})
    assert whole.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(whole.content)).size == (1200, 708)
    drawn = client.get(EVENT, params={"format": "svg", "zoom": True, "time": "2024-04-22T21:35:13"})
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert b"ZTF24aa00008" in drawn.content
    bare = client.get(EVENT, params={"format": "svg", "zoom": True, "candidates": False})
    assert b"ZTF24aa00008" not in bare.content


def test_probability_in_a_circle(client: httpx.Client) -> None:
    asked = {"ra": 250, "dec": -20, "radius": 9}
    assert client.get(f"{EVENT}/probability", params=asked).json()["probability"] == pytest.approx(0.9, abs=0.005)
    assert client.get(f"{EVENT}/probability", params=asked | {"radius": 180}).json()["probability"] == pytest.approx(1.0)


@pytest.mark.parametrize("path", ["/api/v1/events/nothing/skymap", "/api/v1/events/GRB240422A/skymap"])
def test_no_map(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def notice_json() -> bytes:
    return json.dumps(
        {"mission": "EP", "alert_datetime": "2026-01-01T00:00:00Z", "healpix_file": base64.b64encode(FITS).decode()}
    ).encode()


def notice_avro() -> bytes:
    of_event = [{"name": "time", "type": "string"}, {"name": "skymap", "type": "bytes"}]
    fields = [
        {"name": "superevent_id", "type": "string"},
        {"name": "alert_type", "type": "string"},
        {"name": "time_created", "type": "string"},
        {
            "name": "event",
            "type": {"type": "record", "name": "event", "fields": of_event},
        },
    ]
    alert = {
        "superevent_id": "MS261121a",
        "alert_type": "INITIAL",
        "time_created": "2026-11-21T04:00:00Z",
        "event": {"time": "2026-11-21T03:59:00Z", "skymap": FITS},
    }
    out = io.BytesIO()
    fastavro.writer(out, {"type": "record", "name": "alert", "fields": fields}, [alert])
    return out.getvalue()


@pytest.mark.parametrize(
    "body", [FITS, gzip.compress(FITS), notice_json(), notice_avro()], ids=["fits", "gzip", "json", "avro"]
)
def test_a_map_as_the_body_or_a_form(real_reader: httpx.Client, body: bytes) -> None:
    sent = real_reader.post("/api/v1/skymaps", content=body)
    form = real_reader.post("/api/v1/skymaps", files={"file": ("map.fits", body)})
    assert sent.status_code == form.status_code == 200, sent.text
    assert sent.json() == form.json()
    assert sent.json()["area90"] == pytest.approx(area(MAP, 0.9))


def broken(**change: object) -> bytes:
    with fits.open(io.BytesIO(FITS)) as made:
        table = made[1].data
        density = np.where(np.arange(len(table)) == 5, change.get("value", 0.1), table["PROBDENSITY"])
        columns = [
            fits.Column("UNIQ", "D" if change.get("floats") else "K", array=table["UNIQ"]),
            fits.Column("PROBDENSITY", "D", array=density),
        ]
        hdu = fits.BinTableHDU.from_columns(columns)
        hdu.header["ORDERING"] = "NUNIQ"
        out = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)
        return out.getvalue()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (broken(floats=True), "UNIQ is stored as floating point"),
        (broken(value=np.nan), "not a finite number"),
        (broken(value=-1.0), "negative"),
        (broken(value=50.0), "not normalised"),
        (FITS[:9000], "truncated"),
        (b"hello", "FITS"),
    ],
    ids=["float uniq", "nan", "negative", "sum", "short", "text"],
)
def test_a_refused_map_is_told_why(real_reader: httpx.Client, body: bytes, reason: str) -> None:
    answer = real_reader.post("/api/v1/skymaps", content=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert reason in answer.json()["detail"]


def test_wrong_uploads(client: httpx.Client) -> None:
    assert client.post("/api/v1/skymaps").status_code == 400
    assert client.post("/api/v1/skymaps", files={"other": b"x"}).status_code == 400
    assert client.post("/api/v1/skymaps", content=b"x", headers={"content-type": "multipart/form-data"}).status_code == 400
    large = client.post("/api/v1/skymaps", content=bytes(3_000_001))
    assert large.status_code == 413
    assert "3,000,000" in large.json()["detail"]


def test_a_body_of_unknown_length_is_bounded(client: httpx.Client) -> None:
    answer = client.post("/api/v1/skymaps", content=(bytes(100_000) for _ in range(31)))
    assert answer.status_code == 413
