"""Accounts, teams and tokens from the command line."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from broker.cli.app import run
from broker.settings import Settings, load
from broker.store import people, tokens
from broker.store.engine import close, open_store
from broker.wiring.people import auth_of

PASSWORD = "a sky full of stars"  # of nobody


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "data")


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_an_account_its_team_and_its_token(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = ["--data", folder]
    typed(monkeypatch, f"{PASSWORD}\n")
    assert run([*verb, "user", "add", "hypatia", "--email", "h@example.org", "--display", "Hypatia", "--admin"]) == 0
    assert run([*verb, "user", "add", "robot", "--no-password"]) == 0
    assert run([*verb, "user", "add", "theon", "--oidc-subject", "https://id.example.org 7"]) == 0
    assert run([*verb, "team", "add", "moon", "--title", "The [Moon]", "--manager", "hypatia"]) == 0
    assert run([*verb, "team", "join", "moon", "robot"]) == 0
    capsys.readouterr()
    assert run([*verb, "token", "add", "robot", "--scope", "read", "--scope", "write:filters", "--note", "laptop"]) == 0
    told = capsys.readouterr()
    secret = told.out.strip()
    assert secret not in told.err
    store = open_store(f"sqlite:///{folder}/nuncius.sqlite")
    found = tokens.holder(store, secret)
    assert found is not None
    assert (found.user, found.scopes, found.teams) == ("robot", {"read", "write:filters"}, {"moon": "member"})
    assert people.log_in(store, "hypatia", PASSWORD) is not None
    assert run([*verb, "user", "list", "--json"]) == 0
    listed = {user["name"]: user for user in json.loads(capsys.readouterr().out)}
    assert [(name, user["admin"], user["has_password"]) for name, user in listed.items()] == [
        ("hypatia", True, True),
        ("robot", False, False),
        ("theon", False, False),
    ]
    assert run([*verb, "team", "list"]) == 0
    assert "The [Moon]" in capsys.readouterr().out
    assert run([*verb, "team", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["members"] == {"hypatia": "manager", "robot": "member"}
    assert run([*verb, "token", "list", "robot", "--json"]) == 0
    (token,) = json.loads(capsys.readouterr().out)
    assert (token["id"], token["note"]) == (found.token, "laptop")
    for shown in (["user", "list"], ["token", "list"]):
        assert run([*verb, *shown]) == 0
        said = capsys.readouterr().out
        assert "robot" in said
        assert secret.rpartition("_")[2] not in said
    assert run([*verb, "token", "revoke", found.token]) == 0
    assert tokens.holder(store, secret) is None
    assert run([*verb, "team", "leave", "moon", "robot"]) == 0
    assert people.get(store, "robot").teams == {}
    typed(monkeypatch, "another password\n")
    assert run([*verb, "user", "password", "hypatia"]) == 0
    assert people.log_in(store, "hypatia", PASSWORD) is None
    assert people.log_in(store, "hypatia", "another password") is not None
    assert run([*verb, "user", "disable", "hypatia"]) == 0
    assert people.log_in(store, "hypatia", "another password") is None
    assert run([*verb, "user", "enable", "hypatia"]) == 0
    assert people.log_in(store, "hypatia", "another password") is not None
    close(store)


def test_a_password_is_asked_for_on_a_terminal_and_not_shown(folder: str) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "broker", "--data", folder, "user", "add", "hypatia"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    seen = b""
    try:
        for prompt in (b"Password: ", b"confirmation: "):  # to the last space, before which what is typed is thrown away
            while prompt not in seen:
                seen += os.read(ours, 1024)
            os.write(ours, f"{PASSWORD}\n".encode())
        with suppress(OSError):  # the other end is closed
            while more := os.read(ours, 1024):
                seen += more
        assert process.wait(60) == 0, seen
    finally:
        process.kill()
        process.wait()
    os.close(ours)
    assert PASSWORD.encode() not in seen
    store = open_store(f"sqlite:///{folder}/nuncius.sqlite")
    assert people.log_in(store, "hypatia", PASSWORD) is not None
    close(store)


@pytest.mark.parametrize(
    ("arguments", "stdin", "status", "says"),
    [
        (["user", "add", "x"], "", 2, "no password came"),
        (["user", "add", "x"], "short\n", 2, "10 to 256"),
        (["user", "add", "Hypatia", "--no-password"], "", 2, "lower-case"),
        (["user", "add", "robot", "--no-password"], "", 2, "already"),
        (["user", "add", "x", "--password", "secret"], "", 2, "No such option"),
        (["user", "password", "nix"], f"{PASSWORD}\n", 1, "nix"),
        (["user", "disable", "nix"], "", 1, "nix"),
        (["team", "add", "moon", "--manager", "nix"], "", 1, "nix"),
        (["team", "join", "moon", "robot"], "", 1, "no team 'moon'"),
        (["token", "add", "robot"], "", 2, "scope"),
        (["token", "add", "robot", "--scope", "reed"], "", 2, "write:filters"),
        (["token", "add", "robot", "--scope", "admin"], "", 2, "no administrator"),
        (["token", "add", "nix", "--scope", "read"], "", 1, "nix"),
        (["token", "list", "nix"], "", 1, "nix"),
        (["token", "revoke", "0a1b2c3d4e5f"], "", 1, "no token"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_use(  # noqa: PLR0917
    folder: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    stdin: str,
    status: int,
    says: str,
) -> None:
    assert run(["--data", folder, "user", "add", "robot", "--no-password"]) == 0
    typed(monkeypatch, stdin)
    assert run(["--data", folder, *arguments]) == status
    told = capsys.readouterr().err
    assert says in " ".join(told.split())
    assert "Traceback" not in told


@pytest.mark.parametrize("group", ["user", "team", "token"])
def test_who_only_reads_makes_no_folder(tmp_path: Path, group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--data", str(tmp_path / "mistyped"), group, "list"]) == 2
    assert "nothing is kept in" in capsys.readouterr().err
    assert not (tmp_path / "mistyped").exists()


OIDC = (
    '[auth.oidc]\nissuer = "https://id.example.org"\nclient_id = "x"\nredirect = "https://here.example/api/v1/oidc/callback"\n'
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[auth.oidc]\nissuer = "https://id.example.org"\n', "client_id, and redirect"),
        (OIDC.replace("https://id", "http://id"), "issuer 'http://id.example.org' is no https:// address"),
        (OIDC.replace("https://here", "http://here"), "redirect"),
        (OIDC.replace("https://id.example.org", "http://127.0.0.1.evil.example"), "is no https:// address"),
        (OIDC + 'scopes = ["email"]\n', "openid"),
        ("[auth]\nrequierd = true\n", "auth.requierd"),
        ("[auth.quotas]\nrequests_per_minute = -1\n", "auth.quotas.requests_per_minute"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, text: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nuncius.toml").write_text(text)
    assert run(["--data", str(tmp_path), "config", "check"]) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_settings_reach_the_api(tmp_path: Path) -> None:
    assert auth_of(Settings()).required is False
    assert auth_of(Settings()).oidc is None
    file = tmp_path / "nuncius.toml"
    text = '[auth]\nrequired = true\npublic_read = false\norigins = ["https://n.example/"]\nsession_hours = 1\n'
    file.write_text(text + OIDC + 'client_secret = "s"\ncreate = false\n[auth.quotas]\nrequests_per_minute = 60\n')
    auth = auth_of(load(file))
    assert (auth.required, auth.public_read, auth.origins, auth.session_hours) == (True, False, ("https://n.example",), 1.0)
    assert auth.quotas.requests_per_minute == 60
    assert auth.oidc is not None
    assert (auth.oidc.issuer, auth.oidc.client_secret, auth.oidc.create) == ("https://id.example.org", "s", False)
    assert "client_secret" not in repr(auth)
    assert "'s'" not in repr(auth)


def test_secrets_are_starred(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nuncius.toml").write_text(OIDC + 'client_secret = "between-us"\n')
    assert run(["--data", str(tmp_path), "config", "show"]) == 0
    assert "between-us" not in capsys.readouterr().out
