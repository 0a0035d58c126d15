"""What is to be said of one source: its way, its role and rights, clock, identity, server, and tables."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from retentiond.catalog.faults import errors_of
from retentiond.catalog.identity import address_of, identity_of
from retentiond.catalog.model import Catalog, Table
from retentiond.catalog.privileges import lacking, surplus
from retentiond.catalog.rights import Right, described, grant_statements, quoted, quoted_role
from retentiond.catalog.roles import Role, role_of
from retentiond.catalog.server_clock import server_time
from retentiond.catalog.server_settings import publications, server_settings
from retentiond.engine.doctor_server import judge_encryption, judge_server
from retentiond.engine.finding import Finding, Severity, cannot_tell, of_objection
from retentiond.engine.grants import Needs
from retentiond.engine.guard_clock import ClockWatch
from retentiond.engine.guard_source import identity_objections, role_objections
from retentiond.engine.prepare import has_fence
from retentiond.engine.rights import inspection_rights
from retentiond.errors import RetentiondError
from retentiond.settings.model import Source
from retentiond.state.store import Store

_OF_RULES = ("USAGE", "SELECT", "UPDATE", "DELETE")  # without the others the role sees less
_TRANSACTIONAL = ("innodb",)
_SLOW_CLOCK = timedelta(seconds=2)
_OLD_MANIFEST = timedelta(days=30)

Check = Callable[[], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class SourceDoctor:
    """Looks at one source that can be reached. `needs` is None where the policies could not be compiled."""

    name: str
    settings: Source
    catalog: Catalog
    tables: Sequence[str]  # those that the policies speak of
    needs: Needs | None
    engine: sa.Engine
    store: Store
    clock: ClockWatch

    @property
    def where(self) -> str:
        """How findings name the source."""
        return f"source {self.name}"

    def findings(self) -> Iterator[Finding]:
        """Everything; a question that the server does not answer is a finding too."""
        version = ".".join(map(str, self.catalog.version))
        yield Finding("ok", "reachable", self.where, f"{self.catalog.dialect} {version} answers")
        try:
            with errors_of(self.name), self.engine.connect() as connection:
                for what, check in self._checks(connection):
                    yield from self._carefully(connection, what, check)
        except RetentiondError as error:
            yield cannot_tell(error, self.where, "the rest")

    def _carefully(self, connection: sa.Connection, what: str, check: Check) -> Iterator[Finding]:
        """The findings of one check, in a transaction of its own."""
        try:
            with errors_of(self.name), connection.begin():
                found = list(check())
        except RetentiondError as error:
            found = [cannot_tell(error, self.where, what)]
        yield from found

    def _checks(self, connection: sa.Connection) -> Iterator[tuple[str, Check]]:
        yield "the role", lambda: self._role(connection)
        yield "rights", lambda: self._rights(connection)
        yield "the fence", lambda: self._fence(connection)
        yield "the clock", lambda: self._clock(connection)
        yield "the identity", lambda: self._identity(connection)
        yield "the server's settings", lambda: self._server(connection)
        yield "publications", lambda: self._publications(connection)
        yield "the tables", self._tables

    def _role(self, connection: sa.Connection) -> Iterator[Finding]:
        role = role_of(connection, self.catalog.dialect, self.tables)
        accepted = self.settings.accept
        blind = bool(self.tables) and not self.catalog.complete
        objections = list(role_objections(self.name, role, accepted, blind=blind))
        for objection in objections:
            yield of_objection(objection, self.where)
        silenced = {one.guard for one in role_objections(self.name, role, (), blind=blind)}
        for guard in sorted(silenced - {objection.guard for objection in objections}):
            message = f"{guard}: silenced by `accept`, and true all the same"
            yield Finding("warning", guard, self.where, message, "a role of its own: `retentiond prepare`")
        if role.extra:
            listed = "; ".join(role.extra)
            message = f"the role {role.name} may do what no rule needs: {listed}"
            yield Finding("warning", "superfluous-right", self.where, message, "REVOKE, or ALTER ROLE")
        elif not objections and not silenced and self.catalog.dialect != "sqlite":
            yield Finding("ok", "role", self.where, f"the role {role.name} is no more than a guest")
        yield from self._manifest(role)

    def _manifest(self, role: Role) -> Iterator[Finding]:
        recorded = self.store.manifests.of(self.name)
        if recorded is None or not role.blind:
            return
        age = self.clock.now() - recorded.made_at
        message = f"what its role cannot see, {recorded.made_by} has shown {age.days} days ago"
        remedy = f"`retentiond prepare {self.name} --admin-url-file` shows what has come since"
        yield Finding("warning" if age > _OLD_MANIFEST else "info", "manifest", self.where, message, remedy)

    def _rights(self, connection: sa.Connection) -> Iterator[Finding]:
        dialect = self.catalog.dialect
        if dialect == "sqlite":
            return
        if self.needs is None:
            message = "which rights the rules need cannot be told while a policy is wrong"
            yield Finding("info", "missing-right", self.where, message)
            return
        role = quoted_role(dialect, role_of(connection, dialect, ()).name)
        missing = lacking(connection, dialect, self._wanted())
        for right in missing:
            (statement,) = grant_statements(dialect, [right], role)
            message = f"{described(right)} on {right.name or 'the server'} is missing"
            severity: Severity = "error" if right.privilege in _OF_RULES else "warning"
            yield Finding(severity, "missing-right", self.where, message, statement)
        # What helps to see is never too much.
        least = [*self.needs.everything, *inspection_rights(dialect, self.tables, recorded=False)]
        extra = () if self._is_superuser(connection) else surplus(connection, dialect, least, self.catalog.tables)
        for one in extra:
            name = "every table of the database" if one.name == "*" else one.name
            message = f"nobody needs {one.what} on {name}"
            yield Finding("warning", "superfluous-right", self.where, message, "; ".join(one.remedy))
        if not missing and not extra:
            yield Finding("ok", "rights", self.where, "its role has the rights that the rules need, and no others")

    def _wanted(self) -> tuple[Right, ...]:
        """What is missing if it is not there; the fence has a finding of its own."""
        assert self.needs is not None
        return tuple(right for right in self.needs.everything if right not in self.needs.fence)

    def _is_superuser(self, connection: sa.Connection) -> bool:
        return role_of(connection, self.catalog.dialect, ()).superuser

    def _fence(self, connection: sa.Connection) -> Iterator[Finding]:
        if self.settings.fence == "probe":
            message = "no fence: after a crash the rows are probed for, which is weaker evidence"
            yield Finding("info", "fence", self.where, message)
        elif has_fence(connection, self.catalog.dialect):
            yield Finding("ok", "fence", self.where, "the fence is there, and its role may use it")
        elif self.catalog.dialect == "sqlite":
            yield Finding("info", "fence", self.where, "the first run makes the fence")
        else:
            remedy = f"`retentiond prepare {self.name}`"
            yield Finding("error", "prepare", self.where, "there is no fence that its role may use", remedy)

    def _clock(self, connection: sa.Connection) -> Iterator[Finding]:
        before = self.clock.now()
        server = server_time(connection, self.catalog.dialect)
        if server is None:
            return
        if objections := list(self.clock.there(self.name, server)):
            yield from (of_objection(one, self.where) for one in objections)
            return
        # The answer was made at some moment between question and now.
        apart = max(server - self.clock.now(), before - server)
        if apart > _SLOW_CLOCK:
            message = f"its clock and that of this machine are {apart.total_seconds():.0f} s apart"
            yield Finding("warning", "clock", self.where, message, "let both follow the same time server")
        else:
            yield Finding("ok", "clock", self.where, "its clock agrees with that of this machine")

    def _identity(self, connection: sa.Connection) -> Iterator[Finding]:
        identity, address = identity_of(connection, self.catalog.dialect), address_of(self.engine.url)
        pin = self.store.pins.of(self.name)
        objections = list(identity_objections(pin, self.name, identity, address))
        yield from (of_objection(one, self.where) for one in objections)
        if pin is None:
            yield Finding("info", "identity", self.where, f"at {address}; the first run remembers which database it is")
        elif not objections:
            yield Finding("ok", "identity", self.where, f"at {address}, the database that it was before")

    def _server(self, connection: sa.Connection) -> Iterator[Finding]:
        found = server_settings(connection, self.catalog.dialect)
        judged = list(judge_server(found, self.catalog.dialect, self.where))
        judged += judge_encryption(found, self.engine.url, self.where)
        yield from judged or [Finding("ok", "server", self.where, "the server's settings are fine")]

    def _publications(self, connection: sa.Connection) -> Iterator[Finding]:
        for found in publications(connection, self.catalog.dialect, self.tables):
            lost = [verb for verb, carried in (("deletions", found.deletes), ("changes", found.updates)) if not carried]
            if lost:
                message = (
                    f"the publication {found.name} carries no {' and no '.join(lost)} of {found.table}: copies stay"
                )
                name = quoted(self.catalog.dialect, found.name)
                remedy = f"ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate')"
                yield Finding("warning", "publication", self.where, message, remedy)

    def _tables(self) -> Iterator[Finding]:
        for name in self.tables:
            yield from self._table(self.catalog.tables[name])

    def _table(self, table: Table) -> Iterator[Finding]:
        if table.engine is not None and table.engine.lower() not in _TRANSACTIONAL and table.kind != "view":
            message = f"{table.name} is of the engine {table.engine}, which cannot roll back"
            yield Finding("error", "engine", self.where, message, f"ALTER TABLE {table.name} ENGINE=InnoDB")
        if table.system_versioned:
            message = f"{table.name} is system-versioned: what is deleted or masked stays in its history"
            yield Finding("warning", "history", self.where, message, "DELETE HISTORY, by an administrator")
        if table.row_security:
            message = f"row-level security binds the role on {table.name}: it may not see every row"
            yield Finding("error", "row-security", self.where, message, "a policy for this role that shows every row")
        if not table.triggers_known:
            message = f"what triggers on {table.name} do is hidden from the role"
            remedy = f"`retentiond prepare {self.name} --admin-url-file`, or GRANT TRIGGER"
            yield Finding("warning", "hidden-triggers", self.where, message, remedy)
        copies = sorted({name for one in table.triggers if one.enabled for name in one.touches or ()} - {table.name})
        if copies:
            message = f"triggers on {table.name} write to {', '.join(copies)}: do these keep what goes?"
            yield Finding("info", "copies", self.where, message, "a rule for them, too")
