"""Random schemas, random rows: what goes is what a few lines of Python say, whatever refers to what."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.database.bench import Bench, policy_text

# A world is made of a dozen statements on a real database: hundreds of smaller ones would take for ever.
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
TABLES = ("root", "one", "two", "three")
Node = tuple[str, int]


@dataclass(frozen=True)
class World:
    """Foreign keys as (table, number, target, action); rows as table → id → (due, held, the ids it refers to)."""

    keys: tuple[tuple[str, int, str, str], ...]
    rows: dict[str, dict[int, tuple[bool, bool, tuple[int | None, ...]]]]

    def of(self, table: str) -> list[tuple[str, int, str, str]]:
        return [key for key in self.keys if key[0] == table]

    @property
    def reached(self) -> list[str]:
        """The tables below the root, through any chain of keys."""
        found = ["root"]
        for near in found:
            found += dict.fromkeys(table for table, _, target, _ in self.keys if target == near and table not in found)
        circular = any(target in found for _, _, target, _ in self.of("root"))
        return found if circular else found[1:]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    keys = []
    for place, table in enumerate(TABLES):
        count = draw(st.integers(0 if table == "root" else 1, 2))
        for number in range(count):
            # Mostly upwards; now and then to itself or further down, so that there are circles.
            upwards = st.sampled_from(TABLES[: max(1, place)])
            target = draw(st.one_of(upwards, upwards, st.sampled_from(TABLES)))
            keys.append((table, number, target, draw(st.sampled_from(["NO ACTION", "CASCADE", "SET NULL"]))))
    rows: dict[str, dict[int, tuple[bool, bool, tuple[int | None, ...]]]] = {}
    sizes = {table: draw(st.integers(0, 6)) for table in TABLES}
    for table in TABLES:
        own = [key for key in keys if key[0] == table]
        for identity in range(1, sizes[table] + 1):
            references = tuple(
                draw(st.one_of(st.none(), st.integers(1, sizes[target]))) if sizes[target] else None
                for _, _, target, _ in own
            )
            held = draw(st.integers(0, 9)) == 0
            rows.setdefault(table, {})[identity] = (draw(st.booleans()), held, references)
    return World(tuple(keys), rows)


def oracle(world: World) -> tuple[set[Node], set[Node], set[Node]]:
    """The due roots that go, those that a held row keeps, and every row that goes."""
    below: dict[Node, set[Node]] = {}
    for table in world.reached:
        for identity, (_, _, references) in world.rows.get(table, {}).items():
            for (_, _, target, _), reference in zip(world.of(table), references, strict=True):
                if reference is not None:
                    below.setdefault((target, reference), set()).add((table, identity))

    def family(node: Node) -> set[Node]:
        found = {node}
        waiting = [node]
        while waiting:
            new = below.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found

    due = {("root", identity) for identity, row in world.rows.get("root", {}).items() if row[0]}
    kept = {node for node in due if any(world.rows[table][identity][1] for table, identity in family(node))}
    return due - kept, kept, set().union(*(family(node) for node in due - kept))


def make(bench: Bench, world: World) -> str:
    """Make the tables, as far as possible with their keys at once; the policy that declares them all."""
    later = []
    for table in TABLES:
        columns = ["id INTEGER PRIMARY KEY", "left_on DATE", "hold BOOLEAN"]
        parts = []
        for _, number, target, action in world.of(table):
            columns.append(f"r{number} INTEGER NULL")
            said = f"FOREIGN KEY (r{number}) REFERENCES {target} (id) ON DELETE {action}"
            if bench.engine() == "sqlite":
                parts.append(said)
            else:
                later.append(f"ALTER TABLE {table} ADD {said}")
        bench.make(f"CREATE TABLE {table} ({', '.join(columns + parts)})")
    inserts, updates = [], []
    for table, rows in world.rows.items():
        for identity, (due, held, references) in rows.items():
            day = "2020-01-01" if due else "2026-06-01"
            inserts.append(f"INSERT INTO {table} (id, left_on, hold) VALUES ({identity}, '{day}', {held})")
            updates += [
                f"UPDATE {table} SET r{number} = {reference} WHERE id = {identity}"
                for number, reference in enumerate(references)
                if reference is not None
            ]
    bench.make(*inserts, *updates, *later)
    names = ", ".join(world.reached)
    records = [f"root: {{source: crm, table: root, held: hold, cascade: [{names}]}}".replace(", cascade: []", "")]
    records += [f"{table}: {{source: crm, table: {table}, held: hold}}" for table in world.reached if table != "root"]
    return policy_text("\n".join(records))


def check(url: str, folder: Path, world: World, chunk_rows: int) -> None:
    with Bench(folder, {"crm": url}, chunk_rows=chunk_rows) as bench:
        text = make(bench, world)
        going, kept, gone = oracle(world)
        before = bench.content()
        (dry,) = bench.run(text, apply=False)
        assert bench.content() == before
        (report,) = bench.run(text)
        assert report.failed is None
        after = {(table, row[0]) for table, rows in bench.content().items() for row in rows}
        assert {(table, row[0]) for table, rows in before.items() for row in rows} - after == gone
        assert (dry.due, dry.held) == (len(going), len(kept))
        assert dry.cascade == report.cascade
        assert report.done + sum(report.cascade.values()) == len(gone)
        assert bench.run(text)[0].done == 0


@pytest.mark.parametrize("chunk_rows", [1, 1000])
@settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None, phases=NO_SHRINKING)
@given(world=worlds())
def test_on_sqlite(chunk_rows: int, world: World) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(f"sqlite:///{folder}/crm.db", Path(folder), world, chunk_rows)


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
@settings(max_examples=3, suppress_health_check=list(HealthCheck), deadline=None, phases=NO_SHRINKING)
@given(world=worlds())
def test_on_servers(engine: str, new_database: Callable[[str], str], world: World) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(new_database(engine), Path(folder), world, 2)
