"""``nuncius config``: what is set, and whether it is right."""

from __future__ import annotations

import json
import sys

import typer

from broker.cli.context import context, out

__all__ = ["app"]

app = typer.Typer(help="What is set, and whether it is right.", no_args_is_help=True)


@app.command()
def show(ctx: typer.Context) -> None:
    """Every setting with its value in force, as JSON; secrets are starred.

    Example: `nuncius config show | grep engine`
    """
    settings = context(ctx).settings()
    sys.stdout.write(json.dumps(settings.model_dump(mode="json"), indent=2) + "\n")


@app.command()
def check(ctx: typer.Context) -> None:
    """Exit with 0 where the settings, and the filters and surveys they lead to, are right; with 2 and the reason where not.

    Example: `nuncius --config nuncius.toml config check`
    """
    from broker.wiring import checks

    options = context(ctx)
    checks.check(options.settings(), options.data)
    out.print(f"settings are right ({options.file() or 'no file: defaults and environment'})")
