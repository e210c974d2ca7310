"""``python -m consumers.report``."""

from __future__ import annotations

from consumers.report.cli import app

app(prog_name="python -m consumers.report")
