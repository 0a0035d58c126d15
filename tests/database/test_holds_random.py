"""Random records that belong to each other, held at random: what goes is what a few lines of Python say."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from retentiond.compiler.plan import Job
from tests.database.bench import policy_text
from tests.database.holding import Holding

NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
RECORDS = ("a", "b", "c", "d")
SOURCES = ("one", "two")
Value = int | str | None
Node = tuple[str, int]


@dataclass(frozen=True)
class Link:
    """`child` belongs to `parent`: its column holds the parent's `id`, or its unique `ref`."""

    child: str
    parent: str
    column: str
    references: str


@dataclass(frozen=True)
class World:
    """
    Where each record lives, which of its columns names the subject (if any), how they belong, what goes along with the
    first, and the rows: record → id → the other columns.
    """

    text: bool
    sources: dict[str, str]
    subjects: dict[str, str]
    links: tuple[Link, ...]
    cascade: tuple[str, ...]
    rows: dict[str, dict[int, dict[str, Value]]]
    due: frozenset[Node]
    target: str

    def key(self, number: int) -> Value:
        return f"k{number}" if self.text else number


@st.composite
def worlds(draw: st.DrawFn) -> World:
    text = draw(st.booleans())
    sources = {record: draw(st.sampled_from(("one", "one", *SOURCES))) for record in RECORDS}
    links = []
    for place, record in enumerate(RECORDS):
        for number in range(draw(st.integers(min(1, place), 2))):
            # Mostly upwards; now and then to itself or further down, so that there are circles.
            upwards = st.sampled_from(RECORDS[: max(1, place)])
            parent = draw(st.one_of(upwards, upwards, upwards, st.sampled_from(RECORDS)))
            links.append(Link(record, parent, f"l{number}", draw(st.sampled_from(["id", "id", "ref"]))))
    links = [link for link in links if sum(one[:2] == (link.child, link.parent) for one in _ends(links)) == 1]
    subjects = {
        record: draw(st.sampled_from(["id", "sid", "l0"]))
        for record in RECORDS
        if draw(st.integers(0, 3)) == 0 or record == "a"
    }
    some = st.integers(1, 5)
    values = st.one_of(some, some, some, st.none(), st.integers(6, 8))
    rows: dict[str, dict[int, dict[str, Value]]] = {}
    for record in RECORDS:
        rows[record] = {}
        for number in range(1, draw(st.integers(3, 6)) + 1):
            row: dict[str, Value] = {"ref": number + draw(st.sampled_from([0, 10]))}
            row |= {name: draw(values) for name in ("sid", "l0", "l1")}
            rows[record][number] = row
    target = draw(st.sampled_from((*RECORDS, "c", "d")))
    children = {link.child for link in links if link.parent == target and link.child != target}
    cascade = tuple(sorted(child for child in children if draw(st.booleans())))
    due = frozenset((record, number) for record in RECORDS for number in rows[record] if draw(st.integers(0, 3)))
    return World(text, sources, subjects, tuple(links), cascade, rows, due, target)


def _ends(links: Sequence[Link]) -> list[tuple[str, str]]:
    return [(link.child, link.parent) for link in links]


def value(world: World, node: Node, column: str) -> Value:
    return node[1] if column == "id" else world.rows[node[0]][node[1]][column]


def held(world: World, ids: frozenset[int]) -> set[Node]:
    """The rows that name one of these subjects, or hold what would name it in a row above, and all that belongs."""
    names = {(record, column) for record, column in world.subjects.items()}
    while True:
        more = {(link.child, link.column) for link in world.links if (link.parent, link.references) in names} - names
        if not more:
            break
        names |= more
    nodes = {(record, number) for record, rows in world.rows.items() for number in rows}
    found = {
        (record, n)
        for record, n in nodes
        for name in names
        if name[0] == record and value(world, (record, n), name[1]) in ids
    }
    while True:
        above = {
            (link, value(world, node, link.references))
            for link in world.links
            for node in found
            if node[0] == link.parent
        }
        more_rows = {
            node
            for node in nodes
            for link in world.links
            if link.child == node[0]
            and value(world, node, link.column) is not None
            and (link, value(world, node, link.column)) in above
        } - found
        if not more_rows:
            return found
        found |= more_rows


def gone(world: World, job: Job, ids: frozenset[int]) -> set[Node]:
    """What goes when these subjects are held: of the due rows those below which nothing is held, and what is below."""
    stays = held(world, ids)
    names = {step.relation.label: step.relation.short.removeprefix("t_") for step in (*job.cascade, job.step)}
    edges = [
        (names[edge.parent], edge.parent_columns[0], names[step.relation.label], edge.child_columns[0])
        for step in job.cascade
        for edge in step.edges
    ]
    found: set[Node] = set()
    for root in (node for node in world.due if node[0] == world.target):
        family, waiting = {root}, [root]
        while waiting:
            node = waiting.pop()
            for parent, referenced, child, column in edges:
                if parent == node[0]:
                    wanted = value(world, node, referenced)
                    new = {
                        (child, n)
                        for n in world.rows[child]
                        if wanted is not None and value(world, (child, n), column) == wanted
                    } - family
                    family |= new
                    waiting += new
        if family.isdisjoint(stays):
            found |= family
    return found


