"""VOEvents over TCP through a running Nuncius, with strangers of every kind at the other end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import voeventparse as vp

from broker import topics
from broker.errors import LogUnavailableError
from broker.ingest.vtp_authors import Authors, author_server
from broker.ingest.vtp_client import send
from broker.ingest.vtp_intake import Limits, intake
from broker.record import Message, Record
from broker.settings import Settings, Source
from broker.telemetry import VTP_SUBSCRIBERS
from broker.vtp import Transport, pack
from broker.wiring import running, vtp, vtp_out
from broker.wiring.instance import instance_name
from broker.wiring.parts import Parts, open_parts
from tests.vtp_peers import PATIENCE, Peer, Subscriber, answers, comet, comet_sendvo, finished, free_port, voevent

BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY l2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">
<!ENTITY l3 "&l2;&l2;&l2;&l2;&l2;&l2;&l2;&l2;">]><VOEvent ivorn="ivo://a/b#c" role="test" version="2.0">&l3;</VOEvent>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE f [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<VOEvent ivorn="ivo://a/b#c" role="test" version="2.0">&x;</VOEvent>"""


@dataclass
class Served:
    parts: Parts
    author: int
    subscriber: int

    def raw(self, count: int, seconds: float = PATIENCE) -> list[Record]:
        """Everything on raw topics, once there is so much of it."""
        found: list[Record] = []
        with closing(self.parts.log.consumer(None, [topics.RAW_PATTERN])) as consumer:
            deadline = time.monotonic() + seconds
            while len(found) < count and time.monotonic() < deadline:
                found += consumer.poll(1000, 1 << 26, 0.1)
            found += consumer.poll(1000, 1 << 26, 0.1)
        return found


@contextmanager
def serving(data: Path, **table: Any) -> Iterator[Served]:
    settings = Settings.model_validate(
        {"vtp": {"author_port": 0, "subscriber_port": 0, "relay": True, "test_events": True, **table}}
    )
    stop, ready = threading.Event(), threading.Event()
    ports: dict[str, int] = {}
    faults: list[BaseException] = []

    def told(found: Any) -> None:
        ports.update(found)
        ready.set()

    with open_parts(settings, data) as parts:

        def work() -> None:
            try:
                running.serve_vtp(parts, stop, told)
            except BaseException as error:  # noqa: BLE001  shown by the test's own thread
                faults.append(error)
                ready.set()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            assert ready.wait(PATIENCE)
            assert not faults, faults
            yield Served(parts, ports["author"], ports["subscriber"])
        finally:
            stop.set()
            thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not faults, faults


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("vtp"), patience=1.0, alive_seconds=0.3, per_address=200) as found:
        yield found


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_an_authors_event_is_kept_acknowledged_and_relayed(served: Served) -> None:
    listening = Subscriber(served.subscriber)
    answer = finished(send("127.0.0.1", served.author, voevent(1)))
    assert (answer.role, answer.origin, answer.response) == ("ack", "ivo://example.org/tests#1", "ivo://nuncius")
    assert voevent(1) in [record.value for record in served.raw(1)]
    assert listening.wait(1) == [voevent(1)]
    listening.close()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"not XML at all", "not well formed"),
        (BOMB, "DOCTYPE"),
        (OUTSIDE, "DOCTYPE"),
        (b"<Other/>", "not a VOEvent"),
        (b"<VOEvent role='test'/>", "no ivorn"),
        (voevent(3)[:-20], "not well formed"),
    ],
)
def test_what_is_no_voevent_is_refused_with_its_reason(served: Served, data: bytes, reason: str) -> None:
    answer = finished(send("127.0.0.1", served.author, data))
    assert answer.role == "nak"
    assert reason in answer.result


def test_a_frame_over_the_limit_is_never_waited_for(served: Served) -> None:
    with Peer(served.author) as author:
        author.socket.sendall((1 << 30).to_bytes(4, "big") + b"x")
        answer = author.read_message()
        assert answer is not None
        assert (answer.role, "more than" in answer.result) == ("nak", True)
        assert author.read() is None


def test_slow_and_silent_authors_and_half_frames_end_and_nobody_waits_for_them(served: Served) -> None:
    frame = pack(voevent(4))
    with Peer(served.author) as slow, Peer(served.author) as silent, Peer(served.author) as half:
        half.socket.sendall(frame[:30])
        half.socket.shutdown(1)
        began = time.monotonic()
        for byte in frame[:200]:  # a byte now and then buys no time
            try:
                slow.socket.sendall(bytes([byte]))
            except OSError:
                break
            assert finished(send("127.0.0.1", served.author, voevent(5))).role == "ack"
            if time.monotonic() - began > 3:
                break
        assert slow.read() is None
        assert silent.read() is None
        assert half.read() is None


