"""``nuncius``: every verb where the service is installed, the client's where only the client is."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with its exit status: 0 done, 1 failed, 2 wrongly used."""
    try:
        from broker.cli import run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"broker", "consumers"}:
            raise  # not a package that is not installed, but a fault of ours
        from consumers.cli import app as client  # noqa: PLC0415

        client()
        return
    sys.exit(run())


if __name__ == "__main__":
    main()
