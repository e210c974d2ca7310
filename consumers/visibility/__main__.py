"""``python -m consumers.visibility``."""

from __future__ import annotations

from consumers.visibility.cli import app

app(prog_name="python -m consumers.visibility")
