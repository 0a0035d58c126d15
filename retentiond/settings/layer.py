"""Settings before they are checked: nested tables and, beside each key, where it was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

KeyPath = tuple[str, ...]


@dataclass(slots=True)
class Layer:
    """
    Raw values from one place, and where each was read.

    `around` is the second choice: a table that has no line of its own is where the first of its keys is.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    around: dict[KeyPath, str] = field(default_factory=dict)

    def table(self, *path: str) -> dict[str, Any]:
        """The table at that path; an empty one, not kept, where there is none."""
        found: Any = self.values
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def put(self, path: KeyPath, value: object, origin: str = "") -> None:
        """Set one value, its tables made on the way."""
        table = self.values
        for name in path[:-1]:
            table = table.setdefault(name, {})
        table[path[-1]] = value
        if origin:
            self.origins[path] = origin
            self.around.setdefault(path[:-1], origin)

    def drop(self, path: KeyPath) -> None:
        """Forget one value and where it was."""
        self.table(*path[:-1]).pop(path[-1], None)
        self.origins.pop(path, None)

    def takes(self, path: KeyPath) -> bool:
        """False where this layer says something else than a table where the path needs one."""
        table: Any = self.values
        for name in path[:-1]:
            table = table.get(name, {})
            if not isinstance(table, dict):
                return False
        return True

    @property
    def databases(self) -> list[KeyPath]:
        """The paths of all tables that name a database."""
        return [("state",), *(("sources", name) for name in self.table("sources"))]


def first_origins(layers: Sequence[Layer]) -> dict[KeyPath, str]:
    """Where each value and each table was read, by layers of which the first counts most."""
    found: dict[KeyPath, str] = {}
    for places in (*(layer.origins for layer in layers), *(layer.around for layer in layers)):
        found = {**places, **found}
    return found


def leaves(tree: Mapping[str, Any], prefix: KeyPath = ()) -> list[KeyPath]:
    """The paths of all keys and tables of a nested mapping, outer ones first."""
    found: list[KeyPath] = []
    for name, value in tree.items():
        path = (*prefix, name)
        found.append(path)
        if isinstance(value, Mapping):
            found += leaves(value, path)
    return found
