"""Mail, chat and telephones, through apprise: one address a place.

Which services there are to send to is a list of ours. Apprise knows more: some start programs on this machine, some write to
its log or its screen, some read files that an address names. Of those on the list that are told which server to talk to, the
server has to be one that deliveries may go to. That is checked here, to say so at once, and again where the connection is made,
in the process that sends (`broker.deliver.message_process`), which whatever a library or a server does can be ended.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

from broker.deliver.addresses import IPNetwork
from broker.deliver.card import Card
from broker.deliver.message_client import Sender
from broker.deliver.message_services import check_text, mask, scrub, service_of
from broker.deliver.outcome import Outcome, printable
from broker.errors import UsageError

__all__ = ["check", "mark_of", "mask", "send"]

_STATUS: Final = re.compile(r"error[ =:]+([1-5][0-9]{2})\b")
_SENDER: Final = Sender()


def check(url: str, allowed: Sequence[IPNetwork] = ()) -> None:
    """Refuse what is no apprise address, what is not on our list, and servers that may not be sent to.

    Raises
    ------
    UsageError
        It is; neither passwords nor tokens are told.
    """
    check_text(url)
    service_of(url, allowed)


def mark_of(url: str) -> str:
    """What an address is remembered by, without what is secret in it."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def send(urls: Sequence[str], card: Card, *, allowed: Sequence[IPNetwork] = (), timeout: float = 60.0) -> Outcome:
    """Send a card to each address; returns in time whatever the servers do.

    Parameters
    ----------
    urls
        Of apprise. Each is tried; those that have it are among the `Outcome.told`, whatever became of the others.
    allowed
        Networks besides the public ones that may be sent to.
    timeout
        Seconds for all of them.
    """
    good: list[str] = []
    refused: list[str] = []
    for url in urls:
        try:
            check_text(url)  # the list may be shorter than it was when this was subscribed to
        except UsageError as error:
            refused.append(str(error))
        else:
            good.append(url)
    try:
        answer = _asked(good, card, allowed, timeout) if good else b""
    except OSError as error:
        return Outcome(False, error=f"the process that sends messages cannot be reached: {error}")
    return _outcome(answer, good, refused, timeout)


def _asked(urls: Sequence[str], card: Card, allowed: Sequence[IPNetwork], timeout: float) -> bytes:
    folder = tempfile.mkdtemp(prefix="nuncius-card-")  # some services want files, and this process is there to remove them
    try:
        for name, picture in card.pictures.items():
            (Path(folder) / Path(name).name).write_bytes(picture)
        asked = {
            "urls": list(urls), "title": card.title, "text": card.text, "html": card.html, "folder": folder,
            "pictures": [str(Path(folder) / Path(name).name) for name in card.pictures],
            "allowed": [str(network) for network in allowed], "timeout": timeout,
        }  # fmt: skip
        return _SENDER.ask(json.dumps(asked).encode(), timeout)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _outcome(answer: bytes, urls: Sequence[str], refused: Sequence[str], timeout: float) -> Outcome:
    """What became of each address, taken together: tried again where one of those that have it not yet may."""
    came = [json.loads(line) for line in answer.splitlines(keepends=True) if line.endswith(b"\n")]
    told = frozenset(mark_of(urls[one["address"]]) for one in came if not one["said"])
    said, again, status = list(refused), False, None
    for one in came:
        if one["said"]:
            words = scrub("; ".join(dict.fromkeys(printable(each) for each in one["said"])), urls)
            found = _STATUS.search(words)
            status = status or (int(found[1]) if found else None)
            again |= not one["refused"] and not (found and int(found[1]) == HTTPStatus.GONE)
            said.append(words or "the service did not take it")
    if len(came) < len(urls):
        said, again = [*said, f"not sent within {timeout:g} s, or an answer too large"], True
    if not said:
        return Outcome(True, told=told)
    return Outcome(False, status, printable("; ".join(dict.fromkeys(said)), 600), again=again, told=told)
