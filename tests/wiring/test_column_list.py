"""Every column of every stream has type, unit and meaning, and can be named; what is not there cannot."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.alert import COMMON
from broker.cli.app import run
from broker.decode.dispatch import NOTICE_STREAMS
from broker.decode.lvk import from_igwn, read_ocf
from broker.decode.notice_json import parse_object
from broker.decode.notices import decode_notices
from broker.errors import UsageError
from broker.filtering.columns import TYPES, dtypes
from broker.filtering.definition import load_filters
from broker.filtering.expression import compile_expression
from broker.filtering.functions import FUNCTIONS
from broker.paths import shipped
from broker.record import Record
from broker.settings import load
from broker.simulate import gcn, lvk, ztf
from broker.store import catalogs
from broker.wiring.column_list import AtHand, at_hand, columns_of, known_of, of_parts, streams
from broker.wiring.filter_check import check, check_where
from broker.wiring.parts import open_parts

NIGHT = datetime(2026, 11, 21, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def nothing() -> AtHand:
    """What comes with Nuncius."""
    return at_hand(load(None), Path("/no/such/folder"))


@pytest.mark.parametrize("stream", sorted({*NOTICE_STREAMS, "ztf", "lsst", "elasticc", "atlas", "winter", "decat", "pgir"}))
def test_each_column_is_told_and_can_be_named(stream: str, nothing: AtHand) -> None:
    known = known_of(stream, nothing)
    assert stream in streams(nothing)
    assert COMMON.keys() <= {each.name for each in known.columns}
    assert len({each.name for each in known.columns}) == len(known.columns)
    types = dtypes(known)
    for each in known.columns:
        assert each.meaning, each
        assert each.source, each
        assert each.type in TYPES
        quoted = ".".join(f'"{part}"' for part in each.name.split("."))
        assert compile_expression(f"{quoted} IS NULL", types).columns == {each.name}
    assert known.whole == (not known.note)


def test_what_is_known_without_a_folder(nothing: AtHand) -> None:
    assert known_of("ztf", nothing).whole
    assert known_of("lsst", nothing).whole
    assert not known_of("elasticc", nothing).whole
    assert not known_of("gcn", nothing).whole
    ztf_columns = {each.name: each for each in columns_of("ztf", nothing)}
    assert (ztf_columns["candidate.magpsf"].unit, ztf_columns["candidate.magpsf"].type) == ("mag", "number")
    assert (ztf_columns["candidate.isdiffpos"].type, ztf_columns["lightcurve.rate.g"].unit) == ("text", "mag/d")
    assert ztf_columns["gaia.pmra"].unit == "mas/yr"
    lsst_columns = {each.name: each for each in columns_of("lsst", nothing)}
    assert (lsst_columns["diaSource.psfFlux"].unit, lsst_columns["diaSource.isDipole"].type) == ("nJy", "boolean")
    notices = {each.name: each for each in columns_of("lvk", nothing)}
    assert (notices["classification.BNS"].type, notices["far"].unit, notices["skymap.area90"].unit) == ("number", "Hz", "deg2")
    assert "lightcurve.age" not in notices
    with pytest.raises(UsageError, match=r"no stream 'zt' \(did you mean ztf\?\)"):
        columns_of("zt", nothing)


@pytest.mark.parametrize("spec", load_filters(shipped("filters")), ids=lambda spec: spec.name)
def test_shipped_filters_name_what_there_is(nothing: AtHand, spec: object) -> None:
    source = getattr(spec, "source", "")
    found = check(Path(source).read_text("utf-8"), source, nothing)
    assert (found.faults, found.warnings) == ((), ())


@pytest.mark.parametrize("stream", ["ztf", "lsst", "gcn", "lvk", "voevent", "skymap", "coincidence"])
def test_every_function_is_right_on_every_stream(stream: str, nothing: AtHand) -> None:
    """With what it takes written out; where a stream has nothing for it, it is unknown there and not wrong."""
    written = {
        "any": "3", "number": "3", "integer": "3", "string": "'g'", "time": "'2026-01-01'", "boolean": "TRUE",
    }  # fmt: skip
    for name, function in FUNCTIONS.items():
        for signature in function.signatures:
            given = [
                "'keck'" if one.name == "site" else f"'{stream}x'" if one.name == "name" else written[one.kind]
                for one in signature
            ]
            found = check_where(f"({name}({', '.join(given)})) IS NOT NULL", nothing, stream)
            assert found.faults == (), (name, found.faults)
    assert check_where("classification['BNS'] > 0.5", nothing, stream).ok


@pytest.mark.parametrize(
    ("stream", "where", "nearest"),
    [
        ("lvk", "classification['BNZ'] > 0.5", "classification.BNS"),
        ("lvk", "superevent = 'S1'", ""),
        ("coincidence", "coincidence.far_temporel < 1", "coincidence.far_temporal"),
        ("gcn", "missoin = 'Fermi'", "mission"),
        ("ztf", "candidate.magpfs < 18", "candidate.magpsf"),
        ("lsst", "diasource.snr > 3", "diaSource.snr"),
        ("ztf", "diaSource.snr > 3", ""),
    ],
)
def test_names_that_are_wrong(stream: str, where: str, nearest: str, nothing: AtHand) -> None:
    (fault,) = check_where(where, nothing, stream).faults
    assert (fault.line, fault.column) == (1, 1)
    assert fault.nearest == nearest or not nearest


def test_streams_of_a_filter(nothing: AtHand) -> None:
    text = 'name = "x"\nstream = {}\ndescription = "x"\nwhere = "{} > 1"\n'
    assert check(text.format('["ztf", "lsst"]', "diaSource.snr"), "x", nothing).ok
    assert check(text.format('"*"', "diaSource.snr"), "x", nothing).ok
    assert not check(text.format('["ztf", "lsst"]', "diaSource.snr"), "x", nothing, "ztf").ok
    assert not check(text.format('"ztf"', "diaSource.snr"), "x", nothing).ok
    away = check(text.format('"zff"', "diaSource.snr"), "x", nothing)
    assert away.ok
    assert "no stream 'zff' is declared here (did you mean ztf?)" in away.warnings[0]
    assert "the same for all" in check(text.format('"ztf"', "3"), "x", nothing).warnings[0]
    with pytest.raises(UsageError, match="no stream 'nosuch'"):
        check(text.format('"ztf"', "mag"), "x", nothing, "nosuch")


def test_with_a_folder(tmp_path: Path) -> None:
    """Schemas that were met, catalogues that are built, fields of notices that are kept."""
    for packet in ztf.packets(5, 5, NIGHT, history=1):
        (tmp_path / f"{packet.name}.avro").write_bytes(packet.data)
    (tmp_path / "notice.json").write_bytes(
        b'{"$schema": "https://gcn.nasa.gov/schema/main/gcn/notices/fermi/gbm/alert.schema.json", "mission": "Fermi", '
        b'"id": ["1"], "trigger_time": "2026-11-21T04:00:00Z", "ra": 10, "dec": 20, "odd_number": 3}'
    )
    filters = tmp_path / "data" / "filters"
    filters.mkdir(parents=True)
    (filters / "odd.toml").write_text(
        'name = "odd"\nversion = 1\nstream = "gcn"\ndescription = "x"\nwhere = "odd_number > 2"\n'
    )
    (tmp_path / "data" / "nuncius.toml").write_text('filters = "filters"\n')
    (tmp_path / "stars.csv").write_text("name,ra,dec,vmag\na,10,20,12.5\n")
    catalogs.add(tmp_path / "data" / "catalogs", "stars", tmp_path / "stars.csv")
    targets = tmp_path / "targets.csv"
    targets.write_text("name,ra,dec\na,10,20\n")
    assert run(["--data", str(tmp_path / "data"), "watchlist", "add", "novae", str(targets)]) == 0
    arguments = ["ingest", *(str(file) for file in sorted(tmp_path.iterdir()) if file.suffix in {".avro", ".json"})]
    assert run(["--data", str(tmp_path / "data"), *arguments]) == 0
    settings = load(tmp_path / "data" / "nuncius.toml")
    found = at_hand(settings, tmp_path / "data")
    with open_parts(settings, tmp_path / "data") as parts:
        assert [columns_of(stream, found) for stream in ("ztf", "gcn")] == [
            columns_of(stream, of_parts(parts)) for stream in ("ztf", "gcn")
        ]
    names = {each.name: each for each in columns_of("gcn", found)}
    assert (names["odd_number"].type, names["odd_number"].source) == ("number", "notice")
    assert (names["stars.vmag"].type, names["stars.vmag"].source) == ("number", "catalogue stars")
    assert "null until it is built" in names["gaia.sep"].meaning
    assert "null until" not in names["ngc.sep"].meaning
    assert (names["watchlist.novae.sep"].unit, names["watchlist.novae.inside"].type) == ("arcsec", "boolean")
    assert check_where("in_watchlist('novae', 5) AND in_moc('none')", found, "ztf").warnings == (
        "there is no region 'none': what is asked of it is unknown until there is one",
    )
    assert "did you mean novae?" in check_where("in_watchlist('novaes')", found, "ztf").warnings[0]
    assert known_of("ztf", found).whole
    assert {each.name for each in columns_of("ztf", found)} > {"candidate.rb", "stars.sep", "lightcurve.n_det.g"}


def test_fields_of_our_own_notices_are_known(nothing: AtHand) -> None:
    for stream, packets in (("lvk", lvk.packets(3, 12, NIGHT)), ("gcn", gcn.packets(3, 30, NIGHT))):
        names = {each.name for each in known_of(stream, nothing).columns}
        wanted = frozenset({"classification.BNS", "properties.HasNS", "significant", "group", "rate_snr", "image_snr"} & names)
        records = [Record(f"raw.{stream}", 0, number, 0, None, one.data) for number, one in enumerate(packets)]
        frame = decode_notices(stream, records, wanted).frame
        types = dtypes(known_of(stream, nothing))
        met = [name for name in wanted if name in frame.columns]
        assert met
        for name in met:
            assert frame.schema[name] == types[name]


@pytest.mark.data
def test_fields_of_real_lvk_alerts_are_known(data_dir: Path, nothing: AtHand) -> None:
    """Its list is said to be whole."""
    types = dtypes(known_of("lvk", nothing))
    alerts = [parse_object(file.read_bytes()) for file in sorted((data_dir / "gcn" / "igwn").glob("*.json"))]
    alerts += [
        one for file in sorted((data_dir / "gcn" / "igwn_avro").glob("*.avro")) for one in read_ocf(file.read_bytes())[0]
    ]
    assert len(alerts) > 10
    told = {str: "text", int: "number", float: "number", bool: "boolean"}
    for alert in alerts:
        fields = {name: value for name, value in from_igwn(alert).fields.items() if value is not None and name not in COMMON}
        assert fields.keys() <= types.keys() | {"$schema"}
        assert not {name for name, value in fields.items() if name in types and TYPES[told[type(value)]] != types[name]}
