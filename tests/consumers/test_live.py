"""Subscriptions over the API, served for real over a real store and the embedded log."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from broker.api.app import create_app
from broker.api.services import Services
from consumers import ClientError, RequestError, UnavailableError, fetch_cutout, fetch_packet, subscribe
from consumers.live_answers import pause
from consumers.sse import Event, events, lines
from tests.api.world import BIG, World, served, survey_alert, world
from tests.consumers.strangers import stranger
from tests.services import free_port


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture(scope="module")
def url(here: World) -> Iterator[str]:
    with served(here.services) as address:
        yield address


@contextmanager
def at_port(services: Services, port: int, wrapped: Callable[[Any], Any] = lambda app: app) -> Iterator[None]:
    """The application at a port of our choice, so that it can go away and come back."""
    config = uvicorn.Config(
        wrapped(create_app(services)), port=port, log_level="error", access_log=False, ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def test_matches_arrive_as_typed_alerts(url, here):
    with subscribe("bright-transient", url, timeout=20) as stream:
        here.publish(survey_alert(1001))
        alert = next(stream)
    assert alert.alert_id == f"ztf:{BIG + 1001}"
    assert alert.filters == ("bright-transient",)
    assert alert.topic == "matched.bright-transient"
    assert alert.annotations["candidate.candid"] == str(BIG + 1001)
    assert alert.time == survey_alert(1001)["time"]
    assert alert.hpx == survey_alert(1001)["hpx"]
    assert alert.ra == pytest.approx(survey_alert(1001)["ra"])
    with pytest.raises(RequestError, match="group"):
        alert.commit()


def test_goes_on_after_a_position(url, here):
    with subscribe("bright-transient", url, timeout=20) as stream:
        for number in range(1010, 1014):
            here.publish(survey_alert(number))
        second = [next(stream) for _ in range(2)][1]
    with subscribe("bright-transient", url, start_at=second.position, timeout=20) as stream:
        assert [next(stream).alert_id for _ in range(2)] == [f"ztf:{BIG + number}" for number in (1012, 1013)]


def test_only_the_filters_asked_for(url, here):
    with subscribe(["bright-transient", "young-supernova"], url, timeout=20) as stream:
        for number, name in enumerate(("young-supernova", "something-else", "bright-transient")):
            here.publish(survey_alert(1020 + number), name)
        assert [next(stream).alert_id for _ in range(2)] == [f"ztf:{BIG + number}" for number in (1020, 1022)]


def test_from_the_beginning_and_on_without_gap_or_double(tmp_path):
    with world(tmp_path) as fresh, served(fresh.services) as address:
        for number in range(30):
            fresh.publish(survey_alert(2000 + number))
        with subscribe("^matched[.].*", address, start_at="earliest", timeout=20) as stream:
            stop = threading.Event()

            def more() -> None:
                for number in range(30, 60):
                    fresh.publish(survey_alert(2000 + number))
                stop.set()

            writer = threading.Thread(target=more)
            writer.start()
            wanted = [f"ztf:{BIG + 2000 + number}" for number in range(60)]
            got = []
            while len(got) < len(wanted) or (extra := stream.poll(0.5)) is not None:
                found = next(stream) if len(got) < len(wanted) else extra
                if found is not None and found.alert_id in wanted:
                    got.append(found.alert_id)
            writer.join()
    assert sorted(got) == sorted(wanted)


def test_a_cut_replay_goes_on_where_it_was_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("consumers.live._PAGE", 10)
    asked = []

    def cutting(app):
        async def answer(scope, receive, send):
            if scope["type"] == "http" and scope["path"].endswith("/matches"):
                asked.append(scope["query_string"])
                if len(asked) in {3, 4}:
                    await send({"type": "http.response.start", "status": 503, "headers": []})
                    await send({"type": "http.response.body", "body": b""})
                    return
            await app(scope, receive, send)

        return answer

    wanted = [f"ztf:{BIG + 3000 + number}" for number in range(35)]
    with world(tmp_path) as fresh:
        for number in range(35):
            fresh.publish(survey_alert(3000 + number))
        port = free_port()
        with at_port(fresh.services, port, cutting):
            address = f"http://127.0.0.1:{port}"
            with subscribe("bright-transient", address, start_at="earliest", timeout=30) as stream:
                got = [next(stream)]
                while got[-1].alert_id != wanted[-1]:
                    got.append(next(stream))
                assert stream.poll(0.5) is None
            assert asked[2] == asked[4]
            assert [alert.alert_id for alert in got][-35:] == wanted
            assert len({alert.alert_id for alert in got}) == len(got)
            with subscribe("bright-transient", address, start_at=got[-12].position, timeout=30) as stream:
                assert [next(stream).alert_id for _ in wanted[-11:]] == wanted[-11:]
                fresh.publish(survey_alert(3035))
                assert next(stream).alert_id == f"ztf:{BIG + 3035}"


def test_separators_of_lines_and_paragraphs_are_text(url, here):
    with subscribe("bright-transient", url, timeout=20) as stream:
        here.publish({**survey_alert(1080), "object_id": "a\u2028b\u2029c\x85d"})
        assert next(stream).object_id == "a\u2028b\u2029c\x85d"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_lines_end_in_three_ways_wherever_they_are_cut(end, size):
    data = f"event: match{end}data: é\u2028 1{end}data: 2{end}id: 7{end}{end}data: 3{end}{end}"
    chunks = [data[first : first + size] for first in range(0, len(data), size)]
    assert list(events(lines(chunks))) == [Event("match", "é\u2028 1\n2", "7"), Event("message", "3", "")]


def test_an_api_that_goes_away_is_waited_for(here):
    port, said = free_port(), []
    address = f"http://127.0.0.1:{port}"
    with subscribe("bright-transient", address, on_wait=said.append) as stream:
        with at_port(here.services, port):
            # Nothing was heard before the first connection: publish until it is.
            for number in range(1030, 1060):
                here.publish(survey_alert(number))
                if (first := stream.poll(1.0)) is not None:
                    break
            assert first is not None
            while stream.poll(0.5) is not None:
                pass
        assert stream.poll(1.0) is None
        here.publish(survey_alert(1070))
        with at_port(here.services, port):
            assert next(stream).alert_id == f"ztf:{BIG + 1070}"
    assert any("waiting for" in text for text in said)


def test_nobody_there_is_told_after_the_timeout():
    with (
        pytest.raises(UnavailableError, match="nothing from http://127"),
        subscribe("bright-transient", "http://127.0.0.1:1", timeout=0.5) as stream,
    ):
        next(stream)


def test_what_is_no_stream_of_events_is_told_at_once():
    page = (200, {"Content-Type": "text/html; charset=utf-8"}, "<html>")
    with stranger({"/api/v1/live?filter=x": [page]}) as there:
        with (
            subscribe("x", there.url, timeout=20) as stream,
            pytest.raises(ClientError, match=r"is there a Nuncius API at http://127") as told,
        ):
            next(stream)
        assert "text/html" in str(told.value)


def test_a_stream_without_events_ends_with_the_timeout():
    empty = (200, {"Content-Type": "text/event-stream"}, "")
    with stranger({"/api/v1/live?filter=x": [empty]}) as there:
        with (
            subscribe("x", there.url, timeout=1.0) as stream,
            pytest.raises(UnavailableError, match="for 1 s: the stream ended"),
        ):
            next(stream)
        assert len(there.to("/api/v1/live?filter=x")) <= 5  # at 0, 0.2, 0.6, 1.0 seconds


def test_a_server_that_never_answers_is_told_after_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with subscribe("x", address, timeout=0.5) as stream, pytest.raises(UnavailableError, match="it does not answer"):
            next(stream)


def test_pauses_grow_and_are_capped():
    pauses = [pause(attempt) for attempt in range(12)]
    assert pauses[:3] == [0.2, 0.4, 0.8]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 10.0


def test_a_filter_nobody_has_is_a_wrong_request(url):
    with pytest.raises(RequestError, match="no filter 'nonsense'"), subscribe("nonsense", url, timeout=20) as stream:
        next(stream)


def test_packets_and_cutouts(url, here):
    alert_id = str(here.frame["alert_id"][0])
    assert fetch_packet(url, alert_id) == here.services.packet(alert_id)
    assert fetch_cutout(url, alert_id, "science").startswith(b"SIMPLE  =")
    assert fetch_cutout(url, alert_id, form="png").startswith(b"\x89PNG")
    with pytest.raises(RequestError, match="404"):
        fetch_packet(url, "ztf:1")
    with pytest.raises(UnavailableError, match="no answer"):
        fetch_packet("http://127.0.0.1:1", alert_id)
