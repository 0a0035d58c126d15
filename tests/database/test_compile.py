"""Live schemas and what a policy may do to them: triggers, kinds of tables, schemas, other sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.database.bench import Bench, policy_text

OLD, NEW = "'2020-01-01'", "'2026-06-01'"
DELETE = "record: root, keep: 1 year after left_on, then: delete"
CLEAR = "record: root, keep: 1 year after left_on, then: {clear: [note]}"
ROOT = "root: {source: crm, table: root}"
TABLE = "CREATE TABLE root (id INTEGER PRIMARY KEY, left_on DATE, note VARCHAR(20), last_update TIMESTAMP NULL)"
ROWS = f"INSERT INTO root (id, left_on, note) VALUES (1, {OLD}, 'x'), (2, {NEW}, 'y'), (3, NULL, 'z')"


@pytest.fixture
def bench(engine_url: str, tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path, {"crm": engine_url}) as made:
        yield made


@pytest.fixture
def on(new_database: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[[str], Bench]]:
    """A bench on one engine."""
    made: list[Bench] = []

    def make(engine: str) -> Bench:
        made.append(Bench(tmp_path, {"crm": new_database(engine)}))
        return made[-1]

    yield make
    for one in made:
        one.__exit__(None, None, None)


def ids(bench: Bench, table: str = "root") -> list[int]:
    return [row[0] for row in bench.rows(f"SELECT id FROM {table} ORDER BY id")]


def codes(problems: list[str]) -> list[str]:
    return [problem.partition(":")[0] for problem in problems]


def trigger(bench: Bench, table: str, when: str, body: str, *, path: str = "") -> None:
    """A trigger for each row with that body, which names NEW and OLD."""
    name = f"on_{table}_{when.replace(' ', '_').lower()}"
    if bench.engine() == "postgresql":
        bench.make(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql {path} AS $body$ BEGIN {body};"
            f" RETURN {'OLD' if 'DELETE' in when else 'NEW'}; END $body$",
            f"CREATE TRIGGER {name} {when} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()",
        )
    else:
        bench.make(f"CREATE TRIGGER {name} {when} ON {table} FOR EACH ROW BEGIN {body}; END")


def last_update_trigger(bench: Bench) -> None:
    """What the sample databases sakila and pagila have on every table."""
    if bench.engine() == "sqlite":
        trigger(bench, "root", "AFTER UPDATE", "UPDATE root SET last_update = '2026-11-01' WHERE id = NEW.id")
    elif bench.engine() == "mariadb":
        trigger(bench, "root", "BEFORE UPDATE", "SET NEW.last_update = CURRENT_TIMESTAMP")
    else:
        trigger(bench, "root", "BEFORE UPDATE", "NEW.last_update = CURRENT_TIMESTAMP", path="SET search_path = public")


def test_a_trigger_that_notes_the_last_update_is_harmless(bench: Bench) -> None:
    bench.make(TABLE, ROWS)
    last_update_trigger(bench)
    masks, deletes = bench.run(policy_text(ROOT, CLEAR, DELETE))
    assert (masks.failed, masks.done, deletes.failed, deletes.done) == (None, 1, None, 1)
    assert ids(bench) == [2, 3]


def test_unless_the_last_update_is_the_clock(bench: Bench) -> None:
    bench.make(TABLE, ROWS)
    last_update_trigger(bench)
    (problem,) = bench.problems(policy_text(ROOT, CLEAR.replace("left_on", "last_update")))
    assert problem.startswith("clock-changed: ")
    assert "last_update" in problem
    assert bench.problems(policy_text(ROOT, DELETE.replace("left_on", "last_update"))) == []


LOG = "CREATE TABLE log (id INTEGER PRIMARY KEY, note VARCHAR(20))"


@pytest.mark.parametrize(("event", "rule"), [("DELETE", DELETE), ("UPDATE", CLEAR)], ids=["delete", "update"])
def test_a_trigger_that_copies_elsewhere_is_refused(bench: Bench, event: str, rule: str) -> None:
    bench.make(TABLE, ROWS, LOG)
    log = "public.log" if bench.engine() == "postgresql" else "log"
    trigger(bench, "root", f"AFTER {event}", f"INSERT INTO {log} (id, note) VALUES (OLD.id, OLD.note)")
    before = bench.content()
    (problem,) = bench.problems(policy_text(ROOT, rule))
    assert problem.startswith("trigger-reach: ")
    assert f"the trigger on_root_after_{event.lower()} " in problem
    assert "log" in problem
    assert bench.content() == before


def test_the_trigger_of_sakila_goes_with_a_declaration(bench: Bench) -> None:
    bench.make(
        TABLE,
        ROWS,
        "CREATE TABLE film_text (id INTEGER PRIMARY KEY, title VARCHAR(20))",
        "INSERT INTO film_text VALUES (1, 'a'), (2, 'b')",
    )
    text = "public.film_text" if bench.engine() == "postgresql" else "film_text"
    trigger(bench, "root", "AFTER DELETE", f"DELETE FROM {text} WHERE id = OLD.id")
    assert codes(bench.problems(policy_text(ROOT))) == ["trigger-reach"]
    records = """
