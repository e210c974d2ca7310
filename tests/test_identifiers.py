"""Names of events."""

from __future__ import annotations

import pytest

from broker.identifiers import author, fold, gbm_burst, is_mock, messenger_of, mission_named, names_event, names_in, superevent


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("GRB 170817A", "grb170817a", True),
        ("IceCube-230416A", "IceCube 230416A", True),
        ("Swift -12", "Swift 12", False),
        ("IceCube 12_34", "IceCube 123_4", False),
        ("MS181101ab", "S181101ab", False),
        ("ivo://gwnet/LVC#a-1", "IVO://gwnet/LVC#A-1", True),
        ("ivo://gwnet/LVC#a-1", "ivo://gwnet/LVC#a1", False),
    ],
)
def test_spellings_that_meet(one: str, other: str, same: bool) -> None:
    assert (fold(one) == fold(other)) == same


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("s190425Z", "S190425z"),
        ("ms181101AB", "MS181101ab"),
        ("TS240229a", "TS240229a"),
        ("gw190521a", "GW190521A"),
        ("GW170817", "GW170817"),
        ("GW190521_074359", "GW190521_074359"),
        ("S190425", None),
        ("S191325a", None),
        ("S190230a", None),
        ("XS190425z", None),
        ("S1904251z", None),
        ("G298048", None),
    ],
)
def test_superevents(name: str, spelled: str | None) -> None:
    assert superevent(name) == spelled


def test_mock_names() -> None:
    named = ("MS181101ab", "ts190101a", "M252714", "TGW170817", "S190425z", "GRB 170817A", "MAXI 1", "T CrB", None)
    assert [is_mock(name) for name in named] == [True] * 4 + [False] * 5


@pytest.mark.parametrize(
    ("text", "mission"),
    [
        ("Fermi-GBM", "Fermi"),
        ("GBM", "Fermi"),
        ("Einstein Probe/WXT", "Einstein Probe"),
        ("LVK", "LVK"),
        ("Hubble", None),
        (None, None),
    ],
)
def test_missions(text: str | None, mission: str | None) -> None:
    assert mission_named(text) == mission


def test_names_in_subjects() -> None:
    assert names_in("EP240315a/GRB240315C: a burst") == ["EP240315a", "GRB 240315C"]
    assert names_in("LIGO/Virgo/KAGRA S230518h: Identification") == ["S230518h"]
    assert names_in("IceCube-230416A and AT2023abc, SN 2023ixf") == ["IceCube-230416A", "AT 2023abc", "SN 2023ixf"]
    assert names_in("Swift J1858.6-0814: renewed activity of NGC 123456") == ["Swift J1858.6-0814"]


def test_what_gbm_calls_its_bursts() -> None:
    assert [gbm_burst(name) for name in ("GRB180116026", "grb 180116026", "bn180116026")] == ["bn180116026"] * 3
    assert [gbm_burst(name) for name in ("GRB 180116A", "180116026", "GRB1801160265")] == [None] * 3


def test_names_of_events_and_of_sources() -> None:
    assert all(map(names_event, ("GRB 230220A", "EP240315a", "SN 2023ixf", "AT2023abc", "bn230410476", "S190425z")))
    assert not any(map(names_event, ("OQ 334", "Swift J1858.6-0814", "MAXI J1820+070", "3C 279", "EP Lyr")))


def test_only_a_mission_s_own_name_is_that_mission() -> None:
    assert [messenger_of(name) for name in ("Swift", " FERMI", "IceCube", "LVK")] == ["EM", "EM", "Neutrino", "GW"]
    assert [messenger_of(name) for name in ("stranger.example/swift", "ivo://swift", "", None)] == [None] * 4


def test_authors() -> None:
    assert author("ivo://nasa.gsfc.gcn/SWIFT#BAT_1") == author("ivo://NASA.gsfc.gcn#2") == "nasa.gsfc.gcn"
    assert author(None) is None
