"""Where the files that come with Nuncius are: ``filters/`` and ``schemas/``."""

from __future__ import annotations

from pathlib import Path

__all__ = ["shipped"]


def shipped(name: str) -> Path:
    """Folder `name` (``filters`` or ``schemas``) beside the package in a checkout, inside it when installed."""
    package = Path(__file__).parent
    installed = package / "data" / name
    return installed if installed.is_dir() else package.parent / name
