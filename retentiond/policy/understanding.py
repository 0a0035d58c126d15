"""Where the grammar of a sentence meets its place in the file."""

from collections.abc import Callable
from typing import TypeVar

from retentiond.policy.grammar import NotUnderstoodError
from retentiond.policy.nodes import Path
from retentiond.policy.reader import Reading

T = TypeVar("T")


def understand(parse: Callable[[str], T], path: Path, text: str, reading: Reading) -> T | None:
    """What `parse` makes of the text at that path; None, with the problem reported, where it makes nothing of it."""
    try:
        return parse(text)
    except NotUnderstoodError as error:
        scalar = reading.scalars.get(path)
        place = scalar.at(error.offset) if scalar else reading.place(*path)
        reading.report(place, error.code, error.message, error.hint)
        return None
