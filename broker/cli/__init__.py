"""The command line: thin verbs, one module a group. To add one, write its function and name it in `VERBS` of ``app.py``."""

from __future__ import annotations

from broker.cli.app import run

__all__ = ["run"]
