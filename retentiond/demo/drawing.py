"""What the five companies' drawers share: a seeded random source, dates, people, and the kinds of case to draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from random import Random

from retentiond.demo.dates import Calendar
from retentiond.demo.people import People


class Drawer:
    """Draws one company's rows; the same name and the same now give the same rows."""

    def __init__(self, name: str, now: datetime, zone: str) -> None:
        self.random = Random(name)  # noqa: S311 - sample data, and it must be the same each time
        self.dates = Calendar(self.random, now, zone)
        self.people = People(self.random)

    def kinds(self, weights: Mapping[str, int], wanted: Callable[[], bool]) -> Iterator[str]:
        """Each kind once, so that the smallest demo shows all of them; then kinds by weight while `wanted()`."""
        yield from weights
        names, shares = list(weights), list(weights.values())
        while wanted():
            yield self.random.choices(names, shares)[0]

    def some(self, low: int, high: int) -> range:
        """As many turns as a random number from `low` to `high`."""
        return range(self.random.randint(low, high))

    def chance(self, share: float) -> bool:
        """True in about `share` of the calls."""
        return self.random.random() < share
