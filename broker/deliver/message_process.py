"""The process that sends messages: a library of two hundred services, kept from doing anything but that.

It loads the library once, and copies itself for each message. A copy has so much time, by a timer of the kernel, and so much
memory; it connects to no address that deliveries may not go to, whoever named it (the subscriber, a name server, a server that
redirects), starts no program and opens no file but the library's own and the pictures it was given. What it is asked stands in
`broker.deliver.message`.
"""

from __future__ import annotations

import ctypes.util  # noqa: F401 - loads what is loaded late otherwise, when no file may be opened
import json
import logging
import mimetypes
import os
import resource
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import apprise
from apprise.common import NotifyFormat, OverflowMode

from broker.deliver.addresses import IPNetwork
from broker.deliver.message_guard import Guard
from broker.deliver.message_services import MAIL, options_of, service_of
from broker.errors import UsageError

__all__ = ["main"]

_MEMORY: Final = 512 << 20  # bytes of address space
_FILES: Final = 64 << 20  # bytes of a file that is written
_MODULES: Final = (str(Path(apprise.__file__).parents[1]), str(Path(__file__).parents[1]))
_SHORT: Final = 1000  # characters: services that take no more get one message, cut, and not many


def main() -> None:
    """Send what comes until the other side has gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    logging.getLogger().addHandler(logging.NullHandler())
    mimetypes.init()
    ssl.create_default_context()
    apprise.Apprise.instantiate("json://localhost")  # has it load its services
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for copies
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        for descriptor in descriptors:
            if os.fork() == 0:
                control.close()
                _copy(socket.socket(fileno=descriptor))
            os.close(descriptor)


def _copy(peer: socket.socket) -> None:
    """Answer one question, and end."""
    try:
        asked = json.loads(_read(peer))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, max(float(asked["timeout"]), 0.001))
        with suppress(ValueError, OSError):  # bounded more tightly already, or not to be bounded here
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            resource.setrlimit(resource.RLIMIT_FSIZE, (_FILES, _FILES))
        tempfile.tempdir = asked["folder"]
        refused: list[str] = []
        allowed = [ip_network(text) for text in asked["allowed"]]
        sys.addaudithook(Guard(allowed, asked["folder"], refused, _MODULES))
        for number, url in enumerate(asked["urls"]):
            before = len(refused)
            said = _sent(url, asked, allowed, refused)
            told = {"address": number, "said": (refused[before:] or said) if said else [], "refused": len(refused) > before}
            peer.sendall(json.dumps(told).encode() + b"\n")  # at once: the next may take all the time there is
    finally:
        os._exit(0)


def _read(peer: socket.socket) -> bytes:
    parts = []
    while part := peer.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def _sent(url: str, asked: dict[str, Any], allowed: Sequence[IPNetwork], refused: list[str]) -> list[str]:
    """What went wrong; nothing where it is sent."""
    asset = apprise.AppriseAsset(
        app_id="Nuncius", app_desc="Nuncius alerts", app_url="", image_url_mask="", image_url_logo="", http_redirects=False,
        async_mode=False, service_timeout=0,
    )  # fmt: skip
    options = options_of(url)
    try:
        scheme, service = service_of(url, allowed, asset)
    except UsageError as error:
        refused.append(str(error))
        return ["refused"]
    if "overflow" not in options:
        service.overflow_mode = OverflowMode.SPLIT
    if "inline" not in options and hasattr(service, "inline"):
        service.inline = True  # pictures within a mail and not below it
    service.redirects = False
    mail = scheme in MAIL
    body, form = (asked["html"], NotifyFormat.HTML) if mail else (asked["text"], NotifyFormat.TEXT)
    room = int(service.body_maxlen or 0) - (len(asked["title"]) + 4 if not service.title_maxlen else 0)
    if not mail and 0 < room < _SHORT:
        body = _cut(body, max(room, 20))
    hub = apprise.Apprise(asset=asset)
    hub.add(service)
    pictures = asked["pictures"] if service.attachment_support else None
    told = hub.notify(body=body, title=asked["title"], body_format=form, attach=pictures or None)
    if told:
        return []
    words = [entry.message for result in told.results for entry in result.logs()]
    return [f"{service.service_name}: {'; '.join(words) or 'not taken'}"]


def _cut(text: str, most: int) -> str:
    """As many whole lines as there is room for, of the first as much as there is."""
    kept = ""
    for line in text.splitlines():
        if len(kept) + len(line) + 1 > most:
            break
        kept += line + "\n"
    return kept.rstrip() or text[:most]


if __name__ == "__main__":
    main()
