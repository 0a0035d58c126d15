"""
The ways from a table up to the subject, sorted by who can follow them: the row itself, its source, or the engine.

A column that holds what names the subject spares the last step. What stays is followed in SQL inside one source; over
another source, round in a circle, or where there are very many ways, the engine climbs, key by key.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from retentiond.compiler.hold_graph import Node, SubjectGraph, SubjectTable
from retentiond.compiler.hold_values import WORDS, bytewise
from retentiond.compiler.plan import HoldHop, Relation

# In one statement, and joined in one test: beyond that, climbing is the shorter question. No engine joins more than 61.
_MOST_TESTS = 24
_MOST_HOPS = 6


@dataclass(frozen=True, slots=True)
class Shape:
    """A test without its values: which columns are compared, after which hops."""

    columns: tuple[str, ...]
    hops: tuple[HoldHop, ...] = ()

    @property
    def place(self) -> tuple[object, ...]:
        """Where it stands among others: the cheapest first, whatever was read first."""
        return len(self.hops), self.columns, [(hop.near_columns, hop.far.label) for hop in self.hops]


@dataclass(frozen=True, slots=True)
class Origin:
    """The column by which a row of a relation names the subject: as that column, an id is to be read."""

    relation: Relation
    column: str


@dataclass(slots=True)
class Found:
    """What leads from one table to the subject: tests of its own source, and hops that only the engine can follow."""

    tests: dict[Shape, set[Origin]] = field(default_factory=dict)
    climbs: tuple[HoldHop, ...] = ()

    def add(self, shape: Shape, origins: set[Origin]) -> None:
        """Notes a test."""
        self.tests.setdefault(shape, set()).update(origins)


class Ways:
    """The ways of one subject graph, worked out from above: a table is solved when all that it leads to are."""

    def __init__(self, graph: SubjectGraph) -> None:
        self._graph = graph
        self._solved: dict[Node, Found] = {}

    def of(self, relation: Relation) -> Found:
        """What leads from the relation to the subject; UnreachableError where a source on the way is not there."""
        start = self._graph.node(relation)
        if start not in self._solved:
            for circle in _circles(self._graph, relation):
                for node, table in circle.items():
                    self._solved.setdefault(node, self._solve(table, circle))
        return self._solved[start]

    def _solve(self, table: SubjectTable, circle: Container[Node]) -> Found:
        found = Found()
        for column in table.columns:
            found.add(Shape((column,)), {Origin(table.relation, column)})
        climbs = []
        for way in table.ways:
            node = self._graph.node(way.far)
            above = _own_tests(self._graph.table(way.far)) if node in circle else self._solved[node]
            spared = {shape for shape in above.tests if shape == Shape(way.far_columns)}
            for shape in spared:
                found.add(Shape(way.near_columns), above.tests[shape])
            if not _means_the_same(table.relation, way):
                spared = set()
            rest = {shape: origins for shape, origins in above.tests.items() if shape not in spared}
            near = way.far.source == table.relation.source and node not in circle and not above.climbs
            few = len(found.tests) + len(rest) <= _MOST_TESTS and all(len(one.hops) < _MOST_HOPS for one in rest)
            if near and few and _joins(table.relation, way):
                for shape, origins in rest.items():
                    found.add(Shape(shape.columns, (way, *shape.hops)), origins)
            elif rest or above.climbs or node in circle:
                climbs.append(way)
        found.climbs = tuple(climbs)
        return found


def _own_tests(table: SubjectTable) -> Found:
    found = Found()
    for column in table.columns:
        found.add(Shape((column,)), {Origin(table.relation, column)})
    return found


def _means_the_same(near: Relation, way: HoldHop) -> bool:
    """True where the row's own column tells all that the one it is joined to does."""
    if len(way.far_columns) > 1:
        return False
    own, far = near.column(way.near_columns[0]), way.far.column(way.far_columns[0])
    if bytewise(far, way.far.dialect):
        return True
    alike = (own.collation, own.type.partition("(")[0]) == (far.collation, far.type.partition("(")[0])
    return near.source == way.far.source and own.family in WORDS and far.family in WORDS and alike


def _joins(near: Relation, way: HoldHop) -> bool:
    """True where SQL can join over the way: servers do not compare columns of two collations with each other."""
    pairs = zip(way.near_columns, way.far_columns, strict=True)
    collations = [(near.column(own).collation, way.far.column(far).collation) for own, far in pairs]
    return near.dialect == "sqlite" or all(own == far or None in (own, far) for own, far in collations)


def _circles(graph: SubjectGraph, relation: Relation) -> Iterator[dict[Node, SubjectTable]]:
    """
    The tables that ways lead up to from the relation, those that lead to each other together, each after what it leads
    to: Tarjan's way of finding strongly connected parts, without recursion.
    """
    numbers: dict[Node, int] = {}
    lowest: dict[Node, int] = {}
    open_nodes: list[Node] = []
    tables: dict[Node, SubjectTable] = {}
    path: list[tuple[Node, Iterator[HoldHop]]] = []

    def enter(near: Relation) -> None:
        node = graph.node(near)
        tables[node] = graph.table(near)
        numbers[node] = lowest[node] = len(numbers)
        open_nodes.append(node)
        path.append((node, iter(tables[node].ways)))

    enter(relation)
    while path:
        node, ways = path[-1]
        way = next(ways, None)
        if way is not None:
            above = graph.node(way.far)
            if above not in numbers:
                enter(way.far)
            elif above in open_nodes:
                lowest[node] = min(lowest[node], numbers[above])
            continue
        path.pop()
        if path:
            lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[node])
        if lowest[node] == numbers[node]:
            place = open_nodes.index(node)
            circle = open_nodes[place:]
            del open_nodes[place:]
            yield {one: tables[one] for one in circle}
