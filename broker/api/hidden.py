"""Others' filters, watchlists and regions, kept out of answers that are about something else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from broker.api.principal import Owned, Principal, may_see
from broker.api.services import Services
from broker.errors import UsageError

__all__ = ["Hidden", "hidden_from"]


@dataclass(frozen=True, slots=True)
class Hidden:
    """What somebody may not see.

    Parameters
    ----------
    filters
        By name.
    lists
        ``watchlist.<name>`` and ``moc.<name>``, of whose columns alone or behind a dot.
    """

    filters: frozenset[str] = frozenset()
    lists: tuple[str, ...] = ()

    def has(self, column: str) -> bool:
        """Whether a column is of a hidden list."""
        return any(column == name or column.startswith(f"{name}.") for name in self.lists)

    def refuse(self, columns: Iterable[str]) -> None:
        """Refuse to be asked for columns of hidden lists, as if they were not there.

        Raises
        ------
        UsageError
            One of them is.
        """
        for column in columns:
            if self.has(column):
                _, _, name = column.partition(".")
                raise UsageError(f"no column {column!r}: there is no list {name.split('.')[0]!r} that you may see")

    def matches(self, row: Mapping[str, Any]) -> list[Any]:
        """Which filters picked an alert, as the store has it, without hidden ones."""
        return [match for match in row["matches"] if match["filter"] not in self.filters]

    def kept(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row of the store or of a message without columns of hidden lists, among its annotations or beside them."""
        if not self.lists:
            return dict(row)
        kept = {name: value for name, value in row.items() if not self.has(name)}
        inner = kept.get("annotations")
        if isinstance(inner, Mapping):
            kept["annotations"] = {name: value for name, value in inner.items() if not self.has(name)}
        return kept

    def step(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """A step of an alert's way without what columns of hidden lists said of it."""
        value = step.get("value")
        if not self.lists or not isinstance(value, Mapping):
            return dict(step)
        return {**step, "value": {name: one for name, one in value.items() if not self.has(name)}}


def hidden_from(services: Services, principal: Principal) -> Hidden:
    """What somebody may not see; for administrators, and where no account is required, nothing is looked up."""
    if principal.admin:
        return Hidden()
    return Hidden(
        frozenset(_unseen(principal, services.filter_owners())), tuple(sorted(_unseen(principal, services.column_owners())))
    )


def _unseen(principal: Principal, owned: Mapping[str, Owned]) -> list[str]:
    return [name for name, one in owned.items() if not may_see(principal, one.owner, one.team, one.visibility)]
