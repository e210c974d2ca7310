"""Servers that misbehave, on loopback, each connection handled by a function; and a loop of its own for what is tested."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Result of a coroutine, in a thread of its own."""
    found: list[T] = []
    failed: list[BaseException] = []

    def target() -> None:
        try:
            found.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


@dataclass
class Request:
    """What a client sent."""

    line: str
    headers: dict[str, str]
    body: bytes


Handler = Callable[[Request, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Seen:
    """What happened at a server."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    written: int = 0


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """One request; `None` where the client has gone."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest)}
    return Request(line, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@contextmanager
def server(handler: Handler, *, tls: ssl.SSLContext | None = None, seen: Seen | None = None) -> Iterator[Seen]:
    """A server in a thread of its own."""
    told = seen or Seen()
    ready, ended = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.connections += 1
        with suppress(ConnectionError, asyncio.CancelledError, ssl.SSLError, asyncio.IncompleteReadError):
            while (request := await read_request(reader)) is not None:
                told.requests.append(request)
                await handler(request, reader, writer)
                await writer.drain()
                if writer.is_closing():
                    break
        with suppress(ConnectionError, ssl.SSLError):
            writer.close()

    async def main() -> None:
        made = await asyncio.start_server(serve, "127.0.0.1", told.port, ssl=tls)
        told.port = made.sockets[0].getsockname()[1]
        ready.set()
        await ended.wait()
        made.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield told
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()


def answer(text: bytes) -> Handler:
    """Handler that answers with these bytes, whatever is asked."""

    async def handle(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)

    return handle


def status(code: int, *headers: str, body: bytes = b"", phrase: str = "Said") -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {code} {phrase}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for a name, signed by itself; and the file to trust."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, private)
    return context, chain
