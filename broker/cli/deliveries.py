"""``nuncius deliveries``: what was sent to subscribers, what became of it, and once more."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.padding import Padding

from broker.cli.context import err, out, print_json
from broker.cli.people import AsDocument, database
from broker.cli.tables import show_table

if TYPE_CHECKING:
    from broker.store.delivery import Delivery

__all__ = ["app"]

app = typer.Typer(help="Deliveries: what was sent to subscribers, and what became of it.", no_args_is_help=True)

Ident = Annotated[str, typer.Argument(help="Such as dlv_0123456789abcdef01234567.", metavar="ID")]


@app.command("list")
def listing(  # noqa: PLR0917 - each is an option of the command line
    ctx: typer.Context,
    state: Annotated[
        str | None, typer.Option(help="Only those pending, delivered, failed, skipped or cancelled.", metavar="STATE")
    ] = None,
    subscription: Annotated[str | None, typer.Option(help="Only those of one.", metavar="ID")] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=10_000)] = 100,
    after: Annotated[str | None, typer.Option(help="Those after a page: its `next`.", metavar="CURSOR")] = None,
    as_document: AsDocument = False,
) -> None:
    """Deliveries, the newest first.

    Example: `nuncius deliveries list --state failed --json`
    """
    with database(ctx, only_reads=True) as store:
        from broker.store import deliveries, subscriptions

        if subscription is not None:
            subscriptions.get(store, subscription)
        page = deliveries.listing(store, state=state, subscription=subscription, limit=limit, after=after)
    if as_document:
        print_json({"items": [_told(one) for one in page.items], "next": page.next})
        return
    rows = [
        (
            one.id,
            one.state,
            one.subscription,
            one.change,
            escape(one.alert_id),
            f"{one.created:%Y-%m-%d %H:%M:%S}",
            str(one.attempts),
            "" if one.acknowledged is None else f"{(one.acknowledged - one.received).total_seconds():.2f}",
            escape(one.error or ""),
        )
        for one in page.items
    ]
    show_table(
        out, ("id", "state", "subscription", "what", "alert", "made", "tries", "took, s", "error"), rows, prose={"error": 30}
    )
    if page.next is not None:
        err.print(f"there are more: --after {page.next}", highlight=False, soft_wrap=True)


@app.command("show")
def show(ctx: typer.Context, ident: Ident, as_document: AsDocument = False) -> None:
    """A delivery with all that is known of it, and what it says.

    Example: `nuncius deliveries show dlv_0123456789abcdef01234567`
    """
    with database(ctx, only_reads=True) as store:
        from broker.store import deliveries

        one = deliveries.get(store, ident)
    if as_document:
        print_json(_told(one, body=True))
        return
    for name, value in _told(one, body=True).items():
        if value is not None and name != "data":
            out.print(Padding(f"[bold]{name}[/]  {escape(str(value))}", 0), highlight=False, overflow="fold")
    print_json(_told(one, body=True)["data"])


@app.command("replay")
def replay(ctx: typer.Context, ident: Ident) -> None:
    """Have a delivery sent again, under the same id: one that failed, was cancelled, or got lost where it was delivered.

    Example: `nuncius deliveries replay dlv_0123456789abcdef01234567`
    """
    with database(ctx, only_reads=True) as store:
        from broker.store import deliveries

        deliveries.replay(store, ident)
    err.print("it is sent again by `nuncius deliver` or `nuncius up`")


def _told(one: Delivery, *, body: bool = False) -> dict[str, Any]:
    """As JSON has it; who has it in hand is nobody's business."""
    import json

    told = {name: value for name, value in asdict(one).items() if name not in {"body", "lease_by", "lease_until"}}
    return told | ({"data": json.loads(one.body) if one.body else None} if body else {})
