"""
The steps of the commit protocol by name, told as they are reached. Nobody listens but the fault suite, which ends,
stops or disturbs the process there.
"""

from collections.abc import Callable

NAMES = tuple(
    f"{step}.{side}"
    for step in ("fence", "change", "effect", "intent", "gate", "commit", "outcome", "settle")
    for side in ("before", "after")
)

_listeners: list[Callable[[str], None]] = []


def reached(name: str) -> None:
    """Tells who listens that a step is about to be taken, or was taken."""
    for listener in _listeners:
        listener(name)


def listen(listener: Callable[[str], None]) -> None:
    """From now on the listener is told of each step."""
    _listeners.append(listener)
