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


@dataclass(frozen=True, slots=True)
class Tripped:
    """A cap that what is due exceeds, and by how much in words."""

    guard: str
    message: str


def tripped(guard: Guard, due: int, total: int, history: Sequence[int]) -> tuple[Tripped, ...]:
    """The caps that `due` rows of a table of `total` exceed; `history` are the rows of the last runs that did any."""
    found = []
    if due > max_rows(guard):
        found.append(Tripped("max_rows", f"{due:,} rows are due, and one run may take {max_rows(guard):,}"))
    if due > max_share(guard) * total:
        share = f"{100 * due / total:.1f} %" if total else "more than all"
        may = f"{100 * max_share(guard):.4g} %"
        found.append(Tripped("max_share", f"{due:,} rows are {share} of the table, and one run may take {may}"))
    most = _usual(history)
    if most and due > SPIKE_FACTOR * most and due >= SPIKE_AT_LEAST_ROWS:
        message = f"{due:,} rows are due, and none of the last {len(history)} runs took more than {most:,}"
        found.append(Tripped("spike", message))
    return tuple(found)


def max_rows(guard: Guard) -> int:
    """The most rows that one run of a rule may take."""
    return MAX_ROWS if guard.max_rows is None else guard.max_rows


def max_share(guard: Guard) -> float:
    """The largest share of its table that one run of a rule may take."""
    return MAX_SHARE if guard.max_share is None else guard.max_share


def _usual(history: Sequence[int]) -> int:
    """The most that a run took lately; 0 where too few did anything."""
    return max(history) if len(history) >= SPIKE_AT_LEAST_RUNS else 0
