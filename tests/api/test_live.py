"""Server-Sent Events, read from the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from broker.record import Message
from broker.stream.log import TopicSpec
from broker.topics import matched
from tests.api.world import BIG, World, broken, served, survey_alert


@dataclass
class Event:
    """One event as the browser would have it; `kind` is ``comment`` for a comment."""

    kind: str
    id: str
    data: str

    @property
    def alert(self) -> str:
        return json.loads(self.data)["alert"]["alert_id"]


def events(lines: Iterator[str]) -> Iterator[Event]:
    """Events of a stream of lines."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield Event("comment", "", line)
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield Event(fields.get("event", "message"), fields.get("id", ""), fields.get("data", ""))
            fields = {}


@contextmanager
def listening(url: str, query: str = "", last: str | None = None) -> Iterator[Iterator[Event]]:
    """Events but comments, from the one after ``ready`` on."""
    headers = {"Last-Event-ID": last} if last else {}
    with (
        httpx.Client(timeout=20) as client,
        client.stream("GET", f"{url}/api/v1/live{query}", headers=headers) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = (event for event in events(answer.iter_lines()) if event.kind != "comment")
        first = next(found)
        assert first.kind == "ready"
        yield found


def test_a_match_arrives_as_it_is_published(url: str, here: World) -> None:
    with listening(url) as found:
        here.publish(survey_alert(101))
        event = next(found)
    assert event.kind == "match"
    match = json.loads(event.data)
    assert match["filter"] == "bright-transient"
    assert match["version"] == "1"
    assert match["alert"]["alert_id"] == f"ztf:{BIG + 101}"
    assert match["alert"]["time"].endswith("Z")
    assert match["alert"]["annotations"]["candidate.candid"] == str(BIG + 101)


def test_what_was_before_is_not_sent(url: str, here: World) -> None:
    here.publish(survey_alert(110))
    with listening(url) as found:
        here.publish(survey_alert(111))
        assert next(found).alert == f"ztf:{BIG + 111}"


def test_resumes_after_the_last_event_over_several_partitions(url: str, here: World) -> None:
    here.log.create_topic(matched("wide"), TopicSpec(partitions=3))
    wide = broken(here, filters=lambda: here.filters)
    with served(wide) as other:
        with listening(other) as found:
            for number in range(200, 206):
                here.publish(survey_alert(number), "wide")
            got = [next(found) for _ in range(6)]
        for number in range(206, 212):
            here.publish(survey_alert(number), "wide")
        with listening(url, last=got[2].id) as found:
            rest = [next(found).alert for _ in range(9)]
    assert len({event.alert for event in got}) == 6
    expected = {f"ztf:{BIG + number}" for number in range(200, 212)} - {event.alert for event in got[:3]}
    assert set(rest) == expected
    assert len(rest) == len(expected)


def test_resumes_from_the_very_beginning_of_listening(url: str, here: World) -> None:
    with httpx.stream("GET", f"{url}/api/v1/live", timeout=20) as answer:
        ready = next(event for event in events(answer.iter_lines()) if event.kind == "ready")
    here.publish(survey_alert(250))
    with listening(url, f"?after={ready.id}") as found:
        assert next(found).alert == f"ztf:{BIG + 250}"


def test_a_filter_that_appears_later_is_heard_from_its_first_match(url: str, here: World) -> None:
    with listening(url) as found:
        here.publish(survey_alert(300), "brand-new")
        event = next(found)
    assert json.loads(event.data)["filter"] == "brand-new"


def test_one_filter_only(url: str, here: World) -> None:
    with listening(url, "?filter=young-supernova") as found:
        here.publish(survey_alert(310), "bright-transient")
        here.publish(survey_alert(311), "young-supernova")
        assert next(found).alert == f"ztf:{BIG + 311}"


def test_a_message_that_cannot_be_read_is_passed_over(url: str, here: World) -> None:
    with listening(url) as found:
        here.log.append(
            [Message(matched("bright-transient"), b"\x00\x00\x00\x00\x63nonsense"), Message(matched("bright-transient"), b"")]
        )
        here.publish(survey_alert(320))
        assert next(found).alert == f"ztf:{BIG + 320}"


def test_silence_is_broken_by_comments(url: str) -> None:
    with httpx.stream("GET", f"{url}/api/v1/live", timeout=20) as answer:
        assert any(event.kind == "comment" for event in events(answer.iter_lines()))


def test_one_reader_too_many_is_asked_to_come_back(here: World) -> None:
    with served(broken(here, live_readers=1)) as other, listening(other):
        answer = httpx.get(f"{other}/api/v1/live")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert "live readers" in answer.json()["detail"]


@pytest.mark.parametrize("token", ["nonsense", "eJyLjgUAARUAuQ", "A" * 400])
def test_an_id_of_somebody_else_is_refused_or_empty(url: str, token: str) -> None:
    answer = httpx.get(f"{url}/api/v1/live?filter=nobody", headers={"Last-Event-ID": token})
    assert answer.status_code in {400, 404}