def test_several_events_on_one_connection(served: Served) -> None:
    with Peer(served.author) as author:
        for number in range(10, 15):
            author.send(voevent(number))
        answers_ = [author.read_message() for _ in range(5)]
    assert [each.origin[-2:] for each in answers_ if each] == ["10", "11", "12", "13", "14"]


def test_the_same_ivorn_with_other_bytes_is_handed_on(served: Served) -> None:
    for padding in ("one", "other"):
        assert finished(send("127.0.0.1", served.author, voevent(20, padding=padding))).role == "ack"
    kept = [record.value for record in served.raw(1)]
    assert {voevent(20, padding="one"), voevent(20, padding="other")} <= set(kept)


def test_filters_let_through_what_they_are_true_for(served: Served) -> None:
    chosen = Subscriber(served.subscriber, ("//Param[@name='number' and @value='31']", "//Param[@value='32']"))
    everything = Subscriber(served.subscriber)
    for number in (30, 31, 32, 33):
        finished(send("127.0.0.1", served.author, voevent(number)))
    assert len(everything.wait(4)) == 4
    assert chosen.wait(2) == [voevent(31), voevent(32)]
    chosen.close()
    everything.close()


@pytest.mark.parametrize("bad", ["//[", "x" * 2000, "unknown-function("])
def test_a_filter_that_is_none_is_refused(served: Served, bad: str) -> None:
    with Peer(served.subscriber) as subscriber:
        assert subscriber.read_message() is not None
        subscriber.say(Transport("authenticate", "ivo://us", "ivo://them", filters=(bad,)))
        answer = subscriber.read_message()
        while answer is not None and answer.role == "iamalive":
            answer = subscriber.read_message()
        assert answer is not None
        assert answer.role == "nak"
        assert "filter" in answer.result
        assert subscriber.read() is None


def test_older_spellings_are_understood(served: Served) -> None:
    with Peer(served.subscriber) as subscriber:
        assert subscriber.read_message() is not None
        subscriber.send(
            b"<trn:Transport xmlns:trn='http://telescope-networks.org/schema/Transport/v1.1' role='authenticate' version='1.0'>"
            b"<Origin>a</Origin><Meta><filter type='xpath'>//Param[@value='41']</filter></Meta></trn:Transport>"
        )
        assert until(lambda: True)
        subscriber.say(Transport("iamalive", "a", "b"))
        time.sleep(0.3)
        for number in (40, 41):
            finished(send("127.0.0.1", served.author, voevent(number)))
        data = subscriber.read()
        while data is not None and b"iamalive" in data:
            subscriber.say(Transport("iamalive", "a", "b"))
            data = subscriber.read()
        assert data == voevent(41)


def test_one_who_lives_is_asked_and_stays_and_one_who_does_not_is_dropped(served: Served) -> None:
    living = Subscriber(served.subscriber)
    with Peer(served.subscriber) as silent:
        began = time.monotonic()
        while silent.read() is not None:
            assert time.monotonic() - began < PATIENCE
    assert until(lambda: living.asked >= 3)
    assert not living.ended.is_set()
    living.close()


def test_who_acknowledges_nothing_or_refuses_is_dropped_and_delays_nobody(tmp_path: Path) -> None:
    with serving(tmp_path, unacknowledged=5, patience=0.2, alive_seconds=0.5) as found:
        good = Subscriber(found.subscriber)
        with Peer(found.subscriber) as owing, Peer(found.subscriber) as refusing:
            assert refusing.read_message() is not None
            refusing.say(Transport("nak", "ivo://event", "ivo://them", result="not for me"))
            assert refusing.read() is None
            for number in range(12):
                finished(send("127.0.0.1", found.author, voevent(number)))
                good.wait(number + 1)
                time.sleep(0.1)
            while owing.read() is not None:
                pass
        assert len(good.wait(12)) == 12
        good.close()


def test_one_who_does_not_read_is_dropped(tmp_path: Path) -> None:
    with serving(tmp_path, unacknowledged=10_000) as found:
        good = Subscriber(found.subscriber)
        with Peer(found.subscriber):
            big = "x" * 900_000
            for number in range(40):
                finished(send("127.0.0.1", found.author, voevent(number, padding=big)))
            assert len(good.wait(40)) == 40
            assert until(lambda: _subscribers(found) == 1)
        good.close()


def _subscribers(_found: Served) -> float:
    return float(next(iter(VTP_SUBSCRIBERS.collect())).samples[0].value)


def test_only_networks_on_the_lists_may_connect(tmp_path: Path) -> None:
    with serving(tmp_path, allow=["192.0.2.0/24"], allow_subscribers=["192.0.2.1"]) as found:
        with Peer(found.author) as author:
            assert author.read() is None
        with Peer(found.subscriber) as subscriber:
            assert subscriber.read() is None


