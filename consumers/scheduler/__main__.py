"""``python -m consumers.scheduler``."""

from __future__ import annotations

from consumers.scheduler.cli import app

app(prog_name="python -m consumers.scheduler")
