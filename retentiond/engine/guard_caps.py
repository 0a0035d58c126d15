"""The guards that look at numbers: how many rows, what share of a table, and how many usually."""

from collections.abc import Sequence
from dataclasses import dataclass

from retentiond.policy.model import Guard

MAX_ROWS = 100_000
MAX_SHARE = 0.2

# A spike is this many times the most that one of the last runs did, once there were a few, and from this many rows on.
SPIKE_FACTOR = 10
SPIKE_RUNS = 10
SPIKE_AT_LEAST_RUNS = 3
SPIKE_AT_LEAST_ROWS = 100

RELEASABLE = ("max_rows", "max_share", "spike")


@dataclass(frozen=True, slots=True)
class Tripped:
    """A cap that what is due exceeds, and by how much in words."""

    guard: str
    message: str


def tripped(guard: Guard, due: int, total: int, history: Sequence[int]) -> tuple[Tripped, ...]:
    """
    The caps that `due` rows of a table of `total` exceed. `history` are the rows of the last runs that did something.
    """
    found = []
    max_rows = MAX_ROWS if guard.max_rows is None else guard.max_rows
    if due > max_rows:
        found.append(Tripped("max_rows", f"{due:,} rows are due, and one run may take {max_rows:,}"))
    max_share = MAX_SHARE if guard.max_share is None else guard.max_share
    if due > max_share * total:
        share = f"{100 * due / total:.1f} %" if total else "more than all"
        found.append(Tripped("max_share", f"{due:,} rows are {share} of the table, and one run may take {max_share:.4g}"))
    if most := _usual(history):
        if due > SPIKE_FACTOR * most and due >= SPIKE_AT_LEAST_ROWS:
            what = f"{due:,} rows are due, and no run of the last {len(history)} took more than {most:,}"
            found.append(Tripped("spike", what))
    return tuple(found)


def _usual(history: Sequence[int]) -> int:
    """The most that a run took lately; 0 where too few did anything."""
    return max(history) if len(history) >= SPIKE_AT_LEAST_RUNS else 0