def test_too_many_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, connections=3, per_address=2) as found:
        held = [Peer(found.author) for _ in range(2)]
        time.sleep(0.2)
        with Peer(found.author) as third:
            assert third.read() is None
        for peer in held:
            peer.socket.close()
        assert until(lambda: _acknowledged(found.author))
        there = [Subscriber(found.subscriber) for _ in range(3)]
        with Peer(found.subscriber) as fourth:
            assert fourth.read() is None
        for each in there:
            each.close()


def _acknowledged(port: int) -> bool:
    try:
        return finished(send("127.0.0.1", port, voevent(60))).role == "ack"
    except Exception:  # noqa: BLE001  refused while the others are still leaving
        return False


def test_our_log_away_for_a_while_costs_nothing(tmp_path: Path) -> None:
    """The real receiver before a log that fails three times: acknowledged only when kept."""
    kept: list[bytes] = []
    tries = iter(range(100))

    def take(received: Any) -> None:
        if next(tries) < 3:
            raise LogUnavailableError("away")
        kept.extend(one.value for one in received)

    async def run() -> str:
        async with intake(take) as into:
            authors = Authors("ivo://us", (ip_network("127.0.0.1"),), Limits())
            server = await author_server("127.0.0.1", 0, authors, into)
            port = server.sockets[0].getsockname()[1]
            answer = await send("127.0.0.1", port, voevent(70))
            server.close()
            return answer.role

    assert finished(run()) == "ack"
    assert kept == [voevent(70)]


def test_comet_publishes_to_us(served: Served) -> None:
    assert comet_sendvo(served.author, voevent(80)) == 0
    assert voevent(80) in [record.value for record in served.raw(1)]
    assert comet_sendvo(served.author, voevent(81)[:-9]) != 0


def test_comet_subscribes_to_us(tmp_path: Path) -> None:
    with serving(tmp_path / "data", alive_seconds=1.0) as found:
        saved = tmp_path / "comet" / "events"
        arguments = [f"--remote=127.0.0.1:{found.subscriber}", "--save-event", f"--save-event-directory={saved}"]
        with comet(tmp_path / "comet", *arguments, "--filter=//Param[@name='number' and @value != '91']"):
            assert until(lambda: _subscribers(found) == 1)
            time.sleep(2.5)  # it is asked twice whether it lives
            for number in (90, 91, 92):
                assert finished(send("127.0.0.1", found.author, voevent(number))).role == "ack"
            assert until(lambda: len(list(saved.iterdir())) == 2)
            assert {each.read_bytes() for each in saved.iterdir()} == {voevent(90), voevent(92)}
            assert _subscribers(found) == 1


def test_we_subscribe_to_comet(tmp_path: Path) -> None:
    author, subscriber = free_port(), free_port()
    stop = threading.Event()
    source = Source(kind="vtp", host="127.0.0.1", port=subscriber, xpath="//Param[@value != '101']")
    with open_parts(Settings(ingest={"comet": source}), tmp_path / "data") as parts:
        following = threading.Thread(target=running.follow_sources, args=(parts, stop))
        following.start()  # before there is anybody: it tries again
        try:
            arguments = ["--receive", f"--receive-port={author}", "--broadcast", f"--broadcast-port={subscriber}"]
            with comet(tmp_path / "comet", *arguments, "--broadcast-test-interval=0"):
                assert until(lambda: answers(author))
                log_file = tmp_path / "comet" / "log"
                assert until(lambda: "Installing filter" in log_file.read_text())
                for number in (100, 101, 102):
                    assert comet_sendvo(author, voevent(number)) == 0
                found = Served(parts, 0, 0).raw(2)
                assert sorted(record.value for record in found) == [voevent(100), voevent(102)]
                assert "terminating" not in log_file.read_text()
        finally:
            stop.set()
            following.join(PATIENCE)
    assert not following.is_alive()


def _group(data: Path) -> str:
    """Of the next instance that serves this folder."""
    with instance_name(data / "vtp") as name:
        return vtp_out.group_of(name)


def test_a_restart_goes_on_where_it_was_and_history_is_passed_over(tmp_path: Path) -> None:
    group = _group(tmp_path)
    with open_parts(Settings(), tmp_path) as parts:
        parts.log.append([Message(topics.raw("voevent"), voevent(109))])
    with serving(tmp_path) as found, closing(Subscriber(found.subscriber)) as first:
        finished(send("127.0.0.1", found.author, voevent(110)))
        assert first.wait(1) == [voevent(110)]
        assert until(lambda: not any(found.parts.log.group_lag(group).values()))
    with open_parts(Settings(), tmp_path) as parts:
        parts.log.append([Message(topics.raw("voevent"), voevent(111))])
        assert sum(parts.log.group_lag(group).values()) == 1
    with serving(tmp_path) as found:
        assert until(lambda: not any(found.parts.log.group_lag(group).values()))


