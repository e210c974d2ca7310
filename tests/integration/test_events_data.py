"""Real notices through the command line, each in the right event with what an independent reader reads in it."""

from __future__ import annotations

import base64
import gzip
import io
import itertools
import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
import lxml.etree
import pytest
from astropy.io import fits
from astropy.time import Time
from sqlalchemy import select

from broker.errors import NotFoundError
from broker.science.sky import separation
from broker.store import events, tables
from broker.store.engine import Store, close, connection, open_store
from tests.notices import igwn, voevent
from tests.running import install

TEST = {"test", "injection", "commanded"}
PARSER = lxml.etree.XMLParser(resolve_entities=False, no_network=True)
# Superevents in GCN's and LVK's own examples; everything of them is of one event, whatever it is written in.
MOCK = "MS181101ab"
STAGES = {
    "EARLYWARNING": "early_warning",
    "PRELIMINARY": "preliminary",
    "INITIAL": "initial",
    "UPDATE": "update",
    "RETRACTION": "retracted",
}


@dataclass(frozen=True)
class Read:
    """What a file says; a tuple of columns that are `None` is not looked at."""

    file: Path
    alert: str  # how its id begins, behind the stream
    event: str | None = None
    time: datetime | None = None
    place: tuple[float, float] | None = None
    error: float | None = None
    nowhere: bool = False
    test: bool | None = None


@dataclass(frozen=True)
class Kept:
    """What the database has."""

    store: Store
    alerts: dict[str, list[dict[str, Any]]]
    homes: dict[str, str]

    def event(self, name: str) -> dict[str, Any]:
        return events.get_event(self.store, name)


