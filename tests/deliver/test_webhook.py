"""Webhooks against servers that do what servers do: hang, drip, redirect, break off, answer with gigabytes, lie."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks

from broker.deliver.addresses import networks
from broker.deliver.outcome import Outcome
from broker.deliver.webhook import Webhooks, check_secret, new_secret, signature
from broker.errors import UsageError
from tests.deliver.servers import Request, Seen, answer, certificate, run, server, status

LO = networks(["127.0.0.1/32"])
BODY = json.dumps({"type": "match", "data": {"name": "Übermut"}}, ensure_ascii=False).encode()
SECRET = new_secret()
OK = status(200)


def post(url: str, *, secret: str = SECRET, times: int = 1, **options: Any) -> Outcome:
    async def work() -> Outcome:
        async with Webhooks(options.pop("allowed", LO), timeout=options.pop("timeout", 20.0), **options) as hooks:
            for _ in range(times):
                outcome = await hooks.post(url, secret, "dlv_1", BODY)
            return outcome

    return run(work())


def test_what_arrives_is_signed_as_the_reference_library_has_it() -> None:
    with server(answer(OK)) as seen:
        outcome = post(f"http://127.0.0.1:{seen.port}/hook?a=b%20c")
    assert outcome == Outcome(True, 200)
    (request,) = seen.requests
    assert request.line == "POST /hook?a=b%20c HTTP/1.1"
    assert request.body == BODY
    assert request.headers["webhook-id"] == "dlv_1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{seen.port}"
    assert standardwebhooks.Webhook(SECRET).verify(request.body, request.headers) == json.loads(BODY)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(request.body.replace(b"match", b"catch"), request.headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(new_secret()).verify(request.body, request.headers)


def test_a_receiver_can_change_over_to_a_new_secret() -> None:
    both = f"{new_secret()} {SECRET}"
    check_secret(both)
    with server(answer(OK)) as seen:
        assert post(f"http://127.0.0.1:{seen.port}/", secret=both).ok
    for one in both.split():
        standardwebhooks.Webhook(one).verify(seen.requests[0].body, seen.requests[0].headers)


def test_the_signature_of_the_specification() -> None:
    # Standard Webhooks, the example of its test suites.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    when = datetime.fromtimestamp(1614265330, UTC)
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", when, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets() -> None:
    made = {new_secret() for _ in range(50)}
    assert len(made) == 50
    for secret in made:
        check_secret(secret)
    for bad, told in (
        ("hunter2", "begins with whsec_"),
        ("", "begins with whsec_"),
        ("whsec_", "0 bytes"),
        ("whsec_c2hvcnQ=", "5 bytes"),
        ("whsec_" + "A" * 88, "66 bytes"),
        ("whsec_****", "no base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "no base64"),
        (" ".join([SECRET] * 3), "or two"),
        (SECRET + "\n", "no base64"),
    ):
        with pytest.raises(UsageError, match=told) as failed:
            check_secret(bad)
        assert "hunter2" not in str(failed.value)


def test_connections_are_kept() -> None:
    with server(answer(OK)) as seen:
        assert post(f"http://127.0.0.1:{seen.port}/", times=5).ok
    assert (len(seen.requests), seen.connections) == (5, 1)


@pytest.mark.parametrize(
    ("code", "again", "told"),
    [
        (204, True, ""),
        (410, False, "410 Gone"),
        (404, True, "404 Not Found"),
        (400, True, "400 Bad"),
        (500, True, "500 Internal"),
        (599, True, "answered 599"),
        (503, True, "503"),
    ],
)
def test_what_statuses_mean(code: int, again: bool, told: str) -> None:
    with server(answer(status(code))) as seen:
        outcome = post(f"http://127.0.0.1:{seen.port}/")
    assert (outcome.ok, outcome.status, outcome.again) == (code == 204, code, again)
    assert told in outcome.error


def test_what_a_server_says_when_it_says_no() -> None:
    body = b"\x1b[31mno such\x07 queue\r\n<b>sorry</b>" + b"\xff" + b"x" * 5000
    with server(answer(status(500, body=body))) as seen:
        outcome = post(f"http://127.0.0.1:{seen.port}/")
    assert "no such queue <b>sorry</b>" in outcome.error
    assert outcome.error.isprintable()
    assert len(outcome.error) < 300


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("120", 120, 120),
        ("0", 0, 0),
        ("99999999999999999999", 86_400, 86_400),
        (timedelta(hours=1), 3000, 3600),
        (timedelta(hours=-1), 0, 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400, 86_400),
    ],
    ids=["seconds", "none", "years", "in an hour", "an hour ago", "the end of time"],
)
def test_servers_that_ask_for_patience(code: int, text: str | timedelta, low: float, high: float) -> None:
    if isinstance(text, timedelta):
        text = format_datetime(datetime.now(UTC) + text, usegmt=True)
    with server(answer(status(code, f"Retry-After: {text}"))) as seen:
        outcome = post(f"http://127.0.0.1:{seen.port}/")
    assert outcome.retry_after is not None
    assert low <= outcome.retry_after <= high
    assert outcome.again


@pytest.mark.parametrize("text", ["-5", "soon", "", "1e9", "²"])
def test_patience_that_cannot_be_read(text: str) -> None:
    with server(answer(status(503, f"Retry-After: {text}"))) as seen:
        assert post(f"http://127.0.0.1:{seen.port}/").retry_after is None


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_redirects_are_not_followed(code: int) -> None:
    with server(answer(OK)) as other, server(answer(status(code, f"Location: http://127.0.0.1:{other.port}/secret"))) as seen:
        outcome = post(f"http://127.0.0.1:{seen.port}/")
    assert (outcome.ok, outcome.status, outcome.again) == (False, code, True)
    assert f"http://127.0.0.1:{other.port}/secret" in outcome.error
    assert "redirects are not followed" in outcome.error
    assert not other.requests


async def _hang(_request: Request, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


def _drip(first: bytes, piece: bytes) -> Callable[..., Any]:
    async def handle(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)

    return handle


SLOW: dict[str, Any] = {
    "says nothing": _hang,
    "headers without end": _drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "one header that grows": _drip(b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    "a body that drips": _drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"."),
    "chunks that drip": _drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n.\r\n"),
    "one hint after the other": _drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
}


@pytest.mark.parametrize("kind", SLOW)
def test_slow_servers_are_left(kind: str) -> None:
    with server(SLOW[kind]) as seen:
        outcome = post(f"http://127.0.0.1:{seen.port}/", timeout=0.4)
    assert (outcome.ok, outcome.again) == (False, True)
    assert "0.4 s" in outcome.error
    assert len(seen.requests) == 1


def test_one_that_hangs_delays_nobody_else() -> None:
    async def work() -> None:
        async with Webhooks(LO, timeout=120.0) as hooks:
            slow = [asyncio.create_task(hooks.post(f"http://127.0.0.1:{dead.port}/", SECRET, "x", BODY)) for _ in range(150)]
            while len(dead.requests) < 150:  # noqa: ASYNC110 - they come in another thread
                await asyncio.sleep(0.01)
            told = await asyncio.gather(*(hooks.post(f"http://127.0.0.1:{good.port}/", SECRET, "x", BODY) for _ in range(20)))
            assert all(each.ok for each in told)
            assert not any(each.done() for each in slow)
            for each in slow:
                each.cancel()
            await asyncio.gather(*slow, return_exceptions=True)

    with server(_hang) as dead, server(answer(OK)) as good:
        run(work())


def test_of_gigabytes_little_is_read() -> None:
    seen = Seen()

    async def flood(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8589934592\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()
            seen.written += 65536

    with server(flood, seen=seen):
        outcome = post(f"http://127.0.0.1:{seen.port}/", max_answer=1000)
    assert outcome == Outcome(True, 200)
    assert seen.written < 64 << 20  # what fits into the buffers of two sockets


BROKEN: dict[str, bytes] = {
    "closes at once": b"",
    "half a status line": b"HTTP/1.1 20",
    "half of the headers": b"HTTP/1.1 200 OK\r\nContent-",
    "half of the body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_answers_that_break_off_count_for_nothing(kind: str) -> None:
    async def handle(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BROKEN[kind])
        await writer.drain()
        writer.close()

    with server(handle) as seen:
        outcome = post(f"http://127.0.0.1:{seen.port}/")
    assert (outcome.ok, outcome.again) == (False, True)
    assert outcome.error


def test_an_answer_with_neither_length_nor_chunks_ends_with_the_connection() -> None:
    async def handle(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nthank you")
        await writer.drain()
        writer.close()

    with server(handle) as seen:
        assert post(f"http://127.0.0.1:{seen.port}/").ok


def test_nobody_there() -> None:
    with server(answer(OK)) as seen:
        pass
    outcome = post(f"http://127.0.0.1:{seen.port}/")
    assert (outcome.ok, outcome.status, outcome.again) == (False, None, True)
    assert "no connection" in outcome.error
    outcome = post("http://nowhere.invalid/")
    assert outcome.again
    assert "has no address" in outcome.error


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433"])
def test_refused_addresses_are_not_connected_to(host: str) -> None:
    with server(answer(OK)) as seen:
        outcome = post(f"http://{host}:{seen.port}/", allowed=())
    assert (outcome.ok, outcome.again) == (False, False)
    assert "deliver.allow" in outcome.error
    assert seen.connections == 0


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(answer(OK)) as proxy, server(answer(OK)) as seen:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert post(f"http://127.0.0.1:{seen.port}/").ok
    assert (proxy.connections, seen.connections) == (0, 1)


def test_certificates_are_held_against_the_name(tmp_path: Path) -> None:
    good, chain = certificate(tmp_path, "localhost")
    trusted = ssl.create_default_context(cafile=str(chain))
    with server(answer(OK), tls=good) as seen:
        assert post(f"https://localhost:{seen.port}/", context=trusted).ok
        assert seen.requests[0].headers["host"] == f"localhost:{seen.port}"
        by_address = post(f"https://127.0.0.1:{seen.port}/", context=trusted)
        unknown = post(f"https://localhost:{seen.port}/")
    for outcome in (by_address, unknown):
        assert (outcome.ok, outcome.again) == (False, True)
        assert "certificate verify failed" in outcome.error.lower()
    assert len(seen.requests) == 1


def test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        where = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("10.1.1.1", where)]

    with server(answer(OK)) as seen:
        monkeypatch.setattr("broker.deliver.addresses.socket.getaddrinfo", look)
        assert post(f"http://hook.example:{seen.port}/").ok
        assert asked == ["hook.example"]
        assert seen.requests[0].headers["host"] == f"hook.example:{seen.port}"
        assert not post(f"http://hook.example:{seen.port}/").again  # it points elsewhere now
    assert seen.connections == 1


def test_a_users_name_in_the_address() -> None:
    with server(answer(OK)) as seen:
        assert not post(f"http://user@127.0.0.1:{seen.port}/").again
    assert seen.connections == 0
