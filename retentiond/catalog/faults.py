"""
What a database error means for us, told without a value of any row.

A server's own words carry values even where parameters are hidden: `Key (email)=(…) already exists`, whole failing
rows, casts. So nothing of them is passed on but the code, and names of tables, columns and constraints from the places
where the server itself writes names.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from retentiond.catalog import fault_codes
from retentiond.catalog.fault_codes import Kind, Meaning
from retentiond.catalog.fault_names import mysql_names, postgresql_names, sqlite_names
from retentiond.errors import FailedError, RetentiondError, TransientError, UsageError

_CLASSES: dict[Kind, type[TransientError | FailedError | UsageError]] = {
    "transient": TransientError,
    "failed": FailedError,
    "usage": UsageError,
}
_OUR_SIDE = Meaning("failed", "a value could not be read or sent", "a text that is not valid, or a number too large")

_OF_CONNECTIONS = ("OperationalError", "InterfaceError")


@dataclass(frozen=True, slots=True)
class _Fault:
    code: str
    meaning: Meaning
    names: str = ""


def as_failure(error: BaseException, source: str) -> TransientError | FailedError | UsageError:
    """The error of our own that stands for this one. Raise it `from None`: a chain would show the server's words."""
    if isinstance(error, TransientError | FailedError | UsageError):
        return error
    kind, code, message = describe_error(error)
    return _CLASSES[kind](f"{source}: {message}", hint=_fault(error).meaning.hint, code=code)


def describe_error(error: BaseException) -> tuple[Kind, str, str]:
    """Transient, failed or a matter of settings; SQLSTATE, errno or name; a sentence without values."""
    fault = _fault(error)
    meaning = fault.meaning
    return meaning.kind, fault.code, f"{meaning.message}{fault.names} [{fault.code}]"


def is_connection_lost(error: BaseException) -> bool:
    """True where the connection is gone, so that a COMMIT that was under way may or may not have happened."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return is_database_error(error) and _fault(error).meaning.lost


def is_database_error(error: BaseException) -> bool:
    """True for what SQLAlchemy or a driver raises, and for values that could not pass between Python and the driver."""
    return isinstance(error, SQLAlchemyError | UnicodeError | OverflowError) or _driver_of(error) != ""


@contextmanager
def errors_of(source: str) -> Iterator[None]:
    """Turn the database errors of the block into ours; everything else passes as it is."""
    try:
        yield
    except RetentiondError:
        raise
    except Exception as error:
        if not is_database_error(error):
            raise
        raise as_failure(error, source) from None


def _fault(error: BaseException) -> _Fault:
    original = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    driver = _driver_of(original)
    if driver == "psycopg":
        return _postgresql(original)
    if driver == "pymysql":
        return _mysql(original)
    if driver == "sqlite3":
        return _sqlite(original)
    if isinstance(original, PoolTimeoutError):
        return _Fault("pool-timeout", fault_codes.BUSY)
    if isinstance(original, UnicodeError | OverflowError | ValueError | TypeError):
        return _Fault("bad-value", _OUR_SIDE)
    return _Fault(type(original).__name__, fault_codes.UNKNOWN)


def _driver_of(error: BaseException) -> str:
    """The driver that raised it. By name, because two of the drivers may not be installed."""
    for ancestor in type(error).__mro__:
        package = ancestor.__module__.partition(".")[0]
        if package in ("psycopg", "pymysql", "sqlite3"):
            return package
    return ""


def _postgresql(error: Any) -> _Fault:
    code = error.sqlstate
    if code is None and not any(ancestor.__name__ in _OF_CONNECTIONS for ancestor in type(error).__mro__):
        return _Fault("bad-value", _OUR_SIDE)
    if code is None:
        return _Fault(*fault_codes.postgresql_without_code(str(error)))
    meaning = fault_codes.POSTGRESQL.get(code) or fault_codes.POSTGRESQL_CLASSES.get(code[:2], fault_codes.UNKNOWN)
    if code in fault_codes.NAMELESS_IN_FUNCTION and error.diag.context:
        # The statement was ours and named schemas; this one stands in a function.
        meaning = fault_codes.PATH_OF_FUNCTION
    return _Fault(code, meaning, postgresql_names(error.diag))


def _mysql(error: Any) -> _Fault:
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else ""
    return _Fault(str(number), fault_codes.MYSQL.get(number, fault_codes.UNKNOWN), mysql_names(number, text))


def _sqlite(error: Any) -> _Fault:
    name = getattr(error, "sqlite_errorname", None)
    if name is None:  # raised by Python's module itself: a closed connection, a value it cannot bind
        return _Fault(type(error).__name__, fault_codes.UNKNOWN)
    meaning = fault_codes.SQLITE.get(name)
    parts = name.split("_")
    while meaning is None and len(parts) > 1:  # SQLITE_IOERR_READ is a kind of SQLITE_IOERR
        meaning = fault_codes.SQLITE.get("_".join(parts))
        parts.pop()
    return _Fault(name, meaning or fault_codes.UNKNOWN, sqlite_names(name, str(error)))
