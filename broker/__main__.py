"""``nuncius``: every verb where the service is installed, the client's where only the client is."""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with its exit status: 0 done, 1 failed, 2 wrongly used."""
    if find_spec("polars") is None or find_spec("sqlalchemy") is None:
        from consumers.cli import app as client  # noqa: PLC0415

        client()
        return
    from broker.cli import run  # noqa: PLC0415

    sys.exit(run())


if __name__ == "__main__":
    main()
