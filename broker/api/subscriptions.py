"""``subscriptions``: filters joined to a channel on which what they pick is delivered."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from threading import Lock
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from broker.api.auth import Asks, Principal, may_see, within
from broker.api.deliveries import Delivery, delivery_of
from broker.api.models import Utc
from broker.api.principal import ForbiddenError
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.api.subscribers import reads, seen
from broker.api.subscribing import Made, to_others
from broker.errors import NotFoundError, UsageError
from broker.store import deliveries, filters
from broker.store import subscriptions as stored
from broker.store.subscription import Channel, Quiet, Updates, quiet_of
from broker.store.subscription import Subscription as Kept

__all__ = ["router"]

Ident = Annotated[str, Path(description="The subscription's", examples=["sub_0123456789ab"])]
Filters = Annotated[list[str], Field(min_length=1, max_length=100, description="By name", examples=[["ztf_bright_transients"]])]
Secret = Annotated[str, Field(max_length=400, description="`whsec_...`, that webhooks are signed with", examples=["whsec_..."])]
Rate = Annotated[int | None, Field(ge=1, le=60_000, description="Deliveries a minute at most; what is over waits")]
Digest = Annotated[int | None, Field(ge=1, le=1_440, description="Minutes, after which all that came goes out together")]
Note = Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00]*$", description="What it is for")]
_CLOCK = r"^[0-2][0-9]:[0-5][0-9](:[0-5][0-9])?$"


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Webhook(_Exact):
    """Where a webhook is."""

    url: str = Field(min_length=1, max_length=2_000, description="https:// or http://", examples=["https://example.org/hook"])
    format: Literal["json", "voevent"] = "json"


class Addresses(_Exact):
    """Where messages go, as apprise writes it."""

    urls: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=2_000)]],
        Field(min_length=1, max_length=20, examples=[["mailtos://user:password@example.org?to=hypatia@example.org"]]),
    ]


class KafkaUser(_Exact):
    """Who reads the topics of the filters."""

    user: str = Field(min_length=1, max_length=64, description="On a Kafka cluster with passwords", examples=["hypatia"])


Target = Webhook | Addresses | KafkaUser
_TARGETS: dict[str, type[BaseModel]] = {"webhook": Webhook, "message": Addresses, "kafka": KafkaUser}


class QuietHours(BaseModel):
    """Hours of each day in which nothing is sent."""

    start: str = Field(pattern=_CLOCK, examples=["22:00"])
    end: str = Field(
        pattern=_CLOCK, description="Quiet no more; over midnight where it is before the start", examples=["07:00"]
    )
    zone: str = Field(default="UTC", max_length=100, description="IANA time zone", examples=["Europe/Rome"])

    def parsed(self) -> Quiet:
        """As it is kept; `UsageError` where there are no such hours."""
        return quiet_of(f"{self.start}-{self.end}", self.zone)


class NewSubscription(_Exact):
    """A subscription to be made."""

    filters: Filters
    channel: Channel
    target: Target = Field(description="`url` and `format` of a webhook, `urls` of messages, or a Kafka `user`")
    secret: Secret | None = Field(default=None, description="That a webhook is signed with; left out, one is made")
    rate: Rate = None
    quiet: QuietHours | None = Field(default=None, description="What comes then waits until its end")
    digest: Digest = None
    only_first: bool = Field(default=False, description="Of an object only the first match")
    updates: Updates = Field(default="all", description="Matches told again: all, only those retracted, or none")
    note: Note = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if type(self.target) is not _TARGETS[self.channel]:
            raise ValueError(f"the target of a {self.channel} has {', '.join(_TARGETS[self.channel].model_fields)}")
        if self.secret is not None and self.channel != "webhook":
            raise ValueError("only webhooks are signed: leave out secret")
        if self.secret == "":
            raise ValueError("secret is empty: leave it out, and one is made")
        return self


class Changes(_Exact):
    """What is to be otherwise; what is left out stays. Null takes away `rate`, `quiet` or `digest`."""

    filters: Filters | None = None
    target: Target | None = None
    secret: Secret | None = Field(
        default=None, description="Another; empty: one is made. Two with a space between are both used"
    )
    state: Literal["active", "paused"] | None = Field(default=None, description="Paused: what comes waits")
    rate: Rate = None
    quiet: QuietHours | None = None
    digest: Digest = None
    only_first: bool | None = None
    updates: Updates | None = None
    note: Note | None = None

    def asked(self) -> dict[str, Any]:
        """What is asked for, as it is kept."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        found = {name: one for name, one in given.items() if one is not None or name in {"rate", "quiet", "digest"}}
        if self.target is not None:
            found["target"] = self.target.model_dump()
        if self.quiet is not None:
            found["quiet"] = self.quiet.parsed()
        return found


