"""Making, changing and ending subscriptions: filters looked for, targets checked, secrets made, readers of Kafka let in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from broker.api.subscribing import Made, Subscribing
from broker.deliver import message
from broker.deliver.addresses import IPNetwork, check_url, networks
from broker.deliver.webhook import check_secret, new_secret
from broker.errors import NotFoundError, NunciusError, UsageError
from broker.filtering.parse import nearest
from broker.store import filters, subscriptions
from broker.store.subscription import CHANNELS, REMOVED, Subscription
from broker.telemetry import get_logger
from broker.wiring import access
from broker.wiring.parts import Parts

__all__ = ["add", "change", "remove", "shown", "subscribing"]

log = get_logger(__name__)

FORMATS: Final = ("json", "voevent")
MOST_URLS: Final = 20


def subscribing(parts: Parts) -> Subscribing:
    """What the API makes subscriptions with."""
    return Subscribing(
        add=lambda values: add(parts, values),
        change=lambda ident, values: change(parts, ident, values),
        remove=lambda ident: remove(parts, ident),
        shown=shown,
    )


def add(parts: Parts, values: Mapping[str, Any]) -> Made:
    """Make a subscription of what `broker.store.subscriptions.add` takes; a webhook without a secret gets one.

    Raises
    ------
    NotFoundError
        There is no such filter.
    UsageError
        Its target may not be sent to, or something else cannot be so.
    """
    channel = str(values["channel"])
    if channel not in CHANNELS:
        raise UsageError(f"channel {channel[:40]!r}: there are {', '.join(CHANNELS)}")
    there = {**values, "target": _target(parts, channel, values["target"])}
    _known(parts, values["filters"])
    _fits(there["target"], values.get("digest"))
    there["secret"] = _secret(str(values.get("secret") or "")) if channel == "webhook" else ""
    if channel != "kafka":
        return Made(subscriptions.add(parts.store, **there))
    with _let_in(parts, there["target"]["user"], values["filters"]) as password:
        return Made(subscriptions.add(parts.store, **there), password)


def change(parts: Parts, ident: str, values: Mapping[str, Any]) -> Made:
    """Change a subscription; an empty secret has another made. Raises as `add` does."""
    before = subscriptions.get(parts.store, ident)
    there, channel = dict(values), before.channel
    if "target" in there:
        there["target"] = _target(parts, channel, there["target"])
    if "filters" in there:
        _known(parts, [name for name in there["filters"] if name not in before.filters])
    if "secret" in there:
        there["secret"] = _secret(str(there["secret"] or "")) if channel == "webhook" else ""
    _fits(there.get("target", before.target), there.get("digest", before.digest))
    if channel != "kafka":
        return Made(subscriptions.change(parts.store, ident, **there))
    with _let_in(parts, there.get("target", before.target)["user"], there.get("filters", before.filters)) as password:
        after = subscriptions.change(parts.store, ident, **there)
    _take_back(parts, before, after)
    return Made(after, password)


def remove(parts: Parts, ident: str) -> None:
    """End a subscription; a reader of Kafka keeps what others of theirs are to.

    Raises
    ------
    NotFoundError
        There is none, or it was removed already.
    """
    before = subscriptions.get(parts.store, ident)
    if before.channel == "kafka" and before.state != REMOVED:
        _take_back(parts, before)  # first: where Kafka is away, it can be asked for again
    subscriptions.remove(parts.store, ident)


def shown(channel: str, target: Mapping[str, Any]) -> Mapping[str, Any]:
    """A target without what is secret in it."""
    if channel != "message":
        return dict(target)
    return {**target, "urls": [message.mask(str(url)) for url in target.get("urls", ())]}


@contextmanager
def _let_in(parts: Parts, user: str, names: Collection[str]) -> Iterator[str | None]:
    """Let a user of Kafka read filters; where what is done then fails, they read what they could before.

    Yields
    ------
    str or None
        Their password, where they are new.
    """
    had = next((set(access.filters_of(one)) for one in access.listing(parts.settings) if one.user == user), None)
    password = access.grant(parts.settings, user, names).password
    try:
        yield password
    except BaseException:
        fresh = sorted(set(names) - (had or set()))
        try:
            if had is None:
                access.revoke(parts.settings, user)
            elif fresh:
                access.revoke(parts.settings, user, fresh)
        except NunciusError as error:
            log.warning("a reader of Kafka may read what nobody subscribed to", user=user, filters=fresh, error=str(error))
        raise


def _take_back(parts: Parts, before: Subscription, after: Subscription | None = None) -> None:
    """What a reader of Kafka may read for the sake of no subscription any more, as far as they still may.

    What they were granted otherwise stays, and their password with it.
    """
    if parts.settings.log.engine != "kafka":
        return  # any more: what was granted is on a cluster that we no longer use
    user = before.target["user"]
    others = [one for one in subscriptions.listing(parts.store) if one.channel == "kafka" and one.id != before.id]
    left = [one for one in (*others, *([] if after is None else [after])) if one.target["user"] == user]
    gone = set(before.filters) - {name for one in left for name in one.filters}
    for one in access.listing(parts.settings) if gone else ():
        if one.user == user:
            granted = set(access.filters_of(one))
            if not left and granted <= gone:
                access.revoke(parts.settings, user)
            elif granted & gone:
                access.revoke(parts.settings, user, sorted(granted & gone))


def _known(parts: Parts, names: Collection[str]) -> None:
    there = filters.whose(parts.store)
    for name in names:
        if name not in there:
            raise NotFoundError(f"no filter {name[:80]!r}{nearest(name, sorted(there))}: `nuncius filter list` has them all")


def _target(parts: Parts, channel: str, target: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {"webhook": {"url", "format"}, "message": {"urls"}, "kafka": {"user"}}[channel]
    odd = sorted(target.keys() - wanted)
    if odd:
        raise UsageError(f"the target of a {channel} has no {', '.join(odd)}: it has {', '.join(sorted(wanted))}")
    allowed = networks(parts.settings.deliver.allow)
    if channel == "webhook":
        return _webhook(target, allowed)
    if channel == "message":
        urls = [str(url) for url in target.get("urls") or ()]
        if not 1 <= len(urls) <= MOST_URLS:
            raise UsageError(f"messages go to 1 to {MOST_URLS} addresses: {len(urls)} are named")
        for url in urls:
            message.check(url, allowed)
        return {"urls": urls}
    if not target.get("user"):
        raise UsageError("name the user of Kafka who is to read the matches")
    access.cluster(parts.settings)  # tells where there is none
    return {"user": str(target["user"])}


def _webhook(target: Mapping[str, Any], allowed: Collection[IPNetwork]) -> dict[str, Any]:
    said = str(target.get("format") or "json")
    if said not in FORMATS:
        raise UsageError(f"format {said[:40]!r}: there are {', '.join(FORMATS)}")
    if not target.get("url"):
        raise UsageError("a webhook needs the url that it is posted to")
    check_url(str(target["url"]), tuple(allowed))
    return {"url": str(target["url"]), "format": said}


def _fits(target: Mapping[str, Any], digest: int | None) -> None:
    if digest is not None and target.get("format") == "voevent":
        raise UsageError("a VOEvent is of one match: leave out the digest, or take the format json")


def _secret(given: str) -> str:
    if not given:
        return new_secret()
    check_secret(given)
    return given
