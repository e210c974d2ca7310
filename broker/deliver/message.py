"""Mail, chat and telephones, through apprise: one address a place.

Which services there are to send to is a list of ours. Apprise knows more: some start programs on this machine, some write to its
log or its screen, some read files that an address names. Of those on the list that are told which server to talk to, the server
has to be one that deliveries may go to. That is checked here, to say so at once, and again where the connection is made, in the
process that sends (`broker.deliver.message_process`), which whatever a library or a server does can be ended.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from broker.deliver.addresses import IPNetwork, check_host
from broker.deliver.card import Card
from broker.deliver.message_client import Sender
from broker.deliver.message_services import FIXED, HOSTED, REFUSED_OPTIONS
from broker.deliver.outcome import Outcome, printable
from broker.errors import UsageError

__all__ = ["check", "mask", "send"]

_NATIVE: Final = {"http", "https"}  # apprise turns addresses of some services' own into its own
_STATUS: Final = re.compile(r"error[ =:]+([1-5][0-9]{2})\b")
_SENDER: Final = Sender()


def check(url: str, allowed: Sequence[IPNetwork] = ()) -> None:
    """Refuse what is no apprise address, what is not on our list, and servers that may not be sent to.

    Raises
    ------
    UsageError
        It is; neither passwords nor tokens are told.
    """
    scheme = _scheme(url)
    if scheme not in FIXED and scheme not in HOSTED and scheme not in _NATIVE:
        known = ", ".join(f"{name}://" for name in ("mailto", "slack", "tgram", "discord", "mmost", "matrix", "ntfy", "json"))
        raise UsageError(f"no messages go to {scheme + '://' if scheme else 'that'}: {known} and others do; see docs/subscriptions.md")
    if any(each.isspace() for each in url) or not url.isprintable():
        raise UsageError(f"{mask(url)}: an address has no spaces or line ends in it; percent-encode them")
    for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if name.lower() in REFUSED_OPTIONS:
            raise UsageError(f"{mask(url)}: option {name!r} names a file of this server, and is not taken")
    import apprise  # noqa: PLC0415 - takes a second to load

    # A list of services is what it would take an address with a comma in it for; this takes one, as it is.
    service: Any = apprise.Apprise.instantiate(url, asset=apprise.AppriseAsset(http_redirects=False))
    if service is None:
        raise UsageError(f"{mask(url)}: apprise cannot make anything of it; see https://appriseit.com/services/ for how it is written")
    made = str(getattr(service, "schema", scheme)).lower()
    if made not in FIXED and made not in HOSTED:
        raise UsageError(f"{mask(url)}: no messages go to {made}://; use --webhook for a server of your own")
    for attribute in ("smtp_host", "host"):
        host = getattr(service, attribute, None)
        if made in HOSTED and isinstance(host, str) and host:
            check_host(host, allowed)
            break  # where mail has a server of its own, the domain of the address is none


def mask(url: str) -> str:
    """Address to show: the service, and its server where that is part of it; no token, no password."""
    scheme, _, rest = url.partition("://")
    if not rest or not re.fullmatch(r"[A-Za-z0-9]{1,32}", scheme):
        return "***"
    scheme = scheme.lower()
    if scheme not in HOSTED and scheme not in _NATIVE:
        return f"{scheme}://***"
    place, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    user, at, host = place.rpartition("@")
    shown = host if re.fullmatch(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?", host) else "***"
    if HOSTED.get(scheme) == "either" and not path:  # what stands where a server would may be the secret itself
        shown = "***"
    return f"{scheme}://{'***@' if at and user else ''}{shown}{'/***' if slash and path else ''}"


def send(urls: Sequence[str], card: Card, *, allowed: Sequence[IPNetwork] = (), timeout: float = 60.0) -> Outcome:
    """Send a card to each address; returns in time whatever the servers do.

    Parameters
    ----------
    urls
        Of apprise. Each is tried; where one fails, all are tried again.
    allowed
        Networks besides the public ones that may be sent to.
    timeout
        Seconds for all of them.
    """
    for url in urls:
        try:
            check(url, allowed)  # the list may be shorter than it was when this was subscribed to
        except UsageError as error:
            return Outcome(False, error=str(error), again=False)
    folder = tempfile.mkdtemp(prefix="nuncius-card-")  # some services want files, and this process is there to remove them
    try:
        for name, picture in card.pictures.items():
            (Path(folder) / Path(name).name).write_bytes(picture)
        asked = {
            "urls": list(urls), "title": card.title, "text": card.text, "html": card.html, "folder": folder,
            "pictures": [str(Path(folder) / Path(name).name) for name in card.pictures],
            "allowed": [str(network) for network in allowed], "timeout": timeout,
        }  # fmt: skip
        try:
            answer = _SENDER.ask(json.dumps(asked).encode(), timeout)
        except OSError as error:
            return Outcome(False, error=f"the process that sends messages cannot be reached: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _outcome(answer, timeout)


def _outcome(answer: bytes, timeout: float) -> Outcome:
    if not answer:
        return Outcome(False, error=f"not sent within {timeout:g} s, or an answer too large")
    told: dict[str, Any] = json.loads(answer)
    if told["ok"]:
        return Outcome(True)
    words = "; ".join(dict.fromkeys(printable(each) for each in told["said"])) or "the service did not take it"
    status = int(found[1]) if (found := _STATUS.search(words)) else None
    return Outcome(False, status, printable(words, 600), again=not told["refused"] and status != HTTPStatus.GONE)