def make(bench: Holding, world: World) -> str:
    kind = "VARCHAR(20)" if world.text else "INTEGER"
    for record, rows in world.rows.items():
        said = [
            f"({_said(world, number)}, {', '.join(_said(world, row[name]) for name in ('ref', 'sid', 'l0', 'l1'))}, "
            f"'{'2020-01-01' if (record, number) in world.due else '2026-06-01'}')"
            for number, row in rows.items()
        ]
        columns = ", ".join(f"{name} {kind}" for name in ("sid", "l0", "l1"))
        bench.make(
            f"CREATE TABLE t_{record} (id {kind} PRIMARY KEY, ref {kind} UNIQUE, {columns}, left_on DATE)",
            *([f"INSERT INTO t_{record} VALUES {', '.join(said)}"] if said else []),
            source=world.sources[record],
        )
    lines = []
    for record in RECORDS:
        parts = [f"source: {world.sources[record]}", f"table: t_{record}"]
        if record in world.subjects:
            parts += [f"subject: {{s: {world.subjects[record]}}}", "on_request: {stay: x}"]
        ups = [
            f"{link.parent}: {link.column}" if link.references == "id" else f"{link.parent}: {{ref: {link.column}}}"
            for link in world.links
            if link.child == record
        ]
        parts += [f"belongs_to: {{{', '.join(ups)}}}"] if ups else []
        parts += [f"cascade: [{', '.join(world.cascade)}]"] if record == world.target and world.cascade else []
        lines.append(f"{record}: {{{', '.join(parts)}}}")
    return policy_text("\n".join(lines), f"record: {world.target}, keep: 1 year after left_on, then: delete")


def _said(world: World, number: Value) -> str:
    return "NULL" if number is None else f"'k{number}'" if world.text else str(number)


def nodes_of(bench: Holding, world: World) -> set[Node]:
    return {
        (label.partition(".t_")[2], int(str(row[0]).removeprefix("k")))
        for label, rows in bench.everything().items()
        for row in rows
    }


def check(bench: Holding, world: World, first: frozenset[int], second: frozenset[int]) -> None:
    text = make(bench, world)
    (job,) = bench.workspace(text).plan.ready
    before = nodes_of(bench, world)
    (free,) = bench.carry(text, mode="plan")
    bench.hold(*(world.key(one) for one in first), subject="s")
    (some,) = bench.carry(text, mode="plan")
    bench.hold(*(world.key(one) for one in second), subject="s")
    (dry,) = bench.carry(text, mode="plan")
    (report,) = bench.carry(text, mode="run")
    assert (free.failed, some.failed, dry.failed, report.failed) == (None, None, None, None)
    wanted = gone(world, job, first | second)
    left = before - nodes_of(bench, world)
    assert left == wanted, (world, first, second, left, wanted)
    assert left <= gone(world, job, first) <= gone(world, job, frozenset())
    own = {node for node in wanted if node[0] == world.target}
    assert free.due is not None
    assert some.due is not None
    assert dry.due is not None
    assert dry.due <= some.due <= free.due
    assert (report.done, dry.due) == (len(own), len(own))
    assert (dry.held, dry.cascade) == (report.held, report.cascade)


IDS = st.frozensets(st.integers(1, 6), min_size=1, max_size=2)


@pytest.mark.parametrize("chunk_rows", [1, 1000])
@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None, phases=NO_SHRINKING)
@given(world=worlds(), first=IDS, second=IDS)
def test_on_sqlite(chunk_rows: int, world: World, first: frozenset[int], second: frozenset[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        urls = {source: f"sqlite:///{folder}/{source}.db" for source in SOURCES}
        with Holding(Path(folder), urls, chunk_rows=chunk_rows) as bench:
            check(bench, world, first, second)


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
@settings(max_examples=4, suppress_health_check=list(HealthCheck), deadline=None, phases=NO_SHRINKING)
@given(world=worlds(), first=IDS, second=IDS)
def test_on_servers(
    engine: str, new_database: Callable[[str], str], world: World, first: frozenset[int], second: frozenset[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        urls = {"one": new_database(engine), "two": f"sqlite:///{folder}/two.db"}
        with Holding(Path(folder), urls, chunk_rows=2) as bench:
            check(bench, world, first, second)
