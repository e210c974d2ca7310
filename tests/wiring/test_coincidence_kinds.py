"""Which search two events make, its window, and what of it may be published."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from broker.settings import CoincidencesTable, CoincidenceWindows
from broker.store.coincidence_subjects import Subject
from broker.wiring.coincidence_kinds import far_temporal, may_be_published, reach, search_of

TABLE = CoincidencesTable()


def subject(name: str, messenger: str | None, after: float, **more: Any) -> Subject:
    given: dict[str, Any] = {
        "event_name": name,
        "name": name,
        "messenger": messenger,
        "time": round(after * 1e6),
        "far": 1e-9,
        "revision": 1,
        "mission": None,
        "instrument": None,
        "types": (),
        "search_group": None,
        "search": None,
        "classification": None,
        "map_path": None,
        "real": True,
        "retracted": False,
    }
    return Subject(**(given | more))


def gw(**more: Any) -> Subject:
    return subject("S260801a", "GW", 0.0, **({"mission": "LVK", "search_group": "CBC", "search": "AllSky"} | more))


def other(after: float = 2.0, messenger: str | None = "EM", **more: Any) -> Subject:
    return subject("X 1", messenger, after, **({"mission": "Fermi", "instrument": "GBM"} | more))


CASES: list[tuple[float, str, dict[str, Any], str | None]] = [
    (-1.0, "CBC", {}, "grb_cbc"),
    (-1.01, "CBC", {}, None),
    (5.0, "CBC", {}, "grb_cbc"),
    (5.01, "CBC", {}, None),
    (600.0, "Burst", {}, "grb_burst"),
    (-60.01, "Burst", {}, None),
    (10.5, "CBC", {"types": ("FERMI_GBM_SUBTHRESH",)}, "subthreshold_fermi"),
    (11.0, "Burst", {"types": ("fermi.gbm.targeted",)}, "subthreshold_fermi"),
    (-9.0, "Burst", {"types": ("SWIFT_BAT_SUBTHRESHOLD",), "mission": "Swift"}, "subthreshold_swift"),
    (-10.0, "CBC", {"instrument": "BAT-GUANO", "mission": "Swift"}, "subthreshold_swift"),
    (10.0, "CBC", {"mission": "CHIME"}, "frb_cbc"),
    (-120.0, "Burst", {"mission": "CHIME"}, "frb_burst"),
    (-10.0, "CBC", {"messenger": "Neutrino"}, "neutrino_cbc"),
    (500.0, "Burst", {"messenger": "Neutrino"}, "neutrino_burst"),
    (10.0, "CBC", {"messenger": "Neutrino", "mission": "SNEWS"}, "supernova"),
    (0.0, "CBC", {"types": ("SWIFT_BAT_KNOWN_SRC",), "mission": "Swift"}, None),
    (0.0, "CBC", {"types": ("MAXI_UNKNOWN",), "mission": "MAXI"}, "grb_cbc"),
    (0.0, "CBC", {"types": ("MAXI_KNOWN",), "mission": "MAXI"}, None),
    (0.0, "CBC", {"types": ("MAXI.GSC.known",), "mission": "MAXI"}, None),
    (0.0, "CBC", {"types": ("Fermi.LAT.flare",)}, None),
    (0.0, "CBC", {"messenger": "Neutrino", "follow_up": True}, None),
    (0.0, "CBC", {"types": ("SWIFT_BAT_QL_POS",), "mission": "Swift"}, "grb_cbc"),
    (0.0, "CBC", {"types": ("SWIFT_BAT_TRANS", "SWIFT_BAT_GRB_POS_ACK"), "mission": "Swift"}, "grb_cbc"),
    (10.5, "CBC", {"types": ("FERMI_GBM_SUBTHRESH", "FERMI_GBM_FLT_POS")}, None),
    (4.5, "CBC", {"types": ("FERMI_GBM_SUBTHRESH", "FERMI_GBM_FLT_POS")}, "grb_cbc"),
    (0.0, "CBC", {"mission": "Gaia"}, None),
    (0.0, "CBC", {"messenger": None}, None),
    (0.0, "CBC", {"messenger": "GW"}, None),
    (0.0, "CBC", {"real": False}, None),
]


@pytest.mark.parametrize(("after", "group", "external", "window"), CASES)
def test_the_window_is_that_of_the_pair(after: float, group: str, external: dict[str, Any], window: str | None) -> None:
    one, two = gw(search_group=group), other(after, **external)
    for pair in ((one, two), (two, one)):
        search = search_of(*pair, TABLE)
        inside = search is not None and search.first <= search.dt <= search.last
        assert (search.window if inside and search else None) == window


@pytest.mark.parametrize(
    ("said", "window"),
    [
        ({"classification": "BBH"}, "grb_cbc"),
        ({"classification": None}, "grb_burst"),
        ({"search_group": "Burst", "search": "BBH"}, "grb_cbc"),
        ({"search_group": "Burst", "classification": "BBH"}, "grb_burst"),
    ],
)
def test_the_group_is_what_the_notices_say_else_it_follows_from_the_class(said: dict[str, Any], window: str) -> None:
    search = search_of(gw(**({"search_group": None, "search": None} | said)), other(), TABLE)
    assert search is not None
    assert search.window == window


def test_a_follow_up_by_another_messenger_was_not_found_on_its_own() -> None:
    assert search_of(gw(), replace(other(), event_name="S260801a", follow_up=True), TABLE) is None
    assert (
        search_of(gw(), replace(other(instrument="BAT-GUANO", mission="Swift"), event_name="S260801a", follow_up=True), TABLE)
        is not None
    )


def test_nothing_beyond_the_longest_window_is_looked_at() -> None:
    assert reach(TABLE) == 600.0
    assert reach(CoincidencesTable(windows=CoincidenceWindows(grb_neutrino=(-1000.0, 1.0)))) == 1000.0


def test_a_window_must_have_a_length() -> None:
    with pytest.raises(ValidationError, match="window grb_cbc ends at"):
        CoincidenceWindows(grb_cbc=(5.0, -1.0))


@pytest.mark.parametrize(("gw_far", "external_far"), [(None, 1e-5), (1e-5, None)])
def test_without_a_rate_there_is_none(gw_far: float | None, external_far: float | None) -> None:
    guano = other(instrument="BAT-GUANO", mission="Swift", far=external_far)
    search = search_of(gw(far=gw_far), guano, TABLE)
    assert search is not None
    rate, why = far_temporal(search, TABLE)
    assert rate is None
    assert ("S260801a" if gw_far is None else "X 1") in (why or "")


PUBLISHED: list[tuple[float | None, dict[str, Any], dict[str, Any], bool]] = [
    # rate in Hz; what of the events differs from a CBC event of the all-sky search and a burst
    (9e-9, {}, {}, True),  # x 7 x 6 is 3.78e-7, below one in 30 days
    (9.3e-9, {}, {}, False),
    (None, {}, {}, False),
    (9e-9, {}, {"types": ("FERMI_GBM_SUBTHRESH",)}, False),
    (9e-9, {}, {"instrument": "BAT-GUANO", "mission": "Swift"}, False),
    (3e-8, {"search": "EarlyWarning"}, {}, True),  # x 4 x 3
    (5e-9, {"search": "SSM"}, {}, True),  # x 3 x 2 is 3e-8, below one a year
    (9e-9, {"search": "SSM"}, {}, False),
    (5e-9, {"search_group": "Burst"}, {}, True),
    (9e-9, {"search_group": "Burst"}, {}, False),
    (9e-9, {"search_group": "Burst", "search": "BBH"}, {}, True),
]


@pytest.mark.parametrize(("far", "event", "external", "expected"), PUBLISHED)
def test_what_may_be_published(far: float | None, event: dict[str, Any], external: dict[str, Any], expected: bool) -> None:
    search = search_of(gw(**event), other(**external), TABLE)
    assert search is not None
    assert may_be_published(search, far, TABLE) is expected


def test_tests_are_never_published() -> None:
    search = search_of(gw(real=False), other(real=False), TABLE)
    assert search is not None
    assert not may_be_published(search, 1e-30, TABLE)
