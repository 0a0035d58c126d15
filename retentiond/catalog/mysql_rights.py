"""What a role on MariaDB or MySQL may see, as far as `information_schema` hides the rest."""

from dataclasses import dataclass

import sqlalchemy as sa

from retentiond.catalog.grants_mysql import grants


@dataclass(frozen=True)
class Rights:
    """Whether the role may read the whole database; which tables' triggers are shown to it: all, or the named ones."""

    whole_database: bool
    all_triggers: bool
    triggers_of: frozenset[str]

    @classmethod
    def of(cls, connection: sa.Connection, database: str) -> "Rights":
        """The rights of the session's role, read from its own grants (and those of the role that is active)."""
        held = [granted for granted in grants(connection) if granted.holds_in(database)]
        triggers = [granted.table for granted in held if granted.covers("TRIGGER")]
        reads = any(granted.covers("SELECT") and granted.table == "*" for granted in held)
        return cls(reads, "*" in triggers, frozenset(triggers) - {"*"})

    def sees_triggers(self, table: str) -> bool:
        """True where the triggers of that table are shown."""
        return self.all_triggers or table in self.triggers_of
