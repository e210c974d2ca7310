"""Services of apprise that messages may go to: those that reach people, and those that hand on to what does."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Literal
from urllib.parse import unquote

from broker.deliver.addresses import IPNetwork, check_host
from broker.errors import UsageError

__all__ = ["FIXED", "HOSTED", "MAIL", "REFUSED_OPTIONS", "check_text", "mask", "options_of", "scrub", "service_of"]

_CHAT: Final = """slack discord tgram gchat wxteams webex zulip line guilded revolt twist ryver flock stackfield zoom cliq zcliq
    zohocliq lark feishu dingtalk wecombot threema viber whatsapp groupme bsky bluesky reddit"""
_TELEPHONE: Final = """pover pbul prowl join spush simplepush push pushy pushme psafer psafers onesignal ifttt chanify
    schan wxpusher twilio vonage nexmo msgbird clicksend clickatell d7sms sinch plivo telnyx seven sns bulksms bulkvs voipms
    smsmgr smsmanager 46elks elks freemobile octopush burstsms kudosity cm exotel msg91 atalk telesign httpsms dapnet"""
_ON_CALL: Final = "pagerduty opsgenie signl4 pagertree splunk victorops ilert incidentio squadcast spike firehydrant"
_MAILERS: Final = "mailgun sendgrid ses smtp2go sparkpost postmark brevo resend mailersend sendpulse azure o365"
_OWN: Final = """mailto mailtos json jsons xml xmls form forms apprise apprises mmost mmosts rocket rockets gotify gotifys bark
    barks signal signals mastodon mastodons toot toots misskey misskeys nctalk nctalks ncloud nclouds hassio hassios synology
    synologys workflow workflows irc ircs goalert goalerts humhub humhubs"""

FIXED: Final = frozenset(f"{_CHAT} {_TELEPHONE} {_ON_CALL} {_MAILERS}".split())
"""Schemes whose server is known: no part of the address names one."""

HOSTED: Final[dict[str, Literal["always", "either"]]] = {
    **dict.fromkeys(_OWN.split(), "always"),
    **dict.fromkeys(("ntfy", "ntfys", "matrix", "matrixs", "pushdeer", "pushdeers"), "either"),
}
"""Schemes whose address names a server: always, or it may stand for something else."""

MAIL: Final = frozenset({"mailto", "mailtos", *_MAILERS.split()})
"""Those that get HTML."""

REFUSED_OPTIONS: Final = frozenset({"template", "pgp", "pgppub", "pgpprv", "wkd", "keyfile", "subfile", "attach"})
"""Options of addresses that name files, of this server or for somebody to fetch."""

_NATIVE: Final = {"http", "https"}  # apprise turns addresses of some services' own into its own


def options_of(url: str) -> frozenset[str]:
    """Names of the options of an address, in lower case: wherever they stand, since apprise reads them beyond a ``#``, too."""
    return frozenset(unquote(name).lower() for name in re.findall(r"[?&]([^=&?#]*)", url))


def check_text(url: str) -> None:
    """Refuse what can be told from the text of an address alone.

    Raises
    ------
    UsageError
        It is not on our list, is more than one, or names a file.
    """
    scheme = url.partition("://")[0].lower()
    if "://" not in url or scheme not in FIXED | HOSTED.keys() | _NATIVE:
        known = ", ".join(f"{name}://" for name in ("mailto", "slack", "tgram", "discord", "mmost", "matrix", "ntfy", "json"))
        raise UsageError(f"no messages go to {mask(url)}: {known} and others do; see docs/subscriptions.md")
    if not url.isprintable() or any(each.isspace() for each in url):
        raise UsageError(f"{mask(url)}: an address has no spaces or line ends in it; percent-encode them")
    for name in sorted(options_of(url) & REFUSED_OPTIONS):
        raise UsageError(f"{mask(url)}: option {name!r} names a file, and is not taken")


@cache
def _library() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of modules that it tries and does without
        import apprise  # noqa: PLC0415 - takes a second to load

        apprise.Apprise.instantiate("json://localhost")  # loads its services
    return apprise


def service_of(url: str, allowed: Sequence[IPNetwork] = (), asset: Any = None) -> tuple[str, Any]:
    """What apprise makes of an address: its scheme there, and the service.

    Raises
    ------
    UsageError
        Nothing, something that is not on our list, or something at a server that may not be sent to.
    """
    apprise = _library()
    parts = apprise.plugins.url_to_dict(url, secure_logging=True)
    service: Any = (
        apprise.Apprise.instantiate(url, asset=asset or apprise.AppriseAsset(http_redirects=False)) if parts else None
    )
    if service is None:
        raise UsageError(
            f"{mask(url)}: apprise cannot make anything of it; https://appriseit.com/services/ tells how it is written"
        )
    scheme = str(parts["schema"]).lower()
    if scheme not in FIXED and scheme not in HOSTED:
        raise UsageError(f"{mask(url)}: no messages go to {scheme}://; a server of your own takes a webhook")
    # Where mail has a server of its own, the domain of the address is none.
    host = next(
        (found for name in ("smtp_host", "host") if isinstance(found := getattr(service, name, None), str) and found), ""
    )
    if host and scheme in HOSTED:
        check_host(host, allowed, named=HOSTED[scheme] == "always")
    return scheme, service


def mask(url: str) -> str:
    """Address to show: the service, and its server where that is part of it; no token, no password."""
    scheme, _, rest = url.partition("://")
    if not re.fullmatch(r"[A-Za-z0-9]{1,32}", scheme) or "://" not in url:
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


def scrub(text: str, urls: Sequence[str]) -> str:
    """Text of a library without the longer parts of addresses that `mask` hides: some services' errors have tokens in them."""
    for url in urls:
        shown = mask(url)
        parts = {part for each in (url, unquote(url)) for part in re.split(r"[/:@?&=#,;+]+", each)}
        for part in sorted(parts, key=len, reverse=True):
            if len(part) >= 6 and part not in shown:
                text = text.replace(part, "***")
    return text
