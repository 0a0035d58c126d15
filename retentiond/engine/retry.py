"""Trying again what the database refused for now: a few times, with growing pauses that spread."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from retentiond.errors import TransientError

ATTEMPTS = 5
_LOCK_ATTEMPTS = 2  # each has waited as long as a lock may be waited for
_FIRST_PAUSE = 0.05  # seconds; doubled with each attempt
_LOCKED = frozenset({"55P03", "1205"})

_Result = TypeVar("_Result")


def retried(
    call: Callable[[], _Result], *, patient: bool = True, sleep: Callable[[float], None] = time.sleep
) -> tuple[_Result, int]:
    """
    The result of the call, and how many times it was tried again. Where not `patient`, a lock is waited for once.

    Raises:
        TransientError: after the last attempt.
    """
    for attempt in range(ATTEMPTS):
        try:
            return call(), attempt
        except TransientError as error:
            most = (_LOCK_ATTEMPTS if patient else 1) if is_locked(error) else ATTEMPTS
            if attempt + 1 >= most:
                raise
            sleep(_FIRST_PAUSE * 2**attempt * (1 + random.random()))  # noqa: S311 - spreads, hides nothing
    raise AssertionError("unreachable")


def is_locked(error: Exception) -> bool:
    """True where another session holds the lock of a row."""
    return isinstance(error, TransientError) and error.code in _LOCKED