@pytest.fixture(scope="module")
def kept(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("events") / "data"
    nuncius = install(folder)
    nuncius.config.unlink()
    paths = [str(path) for path in sorted((data_dir / "gcn").iterdir()) if path.name != "voevent_tarballs"]
    ledger = nuncius.json("ingest", *paths, str(data_dir / "skymaps"), "--json")
    assert ledger["received"] == ledger["published"] + ledger["duplicate"] + ledger["rejected"]
    store = open_store(f"sqlite:///{folder / 'nuncius.sqlite'}")
    rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    with connection(store) as conn:
        for row in conn.execute(select(tables.alerts)).mappings():
            rows[row["alert_id"].split(":", 1)[1].split(";")[0]].append(dict(row))
        homes = {
            row[0]: row[1] for row in conn.execute(select(tables.event_notices.c.alert_id, tables.event_notices.c.event_name))
        }
    yield Kept(store, dict(rows), homes)
    close(store)


def agrees(row: dict[str, Any], read: Read) -> bool:
    """Whether a row says what the file does. Times to a microsecond and a half, places as written."""
    if read.time is not None:
        since = (read.time - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)
        if row["time"] is None or abs(row["time"] - since) > 1.5:
            return False
    if read.place is not None and (row["ra"], row["dec"]) != pytest.approx(read.place, abs=1e-9):
        return False
    if read.error is not None and row["ra_dec_error"] != pytest.approx(read.error, abs=1e-9):
        return False
    if read.nowhere and row["ra"] is not None:
        return False
    return read.test is None or (row["alert_tense"] in TEST) == read.test


def check(kept: Kept, read: Read) -> None:
    """One of the alerts by this id says what the file says, and is in the event that the file names."""
    found = [row for name, rows in kept.alerts.items() if name == read.alert for row in rows]
    assert found, f"{read.file}: no alert {read.alert}"
    right = [row for row in found if agrees(row, read)]
    assert right, f"{read.file}: {read} is none of {found}"
    if read.event is not None:
        try:
            event = kept.event(read.event)
        except NotFoundError:
            pytest.fail(f"{read.file}: no event {read.event}")
        homes = {kept.homes.get(row["alert_id"]) for row in right}
        real_or_test = {event["event_name"], f"{event['event_name']} (test)"}
        assert homes & real_or_test, f"{read.file}: in {homes}, not in {real_or_test}"


def instant(text: str, scale: str = "utc") -> datetime | None:
    with suppress(ValueError):
        return Time(text.strip().rstrip("Z").replace("+00:00", ""), scale=scale).utc.to_datetime(timezone=UTC)  # type: ignore[no-any-return]
    return None


def numeric(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


NUMBERED = {
    "SWIFT": "Swift",
    "FERMI": "Fermi",
    "GECAM": "GECAM",
    "MAXI": "MAXI",
    "AGILE": "AGILE",
    "MOA": "MOA",
    "KONUS": "Konus-Wind",
}
PLACEHOLDERS = {"", "0", "-1", "99999", "2147483647"}
SHARED = {"45": "COUNTERPART", "140": "Swift", "141": "Swift"}  # types whose number several sources have


def read_voevent(file: Path) -> Read | None:
    """With xpath over local names alone, so that no reading of ours is asked."""
    root = lxml.etree.fromstring(file.read_bytes(), PARSER)

    def first(path: str) -> str | None:
        spelled = "/".join(
            part if part.startswith("@") or not part else f"*[local-name()='{part}']" for part in path.split("/")
        )
        found = root.xpath(f".//{spelled}")
        if not found:
            return None
        return str(found[0]).strip() if isinstance(found[0], str) else (found[0].text or "").strip()

    params = {param.get("name"): (param.get("value") or "").strip() for param in root.xpath(".//*[local-name()='Param']")}
    ivorn, role = root.get("ivorn").strip(), root.get("role", "observation")
    event = None
    author = ivorn.removeprefix("ivo://").partition("#")[0].partition("/")
    kind = file.parent.name.upper()
    reports = not any(word in kind for word in ("TEST", "POINT", "SLEW", "FOM"))
    if params.get("GraceID"):
        event = params["GraceID"]
    elif author[0] == "nasa.gsfc.gcn" and params.get("Packet_Type") in SHARED:
        where = (float(first(f"Value2/{axis}") or 0.0) for axis in ("C1", "C2"))
        event = "{} {}@{:.4f}{:+.4f}".format(SHARED[params["Packet_Type"]], params["TrigID"].lstrip("0"), *where)
    elif (
        author[0] == "nasa.gsfc.gcn"
        and author[2].upper() in NUMBERED
        and reports
        and params.get("TrigID", "") not in PLACEHOLDERS
    ):
        event = f"{NUMBERED[author[2].upper()]} {params['TrigID'].lstrip('0')}"
    elif "ICECUBE" in kind and params.get("event_id", "") not in PLACEHOLDERS and "run_id" in params:
        event = f"IceCube {params['run_id']}_{params['event_id']}"
    iso = first("ISOTime")
    system = next(iter(root.xpath(".//@coord_system_id")), None) or next(
        iter(root.xpath(".//*[local-name()='AstroCoordSystem']/@id")), ""
    )
    scale = system.split("-")[0].lower()
    time = instant(iso, scale) if iso and scale in {"utc", "tdb", "tt"} else None
    ra, dec = numeric(first("Value2/C1")), numeric(first("Value2/C2"))
    pointing = params.get("Coords_String") == "pointing_direction" or ("Coords_String" not in params and "POINT" in kind)
    known = ra is not None and dec is not None and (ra, dec) not in {(0.0, 0.0), (-1.0, -1.0)} and "GEOD" not in system
    unit = next(iter(root.xpath(".//*[local-name()='Position2D']/@unit")), "deg")
    radius = numeric(first("Error2Radius"))
    return Read(
        file,
        ivorn,
        event,
        time,
        (ra % 360.0, dec) if known and not pointing and unit.startswith("deg") else None,  # type: ignore[operator,arg-type]
        radius if known and not pointing and radius and radius < 180.0 else None,
        nowhere=pointing,
        test=True if role == "test" or (event or "").startswith(("MS", "TS")) else None,
    )


def test_voevents(data_dir: Path, kept: Kept) -> None:
    read = timed = placed = named = 0
    for file in sorted(data_dir.glob("gcn/voevent*/**/*.xml")):
        said = read_voevent(file)
        assert said is not None
        check(kept, said)
        read += 1
        timed += said.time is not None
        placed += said.place is not None
        named += said.event is not None
    assert (read, timed > 500, placed > 300, named > 250) == (651, True, True, True), (read, timed, placed, named)


FLARES = {"OQ 334": "OQ 334 2025-11-20", "Swift J1858.6-0814": "MAXI 858800020"}


def native(value: dict[str, Any]) -> str:
    """Id of a flare's notice, behind the stream."""
    source = f"{value['mission']}.{value['instrument']}:"
    number = (value["id"], value["alert_type"], value["record_number"]) if "id" in value else ()
    return source + ":".join(map(str, number or (value["event_name"].replace(" ", "_"), value["alert_datetime"])))


def test_unified_notices(data_dir: Path, kept: Kept) -> None:
    read = 0
    for file in sorted(data_dir.glob("gcn/json_schema_examples/gcn/notices/**/*.json")):
        value = json.loads(file.read_text("utf-8"))
        if "mission" not in value and "ref_ID" not in value and "alert_datetime" not in value:
            continue  # fragments of the core schema
        when = next((value[name] for name in ("trigger_time", "observation_start", "alert_datetime") if name in value), None)
        time = instant(when if isinstance(when, str) else when[0]) if when else None
        target = next(iter(value.get("data", {}).get("targets", [])), {}) if isinstance(value.get("data"), dict) else {}
        where = value if "ra" in value else target
        place = (where["ra"], where["dec"]) if "ra" in where else None
        error = value.get("ra_dec_error")
        names = value.get("event_name") or target.get("event_name") or value.get("ref_ID")
        identifier = value.get("id")
        identifier = identifier[0] if isinstance(identifier, list) else identifier
        event = names[0] if isinstance(names, list) else names
        if file.name.startswith(("flare", "gsc.known")):  # what they name is the source
            assert {row["object_id"] for row in kept.alerts[native(value)]} == {FLARES[event]}
            event = FLARES[event]
        if event is None and identifier is not None and "mission" in value:
            event = f"{value['mission']} {identifier}"
        rows = [row for rows in kept.alerts.values() for row in rows if row["stream"] == "gcn"]
        wanted = Read(file, "", event, time, place, error if isinstance(error, int | float) and error < 180 else None)
        found = [row for row in rows if agrees(row, wanted) and value.get("alert_type", row["alert_type"]) == row["alert_type"]]
        assert found, f"{file}: {wanted}"
        if event is not None:
            home = kept.event(event)["event_name"]
            assert home in {kept.homes.get(row["alert_id"]) for row in found}, f"{file}: {event}"
        read += 1
    assert read >= 20


def lvk_alerts(data_dir: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted(data_dir.glob("gcn/igwn/*.json")):
        yield file, json.loads(file.read_text("utf-8"))
    for file in sorted(data_dir.glob("gcn/igwn_avro/*.avro")):
        for record in fastavro.reader(io.BytesIO(file.read_bytes())):
            yield file, record[0] if isinstance(record, list) else record


def test_lvk_alerts(data_dir: Path, kept: Kept) -> None:
    read = 0
    for file, alert in lvk_alerts(data_dir):
        name, kind = alert["superevent_id"], alert["alert_type"].upper().replace("_", "")
        created = instant(alert["time_created"].removesuffix(" UTC"))
        assert created is not None
        event = alert.get("event") or {}
        time = instant(event["time"].removesuffix(" UTC")) if event.get("time") else created
        check(
            kept, Read(file, f"{name}-{kind}-{created:%Y-%m-%dT%H:%M:%SZ}", name, time, nowhere=True, test=name.startswith("M"))
        )
        found = kept.event(name)
        assert (found["real"], found["messenger"]) == (not name.startswith("M"), "GW")
        rows = [one for one in found["revisions"] if f":{name}-{kind}-" in one["alert_id"]]
        assert {one["state"] for one in rows} == {STAGES[kind]}
        if event:
            assert any(one["far"] == pytest.approx(event["far"], rel=1e-6) for one in rows)
            likeliest = max(event["classification"], key=event["classification"].get) if event.get("classification") else None
            assert any(one["classification"] == likeliest for one in rows)
            if "significant" in event:
                assert any(one["significant"] == event["significant"] for one in rows)
            if event.get("skymap") and len(event["skymap"]) > 10_000:
                assert any(one["map_path"] and one["area90"] for one in rows)
        read += 1
    assert read > 20


def test_the_mock_event_in_every_format_is_one(kept: Kept) -> None:
    event = kept.event(MOCK.lower())
    assert (event["event_name"], event["state"], event["real"]) == (MOCK, "retracted", False)
    assert {one["stream"] for one in event["revisions"]} >= {"lvk", "skymap"}
    assert {one["state"] for one in event["revisions"]} >= set(STAGES.values())
    assert all(one["change"] for one in event["revisions"])
    assert [one["revision"] for one in event["revisions"]] == list(range(1, event["revision"] + 1))


def test_the_mock_event_as_it_went(data_dir: Path, tmp_path: Path) -> None:
    """LVK's own example of an event: five notices in the order of their time, two of them with maps, and how it reads."""
    nuncius = install(tmp_path / "data")
    nuncius.config.unlink()
    for stage in ("earlywarning", "preliminary", "initial", "update", "retraction"):
        nuncius.run("ingest", str(data_dir / "gcn" / "igwn" / f"MS181101ab-{stage}.json"))
    event = nuncius.json("event", "show", "ms181101AB", "--json")
    assert (event["name"], event["state"], event["test"], event["retracted"]) == (MOCK, "retracted", True, True)
    assert [one["state"] for one in event["revisions"]] == list(STAGES.values())
    assert [one["revision"] for one in event["revisions"]] == [1, 2, 3, 4, 5]
    changes = [one["change"].split(";")[0] for one in event["revisions"]]
    assert changes == [
        "early warning",
        "preliminary after early warning",
        "initial after preliminary",
        "update after initial",
        "retracted, was update",
    ]
    assert all(one["area90"] > one["area50"] > 0 for one in event["revisions"][:4])
    table = nuncius.run("event", "show", MOCK)
    assert MOCK in table
    assert "(test)" in nuncius.run("event", "list")


# Of types with the same first slots, from GCN's socket packet definition: mission, and whether slots 7 and 8 are a source.
BINARY = {
    61: ("Swift", True),
    67: ("Swift", True),
    81: ("Swift", True),
    97: ("Swift", True),
    110: ("Fermi", False),
    111: ("Fermi", True),
    112: ("Fermi", True),
    115: ("Fermi", True),
}


def test_binary_notices(data_dir: Path, kept: Kept) -> None:
    read = 0
    for file in sorted(data_dir.glob("gcn/classic_bin/**/*.bin")):
        slots = struct.unpack(">40i", file.read_bytes())
        kind, serial, trigger, tjd, sod = slots[0], slots[1], slots[4], slots[5], slots[6]
        if kind not in BINARY:
            continue
        mission, source = BINARY[kind]
        number = trigger & 0xFFFFFF if mission == "Swift" else trigger & 0xFFFFFFFF
        time = datetime(1968, 5, 24, tzinfo=UTC) + timedelta(days=tjd, milliseconds=10 * sod)
        place = (slots[7] / 1e4, slots[8] / 1e4)
        stamp = f":{number}:{serial}:{time:%Y-%m-%dT%H:%M:%S}"
        name = next(name for name in kept.alerts if stamp in name and name.startswith(file.parent.name))
        event = f"{mission} {number}" if str(number) not in PLACEHOLDERS else None
        check(
            kept,
            Read(
                file,
                name,
                event,
                time,
                place if source and place != (0.0, 0.0) else None,
                slots[11] / 1e4 if source and slots[11] > 0 else None,
            ),
        )
        read += 1
    assert read >= 6


def test_sky_maps(data_dir: Path, kept: Kept) -> None:
    read = 0
    for file in sorted((data_dir / "skymaps").glob("*.fit*")):
        data = file.read_bytes()
        with fits.open(io.BytesIO(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)) as opened:
            header = {**opened[0].header, **opened[1].header}
        name = str(header.get("OBJECT", "")).strip()
        if not name or name.upper() in {"0", "FULLSKY", "PARTIAL", "UNKNOWN"}:
            continue
        event = kept.event(name)
        own = [one for one in event["revisions"] if one["type"] == "skymap"]
        assert own, f"{file}: no map in {name}"
        assert any(one["map_path"] for one in own)
        if "TRIGTIME" not in header and header.get("DATE-OBS"):
            time = instant(str(header["DATE-OBS"]), str(header.get("TIMESYS", "utc")).lower())
            assert any(abs(one["time"] - time) < timedelta(microseconds=2) for one in own), file
        read += 1
    assert read >= 5


def test_circulars(data_dir: Path, kept: Kept) -> None:
    value = json.loads((data_dir / "gcn/json_schema_examples/gcn/circulars.example.json").read_text("utf-8"))
    event = kept.event(value["eventId"].replace(" ", ""))
    assert [(one["circular"], one["subject"]) for one in event["circulars"]] == [(str(value["circularId"]), value["subject"])]
    assert (event["time"], event["ra"], event["revision"]) == (None, None, 0)


def apart(rows: list[dict[str, Any]]) -> float:
    """How far apart the two notices farthest from each other are, in the sum of their errors; 0.1 degree if unknown."""
    placed = [row for row in rows if row["ra"] is not None]
    return max(
        (
            float(separation(one["ra"], one["dec"], other["ra"], other["dec"]))
            / sum(row["ra_dec_error"] or 0.1 for row in (one, other))
            for one, other in itertools.combinations(placed, 2)
        ),
        default=0.0,
    )


def test_no_event_is_of_two_sources(kept: Kept) -> None:
    with connection(kept.store) as conn:
        rows = [dict(row) for row in conn.execute(select(tables.event_notices)).mappings()]
    by_event: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_event[row["event_name"]].append(row)
    wide = {name for name, some in by_event.items() if apart(some) > 3.0}
    # The schema's example has made-up places; the other is a yearly test whose place was changed once.
    assert wide <= {"Fermi 745121685", "INTEGRAL 234"}
    assert {row["alert_tense"] for row in by_event["INTEGRAL 234"]} == {"test"}


@pytest.mark.parametrize(("name", "revisions"), [("MS181101abc", 5), ("MS190129f", 2), (MOCK, 59)])
def test_preliminary_retractions_retract(kept: Kept, name: str, revisions: int) -> None:
    event = kept.event(name)
    assert (event["state"], event["revision"], event["real"]) == ("retracted", revisions, False)


def test_one_burst_of_fermi_by_all_its_names(kept: Kept) -> None:
    """A map, which has the name, and a notice of 2018-01-16 with the number, whose light curve's address has the name."""
    event = kept.event("Fermi 537755817")
    assert {one["type"] for one in event["revisions"]} == {"skymap", "FERMI_GBM_GND_POS"}
    assert kept.event("bn180116026")["event_name"] == kept.event("GRB 180116026")["event_name"] == event["event_name"]
    assert "bn220107793" in kept.event("Fermi 220107793")["aliases"]


def test_a_number_that_overflowed_is_no_name(kept: Kept) -> None:
    (home,) = {home for name, home in kept.homes.items() if "2147483647" in name}
    assert home.startswith("ivo://nasa.gsfc.gcn/AMON#ICECUBE_HESE")
    with pytest.raises(NotFoundError):
        kept.event("IceCube 2147483647")


def test_the_messenger_of_a_mission_we_know_is_known(kept: Kept) -> None:
    unknown = {row["mission"] for rows in kept.alerts.values() for row in rows if row["messenger"] is None and row["mission"]}
    assert not {mission for mission in unknown if "/" not in mission} & {"Fermi", "MAXI", "Swift", "Boom", "IceCube", "LVK"}


def test_the_best_position_and_the_map_are_of_one_notice(kept: Kept) -> None:
    """GRB 221009A: a circle of UVOT's 0.4 arcsec, and BAT's of 3 arcmin."""
    event = kept.event("Swift 1126853")
    best = event["revisions"][event["map_revision"] - 1]
    assert (best["ra"], best["ra_dec_error"], event["ra_dec_error"]) == (event["ra"], 0.0001, 0.0001)
    assert event["area90"] < 1e-6


def test_a_stranger_moves_no_event(data_dir: Path, tmp_path: Path) -> None:
    """A real map in a gravitational wave's alert, a real burst, and VOEvents of anyone that name one and cite the other."""
    nuncius = install(tmp_path / "data")
    nuncius.config.unlink()
    alert = json.loads(igwn("S250201ab", "PRELIMINARY", "2025-02-01T00:01:00Z", time="2025-02-01T00:00:00Z"))
    found = data_dir / "skymaps" / "gwcelery__482782ee__MS220722v_bayestar.multiorder.fits"
    alert["event"]["skymap"] = base64.b64encode(found.read_bytes()).decode()
    (burst,) = data_dir.glob("gcn/voevent/nasa.gsfc.gcn_SWIFT__BAT_GRB_Pos/2023-12__BAT_GRB_Pos_1200562-870.xml")
    swift = "ivo://nasa.gsfc.gcn/SWIFT#BAT_GRB_Pos_1200562-870"
    stranger: dict[str, Any] = {"place": (10.0, 80.0, 0.01), "sent": "2025-02-01T01:00:00"}
    given = {
        "1.json": json.dumps(alert).encode(),
        "2.xml": burst.read_bytes(),
        "3.xml": voevent("ivo://stranger.example/x#2", GraceID="S250201ab", **stranger),
        "4.xml": voevent("ivo://stranger.example/x#1", cites=[("followup", swift)], **stranger),
    }
    for name, data in given.items():
        (tmp_path / name).write_bytes(data)
        nuncius.run("ingest", str(tmp_path / name))
    wave = nuncius.json("event", "show", "S250201ab", "--json")
    assert (wave["position"], wave["map_revision"], wave["latest_alert_id"][-3:]) == (None, 1, "x#2")
    assert wave["area90"] == pytest.approx(1262, rel=0.01)
    light = nuncius.json("event", "show", "Swift 1200562", "--json")
    said = read_voevent(burst)
    assert said is not None
    assert said.place == (light["position"]["ra"], light["position"]["dec"])
    assert light["map_revision"] == 1
    assert len(light["revisions"]) == 2