class Subscription(BaseModel):
    """A subscription, without its secret, passwords and tokens in addresses of messages, and paths of others' webhooks."""

    id: str = Field(examples=["sub_0123456789ab"])
    filters: list[str]
    channel: Channel
    target: dict[str, Any]
    owner: str | None = Field(description="Whose it is; null: nobody's")
    state: str = Field(description="`active`, `paused` or `removed`")
    rate: int | None
    quiet: QuietHours | None
    digest: int | None
    only_first: bool
    updates: str
    note: str
    created: Utc
    changed: Utc
    deliveries: dict[str, int] = Field(
        description="How many there are, by state: pending, delivered, failed, skipped, cancelled", examples=[{"delivered": 12}]
    )
    trouble: str | None = Field(description="What came of the last try, where that was an error")
    left_out: int = Field(description="Matches that are not delivered, since as many as may wait did (`deliver.most_waiting`)")
    left_out_at: Utc | None = Field(description="When the last of them was left out; null where none was")


class MadeSubscription(Subscription):
    """A subscription just made or changed, with what is shown only now."""

    secret: str | None = Field(default=None, description="That its webhook is signed with, where it is new")
    password: str | None = Field(default=None, description="Of its Kafka user, where it is new")


class SubscriptionList(BaseModel):
    """Subscriptions, the oldest first."""

    items: list[Subscription]


class Latency(BaseModel):
    """Seconds from the receipt of alerts to the acknowledgement of deliveries, over the last 10,000 at most."""

    count: int = Field(description="Deliveries that it is of")
    p50: float | None = Field(description="Half took no longer; null where there are none")
    p99: float | None = None


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/subscriptions", tags=["subscriptions"], responses=RESPONSES)
    _reading(routes, services)
    _changing(routes, services)
    return routes


def _reading(routes: APIRouter, services: Services) -> None:
    @routes.get("")
    def subscriptions(asks: Asks) -> SubscriptionList:
        """One's own subscriptions; administrators have all."""
        if not reads(asks):
            return SubscriptionList(items=[])
        found = stored.listing(services.store, None if asks.admin else asks.user)
        counts = deliveries.counts(services.store) if asks.admin else {}
        for one in () if asks.admin else found:
            counts |= deliveries.counts(services.store, one.id)
        return SubscriptionList(items=[_shown(services, asks, one, counts) for one in found])

    @routes.get("/{ident}")
    def one(ident: Ident, asks: Asks) -> Subscription:
        """A subscription; one that was removed, too."""
        return _shown(services, asks, seen(services, asks, ident))

    @routes.get("/{ident}/latency")
    def latency(ident: Ident, asks: Asks) -> Latency:
        """How long its deliveries took, from the receipt of the alert until they were acknowledged."""
        seen(services, asks, ident)
        return Latency(**asdict(deliveries.latency(services.store, ident)))


