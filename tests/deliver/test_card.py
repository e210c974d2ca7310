"""Cards: what an observer has to know is in them, whatever an alert lacks."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from broker.deliver.card import Card, card, digest_card, test_card
from broker.deliver.card_words import sexagesimal
from broker.science.finding_chart import Source
from broker.simulate.stamps import look_of, stamps

test_card.__test__ = False  # type: ignore[attr-defined] - a card, and no test

ALERT: dict[str, Any] = {
    "alert_id": "ztf:2445391170915015005",
    "stream": "ztf",
    "object_id": "ZTF23aaxeydp",
    "time": "2026-11-21T05:31:02.000000Z",
    "ra": 187.7059,
    "dec": 12.3911,
    "mag": 17.943,
    "mag_err": 0.05,
    "band": "r",
    "reliability": 0.97,
    "positive": True,
    "classification": "SN Ia",
    "annotations": {
        "glade.sep": 2.04,
        "glade.name": "UGC <07654> & friends",
        "glade.z": 0.00423,
        "ngc.sep": 77.3,
        "ngc.id": "NGC 4486",
        "watchlist.supernovae.sep": 1.2,
        "watchlist.supernovae.id": "M87",
        "lightcurve.age": 2.1,
        "lightcurve.n_det": 4,
        "lightcurve.rate": -0.3,
        "candidate.drb": 0.99,
    },
    "skymaps": [
        {"event": "S240422ed", "revision": 2, "credible_level": 0.3711, "dt": 196_000.0},
        {"event": "GRB 261120A", "revision": 1, "credible_level": 0.05, "dt": -60.0},
    ],
}
MATCH: dict[str, Any] = {
    "filter": "ztf_bright_transients",
    "version": "3",
    "time": "2026-11-21T05:43:00.000000Z",
    "alert": ALERT,
    "links": {"alert": "https://nuncius.example/alerts/x?a=1&b=2", "object": "/objects/ZTF23aaxeydp"},
}
NOTICE: dict[str, Any] = {
    "filter": "long_grbs",
    "version": "1",
    "time": "2026-11-21T05:43:00Z",
    "alert": {"alert_id": "gcn:x", "stream": "gcn", "event_name": "GRB 261121B", "mission": "Fermi", "instrument": "GBM",
              "alert_type": "initial", "ra": 359.999999, "dec": -0.5, "ra_dec_error": 3.7, "far": 1e-8, "p_astro": 0.991,
              "classification": "BNS", "alert_tense": "test"},
    "links": {},
}  # fmt: skip


def rows(found: Card) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in found.text.splitlines())


def test_what_a_card_says() -> None:
    found = card(MATCH)
    assert found.title == "ZTF23aaxeydp, r = 17.94, in Virgo [ztf_bright_transients]"
    told = rows(found)
    assert told["Where"] == "12:30:49.42 +12:23:28.0 in Virgo"
    assert told["Degrees"] == "187.705900 +12.391100 (ICRS)"
    assert told["Brightness"] == "r = 17.94 ± 0.05"
    assert told["Time"] == "2026-11-21 05:31:02 UTC (MJD 61365.22988), 12 min before the match"
    assert told["Age"] == "2.1 days since first seen, 4 detections"
    assert told["Change"] == "0.3 mag a day brighter"
    assert told["Filter"] == "ztf_bright_transients, version 3"
    assert told["Class"] == "SN Ia"
    assert told["Watchlist"] == 'supernovae: M87 at 1.2"'
    assert told["candidate.drb"] == "0.99"
    near = [line for line in found.text.splitlines() if line.startswith("Near: ")]
    assert near == ['Near: UGC <07654> & friends (glade) at 2.04", z = 0.00423', "Near: NGC 4486 (ngc) at 1.29'"]
    events = [line for line in found.text.splitlines() if line.startswith("Event: ")]
    assert events == [
        "Event: GRB 261120A: inside its 5% region, 60 s before it",
        "Event: S240422ed: inside its 37.2% region, 2.27 days after it",
    ]
    assert found.links["alert"] == "https://nuncius.example/alerts/x?a=1&b=2"
    assert "object" not in found.links  # a path leads nowhere from a telephone
    assert "SIMBAD" in found.links
    assert "UGC &lt;07654&gt; &amp; friends" in found.html
    assert 'href="https://nuncius.example/alerts/x?a=1&amp;b=2"' in found.html
    assert found.pictures == {}


def test_a_notice() -> None:
    found = card(NOTICE)
    told = rows(found)
    assert found.title == "TEST GRB 261121B, Fermi GBM initial, in Pisces [long_grbs]"
    assert told["Where"] == "00:00:00.00 -00:30:00.0 ± 3.7° in Pisces"
    assert told["False alarms"] == "one in 3.17 years (1e-08 Hz)"
    assert told["Class"] == "BNS, p_astro 0.991"
    assert "SIMBAD" not in found.links  # of no use for four degrees


def test_what_has_changed() -> None:
    taken = card({**MATCH, "update": "retracted", "update_event": "S240422ed"})
    assert taken.title.startswith("Retracted: ZTF23aaxeydp")
    assert rows(taken)["Retracted"].startswith("S240422ed was taken back")
    again = card({**MATCH, "update": "rescored", "update_event": "S240422ed"})
    assert again.title.startswith("Re-scored: ")
    assert rows(again)["Re-scored"] == "after a new map of S240422ed"


NUMBERS = ["ra", "dec", "mag", "mag_err", "reliability", "far", "p_astro", "ra_dec_error"]
TEXTS = ["object_id", "time", "band", "classification", "event_name", "mission", "alert_tense", "annotations", "skymaps"]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])  # constellations take their time
@given(
    st.dictionaries(st.sampled_from(NUMBERS), st.none() | st.floats()),
    st.dictionaries(st.sampled_from(TEXTS), st.none() | st.text("ab<&é", max_size=4)),
)
def test_no_alert_is_too_odd_for_a_card(numbers: dict[str, Any], texts: dict[str, Any]) -> None:
    texts = {name: value for name, value in texts.items() if name not in {"annotations", "skymaps"} or value is None}
    found = card({**MATCH, "alert": {**ALERT, **numbers, **texts}})
    assert found.title
    assert "nan" not in found.text
    bare = card({"filter": "f", "version": "1", "alert": {"alert_id": "x:1", "stream": "x"}})
    assert bare.title == "x:1 [f]"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(0, 360), st.floats(-90, 90))
def test_sexagesimal_is_that_of_astropy(ra: float, dec: float) -> None:
    text = sexagesimal(ra, dec)
    assert "60." not in text.replace(":60", ":sixty") or ":60" not in text
    ours = SkyCoord(text, unit=(u.hourangle, u.deg))
    assert ours.separation(SkyCoord(ra * u.deg, dec * u.deg)).arcsec < 0.1


@pytest.mark.parametrize(
    ("ra", "dec", "told"),
    [(359.99999999, -0.00000001, "00:00:00.00 +00:00:00.0"), (14.9999999, 89.99999999, "01:00:00.00 +90:00:00.0")],
)
def test_no_sixty_seconds(ra: float, dec: float, told: str) -> None:
    assert sexagesimal(ra, dec) == told


def test_pictures() -> None:
    curve = pl.DataFrame({"time": [61_360.0, 61_365.22988], "mag": [18.4, 17.94], "mag_err": [0.1, 0.05], "band": ["g", "r"],
                          "kind": ["detection"] * 2})  # fmt: skip
    look, variant = look_of("supernova", 4)
    science = stamps(look, variant, 64, positive=True, size=63, zipped=True)[0]
    found = card(MATCH, light_curve=curve, cutout=science, sources=[Source("glade", "UGC", 187.7060, 12.3915, 14.0)])
    assert set(found.pictures) == {"light_curve.png", "finding_chart.png"}
    for picture in found.pictures.values():
        assert Image.open(io.BytesIO(picture)).format == "PNG"
    assert card(MATCH, light_curve=curve.clear(), cutout=b"").pictures == {}
    assert set(card(MATCH, cutout=b"\xff\xd8 no FITS").pictures) == {"finding_chart.png"}


def test_a_digest() -> None:
    found = digest_card({"count": 60, "matches": [{**MATCH, "filter": f"f{number % 2}"} for number in range(60)]})
    assert found.title == "60 matches of f0, f1"
    assert found.text.count("ZTF23aaxeydp") == 40
    assert found.text.endswith("and 20 more")
    assert found.html.count("<li>") == 40
    one = digest_card({"count": 1, "matches": [MATCH]})
    assert one.title == "1 match of ztf_bright_transients"
    assert "https://nuncius.example/alerts/x?a=1&b=2" in one.text
    assert test_card("sub_1").text.startswith("This is a test of subscription sub_1")
