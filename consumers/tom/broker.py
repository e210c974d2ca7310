"""The broker module of a TOM: alerts by filter, object, cone or event; targets of them, with their light curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from crispy_forms.layout import HTML, Column, Fieldset, Layout, Row
from django import forms
from requests.exceptions import HTTPError
from tom_alerts.alerts import GenericAlert, GenericBroker, GenericQueryForm
from tom_targets.models import Target

from consumers.errors import ClientError, RequestError
from consumers.tom import photometry
from consumers.tom.configured import NAME, address, api

__all__ = ["NunciusBroker", "NunciusForm"]

MOST = 1000
_ABOUT = "<p>Alerts for which all that is given holds, each object once, the latest first.</p>"


class NunciusForm(GenericQueryForm):  # type: ignore[misc]
    """What is asked for."""

    filter = forms.CharField(required=False, label="Filter", help_text="Picked by this filter of Nuncius")
    object_id = forms.CharField(required=False, label="Object", help_text="The survey's name, such as ZTF24aaozxhx")
    cone_ra = forms.CharField(required=False, label="RA", help_text="Degrees, or hh:mm:ss.s")
    cone_dec = forms.CharField(required=False, label="Dec", help_text="Degrees, or dd:mm:ss.s")
    cone_radius = forms.FloatField(required=False, label="Radius", min_value=0.01, max_value=324_000, help_text="Arcseconds")
    event = forms.CharField(required=False, label="Event", help_text="In the sky map of this event, such as S240422ed")
    level = forms.FloatField(
        required=False,
        label="Level",
        min_value=0.01,
        max_value=1.0,
        help_text="Of the event: up to this credible level, 0.9 unless given",
    )
    days = forms.FloatField(required=False, label="Days", min_value=0.0, help_text="No older than this")
    max_alerts = forms.IntegerField(required=False, label="Alerts at most", min_value=1, max_value=MOST, initial=100)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.helper.layout = Layout(
            HTML(_ABOUT),
            self.common_layout,
            Row(Column("filter"), Column("object_id")),
            Fieldset("Cone", Row(Column("cone_ra"), Column("cone_dec"), Column("cone_radius"))),
            Fieldset("Event", Row(Column("event"), Column("level"))),
            Row(Column("days"), Column("max_alerts")),
        )

    def clean(self) -> dict[str, Any]:
        """Refuse what asks for nothing, half a cone, and an event with what cannot be asked of its map."""
        given: dict[str, Any] = super().clean()
        cone = [given.get(name) not in {None, ""} for name in ("cone_ra", "cone_dec", "cone_radius")]
        if any(cone) and not all(cone):
            raise forms.ValidationError("A cone has a right ascension, a declination and a radius.")
        others = any(cone) or given.get("filter") or given.get("object_id")
        if not others and not given.get("event"):
            raise forms.ValidationError("Give a filter, an object, a cone or an event.")
        if others and given.get("event"):
            raise forms.ValidationError("An event stands alone: leave out filter, object and cone.")
        return given


class NunciusBroker(GenericBroker):  # type: ignore[misc]
    """Nuncius as a TOM's broker.

    ``BROKERS["Nuncius"]`` of the settings has its ``url``, and an ``api_key`` where it requires accounts.
    """

    name = NAME
    form = NunciusForm
    score_description = (
        "Of an alert of a survey: how likely it is real, 0 to 1; of one in an event's map: how deep, 1 - credible level."
    )

    def fetch_alerts(self, parameters: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Alerts that a query is for: the latest of each object.

        Raises
        ------
        HTTPError
            Nuncius does not answer, or refuses the query; the view shows why.
        """
        most = int(parameters.get("max_alerts") or 100)
        seen: dict[str, Mapping[str, Any]] = {}
        try:
            with api() as nuncius:
                for alert in nuncius.items(*_path(parameters), **_asked(parameters)):
                    if alert.get("ra") is not None:  # a target is somewhere
                        seen.setdefault(alert.get("object_id") or alert["alert_id"], alert)
                    if len(seen) == min(most, MOST):
                        break
        except ClientError as error:
            raise HTTPError(str(error)) from error
        return iter(list(seen.values()))

    def fetch_alert(self, alert_id: str) -> Mapping[str, Any] | None:
        """One alert; ``None`` where there is none of that id."""
        try:
            with api() as nuncius:
                found: Mapping[str, Any] = nuncius.json("alerts", str(alert_id))
                return found
        except RequestError:
            return None

    def process_reduced_data(self, target: Any, alert: Mapping[str, Any] | None = None) -> None:
        """Bring the target's photometry up to date, from all packets of its object that Nuncius has."""
        photometry.update(target, (alert or {}).get("object_id"))

    def to_target(self, alert: Mapping[str, Any]) -> Any:
        """A target of an alert, saved; the one there is, where there is one of its name."""
        made, _, _ = self.to_generic_alert(alert).to_target()
        known = Target.objects.filter(name=made.name).first()
        if known is not None:
            return known
        made.save()
        return made

    def to_generic_alert(self, alert: Mapping[str, Any]) -> GenericAlert:
        """An alert as the TOM shows it."""
        level = alert.get("credible_level")
        return GenericAlert(
            timestamp=datetime.fromisoformat(alert["time"]) if alert.get("time") else None,
            id=alert["alert_id"],
            name=alert.get("object_id") or alert["alert_id"],
            ra=alert.get("ra"),
            dec=alert.get("dec"),
            mag=alert.get("mag"),
            score=alert.get("reliability") if level is None else 1.0 - level,
            url=f"{address()}/alerts/{quote(alert['alert_id'], safe='')}",
        )


def _path(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    event = str(parameters.get("event") or "").strip()
    return ("events", event, "alerts") if event else ("alerts",)


def _asked(parameters: Mapping[str, Any]) -> dict[str, Any]:
    if str(parameters.get("event") or "").strip():
        return {"level": parameters.get("level") or 0.9, "limit": MOST}
    radius, days = parameters.get("cone_radius"), parameters.get("days")
    start = None if days in {None, ""} else datetime.now(UTC) - timedelta(days=float(str(days)))
    return {
        "filter": str(parameters.get("filter") or "").strip() or None,
        "object": str(parameters.get("object_id") or "").strip() or None,
        "ra": str(parameters.get("cone_ra") or "").strip() or None,
        "dec": str(parameters.get("cone_dec") or "").strip() or None,
        "radius": None if radius in {None, ""} else float(str(radius)) / 3600.0,
        "start": None if start is None else start.isoformat(),
        "limit": MOST,
    }