def test_the_subscribers_of_every_instance_get_everything(tmp_path: Path) -> None:
    with (
        serving(tmp_path) as one,
        serving(tmp_path) as other,
        closing(Subscriber(one.subscriber)) as first,
        closing(Subscriber(other.subscriber)) as second,
    ):
        for number in range(112, 116):
            assert finished(send("127.0.0.1", (one, other)[number % 2].author, voevent(number))).role == "ack"
        expected = sorted(voevent(number) for number in range(112, 116))
        assert sorted(first.wait(4)) == sorted(second.wait(4)) == expected


def test_what_brokers_send_each_other_goes_round_once(tmp_path: Path) -> None:
    stop = threading.Event()
    with serving(tmp_path / "a") as a, serving(tmp_path / "b") as b, closing(Subscriber(b.subscriber)) as reader:
        pairs = ((a, b), (b, a))
        following = [threading.Thread(target=follow, args=(here.parts, there, stop)) for here, there in pairs]
        for thread in following:
            thread.start()
        try:
            time.sleep(2.0)  # both have subscribed
            assert finished(send("127.0.0.1", a.author, voevent(116))).role == "ack"
            assert len(a.raw(2)) == 2
            time.sleep(1.0)
            assert (len(a.raw(2)), len(b.raw(1)), reader.events) == (2, 1, [voevent(116)])
        finally:
            stop.set()
            for thread in following:
                thread.join(PATIENCE)


def follow(parts: Parts, other: Served, stop: threading.Event) -> None:
    source = Source(kind="vtp", host="127.0.0.1", port=other.subscriber)
    vtp.follow_broker(parts, source, running._take(parts, source), stop)


def test_only_what_is_a_voevent_is_relayed_and_tests_only_if_asked_for(tmp_path: Path) -> None:
    hidden = b"<!--><VOEvent>--><!DOCTYPE VOEvent [<!ENTITY a 'lol'>]><VOEvent ivorn='a'>&a;</VOEvent>"
    utf7 = b"<?xml version='1.0' encoding='UTF-7'?>+ADwAIQ-DOCTYPE VOEvent +AFs-<VOEvent ivorn='a'/>"
    bad = [voevent(117), voevent(118, role="observation")[:-9], b"<VOEvent/>", BOMB, hidden, utf7]
    good = voevent(119, role="observation")
    with serving(tmp_path, test_events=False, events=False) as found, closing(Subscriber(found.subscriber)) as reader:
        found.parts.log.append([Message(topics.raw("voevent"), data) for data in [*bad, good, good]])
        assert reader.wait(1) == [good]
        time.sleep(0.5)
        assert reader.events == [good]


def test_what_we_know_of_an_event_goes_out_and_the_next_revision_cites_it(tmp_path: Path) -> None:
    notices = [voevent(120, role="observation"), voevent(120, role="observation", padding="once more")]
    with (
        serving(tmp_path, relay=False, authority="org.example/nuncius") as found,
        closing(Subscriber(found.subscriber)) as reader,
    ):
        for number, notice in enumerate(notices, 1):
            assert finished(send("127.0.0.1", found.author, notice)).role == "ack"
            running.drain(found.parts, lambda _records: None)
            assert len(reader.wait(number)) == number
    first, second = (vp.loads(event) for event in reader.events)
    assert vp.valid_as_v2_0(first)
    assert vp.valid_as_v2_0(second)
    assert first.get("ivorn").startswith("ivo://org.example/nuncius/events#")
    assert "ivo://example.org/tests#120" in [str(each) for each in first.Citations.EventIVORN]
    assert (str(second.Citations.EventIVORN[0]), second.Citations.EventIVORN[0].get("cite")) == (
        first.get("ivorn"),
        "supersedes",
    )


def test_a_log_that_takes_nothing_ends_us_with_its_reason(tmp_path: Path) -> None:
    def take(_received: Any) -> None:
        raise ValueError("a fault that waiting does not mend")

    settings = Settings.model_validate({"vtp": {"author_port": 0, "subscriber_port": 0}})
    with open_parts(settings, tmp_path) as parts, ThreadPoolExecutor(1) as pool:
        ports: Queue[dict[str, int]] = Queue()
        running_ = pool.submit(vtp.run, parts, take, threading.Event(), lambda found: ports.put(dict(found)))
        assert finished(send("127.0.0.1", ports.get(timeout=PATIENCE)["author"], voevent(121))).role == "nak"
        with pytest.raises(ValueError, match="waiting does not mend"):
            running_.result(PATIENCE)


def test_nothing_to_serve_is_told(tmp_path: Path) -> None:
    with open_parts(Settings(), tmp_path) as parts, pytest.raises(Exception, match="author_port"):
        vtp.run(parts, lambda _received: None, threading.Event())
