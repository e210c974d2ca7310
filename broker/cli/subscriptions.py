"""``nuncius subscribe`` and ``nuncius subscriptions``: who is told of which filters' matches, and how."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from broker.cli.context import busy, context, err, opened, out, print_json
from broker.cli.people import AsDocument, database
from broker.cli.tables import show_table
from broker.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.store.deliveries import Latency
    from broker.store.subscription import Subscription

__all__ = ["app", "subscribe"]

app = typer.Typer(help="Subscriptions: who is told of which filters' matches, and how.", no_args_is_help=True)

Ident = Annotated[str, typer.Argument(help="Such as sub_0123456789ab.", metavar="ID")]


def subscribe(  # noqa: PLR0917 - each is an option of the command line
    ctx: typer.Context,
    filters: Annotated[list[str], typer.Argument(help="Names of filters.", metavar="FILTER...")],
    webhook: Annotated[str | None, typer.Option(help="Address that matches are posted to.", metavar="URL")] = None,
    message: Annotated[
        list[str] | None,
        typer.Option(help="Address of a mailbox or chat, as apprise writes them; may be given often.", metavar="URL"),
    ] = None,
    kafka: Annotated[str | None, typer.Option(help="User of a Kafka with passwords who may read them.", metavar="USER")] = None,
    secret: Annotated[
        str | None, typer.Option(help="That webhooks are signed with, whsec_... [default: one is made and shown]")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="json or voevent: what a webhook gets.")] = "json",
    rate: Annotated[int | None, typer.Option(help="Deliveries a minute at most; what is over waits.")] = None,
    quiet: Annotated[
        str | None, typer.Option(help="Hours such as 22:00-07:00 in which nothing is sent; it waits.", metavar="FROM-TO")
    ] = None,
    zone: Annotated[str, typer.Option(help="Of the quiet hours, such as Europe/Rome.")] = "UTC",
    digest: Annotated[int | None, typer.Option(help="Minutes, after which all that came goes out together.")] = None,
    only_first: Annotated[bool, typer.Option("--only-first", help="Of an object only the first match.")] = False,
    updates: Annotated[str, typer.Option(help="all, retractions or none: what of matches told again.")] = "all",
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    owner: Annotated[str | None, typer.Option(help="Account whose it is, and who must see the filters.")] = None,
    as_document: AsDocument = False,
) -> None:
    """Have the matches of filters, from now on, sent to a webhook, by mail or chat, or let a user of Kafka read them.

    Example: `nuncius subscribe ztf_bright_transients --webhook https://example.org/hook --only-first`
    """
    from broker.store.subscription import quiet_of

    channels = {"webhook": webhook, "message": message or None, "kafka": kafka}
    chosen = [name for name, given in channels.items() if given is not None]
    if len(chosen) != 1:
        raise UsageError("name one channel: --webhook URL, --message URL or --kafka USER")
    if secret == "":
        raise UsageError("--secret is empty: leave it out, and one is made and shown")
    if webhook is None and (secret is not None or form != "json"):
        raise UsageError("--secret and --format are of webhooks: give --webhook URL")
    target = {"webhook": {"url": webhook, "format": form}, "message": {"urls": message}, "kafka": {"user": kafka}}
    values: dict[str, Any] = {
        "filters": filters,
        "channel": chosen[0],
        "target": target[chosen[0]],
        "secret": secret or "",
        "owner": owner,
        "rate": rate,
        "quiet": None if quiet is None else quiet_of(quiet, zone),
        "digest": digest,
        "only_first": only_first,
        "updates": updates,
        "note": note,
    }
    options = context(ctx)
    with busy("open"):
        from broker.store import people
        from broker.wiring import subscribing
    with opened(options.settings(), options.data) as parts:
        if owner is not None:
            people.get(parts.store, owner)
        made = subscribing.add(parts, values)
    one = made.subscription
    if as_document:
        print_json({**_told(one), "secret": one.secret or None, "password": made.password})
        return
    sys.stdout.write(f"{one.id}\n")
    for what, shown in (("secret", one.secret), ("password", made.password)):
        if shown:
            err.print(f"{what}: {shown}\nit cannot be shown again", highlight=False, soft_wrap=True, markup=False)
    if one.channel != "kafka":
        err.print(
            f"sent by `nuncius deliver` or `nuncius up`; `nuncius subscriptions test {one.id}` tries it out",
            highlight=False,
            soft_wrap=True,
        )


@app.command("list")
def listing(
    ctx: typer.Context,
    removed: Annotated[bool, typer.Option("--removed", help="Those that were removed, too.")] = False,
    as_document: AsDocument = False,
) -> None:
    """Subscriptions, the oldest first, how many deliveries they have, and how long these took.

    Example: `nuncius subscriptions list --json`
    """
    with database(ctx, only_reads=True) as store:
        from broker.store import deliveries, subscriptions

        found = subscriptions.listing(store, removed=removed)
        counts = deliveries.counts(store)
        waits = {one.id: deliveries.latency(store, one.id) for one in found}
        troubles = {one.id: deliveries.trouble(store, one.id) for one in found}
    if as_document:
        print_json([_told(one) | _fare(counts.get(one.id, {}), waits[one.id], troubles[one.id]) for one in found])
        return
    rows = [
        (
            one.id,
            f"{one.state}, failing" if troubles[one.id] else one.state,
            escape(", ".join(one.filters)),
            one.channel,
            escape(_place(one)),
            ", ".join([*(f"{number:,} {state}" for state, number in sorted(counts.get(one.id, {}).items())), *_left_out(one)]),
            _seconds(waits[one.id].p50),
            _seconds(waits[one.id].p99),
            escape(one.note),
        )
        for one in found
    ]
    columns = ("id", "state", "filters", "channel", "to", "deliveries", "p50", "p99", "note")
    show_table(out, columns, rows, prose={"filters": 20, "deliveries": 16, "note": 16})
    if any(one.left_out for one in found):
        err.print(
            "left out: as many waited as may (deliver.most_waiting), so these are not delivered: ask for less, or resume it",
            highlight=False,
            soft_wrap=True,
        )


@app.command("show")
def show(ctx: typer.Context, ident: Ident, as_document: AsDocument = False) -> None:
    """A subscription, without what is secret.

    Example: `nuncius subscriptions show sub_0123456789ab`
    """
    with database(ctx, only_reads=True) as store:
        from broker.store import deliveries, subscriptions

        one = subscriptions.get(store, ident)
        counts = deliveries.counts(store, one.id).get(one.id, {})
        told = _told(one) | _fare(counts, deliveries.latency(store, one.id), deliveries.trouble(store, one.id))
    if as_document:
        print_json(told)
        return
    for name, value in told.items():
        if value not in {None, ""} if isinstance(value, str | None) else value:
            out.print(f"[bold]{name}[/]  {escape(_shown(value))}", highlight=False, overflow="fold")


@app.command("pause")
def pause(ctx: typer.Context, ident: Ident) -> None:
    """Send nothing for now: what comes waits.

    Example: `nuncius subscriptions pause sub_0123456789ab`
    """
    _change(ctx, ident, "paused")
    err.print("it is paused: what comes waits until it is resumed")


@app.command("resume")
def resume(ctx: typer.Context, ident: Ident) -> None:
    """Send again, first what has waited.

    Example: `nuncius subscriptions resume sub_0123456789ab`
    """
    _change(ctx, ident, "active")
    err.print("it is active")


@app.command("remove")
def remove(ctx: typer.Context, ident: Ident) -> None:
    """End a subscription; what waits is cancelled, what is on its way ends as it ends.

    Example: `nuncius subscriptions remove sub_0123456789ab`
    """
    options = context(ctx)
    settings, folder = options.settings(), options.kept()
    with busy("open"):
        from broker.wiring import subscribing
    with opened(settings, folder) as parts:
        subscribing.remove(parts, ident)
    err.print("the subscription is removed")


@app.command("test")
def try_out(ctx: typer.Context, ident: Ident, as_document: AsDocument = False) -> None:
    """Send something that is no alert's, here and now, and tell what came of it; exit status 1 where it did not arrive.

    Example: `nuncius subscriptions test sub_0123456789ab`
    """
    options = context(ctx)
    settings, folder = options.settings(), options.kept()
    with busy("open"):
        from broker.wiring.deliver_test import try_out as send_now
    with opened(settings, folder) as parts, busy("send"):
        came = send_now(parts, ident)
    if as_document:
        print_json({"id": came.id, "state": came.state, "status": came.status, "error": came.error})
    elif came.state == "delivered":
        err.print(f"delivered: {came.id}")
    else:
        err.print(f"[bold red]not delivered:[/] {escape(came.error or came.state)}", highlight=False, soft_wrap=True)
    if came.state != "delivered":
        raise typer.Exit(1)


def _change(ctx: typer.Context, ident: str, state: str) -> None:
    with database(ctx, only_reads=True) as store:
        from broker.store import subscriptions

        subscriptions.change(store, ident, state=state)


def _told(one: Subscription) -> dict[str, Any]:
    """As JSON has it, without what is secret."""
    told = {name: value for name, value in asdict(one).items() if name != "secret"}
    told["target"] = dict(_target(one))
    told["quiet"] = one.quiet and {"start": f"{one.quiet.start:%H:%M}", "end": f"{one.quiet.end:%H:%M}", "zone": one.quiet.zone}
    return told


def _fare(counts: Mapping[str, int], latency: Latency, trouble: str | None) -> dict[str, Any]:
    """How it fares, as JSON has it."""
    return {"deliveries": counts, "latency": asdict(latency), "trouble": trouble}


def _place(one: Subscription) -> str:
    """Where it goes, in one line."""
    target = _target(one)
    return str(target.get("url") or target.get("user") or ", ".join(target.get("urls", ())))


def _target(one: Subscription) -> Mapping[str, Any]:
    """Where it goes, without what is secret: of accounts' webhooks no path, which may have a token in it."""
    from broker.api.subscribing import to_others
    from broker.wiring.subscribing import shown

    target = shown(one.channel, one.target)
    return target if one.owner is None else to_others(target)


def _left_out(one: Subscription) -> list[str]:
    """How many deliveries there was no room for, and when last."""
    return [] if one.left_out_at is None else [f"{one.left_out:,} left out, last {one.left_out_at:%Y-%m-%dT%H:%MZ}"]


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g} s"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(one)}" for name, one in value.items() if one is not None)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
