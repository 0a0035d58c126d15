"""A database's errors as ours: their kind and code, never their text."""

import contextlib
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError

from retentiond.errors import EvidenceError, TransientError, UsageError

_PASSING = ("SQLITE_BUSY", "SQLITE_LOCKED")


@contextlib.contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Turn a database error into a TransientError where waiting helps, else into one that says how bad it is."""
    try:
        yield
    except DBAPIError as error:
        code = str(getattr(error.orig, "sqlite_errorname", type(error.orig).__name__))
        if code.startswith(_PASSING):
            raise TransientError(f"the state store is busy: {what} ({code})", code="state-busy") from None
        if code == "SQLITE_NOTADB":
            raise UsageError(f"the state store is no SQLite database: {what}", code="state-foreign") from None
        raise EvidenceError(f"the state store does not work: {what} ({code})", code="state-broken") from None
