"""Whether settings fit together with what they name."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from broker.errors import SettingsError
from broker.settings import Settings
from broker.wiring.parts import declarations_of, filters_of

__all__ = ["check", "check_names"]


def check(settings: Settings, data: Path) -> None:
    """Read the filters and declarations that the settings lead to, and see that every filter they name is there.

    Raises
    ------
    UsageError
        A file is wrong, or a name is of nothing.
    """
    declarations_of(settings, data)
    check_names(settings, [spec.name for spec in filters_of(settings, data)])


def check_names(settings: Settings, filters: Collection[str]) -> None:
    """See that the settings name only filters that there are.

    Raises
    ------
    SettingsError
        One is not; the setting is named.
    """
    named = {"vtp.filters": settings.vtp.filters} | {
        f"relay.{name}.filters": one.filters for name, one in settings.relay.items()
    }
    for setting, names in named.items():
        for name in names:
            if name not in filters:
                raise SettingsError(f"{setting} names {name!r}, which is no filter: there are {', '.join(sorted(filters))}")
