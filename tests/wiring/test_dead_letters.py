"""Dead letters: read whatever their headers say, put back once however often they died."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import topics
from broker.errors import LogUnavailableError
from broker.ingest.raw import Bounds, Kind, Received, to_message
from broker.record import Message, header
from broker.settings import LogTable, Settings, StoreTable
from broker.stream.embedded_consumer import EmbeddedConsumer
from broker.wiring import dead_letters, running
from broker.wiring.parts import Parts, open_parts

GCN = Kind("gcn", "application/json")


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with open_parts(Settings(log=LogTable(durable=False), store=StoreTable(durable=False)), tmp_path / "data") as opened:
        yield opened


def put(parts: Parts, value: bytes, *headers: tuple[str, bytes]) -> None:
    bounds = Bounds(1 << 20, parts.data / "oversize")
    parts.log.append([to_message(Received(value, "kafka://elsewhere", None, headers), GCN, bounds)])


def work_off(parts: Parts) -> list[dead_letters.Letter]:
    running.drain(parts, lambda _records: None)
    return list(dead_letters.letters(parts))


def test_what_still_fails_is_put_back_once_each_time(parts: Parts) -> None:
    put(parts, b"junk")
    put(parts, b"more junk")
    found = work_off(parts)
    assert len(found) == 2
    for times in range(2, 5):
        assert dead_letters.replay(parts, iter(found)) == 2
        found = work_off(parts)
        assert sorted(letter.value for letter in found) == sorted([b"junk", b"more junk"] * times)


def test_a_name_of_ours_from_outside_is_not_taken(parts: Parts) -> None:
    foreign = [(topics.HEADER_DEAD_TOPIC, b"x"), (topics.HEADER_OVERSIZE, b"very large"), ("theirs", b"kept")]
    put(parts, b"junk", *foreign)
    (letter,) = work_off(parts)
    assert letter.stream == "gcn"
    assert letter.reason != "very large"
    assert header(letter.record, "theirs") == "kept"
    assert dead_letters.replay(parts, [letter]) == 1


def test_a_record_in_a_raw_topic_with_names_of_ours_is_told_from_what_we_say(parts: Parts) -> None:
    parts.log.append([Message("raw.gcn", b"junk", headers=((topics.HEADER_DEAD_TOPIC, b"raw.elsewhere"),))])
    (letter,) = work_off(parts)
    assert letter.stream == "gcn"


def test_what_is_no_letter_is_passed_over(parts: Parts) -> None:
    parts.log.append([Message(topics.DEAD_LETTER, b"?", headers=((topics.HEADER_DEAD_TOPIC, b"x"),))])
    put(parts, b"junk")
    assert [letter.value for letter in work_off(parts)] == [b"junk"]


def test_a_log_that_gives_nothing_is_waited_for_and_then_is_a_failure(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    put(parts, b"junk")
    assert len(work_off(parts)) == 1
    poll, slow = EmbeddedConsumer.poll, [True, True, False]
    monkeypatch.setattr(EmbeddedConsumer, "poll", lambda *args: [] if slow and slow.pop(0) else poll(*args))
    assert len(list(dead_letters.letters(parts))) == 1
    monkeypatch.setattr(EmbeddedConsumer, "poll", lambda *_args: [])
    monkeypatch.setattr(dead_letters, "PATIENCE", 0.0)
    with pytest.raises(LogUnavailableError, match="more dead letters"):
        list(dead_letters.letters(parts))
