"""
What goes with a chunk's rows: the rows of the declared cascade, which of them keep their parents, and in what order
they can go. Works by keys, so that self-references and cycles need no recursion in SQL.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Edge, Job, Step
from retentiond.compiler.statements import children_statement
from retentiond.engine.climb import Climb
from retentiond.engine.examine import Candidate, Crossing
from retentiond.engine.session import Transaction
from retentiond.engine.shipping import plain

Node = tuple[str, Key]
"""A row: the label of its table, and its key."""


@dataclass(slots=True)
class Family:
    """The rows reached from a chunk's own rows. `kept` says why a row stays; `parents` lead back towards the chunk."""

    own: str
    roots: set[Node]
    loops: set[Node] = field(default_factory=set)  # rows that refer to themselves
    nodes: dict[Node, dict[str, Any]] = field(default_factory=dict, repr=False)
    parents: dict[Node, set[Node]] = field(default_factory=dict, repr=False)
    bound: dict[Node, set[Node]] = field(default_factory=dict, repr=False)  # by references that cannot be emptied
    kept: dict[Node, str] = field(default_factory=dict)

    def kept_roots(self) -> dict[Node, str]:
        """The chunk's rows that a held or floored row below them keeps, and which of the two it is."""
        found: dict[Node, str] = {}
        for reason in ("floored", "held"):  # held comes last: it is asked first
            for node in self._above([node for node, why in self.kept.items() if why == reason]) & self.roots:
                found[node] = reason
        return found

    def below(self, roots: set[Node]) -> set[Node]:
        """These rows and everything that goes with them."""
        children: dict[Node, list[Node]] = {}
        for node, parents in self.parents.items():
            for parent in parents:
                children.setdefault(parent, []).append(node)
        found, frontier = set(roots), list(roots)
        while frontier:
            for child in children.get(frontier.pop(), ()):
                if child not in found:
                    found.add(child)
                    frontier.append(child)
        return found

    def _above(self, nodes: Sequence[Node]) -> set[Node]:
        found, frontier = set(nodes), list(nodes)
        while frontier:
            for parent in self.parents.get(frontier.pop(), ()):
                if parent not in found:
                    found.add(parent)
                    frontier.append(parent)
        return found


def needed_columns(job: Job, label: str) -> list[str]:
    """The columns of a table that its children refer to, beyond nothing: what must be read of each row."""
    names = [
        name for step in job.cascade for edge in step.edges if edge.parent == label for name in edge.parent_columns
    ]
    return list(dict.fromkeys(names))


def gather(job: Job, at: datetime, transaction: Transaction, candidates: Sequence[Candidate], batch: int) -> Family:
    """The family of these rows; in a writing transaction every row of it is locked as it is read."""
    own = job.step.relation.label
    family = Family(own, {(own, candidate.key) for candidate in candidates})
    for candidate in candidates:
        family.nodes[own, candidate.key] = candidate.extra
    frontier = set(family.roots)
    while frontier:
        reached: set[Node] = set()
        for step in job.cascade:
            for edge in step.edges:
                above = [node for node in frontier if node[0] == edge.parent]
                for piece in _pieces(_values(family, edge, above), batch):
                    reached |= _children(job, step, edge, at, transaction, family, dict(piece))
        frontier = reached
    return family


def _values(family: Family, edge: Edge, nodes: Sequence[Node]) -> dict[Key, list[Node]]:
    """The parent values that children may hold, each with the rows that have it; NULL refers to nothing."""
    found: dict[Key, list[Node]] = {}
    for node in nodes:
        values = tuple(plain(family.nodes[node][name]) for name in edge.parent_columns)
        if None not in values:
            found.setdefault(values, []).append(node)
    return found


def _sent(family: Family, edge: Edge, step: Step, above: Mapping[Key, list[Node]]) -> list[Key]:
    """
    The parent values as the child's source is asked for them: its own as its driver gave them – UUIDs and bytes are no
    text to it – and another source's plain.
    """
    if not edge.parent.startswith(f"{step.relation.source}."):
        return list(above)
    return [tuple(family.nodes[nodes[0]][name] for name in edge.parent_columns) for nodes in above.values()]


