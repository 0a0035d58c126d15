"""Settings before they are checked: nested tables and, beside each key, where it was read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KeyPath = tuple[str, ...]


@dataclass(slots=True)
class Layer:
    """Raw values from one place, or from several after a merge. `origins` knows the tables as well as the keys."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def table(self, *path: str) -> dict[str, Any]:
        """The table at that path; an empty one, not kept, where there is none."""
        found: Any = self.values
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def put(self, path: KeyPath, value: object, origin: str = "") -> None:
        """Set one value, its tables made on the way; where a table should be and is not, leave that for the check."""
        table = self.values
        for name in path[:-1]:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                return
        table[path[-1]] = value
        if origin:
            self.origins[path] = origin
            self.origins.setdefault(path[:-1], origin)

    def drop(self, path: KeyPath) -> None:
        """Forget one value and where it was."""
        self.table(*path[:-1]).pop(path[-1], None)
        self.origins.pop(path, None)

    def near(self, path: KeyPath) -> str | None:
        """Where the value was read, or the table around it; None where nobody wrote any of them."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return None

    @property
    def databases(self) -> list[KeyPath]:
        """The paths of all tables that name a database."""
        return [("state",), *(("sources", name) for name in self.table("sources"))]


def leaves(tree: Mapping[str, Any], prefix: KeyPath = ()) -> list[KeyPath]:
    """The paths of all keys and tables of a nested mapping, outer ones first."""
    found: list[KeyPath] = []
    for name, value in tree.items():
        path = (*prefix, name)
        found.append(path)
        if isinstance(value, Mapping):
            found += leaves(value, path)
    return found


def merge(lower: Layer, upper: Layer) -> Layer:
    """Both layers as one. What the upper one says counts; its `url` displaces a `url_file` below, and the reverse."""
    for database in upper.databases:
        given = upper.table(*database)
        for one, other in (("url", "url_file"), ("url_file", "url")):
            if one in given and other not in given:
                lower.drop((*database, other))
    for path in leaves(upper.values):
        if path in upper.origins:
            value = upper.table(*path[:-1])[path[-1]]
            if not isinstance(value, Mapping):
                lower.put(path, value, upper.origins[path])
    return lower