def _changing(routes: APIRouter, services: Services) -> None:
    # Or many at once would each be the last that the quotas allow; of an account, since Kafka may take its time.
    making: defaultdict[str | None, Lock] = defaultdict(Lock)

    @routes.post("", status_code=201, responses={409: RESPONSES[400]})
    def make(wanted: NewSubscription, asks: Asks) -> MadeSubscription:
        """Subscribe: from now on what the filters pick is delivered. The secret of a webhook is shown this once."""
        _filters(services, asks, wanted.filters)
        _reader(services, asks, wanted.target)
        values = {name: getattr(wanted, name) for name in NewSubscription.model_fields} | {
            "target": wanted.target.model_dump(),
            "secret": wanted.secret or "",
            "quiet": wanted.quiet and wanted.quiet.parsed(),
            "owner": asks.user,
        }
        with making[asks.user]:
            there = len(stored.listing(services.store, asks.user)) if asks.user else 0
            within(asks, services.auth.quotas.subscriptions_per_user, there, "subscriptions")
            made = services.subscribing.add(values)
        return _made(services, asks, made, secret=True)

    @routes.patch("/{ident}", responses={409: RESPONSES[400]})
    def change(ident: Ident, wanted: Changes, asks: Asks) -> MadeSubscription:
        """Change a subscription, pause it, or have it go on."""
        found, asked = seen(services, asks, ident, change=True), wanted.asked()
        if wanted.filters is not None:
            _filters(services, asks, [name for name in wanted.filters if name not in found.filters])
        if wanted.target is not None:
            _reader(services, asks, wanted.target)
        if wanted.secret is not None and found.channel != "webhook":
            raise UsageError(f"subscription {ident!r} is to a {found.channel}: only webhooks are signed")
        return _made(services, asks, services.subscribing.change(ident, asked), secret=wanted.secret is not None)

    @routes.delete("/{ident}", status_code=204)
    def remove(ident: Ident, asks: Asks) -> Response:
        """End a subscription; what waits for it is cancelled."""
        seen(services, asks, ident, change=True)
        services.subscribing.remove(ident)
        return Response(status_code=204)

    @routes.post("/{ident}/test", status_code=202, responses={409: RESPONSES[400]})
    def test(ident: Ident, asks: Asks) -> Delivery:
        """Have something delivered that is no alert's, to see that it arrives: ask `/deliveries/{id}` what became of it."""
        seen(services, asks, ident, change=True)
        return delivery_of(deliveries.add_test(services.store, ident, alone=True))


def _filters(services: Services, asks: Principal, names: list[str]) -> None:
    """Refuse filters that are not there, or that may not be seen."""
    known = filters.whose(services.store)
    for name in names:
        one = known.get(name)
        if one is None or not may_see(asks, one.owner, one.team, one.visibility):
            raise NotFoundError(f"no filter {name!r}: /api/v1/filters lists them")


def _reader(services: Services, asks: Principal, target: Target) -> None:
    """Refuse to let others than oneself read from Kafka: a user of another's name would be theirs to read with."""
    if isinstance(target, KafkaUser) and services.auth.required and not asks.admin and target.user != asks.user:
        raise ForbiddenError(f"the Kafka user of your subscriptions is {asks.user!r}: administrators alone may name another")


def _shown(services: Services, asks: Principal, one: Kept, counts: dict[str, dict[str, int]] | None = None) -> Subscription:
    told = deliveries.counts(services.store, one.id) if counts is None else counts
    quiet, target = one.quiet, services.subscribing.shown(one.channel, one.target)
    values = asdict(one) | {
        "target": dict(target if one.owner in {None, asks.user} else to_others(target)),
        "quiet": quiet and QuietHours(start=f"{quiet.start:%H:%M:%S}", end=f"{quiet.end:%H:%M:%S}", zone=quiet.zone),
        "deliveries": told.get(one.id, {}),
        "trouble": deliveries.trouble(services.store, one.id),
    }
    return Subscription.model_validate(values)


def _made(services: Services, asks: Principal, made: Made, *, secret: bool) -> MadeSubscription:
    shown = _shown(services, asks, made.subscription).model_dump()
    return MadeSubscription(**shown, secret=(made.subscription.secret or None) if secret else None, password=made.password)