root: {source: crm, table: root, cascade: [film_text]}
film_text: {source: crm, table: film_text, belongs_to: {root: id}}
"""
    (report,) = bench.carried_out(policy_text(records))
    assert report.cascade == {"crm.film_text": 1}
    assert ids(bench, "film_text") == [2]


def test_a_trigger_on_a_child_counts_too(bench: Bench) -> None:
    bench.make(
        TABLE,
        ROWS,
        LOG,
        "CREATE TABLE child (id INTEGER PRIMARY KEY, root_id INTEGER, FOREIGN KEY (root_id) REFERENCES root (id))",
    )
    log = "public.log" if bench.engine() == "postgresql" else "log"
    trigger(bench, "child", "BEFORE DELETE", f"DELETE FROM {log} WHERE id = OLD.id")
    problems = bench.problems(policy_text("root: {source: crm, table: root, cascade: [child]}"))
    assert codes(problems) == ["trigger-reach"]


def test_what_postgresql_cannot_be_looked_into_is_refused(on: Callable[[str], Bench]) -> None:
    bench = on("postgresql")
    bench.make(TABLE, ROWS, LOG)
    trigger(bench, "root", "AFTER DELETE", "EXECUTE 'DELETE FROM log'")
    (problem,) = bench.problems(policy_text(ROOT))
    assert problem.startswith("trigger-reach: ")
    assert "cannot be looked into" in problem
    bench.make("ALTER TABLE root DISABLE TRIGGER on_root_after_delete")
    assert bench.problems(policy_text(ROOT)) == []
    bench.make("CREATE RULE keep AS ON DELETE TO root DO INSTEAD NOTHING")
    assert codes(bench.problems(policy_text(ROOT))) == ["trigger-reach"]
    assert bench.problems(policy_text(ROOT, CLEAR)) == []
    bench.make("CREATE RULE also AS ON UPDATE TO root DO ALSO INSERT INTO log VALUES (OLD.id)")
    assert codes(bench.problems(policy_text(ROOT, CLEAR))) == ["trigger-reach"]


PARTITIONED = (
    "CREATE TABLE root (id INTEGER, left_on DATE, PRIMARY KEY (id, left_on)) PARTITION BY RANGE (left_on)",
    "CREATE TABLE root_old PARTITION OF root FOR VALUES FROM ('2000-01-01') TO ('2026-01-01')",
    "CREATE TABLE root_new PARTITION OF root DEFAULT",
    (
        "CREATE TABLE child (id INTEGER PRIMARY KEY, root_id INTEGER, root_left DATE,"
        " FOREIGN KEY (root_id, root_left) REFERENCES root (id, left_on) ON DELETE CASCADE)"
    ),
    f"INSERT INTO root VALUES (1, {OLD}), (2, {NEW}), (3, {OLD})",
    f"INSERT INTO child VALUES (1, 1, {OLD}), (2, 2, {NEW}), (3, 1, {OLD})",
)


def test_partitioned_parents_on_postgresql(on: Callable[[str], Bench]) -> None:
    bench = on("postgresql")
    bench.make(*PARTITIONED)
    assert codes(bench.problems(policy_text(ROOT))) == ["undeclared-reach"]
    text = policy_text("root: {source: crm, table: root, cascade: [child]}")
    before = bench.content()
    (dry,) = bench.run(text, apply=False)
    assert bench.content() == before
    (report,) = bench.run(text)
    assert (report.failed, dry.due, report.done) == (None, 2, 2)
    assert dry.cascade == report.cascade == {"crm.child": 2}
    assert (ids(bench), ids(bench, "child")) == ([2], [2])


def test_what_hangs_on_one_partition_alone_is_seen(on: Callable[[str], Bench]) -> None:
    bench = on("postgresql")
    bench.make(*PARTITIONED, LOG)
    bench.make(
        "CREATE TABLE aside (id INTEGER PRIMARY KEY, i INTEGER, d DATE,"
        " FOREIGN KEY (i, d) REFERENCES root_old (id, left_on))"
    )
    text = policy_text("root: {source: crm, table: root, cascade: [child]}")
    (problem,) = bench.problems(text)
    assert problem.startswith("undeclared-reach: ")
    assert "crm.aside" in problem
    bench.make("DROP TABLE aside")
    trigger(bench, "root_old", "AFTER DELETE", "DELETE FROM public.log")
    assert codes(bench.problems(text)) == ["trigger-reach"]


def test_partitioned_parents_on_mariadb(on: Callable[[str], Bench]) -> None:
    bench = on("mariadb")
    bench.make(
        "CREATE TABLE root (id INTEGER, left_on DATE, PRIMARY KEY (id, left_on)) PARTITION BY RANGE (YEAR(left_on))"
        " (PARTITION old VALUES LESS THAN (2026), PARTITION new VALUES LESS THAN MAXVALUE)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, root_id INTEGER)",
        f"INSERT INTO root VALUES (1, {OLD}), (2, {NEW}), (3, {OLD})",
    )
    (report,) = bench.carried_out(policy_text(ROOT))
    assert report.done == 2
    records = """
