"""
From rows up to those they belong to, over other sources and round in circles, until one is found that is held.

Asked for the rows of one chunk together, level by level; a row met twice is asked once. In doubt a row is held: where
a database finds two values equal that differ, all that may be meant are.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from retentiond.compiler.hold_sql import climb_statement, held_statement
from retentiond.compiler.hold_values import spelled_keys
from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Ancestor, HoldClimb, HoldHop, HoldTests, Relation
from retentiond.engine.session import Rows, Transaction
from retentiond.engine.shipping import plain

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class _Place:
    """Rows of a table whose columns hold these values, plain ones to compare and those of the driver to ask with."""

    label: str
    columns: tuple[str, ...]
    values: Key = field(repr=False)
    asked: Key = field(repr=False, compare=False)


class Climb:
    """The ways up from a batch of rows of one table; asked again before the commit, like other crossings."""

    def __init__(self, transaction: Transaction, relation: Relation, holds: HoldTests) -> None:
        self._transaction = transaction
        self._relation = relation
        self._holds = holds
        self._links: dict[Key, list[object]] = {}

    def take(self, cells: Iterator[object], key: Key) -> None:
        """Takes the cells that climbs begin with off the row."""
        found = [next(cells) for _ in self._holds.links]
        if any(cell is not None for cell in found):
            self._links[key] = found

    def only(self, keys: Iterable[Key]) -> None:
        """Forgets all rows but these."""
        self._links = {key: self._links[key] for key in keys if key in self._links}

    def asks(self) -> bool:
        """True where another source is asked."""
        climbs = self._holds.climbs
        sources = {ancestor.relation.source for climb in climbs for ancestor in climb.ancestors}
        return bool(self._links) and sources != {self._relation.source}

    def held(self) -> set[Key]:
        """The keys of the rows from which a way leads to a held one."""
        found: set[Key] = set()
        cells = {key: iter(links) for key, links in self._links.items()}
        for climb in self._holds.climbs:
            starts = {key: set(_places(climb.hops, rest)) for key, rest in cells.items()}
            held = _held(climb, set().union(*starts.values()), self._ask)
            found |= {key for key, places in starts.items() if not held.isdisjoint(places)}
        return found

    def floored(self) -> set[Key]:
        """The same, as what keeps rows is asked for once more."""
        return self.held()

    def _ask(self, ancestor: Ancestor, columns: tuple[str, ...], keys: Sequence[Key]) -> Rows:
        statement = climb_statement(ancestor, columns, spelled_keys(keys, ancestor.relation, columns))
        source = ancestor.relation.source
        if ancestor.relation.dialect == "sqlite" and source in self._transaction.begun:
            return self._transaction.fetch(source, statement)  # the file is ours: nobody else may read it now
        return self._transaction.session.read(source, statement)


def held_keys(transaction: Transaction, relation: Relation, holds: HoldTests, keys: Sequence[Key]) -> set[Key]:
    """Those of the keys whose rows the holds keep."""
    found: set[Key] = set()
    climb = Climb(transaction, relation, holds)
    for start in range(0, len(keys), _BATCH):
        statement = held_statement(relation, holds, keys[start : start + _BATCH])
        for row in transaction.fetch(relation.source, statement):
            cells = iter(row)
            key = tuple(next(cells) for _ in relation.key)
            if next(cells):
                found.add(key)
            climb.take(cells, key)
    return found | climb.held()


def _held(
    climb: HoldClimb, starts: set[_Place], ask: Callable[[Ancestor, tuple[str, ...], Sequence[Key]], Rows]
) -> set[_Place]:
    """Those of the places, and of those above them, from which a held row is reached."""
    ancestors = {ancestor.relation.label: ancestor for ancestor in climb.ancestors}
    held: set[_Place] = set()
    below: dict[_Place, set[_Place]] = {}
    seen, frontier = set(starts), starts
    while frontier:
        reached: set[_Place] = set()
        for (label, columns), piece in _pieces(frontier):
            ancestor, alike = ancestors[label], _Alike(piece)
            for row in ask(ancestor, columns, [place.asked for place in piece]):
                cells = iter(row)
                places = alike.to(tuple(next(cells) for _ in columns))
                if next(cells):
                    held.update(places)
                for above in _places(ancestor.hops, cells):
                    below.setdefault(above, set()).update(places)
                    reached.add(above)
        frontier = reached - seen
        seen |= frontier
    return _with_all_below(held, below)


def _with_all_below(held: set[_Place], below: Mapping[_Place, set[_Place]]) -> set[_Place]:
    found, waiting = set(held), list(held)
    while waiting:
        new = below.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _places(hops: Sequence[HoldHop], cells: Iterator[object]) -> Iterator[_Place]:
    """Where the hops lead from a row; NULL leads nowhere."""
    for hop in hops:
        asked = tuple(next(cells) for _ in hop.near_columns)
        if None not in asked:
            yield _Place(hop.far.label, hop.far_columns, tuple(map(plain, asked)), asked)


def _pieces(places: set[_Place]) -> Iterator[tuple[tuple[str, tuple[str, ...]], list[_Place]]]:
    """The places by what has to be asked, no more than a batch at a time."""

    def asked(place: _Place) -> tuple[str, tuple[str, ...]]:
        return place.label, place.columns

    for which, group in groupby(sorted(places, key=lambda place: (*asked(place), repr(place.values))), asked):
        found = list(group)
        for start in range(0, len(found), _BATCH):
            yield which, found[start : start + _BATCH]


class _Alike:
    """Which of the places asked for a row answers; all that a database may find equal, and every one in doubt."""

    def __init__(self, places: Sequence[_Place]) -> None:
        self._places = places
        self._folded: dict[Key, list[_Place]] = {}
        for place in places:
            self._folded.setdefault(_folded(place.values), []).append(place)

    def to(self, values: Key) -> Sequence[_Place]:
        """The places that a row with these values belongs to."""
        return self._folded.get(_folded(tuple(map(plain, values))), self._places)


def _folded(values: Key) -> Key:
    """The values without what collations may leave out: case, accents, blanks at the ends."""
    texts = (unicodedata.normalize("NFKD", str(value)) for value in values)
    return tuple(
        "".join(letter for letter in text if not unicodedata.combining(letter)).casefold().strip() for text in texts
    )
