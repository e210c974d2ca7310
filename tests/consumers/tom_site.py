"""Runs in the TOM's own environment: does what its arguments say, over the TOM's own pages and commands, and prints JSON."""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from typing import Any

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402
from django.urls import reverse  # noqa: E402
from tom_alerts.alerts import get_service_class  # noqa: E402
from tom_alerts.models import BrokerQuery  # noqa: E402
from tom_alertstreams.alertstreams.alertstream import get_default_alert_streams  # noqa: E402
from tom_dataproducts.models import PhotometryReducedDatum  # noqa: E402
from tom_targets.models import Target, TargetList  # noqa: E402


def setup() -> Any:
    call_command("migrate", verbosity=0)
    User.objects.create_superuser("hypatia", "h@example.org", "of nobody")
    return {"brokers": [get_service_class("Nuncius").__name__]}


def form(cases: list[dict[str, Any]]) -> Any:
    made = [get_service_class("Nuncius").form({"query_name": "q", "broker": "Nuncius", **case}) for case in cases]
    return [[] if one.is_valid() else [text for errors in one.errors.values() for text in errors] for one in made]


def query(said: dict[str, Any], create: bool) -> Any:
    """A query made, run and turned into targets through the pages."""
    setup_test_environment()  # pages tell what they were made of
    client = Client()
    client.force_login(User.objects.get(username="hypatia"), backend="allauth.account.auth_backends.AuthenticationBackend")
    made = client.post(reverse("tom_alerts:create") + "?broker=Nuncius", {"query_name": "q", "broker": "Nuncius", **said})
    assert made.status_code == 302, made.content[-3000:]
    known = BrokerQuery.objects.latest("id")
    page = client.get(reverse("tom_alerts:run", kwargs={"pk": known.id}))
    assert page.status_code == 200
    alerts = page.context["alerts"]
    if create:
        chosen = {"broker": "Nuncius", "query_id": known.id, "alerts": [alert.id for alert in alerts]}
        answer = client.post(reverse("tom_alerts:create-target"), chosen)
        assert answer.status_code == 302, answer.content[-3000:]
    shown = [
        {name: getattr(alert, name) for name in ("id", "name", "ra", "dec", "mag", "score", "url")}
        | {"timestamp": alert.timestamp.isoformat()}
        for alert in alerts
    ]
    return {"alerts": shown, "feedback": page.context["broker_feedback"], **state()}


def saved(said: dict[str, Any]) -> Any:
    """The same by the command, which has no pages; and by the broker's own way."""
    BrokerQuery.objects.create(name="command", broker="Nuncius", parameters=said)
    call_command("runbrokerquery", "command", stdout=sys.stderr)
    first = state()
    broker = get_service_class("Nuncius")()
    targets = broker.fetch_and_save_all(said)
    for target in targets:
        broker.process_reduced_data(target)
    return {"first": first, "targets": [target.name for target in targets], **state()}


def stream(options: dict[str, Any], command: bool) -> Any:
    from django.conf import settings

    logging.basicConfig(level=logging.ERROR)
    for one in settings.ALERT_STREAMS:
        one["OPTIONS"] = {**one["OPTIONS"], **options, "UNTIL": datetime.now(UTC)}
    if command:
        before = set(threading.enumerate())
        call_command("readstreams")
        for thread in set(threading.enumerate()) - before:
            thread.join(90)
    else:
        (one,) = get_default_alert_streams()
        one.listen()
    return state()


def curve(points: list[dict[str, Any]]) -> Any:
    """A light curve, as it is kept of a target."""
    from consumers.tom import photometry

    target = Target.objects.create(name="curve", type="SIDEREAL", ra=10.0, dec=5.0)
    return {"count": photometry.keep(target, points, "curve", telescope="ZTF"), **state()}


def state() -> dict[str, Any]:
    points = PhotometryReducedDatum.objects.order_by("timestamp", "bandpass", "reduction_version")
    return {
        "targets_kept": {target.name: [target.ra, target.dec, target.type] for target in Target.objects.all()},
        "points": [
            [
                one.target.name,
                one.timestamp.isoformat(),
                one.bandpass,
                one.brightness,
                one.brightness_error,
                one.limit,
                one.reduction_version,
            ]
            for one in points
        ],
        "lists": {one.name: sorted(target.name for target in one.targets.all()) for one in TargetList.objects.all()},
    }


def fail(alert: Any, **_more: Any) -> None:
    raise RuntimeError("a handler that fails")


if __name__ == "__main__":
    verbs = {"setup": setup, "form": form, "query": query, "saved": saved, "stream": stream, "curve": curve, "state": state}
    found = verbs[sys.argv[1]](**json.loads(sys.argv[2]))
    sys.stdout.write("\n" + json.dumps(found) + "\n")
