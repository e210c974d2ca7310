"""What is reported to Nuncius, Treasure Map and TNS, by the program as it is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest

from broker.simulate import lvk
from broker.simulate.night import make_night
from consumers.api import Api
from consumers.errors import RequestError
from consumers.report import tns, treasuremap
from consumers.report.reading import read
from tests.consumers.strangers import Stranger, stranger
from tests.running import ROOT, install, wait_for
from tests.services import free_port

START = datetime(2024, 4, 22, 4, tzinfo=UTC)
SECRETS = {"TREASUREMAP_TOKEN": "tm-secret", "TNS_API_KEY": "tns-secret", "TNS_BOT_ID": "42", "TNS_BOT_NAME": "Bot"}
PLAN = {
    "schema": "nuncius.schedule/1",
    "site": {"name": "lapalma", "longitude": -17.9, "latitude": 28.8, "height": 2300},
    "field": {"width": 2.0, "height": 1.0, "circle": False},
    "tiles": [
        {
            "number": 1,
            "field_id": 7,
            "ra": 10.0,
            "dec": 5.0,
            "vertices": [[11.0, 5.5], [9.0, 5.5], [9.0, 4.5], [11.0, 4.5]],
            "observations": [
                {
                    "number": 1,
                    "start": "2024-04-22T20:00:00Z",
                    "end": "2024-04-22T20:01:00Z",
                    "filter": "g",
                    "exposure": 60.0,
                    "visit": 1,
                },
                {
                    "number": 3,
                    "start": "2024-04-22T20:30:00Z",
                    "end": "2024-04-22T20:31:00Z",
                    "filter": "r",
                    "exposure": 60.0,
                    "visit": 2,
                },
            ],
        },
        {
            "number": 2,
            "field_id": 8,
            "ra": 12.0,
            "dec": 5.0,
            "vertices": [[13.0, 5.5], [11.0, 5.5], [11.0, 4.5], [13.0, 4.5]],
            "observations": [
                {
                    "number": 2,
                    "start": "2024-04-22T20:10:00Z",
                    "end": "2024-04-22T20:11:00Z",
                    "filter": "g",
                    "exposure": 60.0,
                    "visit": 1,
                }
            ],
        },
    ],
}


class Here:
    """A running broker with a night in it."""

    def __init__(self, url: str, event: str, alert: dict[str, Any]) -> None:
        self.url, self.event, self.alert = url, event, alert

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    folder = tmp_path_factory.mktemp("report")
    (folder / "in").mkdir()
    made = make_night(7, START, 900.0, {"ztf": 0.2}, history=3, cutouts=False)
    mock = list(lvk.packets(5, 1, START, mock=True))
    for packet in [*made.packets(), *mock]:
        (folder / "in" / f"{packet.name}{packet.suffix}").write_bytes(packet.data)
    nuncius = install(folder / "data")
    nuncius.run("ingest", str(folder / "in"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with nuncius.running("serve", "--port", str(port)):
        wait_for(lambda: _answers(url), 60, "nuncius serve does not answer")
        alerts = httpx.get(f"{url}/api/v1/alerts?stream=ztf&limit=50", timeout=20).json()["items"]
        name = next(truth.name for truth in made.truth if truth.kind == "gw")
        yield Here(url, name, alerts[0])


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v1/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def report(*arguments: str, status: int = 0, **environment: str) -> tuple[str, str]:
    """Run the program: what it says on standard output and on standard error."""
    clean = {name: value for name, value in os.environ.items() if name not in SECRETS}
    command = [sys.executable, "-m", "consumers.report", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env=clean | environment)
    assert done.returncode == status, done.stdout[-1000:] + done.stderr[-2000:]
    for secret in ("tm-secret", "tns-secret"):
        assert secret not in done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def plan(tmp_path: Path) -> str:
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    return str(tmp_path / "plan.json")


class TestObservations:
    def test_a_plan_is_told_and_then_done(self, here: Here, plan: str) -> None:
        to = ("observations", here.event, plan, "--api", here.url)
        shown, said = report(*to, "--status", "planned")
        assert [one["status"] for one in json.loads(shown)["observations"]] == ["planned"] * 3
        assert "dry run: nothing was sent" in said
        assert [one["status"] for one in json.loads(report(*to)[0])["observations"]] == ["planned"] * 3  # unless said otherwise
        assert here.get(f"events/{here.event}/observations")["items"] == []
        done = json.loads(report(*to, "--status", "planned", "--live", "--json")[0])
        assert done == {"event": here.event, "new": 3, "changed": 0, "unchanged": 0}
        assert here.get(f"events/{here.event}/coverage?planned=true")["observations"] == 3
        assert here.get(f"events/{here.event}/coverage")["observations"] == 0
        night = (*to, "--status", "completed", "--depth", "21.5", "--telescope", "LT", "--live", "--json")
        assert json.loads(report(*night, "--only", "1", "--only", "2")[0])["changed"] == 2
        assert json.loads(report(*night, "--only", "1", "--only", "2")[0])["unchanged"] == 2
        assert json.loads(report(*to, "--status", "cancelled", "--only", "3", "--live", "--json")[0])["changed"] == 1
        kept = here.get(f"events/{here.event}/observations")["items"]
        assert [(one["status"], one["band"], one["depth"], one["telescope"]) for one in kept] == [
            ("completed", "g", 21.5, "LT"),
            ("completed", "g", 21.5, "LT"),
            ("cancelled", "r", None, "lapalma"),
        ]
        assert kept[0]["footprint"] == {"type": "polygon", "vertices": PLAN["tiles"][0]["vertices"]}  # type: ignore[index]
        assert kept[0]["time"] == "2024-04-22T20:00:00.000000Z"
        assert here.get(f"events/{here.event}/coverage")["area"] == pytest.approx(4.0, rel=0.01)
        assert report(*to, "--status", "planned", "--live", status=2)[1].count("cannot become planned") == 1

    def test_what_has_not_begun_is_not_completed(self, here: Here, tmp_path: Path) -> None:
        soon = datetime.now(UTC) + timedelta(minutes=30)
        table = tmp_path / "tonight.csv"
        table.write_text(f"id,ra,dec,time\nt/1,10,5,{soon.isoformat()}\n")
        to = ("observations", here.event, str(table), "--telescope", "Tonight's", "--api", here.url)
        for more in ((), ("--live",)):
            assert "cannot be completed yet" in report(*to, *more, status=2)[1].replace("\n", " ")
        assert json.loads(report(*to, "--status", "planned", "--live", "--json")[0])["new"] == 1
        report(*to, "--status", "cancelled", "--live")
        ahead = datetime.now(UTC) + timedelta(minutes=2)  # a clock of theirs
        table.write_text(f"id,ra,dec,time\nt/2,10,5,{ahead.isoformat()}\n")
        assert json.loads(report(*to)[0])["observations"][0]["status"] == "completed"

    def test_a_table(self, here: Here, tmp_path: Path) -> None:
        table = tmp_path / "night.csv"
        table.write_text(
            "id,ra,dec,time,filter,exposure_time\nn1/1,10,5,2024-04-22T21:00:00,i,30\nn1/2,10.5,5,2024-04-22T21:01:00,i,30\n"
        )
        said = ("--telescope", "Seestar", "--radius", "0.6", "--depth", "17", "--live", "--json", "--api", here.url)
        assert json.loads(report("observations", here.event, str(table), *said)[0])["new"] == 2
        kept = [one for one in here.get(f"events/{here.event}/observations")["items"] if one["telescope"] == "Seestar"]
        assert [(one["id"], one["band"], one["exposure"], one["footprint"]["radius"]) for one in kept] == [
            ("n1/1", "i", 30, 0.6),
            ("n1/2", "i", 30, 0.6),
        ]

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("", "holds no observations"),
            ("[]", "holds no observations"),
            ("{", "is no JSON"),
            ('{"observations": [{"ra": 1}]}', "no dec, time, telescope"),
            ('[{"ra": "x", "dec": 1, "time": "2026-01-01", "telescope": "T"}]', "which is no number"),
            (json.dumps(PLAN | {"tiles": [], "reason": "never up"}), "never up"),
            (json.dumps({"schema": "nuncius.schedule/1", "site": {"name": "x"}}), "lacks 'field'"),
        ],
    )
    def test_a_file_that_will_not_do(self, tmp_path: Path, content: str, said: str) -> None:
        file = tmp_path / "file.json"
        file.write_text(content)
        with pytest.raises(RequestError, match=said):
            read(file, {})

    def test_what_nuncius_refuses_is_told(self, here: Here, plan: str) -> None:
        to = ("observations", "nobody", plan, "--live", "--api", here.url)
        assert "no event 'nobody'" in report(*to, status=2)[1].replace("\n", " ")
        nowhere = f"http://127.0.0.1:{free_port()}"
        assert "no answer from" in report("observations", here.event, plan, "--live", "--api", nowhere, status=1)[1]
        assert "--api" in report("observations", here.event, plan, "--live", "--api", "nowhere", status=2)[1]


def test_a_classification(here: Here) -> None:
    to = ("classification", here.alert["alert_id"], "--api", here.url)
    said = ("--class", "SN Ia=0.93", "--class", "AGN", "--classifier", "me", "--version", "1", "--taxonomy", "TNS")
    shown = json.loads(report(*to, *said)[0])
    assert shown["classifications"][0] == {
        "classification": "SN Ia", "probability": 0.93, "classifier": "me", "version": "1", "taxonomy": "TNS",
    }  # fmt: skip
    assert here.get(f"alerts/{here.alert['alert_id']}")["classifications"] == []
    assert "SN Ia" in report(*to, *said, "--live")[0]
    kept = here.get(f"alerts/{here.alert['alert_id']}")["classifications"]
    assert [(one["classification"], one["probability"]) for one in kept] == [("SN Ia", 0.93), ("AGN", None)]
    report(*to, "--class", "SN Ia=3", "--live", status=2)


class TestTreasureMap:
    PATH = "/api/v1/pointings"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def observed(cls, here: Here) -> None:
        common = {"telescope": "Map", "time": "2024-04-22T22:00:00Z", "footprint": {"type": "circle", "radius": 0.5}}
        sent = [
            {**common, "id": "tm/1", "ra": 1.0, "dec": 2.0, "band": "r", "depth": 21.0},
            {**common, "id": "tm/2", "ra": 3.0, "dec": 4.0, "band": "y", "depth": 20.0, "depth_unit": "vega_mag"},
            {**common, "id": "tm/3", "ra": 5.0, "dec": 6.0, "status": "planned"},
            {**common, "id": "tm/4", "ra": 7.0, "dec": 8.0},
            {**common, "id": "tm/5", "ra": 7.0, "dec": 8.0, "status": "cancelled"},
        ]
        answer = httpx.post(f"{here.url}/api/v1/events/{here.event}/observations", json={"observations": sent}, timeout=20)
        assert answer.status_code == 201, answer.text

    def arguments(self, here: Here, *more: str) -> tuple[str, ...]:
        return ("treasuremap", here.event, "--instrument", "47", "--telescope", "Map", "--api", here.url, *more)

    def test_pointings(self, here: Here) -> None:
        shown, said = report(*self.arguments(here))
        body = json.loads(shown)
        body["pointings"].sort(key=lambda one: one["ra"])  # all of one instant
        assert (body["graceid"], body["request_doi"]) == (here.event, False)
        assert body["pointings"] == [
            {
                "ra": 1.0, "dec": 2.0, "instrumentid": 47, "time": "2024-04-22T22:00:00.000000", "status": "completed",
                "pos_angle": 0.0, "band": "r", "depth": 21.0, "depth_unit": "ab_mag",
            },
            {
                "ra": 3.0, "dec": 4.0, "instrumentid": 47, "time": "2024-04-22T22:00:00.000000", "status": "completed",
                "pos_angle": 0.0, "band": "other", "depth": 20.0, "depth_unit": "vega_mag",
            },
            {
                "ra": 5.0, "dec": 6.0, "instrumentid": 47, "time": "2024-04-22T22:00:00.000000", "status": "planned",
                "pos_angle": 0.0,
            },
        ]  # fmt: skip
        assert "tm/4 is completed and has no band and no depth" in said.replace("\n", " ")
        assert {one["band"] for one in body["pointings"] if "band" in one} <= set(treasuremap.BANDS)

    def test_are_sent_with_the_token_once_asked_for(self, here: Here) -> None:
        taken = {
            "pointing_ids": [11, 12],
            "ERRORS": [["Object: {}", ["Pointing already submitted"]]],
            "WARNINGS": [],
            "DOI": None,
        }
        soon = (429, {"Retry-After": "0"}, {"detail": "too soon"})
        with stranger({self.PATH: [soon, soon, (200, {}, taken)]}) as there:
            to = self.arguments(here, "--url", there.url, "--live", "--json")
            assert "TREASUREMAP_TOKEN is not set" in report(*to, status=2)[1]
            assert there.asked == []
            done, said = report(*to, **SECRETS)
            assert said.count("asks for patience") == 2
        assert json.loads(done)["pointing_ids"] == [11, 12]
        assert (json.loads(done)["known"], json.loads(done)["errors"]) == (1, [])
        sent = there.to(self.PATH)
        assert len(sent) == 3
        assert all(headers["api_token"] == "tm-secret" for headers, _ in sent)
        assert all(body == sent[0][1] and len(body["pointings"]) == 3 for _, body in sent)

    def test_what_it_refuses_is_told(self, here: Here) -> None:
        refused = {"pointing_ids": [], "ERRORS": [["Object: {}", ["Invalid instrument"]]], "WARNINGS": []}
        with stranger({self.PATH: [(200, {}, refused), (401, {}, {"detail": "Invalid API token"}), (500, {}, {})]}) as there:
            to = self.arguments(here, "--url", there.url, "--live")
            assert "Invalid instrument" in report(*to, status=1, **SECRETS)[1]
            assert "answers 401" in report(*to, status=2, **SECRETS)[1]
            assert "answers 500" in report(*to, status=1, **SECRETS)[1]

    def test_what_others_observed_is_not_sent_as_ones_own(self, here: Here) -> None:
        other = {"id": "tm/6", "telescope": "Other", "time": "2024-04-22T22:00:00Z", "ra": 1.0, "dec": 1.0, "status": "planned"}
        answer = httpx.post(f"{here.url}/api/v1/events/{here.event}/observations", json={"observations": [other]}, timeout=20)
        assert answer.status_code == 201, answer.text
        said = report("treasuremap", here.event, "--instrument", "47", "--api", here.url, status=2)[1].replace("\n", " ")
        assert "more than one telescope" in said
        assert "--telescope" in said
        assert len(json.loads(report(*self.arguments(here))[0])["pointings"]) == 3

    def test_instruments_of_one_telescope_are_chosen_from(self, here: Here) -> None:
        common = {"telescope": "Two", "time": "2024-04-22T22:00:00Z", "ra": 1.0, "dec": 1.0, "status": "planned"}
        named = [{**common, "id": f"two/{name}", "instrument": name or None} for name in ("Wide", "Narrow", "")]
        answer = httpx.post(f"{here.url}/api/v1/events/{here.event}/observations", json={"observations": named}, timeout=20)
        assert answer.status_code == 201, answer.text
        to = ("treasuremap", here.event, "--instrument", "47", "--telescope", "Two", "--api", here.url)
        said = report(*to, status=2)[1].replace("\n", " ")
        assert "more than one instrument (Narrow, Wide, none named)" in said
        assert "--only-instrument" in said
        for name in ("Wide", ""):
            assert len(json.loads(report(*to, "--only-instrument", name)[0])["pointings"]) == 1

    def test_of_gravitational_waves_only(self, here: Here) -> None:
        burst = next((one["name"] for one in here.get("events?messenger=EM")["items"]), None)
        assert burst is not None
        said = report("treasuremap", burst, "--instrument", "47", "--api", here.url, status=2)[1]
        assert "is no gravitational wave" in said.replace("\n", " ")


def drawn(width: float, height: float, ra: float, dec: float, pos_angle: float) -> np.ndarray:
    """Corners of a camera as Treasure Map draws it: turned about the x axis, lifted to the declination, then about the pole."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.tan(np.radians([width / 2, height / 2]))
    vectors = np.column_stack([np.ones(4), corners])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    turn, up, round_ = np.radians([-pos_angle, dec, -ra])
    about_x = [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    about_y = [[np.cos(up), 0, np.sin(up)], [0, 1, 0], [-np.sin(up), 0, np.cos(up)]]
    about_z = [[np.cos(round_), -np.sin(round_), 0], [np.sin(round_), np.cos(round_), 0], [0, 0, 1]]
    x, y, z = (vectors @ np.array(about_x) @ np.array(about_y) @ np.array(about_z)).T
    return np.column_stack([np.degrees(np.arctan2(y, x)), np.degrees(np.arcsin(z))])


class TestPositionAngle:
    BARE: ClassVar = {"id": "x/1", "status": "planned", "time": "2024-04-22T22:00:00Z", "telescope": "T"}

    def made(self, ra: float, dec: float, vertices: Any, **more: Any) -> Any:
        shape = {"type": "polygon", "vertices": vertices}
        return treasuremap.payloads("S1", [{**self.BARE, "ra": ra, "dec": dec, "footprint": shape}], 1, **more)

    @pytest.mark.parametrize("angle", [0.0, 12.5, -44.0, 44.0])
    @pytest.mark.parametrize(("ra", "dec"), [(10.0, 5.0), (0.1, -70.0), (200.0, 88.0)])
    @pytest.mark.parametrize("first", range(4))
    def test_is_by_which_treasure_map_draws_the_footprint(self, angle: float, ra: float, dec: float, first: int) -> None:
        corners = np.roll(drawn(2.0, 1.0, ra, dec, angle), first, axis=0)
        for vertices in (corners.tolist(), corners[::-1].tolist(), [*corners.tolist(), corners[0].tolist()]):
            ((body,), left_out) = self.made(ra, dec, vertices)
            assert left_out == []
            assert body["pointings"][0]["pos_angle"] == pytest.approx(angle, abs=1e-3)

    def test_of_a_box_of_coordinates_is_north(self) -> None:
        ((body,), _) = self.made(10.0, 60.0, [[8.0, 59.0], [12.0, 59.0], [12.0, 61.0], [8.0, 61.0]])
        assert body["pointings"][0]["pos_angle"] == pytest.approx(0.0, abs=1e-3)

    @pytest.mark.parametrize(
        "vertices",
        [
            [[9, 4], [11, 4], [10, 6]],
            [[9, 4], [11, 4], [12, 6], [10, 6]],
            [[9, 4], [10, 3], [11, 4], [11, 6], [9, 6]],
            [[9, 4], [11, 4], [11, 6], [190, -6]],
        ],
    )
    def test_of_what_is_no_rectangle_is_asked_for(self, vertices: Any) -> None:
        bodies, left_out = self.made(10.0, 5.0, vertices)
        assert bodies == []
        assert "x/1 has a footprint that is no rectangle" in left_out[0]
        assert "--pos-angle" in left_out[0]
        ((body,), left_out) = self.made(10.0, 5.0, vertices, pos_angle=30.0)
        assert (body["pointings"][0]["pos_angle"], left_out) == (30.0, [])


class TestTns:
    SET, GET = "/api/set/bulk-report", "/api/get/bulk-report-reply"
    SAID = ("--reporter", "A. Observer (Here)", "--group", "135", "--source", "48")
    GOOD = (200, {}, {"id_code": 200, "data": {"report_id": 777}})
    NAMED: ClassVar = {"id_code": 200, "data": {"feedback": {"at_report": [{"100": {"objname": "2026abc", "prefix": "AT"}}]}}}

    def arguments(self, here: Here, *more: str) -> tuple[str, ...]:
        return ("tns", here.alert["alert_id"], *self.SAID, "--archive", "2", "--api", here.url, *more)

    def test_a_report(self, here: Here) -> None:
        shown, said = report(*self.arguments(here, "--remarks", "bright"))
        assert "sandbox" in said
        made = json.loads(shown)["at_report"]["0"]
        points = here.get(f"objects/{here.alert['object_id']}/lightcurve")["points"]
        first = min((one for one in points if one["kind"] == "detection"), key=lambda one: one["time"])
        assert float(made["ra"]["value"]) == pytest.approx(here.alert["ra"], abs=1e-6)
        assert float(made["dec"]["value"]) == pytest.approx(here.alert["dec"], abs=1e-6)
        told = {
            name: made[name]
            for name in ("reporting_groupid", "data_source_groupid", "reporter", "at_type", "internal_name", "remarks")
        }
        assert told == {
            "reporting_groupid": "135", "data_source_groupid": "48", "reporter": "A. Observer (Here)", "at_type": "1",
            "internal_name": here.alert["object_id"], "remarks": "bright",
        }  # fmt: skip
        discovery = made["photometry"]["photometry_group"]["0"]
        assert float(discovery["flux"]) == pytest.approx(first["mag"], abs=1e-3)
        assert (discovery["flux_unitid"], discovery["instrumentid"]) == ("1", "196")
        assert discovery["filterid"] == {"g": "110", "r": "111", "i": "112"}[first["band"]]
        assert discovery["obsdate"] == made["discovery_datetime"]
        when = datetime.strptime(made["discovery_datetime"] + "000", "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
        assert (when.timestamp() / 86400 + 40587.0) == pytest.approx(first["time"], abs=1e-7)

    def test_is_sent_and_answered(self, here: Here) -> None:
        soon = (429, {"x-rate-limit-reset": "0"}, {})
        answers = {self.SET: [soon, self.GOOD], self.GET: [(404, {}, {}), soon, (200, {}, self.NAMED)]}
        with stranger(answers) as there:
            to = self.arguments(here, "--url", there.url, "--live", "--json")
            assert "TNS_API_KEY is not set" in report(*to, status=2)[1].replace("\n", " ")
            done, said = report(*to, **SECRETS)
        assert json.loads(done) == {"report_id": "777", "name": "AT 2026abc", "feedback": self.NAMED["data"]["feedback"]}
        assert said.count("asks for patience") == 2
        (_, first), (headers, body) = there.to(self.SET)
        assert first == body
        assert headers["user-agent"] == 'tns_marker{"tns_id": 42, "type": "bot", "name": "Bot"}'
        assert body["api_key"] == "tns-secret"
        assert json.loads(body["data"]) == json.loads(report(*self.arguments(here))[0])
        assert {asked["report_id"] for _, asked in there.to(self.GET)} == {"777"}
        assert len(there.to(self.GET)) == 3

    def test_what_it_refuses_is_told(self, here: Here) -> None:
        refusal = {"data": {"feedback": {"at_report": [{"5": {"message": "An identical AT report already exists"}}]}}}
        with stranger({self.SET: [self.GOOD, (403, {}, {}), (500, {}, {})], self.GET: [(400, {}, refusal)]}) as there:
            to = self.arguments(here, "--url", there.url, "--live")
            assert "identical AT report" in report(*to, status=2, **SECRETS)[1].replace("\n", " ")
            assert "answers 403" in report(*to, status=2, **SECRETS)[1]
            assert "answers 500" in report(*to, status=1, **SECRETS)[1]
            assert len(there.to(self.SET)) == 3  # what may have been taken is not sent again

    def test_what_it_lacks_is_told(self, here: Here) -> None:
        bare = ("tns", here.alert["alert_id"], "--api", here.url)
        assert "no reporter and no group" in report(*bare, status=2)[1].replace("\n", " ")

    def test_credentials_of_a_file_that_others_read_are_refused(self, here: Here, tmp_path: Path) -> None:
        config = tmp_path / "report.toml"
        config.write_text(
            '[tns]\nreporter = "B"\ngroup = 1\napi_key = "tns-secret"\nbot_id = 42\nbot_name = "Bot"\narchive = 2\n'
        )
        config.chmod(0o644)
        with stranger({self.SET: [self.GOOD], self.GET: [(200, {}, self.NAMED)]}) as there:
            to = ("tns", here.alert["alert_id"], "--config", str(config), "--api", here.url, "--url", there.url, "--live")
            assert "others can read it" in report(*to, status=2)[1].replace("\n", " ")
            assert there.asked == []
            config.chmod(0o600)
            assert "AT 2026abc" in report(*to)[1]
        assert there.to(self.SET)[0][1]["api_key"] == "tns-secret"


def point(time: float, mag: float, kind: str = "detection", band: str = "g") -> dict[str, Any]:
    return {"time": time, "mag": mag, "mag_err": 0.1, "kind": kind, "band": band}


class TestAtReport:
    ALERT: ClassVar = {"alert_id": "ztf:1", "stream": "ztf", "object_id": "ZTF26a", "ra": 10.0, "dec": -5.0}
    SAID = tns.reporting({"reporter": "A", "group": 7}, {})

    def made(self, points: list[dict[str, Any]], said: tns.Reporting = SAID, **alert: Any) -> Any:
        return tns.at_report({**self.ALERT, **alert}, points, said)["at_report"]["0"]

    def test_the_last_limit_before_the_discovery_is_the_non_detection(self) -> None:
        points = [
            point(60001, 20.0, "limit"),
            point(60002, 20.5, "limit", "r"),
            point(60003, 19),
            point(60004, 20, "limit"),
            point(60009, 18, band="r"),
        ]
        made = self.made(points)
        assert made["non_detection"] == {
            "obsdate": "2023-02-27 00:00:00.000", "limiting_flux": "20.5000", "flux_unitid": "1", "filterid": "111",
            "instrumentid": "196",
        }  # fmt: skip
        assert made["discovery_datetime"] == "2023-02-28 00:00:00.000"
        group = made["photometry"]["photometry_group"]
        assert [one["flux"] for one in group.values()] == ["19.0000", "18.0000"]

    def test_what_is_fainter_than_the_reference_is_no_detection(self) -> None:
        faded = [point(59990, 17) | {"positive": False}, point(60012, 17) | {"positive": False}]
        found = [point(60001, 20.0, "limit"), point(60003, 19) | {"positive": True}, point(60009, 18)]
        made = self.made([*faded, *found])
        assert made == self.made(found)
        assert made["discovery_datetime"] == "2023-02-28 00:00:00.000"
        with pytest.raises(RequestError, match="no detection"):
            self.made(faded)

    def test_an_archive_for_want_of_a_limit(self) -> None:
        with pytest.raises(RequestError, match="no limit before its first detection"):
            self.made([point(60003, 19)])
        with pytest.raises(RequestError, match="--archive-remarks"):
            self.made([point(60003, 19)], tns.reporting({"reporter": "A", "group": 7, "archive": 0}, {}))
        made = self.made([point(60003, 19)], tns.reporting({"reporter": "A", "group": 7, "archive": 2}, {}))
        assert made["non_detection"]["archiveid"] == "2"

    def test_what_cannot_be_reported(self) -> None:
        with pytest.raises(RequestError, match="no detection"):
            self.made([point(60003, 19, "limit")])
        with pytest.raises(RequestError, match="no position"):
            self.made([point(60003, 19)], ra=None)
        with pytest.raises(RequestError, match=r"tns\.filters\.ztf"):
            self.made([point(60002, 20, "limit"), point(60003, 19, band="w")])
        with pytest.raises(RequestError, match="instrument of 'mine'"):
            self.made([point(60002, 20, "limit"), point(60003, 19)], stream="mine")

    def test_numbers_and_names_of_a_file(self) -> None:
        table = {
            "filters": {"mine": {"g": 21}},
            "instruments": {"mine": 99},
            "names": {"data_source_groupid": "discovery_data_sourceid"},
        }
        said = tns.reporting({"reporter": "A", "group": 7}, table)
        made = self.made([point(60002, 20, "limit"), point(60003, 19)], said, stream="mine")
        assert (made["non_detection"]["filterid"], made["non_detection"]["instrumentid"]) == ("21", "99")
        assert made["discovery_data_sourceid"] == "7"
        assert "data_source_groupid" not in made


def test_what_is_sent_to_an_address_that_moved_is_not_asked_for_instead() -> None:
    path = "/api/v1/events/S1/observations"
    with stranger({path: [(301, {"Location": "/elsewhere"}, {})], "/elsewhere": [(200, {}, {"event": "S1"})]}) as there:
        with Api(there.url) as nuncius, pytest.raises(RequestError, match="answers 301"):
            nuncius.post("events", "S1", "observations", body={"observations": []})
        assert there.to("/elsewhere") == []


def test_a_stranger_tells_what_it_was_asked() -> None:
    with stranger({"/x": [(200, {}, {"a": 1})]}) as there:
        assert isinstance(there, Stranger)
        assert httpx.post(f"{there.url}/x", json={"b": 2}, timeout=5).json() == {"a": 1}
        assert httpx.post(f"{there.url}/y", timeout=5).status_code == 404
    assert there.to("/x")[0][1] == {"b": 2}


@pytest.mark.parametrize("verb", ["treasuremap", "tns"])
def test_help_names_the_tables_of_its_file(verb):
    done = subprocess.run(
        [sys.executable, "-m", "consumers.report", verb, "--help"], capture_output=True, text=True, check=True
    )
    assert "[treasuremap] and [tns]" in " ".join(done.stdout.replace("│", " ").split())
