"""How a session on MariaDB or MySQL is set up."""

from typing import Any

from retentiond.catalog.limits import CONNECT_SECONDS, Limits

# Strict, so that nothing is cut short or turned into '' or 0 (m13). Not in it, on purpose:
# - ANSI_QUOTES and NO_BACKSLASH_ESCAPES: names go in backticks, values through PyMySQL, which escapes with backslashes;
# - NO_ZERO_DATE and NO_ZERO_IN_DATE: rows with such dates must be found and reported, and in strict mode a DELETE that
#   compares a column with '0000-00-00' would be refused;
# - ERROR_FOR_DIVISION_BY_ZERO: dividing by zero is NULL, as on SQLite.
SQL_MODE = "STRICT_ALL_TABLES,STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION"

# How much longer than the server's own limit we listen before we call it lost.
_GRACE_SECONDS = 30


def arguments(limits: Limits) -> dict[str, Any]:
    """What PyMySQL gets. The mode comes here already, so that SQLAlchemy sees it when it looks."""
    patience = None
    if limits.statement is not None:
        patience = limits.statement + limits.lock_whole_seconds + _GRACE_SECONDS
    return {
        "charset": "utf8mb4",
        "sql_mode": SQL_MODE,
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": patience,
        "write_timeout": patience or _GRACE_SECONDS,
        "program_name": limits.application_name,
        "local_infile": False,
    }


def prepare(connection: Any, limits: Limits) -> None:
    """Set the session up."""
    lock = limits.lock_whole_seconds
    wanted = {
        "time_zone": "'+00:00'",
        "foreign_key_checks": "1",
        "unique_checks": "1",
        "completion_type": "'NO_CHAIN'",
        "innodb_lock_wait_timeout": str(lock),
        "lock_wait_timeout": str(lock),
    }
    if "MariaDB" in connection.get_server_info():
        wanted["check_constraint_checks"] = "1"
        wanted["max_statement_time"] = f"{limits.statement_milliseconds / 1000:.3f}"
        wanted["idle_transaction_timeout"] = str(limits.idle)
    else:
        wanted["max_execution_time"] = str(limits.statement_milliseconds)
    with connection.cursor() as cursor:
        cursor.execute("SET " + ", ".join(f"SESSION {name} = {value}" for name, value in wanted.items()))
        cursor.execute("SET NAMES utf8mb4 COLLATE utf8mb4_bin")  # literals compare by bytes; columns as they say
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        cursor.execute(f"SET SESSION TRANSACTION READ {'ONLY' if limits.read_only else 'WRITE'}")
