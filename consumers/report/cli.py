"""``python -m consumers.report``: what was observed and found, told to Nuncius, Treasure Map and TNS."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from consumers.api import DEFAULT, Api
from consumers.errors import RequestError
from consumers.report import credentials, treasuremap
from consumers.report import tns as transients
from consumers.report.own import send_classifications, send_observations
from consumers.report.reading import read
from consumers.terminal import busy, complaints, messages, print_json, say, show

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Tell what was observed and found. Nothing is sent without --live.")

Live = Annotated[bool, typer.Option("--live", help="Send it; without, it is only shown.")]
Address = Annotated[str, typer.Option("--api", help="Of Nuncius.", metavar="URL")]
Config = Annotated[Path | None, typer.Option(help=r"TOML with tables \[treasuremap] and \[tns].", exists=False)]
AsJson = Annotated[bool, typer.Option("--json", help="What came of it as JSON.")]
EventName = Annotated[str, typer.Argument(help="Event, by any of its names.")]


class Status(StrEnum):
    """States of an observation."""

    planned = "planned"
    completed = "completed"
    cancelled = "cancelled"


class DepthUnit(StrEnum):
    """Units of a limit."""

    ab_mag = "ab_mag"
    vega_mag = "vega_mag"
    flux_erg = "flux_erg"
    flux_jy = "flux_jy"


@app.command()
def observations(  # noqa: PLR0917 - typer makes options of them
    event: EventName,
    file: Annotated[Path, typer.Argument(help="Plan of consumers.scheduler (JSON), observations (JSON), or a table (CSV).")],
    status: Annotated[Status | None, typer.Option(help="Of all; else the file's, planned for a plan, or completed.")] = None,
    telescope: Annotated[str | None, typer.Option(help="Where the file does not say.")] = None,
    instrument: Annotated[str | None, typer.Option()] = None,
    band: Annotated[str | None, typer.Option()] = None,
    depth: Annotated[float | None, typer.Option(help="Limit, in --depth-unit.")] = None,
    depth_unit: Annotated[DepthUnit | None, typer.Option()] = None,
    exposure: Annotated[float | None, typer.Option(help="Seconds.")] = None,
    radius: Annotated[float | None, typer.Option(help="Of a round field, degrees.")] = None,
    time: Annotated[str | None, typer.Option(help="When, UTC: ISO 8601.")] = None,
    reporter: Annotated[str | None, typer.Option(help="Who is to be named; the account unless given.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Number or id of an observation of the file; repeatable.")] = None,
    api: Address = DEFAULT,
    live: Live = False,
    as_json: AsJson = False,
) -> None:
    """Report observations of an event to Nuncius: planned, completed or cancelled.

    What was planned is found again by its id when the same file is sent as completed.

    Example: `python -m consumers.report observations S240422ed plan.json --status completed --depth 21.5 --live`
    """
    with complaints():
        given: Mapping[str, Any] = {
            "status": status,
            "telescope": telescope,
            "instrument": instrument,
            "band": band,
            "depth": depth,
            "depth_unit": depth_unit,
            "exposure": exposure,
            "radius": radius,
            "time": time,
            "reporter": reporter,
        }
        found = read(file, given, only=only or ())
        if not live:
            _only_shown({"observations": found}, f"{len(found)} observations of {event}, to Nuncius at {api}")
            return
        with Api(api) as nuncius, busy("sending observations"):
            done = send_observations(nuncius, event, found)
        if as_json:
            print_json(done)
        else:
            messages.print(f"{done['event']}: {done['new']} new, {done['changed']} changed, {done['unchanged']} as they were")


@app.command()
def classification(  # noqa: PLR0917 - typer makes options of them
    alert_id: Annotated[str, typer.Argument(help="Alert.")],
    name: Annotated[list[str], typer.Option("--class", help="Class, or class=probability; repeatable.")],
    taxonomy: Annotated[str | None, typer.Option(help="What the class is one of.")] = None,
    classifier: Annotated[str | None, typer.Option(help="What or who found it.")] = None,
    version: Annotated[str | None, typer.Option(help="Of the classifier.")] = None,
    reference: Annotated[str | None, typer.Option(help="A spectrum, an address, a paper.")] = None,
    api: Address = DEFAULT,
    live: Live = False,
    as_json: AsJson = False,
) -> None:
    """Tell Nuncius what an alert is, or is taken for.

    Example: `python -m consumers.report classification ztf:2445391170915015005 --class "SN Ia=0.93" --classifier me --live`
    """
    with complaints():
        common = {"taxonomy": taxonomy, "classifier": classifier, "version": version, "reference": reference}
        said = {key: value for key, value in common.items() if value is not None}
        found = [said | _class(text) for text in name]
        if not live:
            _only_shown({"classifications": found}, f"classifications of {alert_id}, to Nuncius at {api}")
            return
        with Api(api) as nuncius, busy("sending classifications"):
            done = send_classifications(nuncius, alert_id, found)
        if as_json:
            print_json(done)
        else:
            columns = ("class", "probability", "by", "who", "when")
            show(columns, [_row(one) for one in done["items"]])


@app.command("treasuremap")
def pointings(  # noqa: PLR0917 - typer makes options of them
    event: EventName,
    instrument: Annotated[int, typer.Option(help="Treasure Map's number of the instrument.")],
    status: Annotated[Status | None, typer.Option(help="Only observations in this state.")] = None,
    telescope: Annotated[str | None, typer.Option(help="Only observations of this telescope, as Nuncius has them.")] = None,
    reporter: Annotated[str | None, typer.Option(help="Only observations of this reporter.")] = None,
    only: Annotated[
        str | None,
        typer.Option("--only-instrument", help="Only observations with this instrument, as Nuncius has them; '' with none."),
    ] = None,
    pos_angle: Annotated[
        float | None, typer.Option(min=-360, max=360, help="Degrees, of all; else by the corners of each footprint.")
    ] = None,
    request_doi: Annotated[bool, typer.Option("--request-doi", help="Ask for a DOI.")] = False,
    url: Annotated[str, typer.Option(help="Of Treasure Map.")] = treasuremap.URL,
    config: Config = None,
    api: Address = DEFAULT,
    live: Live = False,
    as_json: AsJson = False,
) -> None:
    """Send what Nuncius has of observations of a gravitational wave to Treasure Map, as pointings.

    The token is TREASUREMAP_TOKEN of the environment, or `token` in [treasuremap] of the file.

    Example: `python -m consumers.report treasuremap S240422ed --instrument 47 --telescope ZTF`
    """
    with complaints():
        with Api(api) as nuncius, busy("reading observations"):
            found = nuncius.json("events", event)
            wanted = {"status": status, "telescope": telescope, "reporter": reporter}
            rows = list(nuncius.items("events", event, "observations", **wanted))
        if found["messenger"] != "GW":
            raise RequestError(f"{found['name']} is no gravitational wave ({found['messenger']}): Treasure Map has those only")
        rows = [row for row in rows if only is None or only == (row.get("instrument") or "")]
        treasuremap.of_one(rows, instrument)
        bodies, left_out = treasuremap.payloads(found["name"], rows, instrument, request_doi=request_doi, pos_angle=pos_angle)
        for reason in left_out:
            messages.print(f"left out: {reason}", style="yellow", markup=False, highlight=False, soft_wrap=True)
        if not bodies:
            raise RequestError(
                f"Nuncius has no observations of {found['name']} that Treasure Map would take: report them first"
            )
        count = sum(len(body["pointings"]) for body in bodies)
        if not live:
            _only_shown(bodies[0] if len(bodies) == 1 else bodies, f"{count} pointings, to {url}")
            return
        token = credentials.needed("TREASUREMAP_TOKEN", config, "treasuremap", "token")
        with busy("sending pointings"):
            done = treasuremap.send(url, token, bodies, say)
        if as_json:
            print_json({"pointing_ids": list(done.ids), "known": done.known, "errors": list(done.errors), "left_out": left_out})
        else:
            messages.print(f"Treasure Map has taken {len(done.ids)} pointings of {count}; {done.known} it had")
        for reason in done.errors:
            messages.print(f"refused: {reason}", style="red", markup=False, highlight=False, soft_wrap=True)
        if done.errors:
            raise typer.Exit(1)


@app.command()
def tns(  # noqa: PLR0917 - typer makes options of them
    alert_id: Annotated[str, typer.Argument(help="Alert, whose object is reported.")],
    reporter: Annotated[str | None, typer.Option(help="Names and affiliations, as they are to be printed.")] = None,
    group: Annotated[int | None, typer.Option(help="TNS's number of the reporting group.")] = None,
    source: Annotated[
        int | None, typer.Option(help="TNS's number of the group whose data it is; the reporting group's unless given.")
    ] = None,
    at_type: Annotated[
        int | None, typer.Option(min=0, max=5, help="1 supernova, 2 nova, 3 AGN, 4 nuclear, 5 FRB, 0 other.")
    ] = None,
    archive: Annotated[
        int | None, typer.Option(help="Without a limit before: archive that has no source there; 1 SDSS, 2 DSS.")
    ] = None,
    archive_remarks: Annotated[str | None, typer.Option()] = None,
    remarks: Annotated[str | None, typer.Option()] = None,
    production: Annotated[bool, typer.Option("--production", help="To TNS itself; else to its sandbox.")] = False,
    url: Annotated[str | None, typer.Option(help="Another address of TNS.", hidden=True)] = None,
    config: Config = None,
    api: Address = DEFAULT,
    live: Live = False,
    as_json: AsJson = False,
) -> None:
    """Report the object of an alert to the Transient Name Server, to its sandbox unless --production is given.

    The bot is TNS_API_KEY, TNS_BOT_ID and TNS_BOT_NAME of the environment, else `api_key`, `bot_id`, `bot_name` of [tns].

    Example: `python -m consumers.report tns ztf:2445391170915015005 --reporter "A. Observer (Here)" --group 1 --archive 2`
    """
    with complaints():
        options = {"reporter": reporter, "group": group, "source": source, "at_type": at_type, "archive": archive}
        table = credentials.table(config, "tns")
        said = transients.reporting(options | {"archive_remarks": archive_remarks, "remarks": remarks}, table)
        with Api(api) as nuncius, busy("reading the alert"):
            alert = nuncius.json("alerts", alert_id)
            if alert.get("object_id") is None:
                raise RequestError(f"alert {alert_id} is of no object: it has no light curve to report")
            points = nuncius.json("objects", alert["object_id"], "lightcurve")["points"]
        report = transients.at_report(alert, points, said)
        where = url or (transients.PRODUCTION if production else transients.SANDBOX)
        if not live:
            _only_shown(report, f"report of {alert['object_id']}, to {where}")
            return
        key, bot_id, bot_name = (
            credentials.needed(f"TNS_{name.upper()}", config, "tns", name) for name in ("api_key", "bot_id", "bot_name")
        )
        with busy("sending the report"):
            done = transients.send(where, report, key=key, agent=transients.marker(bot_id, bot_name), say=say)
        if as_json:
            print_json({"report_id": done.report_id, "name": done.name, "feedback": done.feedback})
        else:
            messages.print(f"TNS has report {done.report_id}: {done.name or 'no name yet'}", highlight=False)


def _only_shown(document: Any, what: str) -> None:
    print_json(document)
    messages.print(f"dry run: nothing was sent ({what}); --live sends it", style="yellow", highlight=False, soft_wrap=True)


def _class(text: str) -> dict[str, Any]:
    name, equals, number = text.rpartition("=")
    if not equals:
        return {"classification": text}
    try:
        probability = float(number)
    except ValueError:
        return {"classification": text}  # an equals sign in the name of a class
    if not 0.0 <= probability <= 1.0:
        raise RequestError(f"--class {text!r}: a probability is 0 to 1")
    return {"classification": name, "probability": probability}


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    by = " ".join(part for part in (one["classifier"], one["version"]) if part)
    probability = "" if one["probability"] is None else f"{one['probability']:.3g}"
    return one["classification"], probability, by, one["who"], one["changed"][:19]
