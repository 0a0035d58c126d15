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
EPOCH_CHANGED = "epoch-changed"
"""The code of a chunk that gave way to a hold, a stop or a withdrawn approval; it has done nothing wrong."""
_MOST_YIELDS = 1000

_Result = TypeVar("_Result")


def retried(
    call: Callable[[], _Result], *, patient: bool = True, sleep: Callable[[float], None] = time.sleep
) -> tuple[_Result, int]:
    """
    The result of the call, and how many times it was tried again. Where not `patient`, a lock is waited for once.

    Giving way to a hold is no failed attempt: whoever places them one after the other must not stop the work.

    Raises:
        TransientError: after the last attempt.
    """
    attempt = yields = 0
    while True:
        try:
            return call(), attempt + yields
        except TransientError as error:
            if error.code == EPOCH_CHANGED and yields < _MOST_YIELDS:
                yields += 1
                continue
            most = (_LOCK_ATTEMPTS if patient else 1) if is_locked(error) else ATTEMPTS
            if attempt + 1 >= most:
                raise
            sleep(_FIRST_PAUSE * 2**attempt * (1 + random.random()))  # noqa: S311 - spreads, hides nothing
            attempt += 1


def is_locked(error: Exception) -> bool:
    """True where another session holds the lock of a row."""
    return isinstance(error, TransientError) and error.code in _LOCKED