root: {source: crm, table: root, cascade: [child]}
child: {source: crm, table: child, belongs_to: {root: root_id}}
"""
    assert codes(bench.problems(policy_text(records))) == ["no-single-key"]


@pytest.mark.parametrize(
    ("engine", "made", "table", "code"),
    [
        ("postgresql", ("CREATE TABLE heir () INHERITS (root)",), "root", "inherited"),
        ("postgresql", ("CREATE VIEW seen AS SELECT * FROM root",), "seen", "not-a-table"),
        ("postgresql", ("CREATE MATERIALIZED VIEW seen AS SELECT * FROM root",), "seen", "not-a-table"),
        (
            "postgresql",
            (
                "CREATE FOREIGN DATA WRAPPER w",
                "CREATE SERVER s FOREIGN DATA WRAPPER w",
                "CREATE FOREIGN TABLE far (id INTEGER, left_on DATE) SERVER s",
            ),
            "far",
            "not-a-table",
        ),
        ("sqlite", ("CREATE VIEW seen AS SELECT * FROM root",), "seen", "not-a-table"),
        ("sqlite", ("CREATE VIRTUAL TABLE far USING fts5(left_on)",), "far", "not-a-table"),
        ("mariadb", ("CREATE VIEW seen AS SELECT * FROM root",), "seen", "not-a-table"),
        ("mariadb", ("ALTER TABLE root ENGINE = MyISAM",), "root", "not-transactional"),
        ("mariadb", ("ALTER TABLE root ENGINE = Aria",), "root", "not-transactional"),
        ("mariadb", ("ALTER TABLE root ENGINE = MEMORY",), "root", "not-transactional"),
        ("mariadb", ("ALTER TABLE root ADD SYSTEM VERSIONING",), "root", "keeps-history"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tables_that_are_none(
    on: Callable[[str], Bench], engine: str, made: tuple[str, ...], table: str, code: str
) -> None:
    bench = on(engine)
    bench.make(TABLE, *made)
    problems = bench.problems(policy_text(f"root: {{source: crm, table: {table}}}"))
    assert code in codes(problems)
    assert set(codes(problems)) <= {code, "not-a-clock"}


def test_a_table_without_a_primary_key_needs_a_key_by_name(bench: Bench) -> None:
    bench.make(
        "CREATE TABLE root (id INTEGER NOT NULL, tag VARCHAR(5) NOT NULL, left_on DATE, UNIQUE (id, tag))",
        f"INSERT INTO root VALUES (1, 'a', {OLD}), (1, 'b', {NEW}), (2, 'a', {OLD})",
    )
    (problem,) = bench.problems(policy_text(ROOT))
    assert problem.startswith("no-key: ")
    assert "`key: [columns]`" in problem
    (report,) = bench.carried_out(policy_text("root: {source: crm, table: root, key: [id, tag]}"))
    assert report.done == 2
    assert codes(bench.problems(policy_text("root: {source: crm, table: root, key: [id]}"))) == ["key-not-unique"]


def test_generated_columns_stand_in_nobodys_way(bench: Bench) -> None:
    whole = "GENERATED ALWAYS AS (concat_ws('', note)) VIRTUAL" if bench.engine() == "mariadb" else ""
    bench.make(
        "CREATE TABLE root (id INTEGER PRIMARY KEY, left_on DATE, note VARCHAR(20),"
        f" big VARCHAR(40) {whole or 'GENERATED ALWAYS AS (upper(note)) STORED'})",
        f"INSERT INTO root (id, left_on, note) VALUES (1, {OLD}, 'x'), (2, {NEW}, 'y')",
    )
    masked = bench.problems(policy_text(ROOT, CLEAR.replace("note", "big")))
    assert codes(masked) == ["generated-changed"]
    (report,) = bench.carried_out(policy_text(ROOT, CLEAR))
    assert report.done == 1
    (report,) = bench.carried_out(policy_text(ROOT))
    assert ids(bench) == [2]


def test_two_schemas_with_a_table_of_one_name(on: Callable[[str], Bench]) -> None:
    bench = on("postgresql")
    bench.make(
        "CREATE SCHEMA shop",
        "CREATE TABLE root (id INTEGER PRIMARY KEY, left_on DATE)",
        "CREATE TABLE shop.root (id INTEGER PRIMARY KEY, left_on DATE)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, root_id INTEGER REFERENCES shop.root (id) ON DELETE CASCADE)",
        "CREATE TABLE shop.child (id INTEGER PRIMARY KEY, root_id INTEGER REFERENCES root (id))",
        f"INSERT INTO root VALUES (1, {OLD}), (2, {NEW})",
        f"INSERT INTO shop.root VALUES (1, {OLD}), (2, {OLD}), (3, {NEW})",
        "INSERT INTO child VALUES (1, 1), (2, 3)",
        "INSERT INTO shop.child VALUES (1, 2), (2, NULL)",
    )
    (problem,) = bench.problems(policy_text("root: {source: crm, table: shop.root}"))
    assert "crm.child " in problem
    (problem,) = bench.problems(policy_text(ROOT))
    assert "`cascade: [shop.child]`" in problem
    (report,) = bench.carried_out(policy_text("root: {source: crm, table: shop.root, cascade: [child]}"))
    assert (report.table, report.done, report.cascade) == ("shop.root", 2, {"crm.child": 1})
    (report,) = bench.carried_out(policy_text("root: {source: crm, table: public.root, cascade: [shop.child]}"))
    assert (report.done, report.cascade) == (1, {"crm.shop.child": 0})


def test_two_policies_that_delete_from_one_table(bench: Bench) -> None:
    bench.make(TABLE, ROWS)
    one = policy_text(ROOT)
    problems = bench.problems(one, one.replace("name: bench", "name: other"))
    assert codes(problems) == ["overlap"]
    assert "bench/rule-1" in problems[0]


@pytest.mark.parametrize("far", ["sqlite", "mariadb", "postgresql"])
def test_a_cascade_over_two_sources(
    engine_url: str, new_database: Callable[[str], str], tmp_path: Path, far: str
) -> None:
    with Bench(tmp_path, {"crm": engine_url, "support": new_database(far)}, chunk_rows=2) as bench:
        bench.make(
            TABLE,
            f"INSERT INTO root (id, left_on) VALUES (1, {OLD}), (2, {NEW}), (3, {OLD}), (4, {OLD}), (5, {OLD})",
        )
        bench.make(
            "CREATE TABLE ticket (id INTEGER PRIMARY KEY, customer INTEGER, hold BOOLEAN)",
            "CREATE TABLE note (id INTEGER PRIMARY KEY, ticket INTEGER NOT NULL, FOREIGN KEY (ticket) REFERENCES"
            " ticket (id))",
            "INSERT INTO ticket VALUES (1, 1, FALSE), (2, 2, FALSE), (3, 1, FALSE), (4, 3, TRUE), (5, NULL, TRUE)",
            "INSERT INTO note VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
            source="support",
        )
        records = """
root: {source: crm, table: root, cascade: [ticket]}
ticket: {source: support, table: ticket, belongs_to: {root: customer}, held: hold, cascade: [note]}
"""
        assert codes(bench.problems(policy_text(records.replace(", cascade: [note]", "")))) == ["undeclared-reach"]
        (report,) = bench.carried_out(policy_text(records))
        assert (report.due, report.held, report.done) == (3, 1, 3)
        assert report.cascade == {"support.ticket": 2, "support.note": 2}
        assert ids(bench) == [2, 3]
