"""How a session on PostgreSQL is set up."""

from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from retentiond.catalog.limits import CONNECT_SECONDS, Limits
from retentiond.errors import FailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg


def arguments(limits: Limits) -> dict[str, Any]:
    """What psycopg gets: UTF-8, and keepalives so that a vanished server is noticed within a minute or so."""
    return {
        "client_encoding": "utf8",
        "connect_timeout": CONNECT_SECONDS,
        "application_name": limits.application_name,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    }


def settings(limits: Limits) -> dict[str, str]:
    """The session's settings, name by name."""
    return {
        # We name every table with its schema. Nothing else may be found: a function or operator that somebody put
        # into `public` would run with our rights. Hence a trigger function that relies on the caller's path fails, and
        # faults.py says so.
        "search_path": "pg_catalog, pg_temp",
        "row_security": "off",  # rows hidden by a policy are an error, not zero rows
        "TimeZone": "UTC",
        "DateStyle": "ISO, YMD",
        "IntervalStyle": "postgres",
        "standard_conforming_strings": "on",
        "transform_null_equals": "off",
        "default_transaction_isolation": "read committed",
        "default_transaction_deferrable": "off",
        "default_transaction_read_only": "on" if limits.read_only else "off",
        "lock_timeout": f"{limits.lock_milliseconds}ms",
        "statement_timeout": f"{limits.statement_milliseconds}ms",
        "idle_in_transaction_session_timeout": f"{limits.idle}s",
        "application_name": limits.application_name,
    }


def prepare(connection: "psycopg.Connection[Any]", limits: Limits) -> None:
    """Set the session up, in one round trip and outside a transaction, so that no rollback takes it back."""
    wanted = settings(limits)
    calls = ", ".join("set_config(%s, %s, false)" for _ in wanted)
    connection.autocommit = True
    # remote_apply promises more than `on`; the rest promises less, and a commit that we recorded must not be lost.
    durable = "CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END"
    row = connection.execute(
        "SELECT current_setting('session_replication_role'),"
        f" set_config('synchronous_commit', {durable}, false), {calls}",
        [part for pair in wanted.items() for part in pair],
    ).fetchone()
    connection.autocommit = False
    if row is None or row[0] != "origin":
        raise FailedError(
            "this role works as a replica: foreign keys and triggers would not act",
            hint="ALTER ROLE … RESET session_replication_role",
            code="replication-role",
        )
    _read_any_date(connection)


def _read_any_date(connection: "psycopg.Connection[Any]") -> None:
    """Hand out as text what Python cannot hold – infinity, BC, beyond 9999, 24:00 – instead of failing the run."""
    from psycopg.adapt import Loader  # noqa: PLC0415 – psycopg is an extra

    def loader(read: "Callable[[str], date | datetime | time]", width: int, after: str) -> type[Loader]:
        class Tolerant(Loader):
            """Loads one type; `width` and `after` say where the plain form ends or goes on."""

            def load(self, data: Any) -> date | datetime | time | str:
                text = bytes(data).decode()
                if text[width : width + 1] not in after:
                    return text
                try:
                    return read(text)
                except ValueError:
                    return text

        return Tolerant

    instants = loader(datetime.fromisoformat, 10, " ")
    for name, tolerant in {
        "date": loader(date.fromisoformat, 10, ""),
        "timestamp": instants,
        "timestamptz": instants,
        "time": loader(time.fromisoformat, 8, "."),
    }.items():
        connection.adapters.register_loader(name, tolerant)
