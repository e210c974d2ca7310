"""Settings: file, environment, and nothing unknown let through."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.errors import SettingsError
from broker.settings import load


def write(folder: Path, text: str) -> Path:
    file = folder / "nuncius.toml"
    file.write_text(text)
    return file


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, '[log]\nengine = "kafka"\npartitions = 8\nbootstrap_servers = "a:9092"\n')
    monkeypatch.setenv("NUNCIUS_LOG__PARTITIONS", "16")
    settings = load(file)
    assert (settings.log.engine, settings.log.partitions) == ("kafka", 16)


def test_credentials_of_an_upstream_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, '[ingest.gcn]\nkind = "gcn"\ntopics = ["igwn.gwalert"]\n')
    monkeypatch.setenv("NUNCIUS_INGEST__GCN__CLIENT_SECRET", "hush")
    source = load(file).ingest["gcn"]
    assert source.topics == ("igwn.gwalert",)
    assert source.client_secret.get_secret_value() == "hush"
    assert "hush" not in repr(source)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[log]\nengin = 'kafka'\n", "log.engin is not a setting"),
        ("[lgo]\n", "lgo is not a setting"),
        ("[log]\npartitions = 0\n", "log.partitions"),
        ("[log]\nengine = 'rabbit'\n", "log.engine"),
        ("[log]\nengine = 'kafka'\n", "bootstrap_servers"),
        ("[ingest.x]\nkind = 'kafka'\n", "ingest.x.topics"),
        ("[log\n", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load(write(tmp_path, text))


@pytest.mark.parametrize("name", ["NUNCIUS_LOGS__ENGINE", "NUNCIUS_LOG__ENGIN"])
def test_unknown_variables_are_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "kafka")
    with pytest.raises(SettingsError, match=r"sets nothing|is not a setting"):
        load(None)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no settings file"):
        load(tmp_path / "none.toml")
