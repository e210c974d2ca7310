"""``python -m consumers.too``."""

from __future__ import annotations

from consumers.too.cli import app

if __name__ == "__main__":
    app()
