"""Subscriptions and deliveries from the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.cli.app import run
from broker.settings import load
from broker.store import deliveries, subscriptions
from broker.store.engine import transaction
from broker.wiring.parts import open_parts
from tests.subscribers import SECRET, SETTINGS, receiver, written

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def nuncius(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command in a data folder of its own: exit status, output, errors."""
    data = tmp_path / "data"
    written(data, "bright", "young")
    (data / "nuncius.toml").write_text(SETTINGS)

    def command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(["--data", str(data), *arguments])
        told = capsys.readouterr()
        return status, told.out, told.err

    return command


def told(nuncius: Run, *arguments: str) -> Any:
    status, out, errors = nuncius(*arguments, "--json")
    assert status == 0, errors
    return json.loads(out)


def test_from_subscribing_to_a_test_that_arrives(nuncius: Run) -> None:
    with receiver() as here:
        status, out, errors = nuncius(
            "subscribe", "bright", "young", "--webhook", here.url(), "--secret", SECRET, "--only-first"
        )
        assert status == 0, errors
        ident = out.strip()
        assert re.fullmatch(r"sub_[0-9a-f]{12}", ident)
        assert SECRET in errors
        (one,) = told(nuncius, "subscriptions", "list")
        assert (one["id"], one["filters"], one["only_first"], one["state"]) == (ident, ["bright", "young"], True, "active")
        assert "secret" not in one
        came = told(nuncius, "subscriptions", "test", ident)
        assert (came["state"], came["status"]) == ("delivered", 204)
        assert here.ids() == [came["id"]]
    assert told(nuncius, "deliveries", "show", came["id"])["data"]["subscription_id"] == ident
    status, out, errors = nuncius("subscriptions", "test", ident)
    assert status == 1
    assert "no connection" in errors
    (failed,) = told(nuncius, "deliveries", "list", "--state", "failed")["items"]
    assert failed["subscription"] == ident
    assert told(nuncius, "subscriptions", "list")[0]["trouble"] == failed["error"]
    assert "failing" in nuncius("subscriptions", "list")[1]
    assert nuncius("deliveries", "replay", failed["id"])[0] == 0
    assert told(nuncius, "deliveries", "list", "--state", "pending")["items"][0]["id"] == failed["id"]
    assert nuncius("deliveries", "replay", failed["id"])[0] == 1  # it waits already


def test_all_that_can_be_asked_for(nuncius: Run) -> None:
    made = told(
        nuncius, "subscribe", "bright", "--webhook", "http://127.0.0.1:9/", "--format", "voevent", "--rate", "7",
        "--quiet", "22:00-07:00", "--zone", "Europe/Rome", "--updates", "retractions", "--note", "a [note]",
    )  # fmt: skip
    assert made["secret"].startswith("whsec_")
    assert made["target"] == {"url": "http://127.0.0.1:9/", "format": "voevent"}
    assert made["quiet"] == {"start": "22:00", "end": "07:00", "zone": "Europe/Rome"}
    assert (made["rate"], made["updates"], made["note"]) == (7, "retractions", "a [note]")
    status, out, _ = nuncius("subscriptions", "show", made["id"])
    assert status == 0
    assert "Europe/Rome" in out
    assert "a [note]" in out
    assert made["secret"] not in out
    for verb, state in (("pause", "paused"), ("resume", "active")):
        assert nuncius("subscriptions", verb, made["id"])[0] == 0
        assert told(nuncius, "subscriptions", "show", made["id"])["state"] == state
    assert nuncius("subscriptions", "list")[0] == 0
    assert nuncius("subscriptions", "remove", made["id"])[0] == 0
    assert told(nuncius, "subscriptions", "list") == []
    assert [one["state"] for one in told(nuncius, "subscriptions", "list", "--removed")] == ["removed"]


def test_what_there_was_no_room_for_is_told(nuncius: Run, tmp_path: Path) -> None:
    made = told(nuncius, "subscribe", "bright", "--webhook", "http://127.0.0.1:9/")
    assert "left out" not in nuncius("subscriptions", "list")[1]
    with open_parts(load(tmp_path / "data" / "nuncius.toml"), tmp_path / "data") as parts:
        subscriptions.leave_out(parts.store, {made["id"]: 1234})
    _, out, errors = nuncius("subscriptions", "list")
    assert re.search(r"1,234 left out, last 20\d\d-", " ".join(out.split()))
    assert "deliver.most_waiting" in errors
    assert told(nuncius, "subscriptions", "show", made["id"])["left_out"] == 1234


