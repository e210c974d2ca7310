"""``nuncius``: every verb where the service is installed, the client's where only the client is."""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]

SERVICE = ("numpy", "polars", "pydantic_settings", "sqlalchemy", "structlog")  # which the client does without


def main() -> None:
    """Run the command line and leave with its exit status: 0 done, 1 failed, 2 wrongly used."""
    # Looked for and not imported: verbs import what they need, so that help need not wait for it.
    if not all(map(_installed, SERVICE)):
        from consumers.cli import app as client  # noqa: PLC0415

        client()
        return
    from broker.cli import run  # noqa: PLC0415

    sys.exit(run())


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # what finders of others' making may raise
        return False


if __name__ == "__main__":
    main()