def _pieces(values: Mapping[Key, list[Node]], size: int) -> Iterator[list[tuple[Key, list[Node]]]]:
    items = sorted(values.items(), key=lambda item: str(item[0]))
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _children(
    job: Job,
    step: Step,
    edge: Edge,
    at: datetime,
    transaction: Transaction,
    family: Family,
    above: dict[Key, list[Node]],
) -> set[Node]:
    label, extra = step.relation.label, needed_columns(job, step.relation.label)
    values, width = _sent(family, edge, step, above), len(step.relation.key)
    statement = children_statement(step, edge, at, values, extra, lock=transaction.writes)
    rows = transaction.fetch(step.relation.source, statement)
    if transaction.writes and rows and _rests_on_others(step):
        # What stood beside the rows when their lock was asked for may have changed before it was got.
        for floor in step.keepers.floors:
            transaction.lock_related(floor.clock, step.relation, at, [tuple(row[:width]) for row in rows])
        statement = children_statement(step, edge, at, values, extra, lock=False)
        rows = transaction.fetch(step.relation.source, statement)
    parents = _Parents(above)
    found = [parents.of(tuple(map(plain, row[width : width + len(edge.child_columns)]))) for row in rows]
    if None in found:  # asked again with fewer parents, until there is but one it can be
        items = list(above.items())
        halves = (dict(items[: len(items) // 2]), dict(items[len(items) // 2 :]))
        return set().union(*(_children(job, step, edge, at, transaction, family, half) for half in halves))
    crossing, climb, new = Crossing(transaction, at), Climb(transaction, step.relation, step.keepers.holds), set()
    emptiable = _emptiable(step, edge)
    transaction.crossings += [(label, crossing), (label, climb)]
    for row, row_parents in zip(rows, found, strict=True):
        cells = iter(row)
        node = (label, tuple(next(cells) for _ in step.relation.key))
        for _ in edge.child_columns:
            next(cells)
        held, floored = bool(next(cells)), bool(next(cells))
        crossing.floors(step, cells, node[1])
        climb.take(cells, node[1])
        if node not in family.nodes:
            new.add(node)
            family.nodes[node] = dict(zip(extra, cells, strict=True))
        if held or floored:
            family.kept[node] = "held" if held else "floored"
        others = {parent for parent in row_parents or () if parent != node}
        family.parents.setdefault(node, set()).update(others)
        if not emptiable:
            family.bound.setdefault(node, set()).update(others)
        if node in (row_parents or ()):
            family.loops.add(node)
    for key in crossing.floored():
        family.kept.setdefault((label, key), "floored")
    for key in climb.held():
        family.kept[label, key] = "held"
    return new


class _Parents:
    """Rows by the value that children hold. The database may find two values equal that differ in case or padding."""

    def __init__(self, above: Mapping[Key, list[Node]]) -> None:
        self._above = above
        self._folded: dict[Key, list[Key]] = {}
        for values in above:
            self._folded.setdefault(_folded(values), []).append(values)

    def of(self, values: Key) -> list[Node] | None:
        """The rows that a child with these values refers to; None where it may be one or another."""
        if values in self._above:
            return self._above[values]
        alike = self._folded.get(_folded(values), list(self._above))
        return self._above[alike[0]] if len(alike) == 1 else None


def _folded(values: Key) -> Key:
    return tuple(str(value).casefold().rstrip() for value in values)


def _rests_on_others(step: Step) -> bool:
    """True where a floor or a hold rests on other rows of the same source, on an engine that locks row by row."""
    related = any(floor.clock.hops and floor.clock.local for floor in step.keepers.floors)
    return (related or step.keepers.holds.beside) and step.relation.dialect != "sqlite"


@dataclass(frozen=True, slots=True)
class Wave:
    """
    Rows of one table that can go together; or, where they refer to each other in a `circular` way, that stay for now
    and have the columns `unlink` emptied.
    """

    label: str
    keys: tuple[Key, ...]
    unlink: tuple[str, ...] = ()
    circular: bool = False


def waves(job: Job, family: Family, going: set[Node]) -> Iterator[Wave]:
    """The rows that go, in an order in which none is referred to by a row that is still there."""
    order = [*dict.fromkeys([*(step.relation.label for step in job.cascade), family.own])]
    if not _circular(job):
        for label in order:
            if keys := _keys(going, label):
                yield Wave(label, keys)
        return
    left, parents = set(going), family.parents
    # InnoDB refuses to delete a row that refers to itself.
    yield from _emptied(job, family.loops & going, ("mariadb", "mysql"))
    while left:
        free = left - {parent for node in left for parent in parents.get(node, ())}
        if not free and parents is not family.bound:
            yield from _emptied(job, left)
            parents = family.bound
            continue
        free = free or left  # a circle of references that cannot be empty: its tables' rows at once, or not at all
        for label in order:
            if keys := _keys(free, label):
                yield Wave(label, keys)
        left -= free


def _emptied(job: Job, nodes: set[Node], dialects: Sequence[str] = ()) -> Iterator[Wave]:
    """What empties the references of these rows, as far as they may be NULL; `dialects` limits it to some engines."""
    for step in {step.relation.label: step for step in job.cascade}.values():
        if dialects and step.relation.dialect not in dialects:
            continue
        names = {name for edge in step.edges for name in _emptiable(step, edge)}
        keys = _keys(nodes, step.relation.label)
        if keys and (names or step.relation.dialect == "sqlite"):
            yield Wave(step.relation.label, keys, tuple(sorted(names)), circular=True)


def emptied_columns(job: Job) -> dict[str, tuple[str, ...]]:
    """By label the columns that may have to be emptied before rows that refer to each other in a circle can go."""
    if not _circular(job):
        return {}
    edges = [(step.relation.label, edge.parent) for step in job.cascade for edge in step.edges]
    stuck = {label for pair in edges for label in pair}
    # Whatever has nothing below it goes first; what is left then has a circle below it, or is part of one.
    while free := stuck - {parent for child, parent in edges if child in stuck}:
        stuck -= free
    found: dict[str, tuple[str, ...]] = {}
    for step in job.cascade:
        label = step.relation.label
        names = {name for edge in step.edges for name in _emptiable(step, edge)} if label in stuck else set()
        if names:
            found[label] = tuple(sorted({*found.get(label, ()), *names}))
    return found


def _emptiable(step: Step, edge: Edge) -> tuple[str, ...]:
    """The columns of a reference that can be emptied: it then refers to nothing."""
    columns = [step.relation.column(name) for name in edge.child_columns if name not in step.relation.key]
    return tuple(column.name for column in columns if column.nullable and not column.generated)


def _keys(nodes: set[Node], label: str) -> tuple[Key, ...]:
    return tuple(sorted((key for found, key in nodes if found == label), key=str))


def _circular(job: Job) -> bool:
    """True where a table of the cascade refers to one that goes before or with it."""
    gone: set[str] = set()
    for step in job.cascade:
        gone.add(step.relation.label)
        if any(edge.parent in gone for edge in step.edges):
            return True
    return job.step.relation.label in gone