def test_tokens_of_messages_are_not_shown(nuncius: Run) -> None:
    address = "tgram://123456789:abcdefg_hijklmnop/12315544/"
    made = told(nuncius, "subscribe", "bright", "--message", address)
    for shown in (json.dumps(made), nuncius("subscriptions", "list")[1], nuncius("subscriptions", "show", made["id"])[1]):
        assert "abcdefg" not in shown
        assert "tgram" in shown


def test_tokens_in_the_path_of_a_webhook_are_its_owners(nuncius: Run) -> None:
    assert nuncius("user", "add", "ann", "--no-password")[0] == 0
    url = "http://127.0.0.1:9/services/token"
    hers = told(nuncius, "subscribe", "bright", "--webhook", url, "--owner", "ann")
    ours = told(nuncius, "subscribe", "bright", "--webhook", url)
    for one, seen in ((hers, "http://127.0.0.1:9/***"), (ours, url)):
        assert told(nuncius, "subscriptions", "show", one["id"])["target"]["url"] == seen


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["bright"], 2, "name one channel"),
        (["bright", "--webhook", "http://127.0.0.1:9/", "--kafka", "ann"], 2, "name one channel"),
        (["brigt", "--webhook", "http://127.0.0.1:9/"], 1, "did you mean bright"),
        (["bright", "--webhook", "http://10.0.0.1/"], 2, "deliver.allow"),
        (["bright", "--webhook", "ftp://127.0.0.1/"], 2, "https://"),
        (["bright", "--webhook", "http://127.0.0.1:9/", "--secret", "hush"], 2, "whsec_"),
        (["bright", "--webhook", "http://127.0.0.1:9/", "--secret", ""], 2, "--secret is empty"),
        (["bright", "--webhook", "http://127.0.0.1:9/", "--format", "xml"], 2, "voevent"),
        (["bright", "--webhook", "http://127.0.0.1:9/", "--quiet", "22-7-1"], 2, "22:00-07:00"),
        (["bright", "--webhook", "http://127.0.0.1:9/", "--rate", "0"], 2, "rate 0"),
        (["bright", "--webhook", "http://127.0.0.1:9/", "--owner", "nobody-here"], 1, "nobody-here"),
        (["bright", "--message", "nonsense"], 2, "no messages go to"),
        (["bright", "--message", "json://127.0.0.1/", "--secret", SECRET], 2, "of webhooks"),
        (["bright", "--kafka", "ann"], 2, "embedded log"),
    ],
)
def test_what_cannot_be_is_told(nuncius: Run, arguments: list[str], status: int, says: str) -> None:
    code, _, errors = nuncius("subscribe", *arguments)
    assert code == status, errors
    assert says in " ".join(errors.split())
    assert told(nuncius, "subscriptions", "list") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["subscriptions", "show", "sub_000000000000"], ["subscriptions", "test", "sub_000000000000"],
        ["subscriptions", "remove", "sub_000000000000"], ["deliveries", "show", "dlv_0"], ["deliveries", "replay", "dlv_0"],
        ["deliveries", "list", "--subscription", "sub_000000000000"],
    ],
)  # fmt: skip
def test_what_is_not_there(nuncius: Run, arguments: list[str]) -> None:
    assert told(nuncius, "subscriptions", "list") == []
    status, _, errors = nuncius(*arguments)
    assert status == 1
    assert "no subscription" in errors or "no delivery" in errors


def test_reading_makes_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (["subscriptions", "list"], ["deliveries", "list"], ["subscriptions", "test", "sub_0"]):
        assert run(["--data", str(tmp_path / "none"), *verb]) == 2
        assert "nothing is kept" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_pages(nuncius: Run, tmp_path: Path) -> None:
    made = told(nuncius, "subscribe", "bright", "--webhook", "http://127.0.0.1:9/")
    data = tmp_path / "data"
    with open_parts(load(data / "nuncius.toml"), data) as parts:
        ids = {deliveries.add_test(parts.store, made["id"]).id for _ in range(5)}
        with transaction(parts.store) as conn:
            conn.exec_driver_sql("UPDATE deliveries SET error = 'a [/] b'")
    found, after = set(), []
    while True:
        page = told(nuncius, "deliveries", "list", "--limit", "2", *after)
        found |= {one["id"] for one in page["items"]}
        if page["next"] is None:
            break
        after = ["--after", page["next"]]
    assert found == ids
    status, out, errors = nuncius("deliveries", "list", "--limit", "2")
    assert status == 0
    assert "[/]" in out
    assert "--after" in errors
