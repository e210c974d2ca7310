"""Messages through the real apprise, to servers on loopback; what an address may not do, tried."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from broker.deliver import message
from broker.deliver.addresses import networks
from broker.deliver.card import Card
from broker.deliver.message_guard import Guard, RefusedError
from broker.deliver.message_services import FIXED, HOSTED, MAIL, REFUSED_OPTIONS, _library, scrub
from broker.errors import UsageError
from tests.deliver.servers import Request, Seen, answer, run, server, status

LO = networks(["127.0.0.1/32"])
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
CARD = Card(
    "ZTF23aaxeydp, r = 17.94, in Virgo",
    'Object: ZTF23aaxeydp\nWhere: 12:30:49.42 +12:23:28.0 ± 1"\nalert: https://nuncius.example/alerts/ztf:1',
    "<h3>ZTF23aaxeydp</h3><table><tr><th>Where</th><td>12:30:49.42</td></tr></table>",
    {"alert": "https://nuncius.example/alerts/ztf:1"},
    {"light_curve.png": PNG, "finding_chart.png": PNG},
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, and none may stay."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def test_what_arrives_at_a_server_of_ones_own(folder: Path) -> None:
    with server(answer(status(200))) as seen:
        assert message.send([f"json://127.0.0.1:{seen.port}/x?+X-Key=abc"], CARD, allowed=LO).ok
        assert message.send([f"form://127.0.0.1:{seen.port}/y"], CARD, allowed=LO).ok
        assert message.send([f"xml://127.0.0.1:{seen.port}/z"], CARD, allowed=LO).ok
    told = json.loads(seen.requests[0].body)
    assert (told["title"], told["message"]) == (CARD.title, CARD.text)
    assert seen.requests[0].headers["x-key"] == "abc"
    assert {each["filename"]: base64.b64decode(each["base64"]) for each in told["attachments"]} == dict(CARD.pictures)
    assert {each["mimetype"] for each in told["attachments"]} == {"image/png"}
    assert seen.requests[1].body.count(PNG) == 2
    assert CARD.title in seen.requests[2].body.decode()
    assert not list(folder.iterdir())


def test_each_address_is_tried() -> None:
    with server(answer(status(500))) as bad, server(answer(status(200))) as good:
        outcome = message.send([f"json://127.0.0.1:{bad.port}/", f"json://127.0.0.1:{good.port}/"], CARD, allowed=LO)
    assert (outcome.ok, outcome.status, outcome.again) == (False, 500, True)
    assert len(good.requests) == 1
    assert outcome.told == {message.mark_of(f"json://127.0.0.1:{good.port}/")}


@pytest.mark.parametrize("bad", ["syslog://", "json://10.0.0.1/"])
def test_one_address_that_is_refused_keeps_no_other_from_it(bad: str) -> None:
    with server(answer(status(200))) as good, server(answer(status(503))) as busy:
        first, last = f"json://127.0.0.1:{good.port}/", f"json://127.0.0.1:{busy.port}/"
        outcome = message.send([bad, first, last], CARD, allowed=LO)
        assert (outcome.ok, outcome.again, outcome.told) == (False, True, {message.mark_of(first)})  # the last may take it yet
        outcome = message.send([bad, first], CARD, allowed=LO)
        assert (outcome.ok, outcome.again, outcome.told) == (False, False, {message.mark_of(first)})
    assert len(good.requests) == 2


def test_who_has_it_is_known_although_the_next_one_hangs() -> None:
    with server(_hang) as dead, server(answer(status(200))) as good:
        urls = [f"json://127.0.0.1:{good.port}/", f"json://127.0.0.1:{dead.port}/?rto=600&cto=600"]
        outcome = message.send(urls, CARD, allowed=LO, timeout=3.0)
    assert (outcome.ok, outcome.again, outcome.told) == (False, True, {message.mark_of(urls[0])})
    assert "not sent within" in outcome.error


def test_one_that_wants_no_more() -> None:
    with server(answer(status(410))) as seen:
        outcome = message.send([f"json://127.0.0.1:{seen.port}/"], CARD, allowed=LO)
    assert (outcome.ok, outcome.status, outcome.again) == (False, 410, False)


def test_redirects_are_not_followed() -> None:
    with server(answer(status(200))) as other, server(answer(status(302, f"Location: http://127.0.0.1:{other.port}/"))) as seen:
        outcome = message.send([f"json://127.0.0.1:{seen.port}/?redirect=yes"], CARD, allowed=LO)
    assert not outcome.ok
    assert not other.requests


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_addresses_inside_are_not_connected_to(host: str) -> None:
    with server(answer(status(200))) as seen:
        outcome = message.send([f"json://{host}:{seen.port}/"], CARD)
    assert (outcome.ok, outcome.again) == (False, False)
    assert "deliver.allow" in outcome.error
    assert seen.connections == 0


def test_a_name_that_leads_inside_is_refused_where_the_connection_is_made() -> None:
    # The name of this machine stands in its list of hosts, at an address of its own.
    import socket

    name = socket.gethostname()
    try:
        inside = {str(each[4][0]) for each in socket.getaddrinfo(name, 80)}
    except OSError:
        pytest.skip("this machine does not know its own name")
    if not all(each.startswith(("127.", "10.", "172.", "192.168.", "::1", "fe80")) for each in inside):
        pytest.skip("this machine's name is a public address")
    outcome = message.send([f"json://{name}:9/"], CARD)
    assert (outcome.ok, outcome.again) == (False, False)
    assert "deliver.allow" in outcome.error


async def _hang(_request: Request, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _drip(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("handler", [_hang, _drip])
def test_slow_servers_are_left(handler: Any, folder: Path) -> None:
    with server(handler) as dead:
        outcome = message.send([f"json://127.0.0.1:{dead.port}/?rto=600&cto=600"], CARD, allowed=LO, timeout=1.5)
    assert (outcome.ok, outcome.again) == (False, True)
    assert "1.5 s" in outcome.error
    assert not list(folder.iterdir())


def test_a_server_that_hangs_delays_nobody_else() -> None:
    with server(_hang) as dead, server(answer(status(200))) as good, ThreadPoolExecutor(12) as pool:
        url = f"json://127.0.0.1:{dead.port}/?rto=600&cto=600"
        slow = [pool.submit(message.send, [url], CARD, allowed=LO, timeout=20.0) for _ in range(10)]
        while len(dead.requests) < 10 and not any(each.done() for each in slow):
            time.sleep(0.01)
        assert message.send([f"json://127.0.0.1:{good.port}/"], CARD, allowed=LO).ok
        assert not any(each.done() for each in slow)
    assert not any(each.result().ok for each in slow)


def test_of_gigabytes_a_process_dies_that_is_none_of_ours() -> None:
    seen = Seen()

    async def flood(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8589934592\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * (1 << 20))
            await writer.drain()
            seen.written += 1 << 20

    with server(flood, seen=seen):
        outcome = message.send([f"json://127.0.0.1:{seen.port}/"], CARD, allowed=LO, timeout=120.0)
    assert (outcome.ok, outcome.again) == (False, True)
    assert seen.written < 1 << 30
    with server(answer(status(200))) as good:
        assert message.send([f"json://127.0.0.1:{good.port}/"], CARD, allowed=LO).ok


def test_the_process_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(answer(status(200))) as seen:
        url = f"json://127.0.0.1:{seen.port}/"
        assert message.send([url], CARD, allowed=LO).ok
        process = message._SENDER._process
        assert process is not None
        process.kill()
        process.wait()
        assert message.send([url], CARD, allowed=LO).ok
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        message._SENDER.close()
        assert message.send([url], CARD, allowed=LO).ok  # a process that knows no proxies


@contextmanager
def mail_server() -> Iterator[tuple[int, list[tuple[list[str], bytes]]]]:
    """As much of SMTP (RFC 5321) as it takes to hand over a mail."""
    got: list[tuple[list[str], bytes]] = []
    loop, ready, box = asyncio.new_event_loop(), threading.Event(), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        said: list[str] = []
        while line := (await reader.readline()).decode().strip():
            said.append(line)
            if line.upper() == "DATA":
                writer.write(b"354 go on\r\n")
                got.append((said.copy(), await reader.readuntil(b"\r\n.\r\n")))
            writer.write(b"221 bye\r\n" if line.upper() == "QUIT" else b"250 good\r\n")
            await writer.drain()
            if line.upper() == "QUIT":
                break
        writer.close()

    async def main() -> None:
        made = await asyncio.start_server(serve, "127.0.0.1", 0)
        box.append((made.sockets[0].getsockname()[1], made))
        ready.set()
        await stop.wait()
        made.close()
        await asyncio.sleep(0.02)

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield box[0][0], got
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def test_a_mail() -> None:
    with mail_server() as (port, got):
        url = f"mailto://127.0.0.1:{port}/?smtp=127.0.0.1&from=nuncius@obs.example&to=jane@obs.example"
        outcome = message.send([url], CARD, allowed=LO)
        assert outcome.ok, outcome.error
        assert not message.send([url], CARD).again
    ((said, data),) = got
    assert any("jane@obs.example" in line for line in said)
    mail = email.message_from_bytes(data.removesuffix(b"\r\n.\r\n"), policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    assert mail["Subject"] == CARD.title
    parts = {part.get_content_type(): part for part in mail.walk()}
    assert "12:30:49.42" in parts["text/plain"].get_content()
    assert "<table>" in parts["text/html"].get_content()
    pictures = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert {part.get_filename() for part in pictures} == set(CARD.pictures)
    assert {part.get_payload(decode=True) for part in pictures} == {PNG}
    assert all(f"cid:{part['Content-ID'].strip('<>')}" in parts["text/html"].get_content() for part in pictures)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "syslog://", "windows://", "macosx://", "gnome://", "dbus://", "glib://", "rsyslog://127.0.0.1", "growl://x",
     "blink1://", "memory://x", "smpp://u:p@host:2775/1/2", "kodi://host", "slack", "", "://x", "javascript://x"],
)  # fmt: skip
def test_services_that_no_messages_go_to(url: str) -> None:
    with pytest.raises(UsageError, match="no messages go to"):
        message.check(url, LO)
    outcome = message.send([url], CARD, allowed=LO)
    assert (outcome.ok, outcome.again) == (False, False)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?template=/etc/passwd", "'template' names a file"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#x?Template=/etc/passwd", "'template' names a file"),
        ("mailto://a:b@gmail.com?pgppub=/etc/passwd", "'pgppub' names a file"),
        ("mailto://a:b@gmail.com?x=y&%70gp=sign", "'pgp' names a file"),
        ("slack://nonsense", "cannot make anything"),
        ("https://example.org/hook", "cannot make anything"),
        ("json://host/a b", "percent-encode"),
        ("json://host/\n", "percent-encode"),
        ("json://10.0.0.1/", "deliver.allow"),
        ("mmost://169.254.169.254/token", "deliver.allow"),
        ("mailto://u:p@example.org?smtp=192.168.1.1", "deliver.allow"),
        ("matrix://u:p@localhost/#room", "deliver.allow"),
        ("ntfy://127.0.0.1/topic", "deliver.allow"),
        ("gotify://[::1]/token", "deliver.allow|cannot make"),
    ],
)
def test_addresses_that_are_refused(url: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as failed:
        message.check(url)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    "url",
    [
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alerts",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "tgram://123456789:abcdefg_hijklmnop/12315544/",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "mailto://user:pass@gmail.com?to=jane@obs.example",
        "mailtos://user:pass@mail.obs.example:465",
        "ntfy://my_topic",
        "ntfys://ntfy.sh/topic",
        "mmosts://chat.obs.example/3ccdd113474722377935511fc85d3dd4",
        "pover://dkthjxz7e3sgoxbd4cdhaicpadi3ay@d2kprs9c6w4vbx5p3c8g8mn5qq9gka",
        "zulip://botname@org/a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4/general",
        "jsons://obs.example/hook",
    ],
)
def test_addresses_that_are_taken(url: str) -> None:
    message.check(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/secret/#alerts", "slack://***"),
        ("tgram://123:secret/12315544/", "tgram://***"),
        ("https://hooks.slack.com/services/T1/A1/secret", "https://hooks.slack.com/***"),
        ("mailto://jane:secret@obs.example?to=secret@x.org", "mailto://***@obs.example"),
        ("json://u:secret@obs.example:8080/secret?+X-Key=secret", "json://***@obs.example:8080/***"),
        ("json://u:secret@@obs.example/", "json://***@obs.example"),
        ("ntfy://secret", "ntfy://***"),
        ("ntfys://ntfy.sh/secret", "ntfys://ntfy.sh/***"),
        ("gotify://[2606::1]:80/secret", "gotify://[2606::1]:80/***"),
        ("json://sec ret/", "json://***"),
        ("secret", "***"),
        ("", "***"),
    ],
)
def test_what_is_shown_of_an_address(url: str, shown: str) -> None:
    assert message.mask(url) == shown


def test_errors_tell_no_tokens() -> None:
    with server(answer(status(401, body=b"bad key"))) as seen:
        outcome = message.send([f"ntfy://tk_abcdefgh@127.0.0.1:{seen.port}/hidden_topic?mode=private"], CARD, allowed=LO)
    assert outcome.status == 401
    assert "hidden_topic" not in outcome.error
    assert "tk_abcdefgh" not in outcome.error
    said = scrub("no chat s3cretToken%2F at json://obs.example", ["json://u:s3cretToken%2F@obs.example/"])
    assert said == "no chat *** at json://obs.example"


def test_long_texts_are_within_the_limits_of_a_service() -> None:
    lines = [f"line {number} of what an observer may want to know" for number in range(300)]
    card = Card("a title", "\n".join(lines), "", {}, {})
    with server(answer(status(200))) as seen:
        assert message.send(
            [f"mmost://127.0.0.1:{seen.port}/3ccdd113474722377935511fc85d3dd4"], card, allowed=LO, timeout=120.0
        ).ok
    texts = [json.loads(request.body)["text"] for request in seen.requests]
    assert len(texts) > 1
    assert all(len(text) <= 4000 for text in texts)
    assert all(line in "\n".join(texts) for line in lines[:20])


def test_the_list_is_of_services_there_are() -> None:
    _library()
    from apprise.manager_plugins import NotificationManager

    plugins = {
        name: plugin
        for plugin in NotificationManager().plugins()
        for kind in (plugin.protocol, plugin.secure_protocol)
        if kind
        for name in ((kind,) if isinstance(kind, str) else kind)
    }
    assert not (FIXED | HOSTED.keys()) - plugins.keys()
    assert FIXED.isdisjoint(HOSTED)
    assert FIXED | HOSTED.keys() >= MAIL
    files = {
        option
        for name in FIXED | HOSTED.keys()
        for option, told in plugins[name].template_args.items()
        if re.search(r"\b(path|file|template|directory)\b", str(told.get("name", "")).lower())
    }
    harmless = {"prefix", "path", "attach-as", "decode"}  # parts of addresses, the name of a field, yes or no
    assert not files - harmless - REFUSED_OPTIONS
    for name in FIXED:
        hosts = [
            template for template in plugins[name].templates if "{schema}://{host}" in template or "@{host}:{port}" in template
        ]
        assert not hosts, (name, hosts)


def test_what_the_process_may_do(tmp_path: Path) -> None:
    refused: list[str] = []
    guard = Guard(LO, str(tmp_path), refused)
    outside = tmp_path.parent / "outside"
    for event, args in (
        ("open", ("/etc/passwd", "r", os.O_RDONLY)),
        ("open", (b"/etc/passwd", "r", os.O_RDONLY)),
        ("open", (str(tmp_path / ".." / "outside"), "r", os.O_RDONLY)),
        ("open", (str(outside), "w", os.O_WRONLY | os.O_CREAT)),
        ("open", (os.__file__, "w", os.O_RDWR)),
        ("socket.connect", (None, ("127.0.0.2", 80))),
        ("socket.connect", (None, ("localhost", 80))),
        ("socket.connect", (None, "/run/docker.sock")),
        ("socket.connect", (None, ("::1", 80, 0, 0))),
        ("socket.sendto", (None, ("10.0.0.1", 53))),
        ("subprocess.Popen", ("sh", ["sh"], None, None)),
        ("os.system", (b"true",)),
    ):
        with pytest.raises(RefusedError):
            guard(event, args)
    for event, args in (
        ("open", (str(tmp_path / "picture.png"), "rb", os.O_RDONLY)),
        ("open", (str(tmp_path / "temporary"), "wb", os.O_RDWR | os.O_CREAT)),
        ("open", (os.__file__, "r", os.O_RDONLY)),
        ("open", (3, "r", 0)),
        ("socket.connect", (None, ("127.0.0.1", 80))),
        ("socket.connect", (None, ("8.8.8.8", 443))),
        ("socket.sendmsg", (None, None)),
        ("import", ("json",)),
    ):
        guard(event, args)
    assert any("127.0.0.2" in why for why in refused)


def test_loops_of_ours_can_send(tmp_path: Path) -> None:
    async def work() -> bool:
        with server(answer(status(200))) as seen:
            outcomes = await asyncio.gather(
                *(asyncio.to_thread(message.send, [f"json://127.0.0.1:{seen.port}/"], CARD, allowed=LO) for _ in range(8))
            )
        return all(outcome.ok for outcome in outcomes)

    assert run(work())
