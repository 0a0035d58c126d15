"""What goes with a deleted row, on the three engines: exactly what the policy names, counted as it went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.database.bench import Bench, policy_text

OLD, NEW = "'2020-01-01'", "'2026-06-01'"


@pytest.fixture
def bench(engine_url: str, tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path, {"crm": engine_url}) as made:
        yield made


def ids(bench: Bench, table: str) -> list[int]:
    return [row[0] for row in bench.rows(f"SELECT id FROM {table} ORDER BY id")]


LEVELS = (
    "CREATE TABLE root (id INTEGER PRIMARY KEY, left_on DATE)",
    "CREATE TABLE contract (id INTEGER PRIMARY KEY, root_id INTEGER NOT NULL REFERENCES root (id))",
    (
        "CREATE TABLE invoice (id INTEGER PRIMARY KEY, contract_id INTEGER NOT NULL REFERENCES contract (id),"
        " issued_on DATE)"
    ),
    "CREATE TABLE line (id INTEGER PRIMARY KEY, invoice_id INTEGER NOT NULL REFERENCES invoice (id), hold BOOLEAN)",
    "CREATE TABLE bystander (id INTEGER PRIMARY KEY, note VARCHAR(20))",
    f"INSERT INTO root VALUES (1, {OLD}), (2, {OLD}), (3, {OLD}), (4, {NEW}), (5, {OLD}), (6, NULL)",
    "INSERT INTO contract VALUES (11, 1), (12, 1), (21, 2), (31, 3), (41, 4), (51, 5)",
    (
        f"INSERT INTO invoice VALUES (111, 11, {OLD}), (121, 12, {OLD}), (122, 12, {OLD}), (211, 21, {OLD}),"
        f" (311, 31, {NEW}), (411, 41, {OLD})"
    ),
    (
        "INSERT INTO line VALUES (1, 111, FALSE), (2, 121, NULL), (3, 122, FALSE), (4, 122, FALSE), (5, 211, TRUE),"
        " (6, 311, FALSE), (7, 411, FALSE)"
    ),
    "INSERT INTO bystander VALUES (1, 'stays')",
)
LEVEL_RECORDS = """
root: {source: crm, table: root, cascade: [contract]}
contract: {source: crm, table: contract, belongs_to: {root: root_id}, cascade: [invoice]}
invoice: {source: crm, table: invoice, belongs_to: {contract: contract_id}, cascade: [line]}
line: {source: crm, table: line, belongs_to: {invoice: invoice_id}, held: hold}
"""
DELETE = "record: root, keep: 1 year after left_on, then: delete"
FLOOR = (
    "record: invoice, keep: at least 3 years after issued_on, then: nothing, statute: {law: VAT, checked: 2026-01-01}"
)


@pytest.mark.parametrize("chunk_rows", [2])
def test_four_levels_go_and_a_held_or_floored_one_keeps_its_root(bench: Bench, chunk_rows: int) -> None:
    bench.chunk_rows = chunk_rows
    bench.make(*LEVELS)
    (report,) = bench.carried_out(policy_text(LEVEL_RECORDS, DELETE, FLOOR))
    assert (report.due, report.held, report.floored, report.not_started, report.total) == (2, 1, 1, 1, 6)
    assert report.cascade == {"crm.contract": 3, "crm.invoice": 3, "crm.line": 4}
    assert ids(bench, "root") == [2, 3, 4, 6]
    assert ids(bench, "line") == [5, 6, 7]
    assert ids(bench, "bystander") == [1]


def test_children_may_be_named_as_bare_tables(bench: Bench) -> None:
    bench.make(*LEVELS)
    records = "root: {source: crm, table: root, cascade: [line, contract, invoice]}"
    (report,) = bench.carried_out(policy_text(records))
    assert report.cascade == {"crm.contract": 5, "crm.invoice": 5, "crm.line": 6}


EMPLOYEES = (
    (
        "CREATE TABLE employee (id INTEGER PRIMARY KEY, manager_id INTEGER NULL REFERENCES employee (id), left_on DATE,"
        " hold BOOLEAN)"
    ),
    (
        f"INSERT INTO employee VALUES (1, NULL, {OLD}, FALSE), (2, 1, {NEW}, FALSE), (3, 2, {OLD}, FALSE),"
        f" (4, NULL, {NEW}, FALSE), (5, 4, {OLD}, FALSE), (6, 6, {OLD}, FALSE), (7, NULL, {OLD}, NULL),"
        f" (8, 7, {NEW}, TRUE), (9, NULL, {NEW}, FALSE)"
    ),
)
SELF = "record: root, keep: 1 year after left_on, then: delete"


@pytest.mark.parametrize("chunk_rows", [1, 1000])
def test_a_declared_self_reference_takes_the_rows_below(bench: Bench, chunk_rows: int) -> None:
    bench.chunk_rows = chunk_rows
    bench.make(*EMPLOYEES)
    text = policy_text("root: {source: crm, table: employee, cascade: [root], held: hold}", SELF)
    before = bench.content()
    (dry,) = bench.run(text, apply=False)
    assert bench.content() == before
    (report,) = bench.run(text)
    # 1, 3, 5 and 6 are due; 2 goes because its manager 1 does; the held 8 keeps 7.
    assert report.failed is None
    assert (dry.due, dry.held, dry.cascade) == (4, 1, {"crm.employee": 1})
    assert report.cascade == dry.cascade
    assert ids(bench, "employee") == [4, 7, 8, 9]
    assert bench.run(text)[0].done == 0


def test_an_undeclared_self_reference_is_refused(bench: Bench) -> None:
    bench.make(*EMPLOYEES)
    (problem,) = bench.problems(policy_text("root: {source: crm, table: employee}", SELF))
    assert problem.startswith("undeclared-reach: ")
    assert "crm.employee" in problem
    assert "`cascade: [root]`" in problem


CYCLE = (
    "CREATE TABLE department (id INTEGER PRIMARY KEY, manager_id INTEGER NULL, left_on DATE)",
    (
        "CREATE TABLE employee (id INTEGER PRIMARY KEY, department_id INTEGER NULL, hold BOOLEAN,"
        " FOREIGN KEY (department_id) REFERENCES department (id))"
    ),
)
CYCLE_ROWS = (
    (
        f"INSERT INTO department VALUES (1, NULL, {OLD}), (2, NULL, {NEW}), (3, NULL, {OLD}), (4, NULL, {OLD}),"
        f" (5, NULL, {NEW})"
    ),
    (
        "INSERT INTO employee VALUES (11, 1, FALSE), (12, 1, FALSE), (21, 2, FALSE), (31, 3, TRUE), (41, 4, FALSE),"
        " (51, 5, FALSE)"
    ),
    "UPDATE department SET manager_id = 11 WHERE id IN (1, 2)",
    "UPDATE department SET manager_id = 31 WHERE id = 4",
    "UPDATE department SET manager_id = 51 WHERE id = 5",
)


def make_cycle(bench: Bench) -> None:
    bench.make(*CYCLE)
    if bench.engine() == "sqlite":
        bench.make(
            "DROP TABLE department",
            "CREATE TABLE department (id INTEGER PRIMARY KEY, manager_id INTEGER NULL REFERENCES employee (id),"
            " left_on DATE)",
        )
    else:
        bench.make("ALTER TABLE department ADD FOREIGN KEY (manager_id) REFERENCES employee (id)")
    bench.make(*CYCLE_ROWS)


def test_a_cycle_goes_with_everything_round_it(bench: Bench) -> None:
    make_cycle(bench)
    records = """
root: {source: crm, table: department, cascade: [employee]}
employee: {source: crm, table: employee, cascade: [root], held: hold}
"""
    text = policy_text(records)
    (dry,) = bench.run(text, apply=False)
    (report,) = bench.run(text)
    # 1 takes its people and, because 11 manages it, department 2 with 21. 3 is kept by 31, who keeps 4 no more than 4
    # keeps 31: but 4 and 41 go.
    assert report.failed is None
    assert (dry.due, dry.held) == (report.due, report.held) == (2, 1)
    assert dry.cascade == report.cascade == {"crm.department": 1, "crm.employee": 4}
    assert ids(bench, "department") == [3, 5]
    assert ids(bench, "employee") == [31, 51]
    assert bench.run(text)[0].done == 0


def test_a_cycle_that_would_reach_other_rows_of_the_root_is_refused(bench: Bench) -> None:
    make_cycle(bench)
    (problem,) = bench.problems(policy_text("root: {source: crm, table: department, cascade: [employee]}"))
    assert problem.startswith("undeclared-reach: deleting from crm.employee ")
    assert "crm.department" in problem
    assert "`cascade: [employee, root]`" in problem


TWO_WAYS = (
    "CREATE TABLE root (id INTEGER PRIMARY KEY, left_on DATE)",
    (
        "CREATE TABLE message (id INTEGER PRIMARY KEY, sender INTEGER NULL REFERENCES root (id),"
        " receiver INTEGER NULL REFERENCES root (id), hold BOOLEAN)"
    ),
    "CREATE TABLE attachment (id INTEGER PRIMARY KEY, message_id INTEGER NOT NULL REFERENCES message (id))",
    f"INSERT INTO root VALUES (1, {OLD}), (2, {OLD}), (3, {NEW}), (4, {OLD}), (5, {OLD})",
    (
        "INSERT INTO message VALUES (1, 1, 2, FALSE), (2, 1, 1, FALSE), (3, 3, 2, FALSE), (4, 3, 3, FALSE),"
        " (5, NULL, 1, FALSE), (6, 4, 5, TRUE), (7, 4, 1, FALSE)"
    ),
    "INSERT INTO attachment VALUES (1, 1), (2, 1), (3, 3), (4, 4), (5, 7)",
)


@pytest.mark.parametrize("chunk_rows", [1, 1000])
def test_a_row_reached_twice_is_counted_once(bench: Bench, chunk_rows: int) -> None:
    bench.chunk_rows = chunk_rows
    bench.make(*TWO_WAYS)
    records = """
root: {source: crm, table: root, cascade: [message]}
message: {source: crm, table: message, belongs_to: {root: receiver}, cascade: [attachment], held: hold}
"""
    (report,) = bench.carried_out(policy_text(records))
    assert (report.due, report.held) == (2, 2)
    assert report.cascade == {"crm.message": 5, "crm.attachment": 4}
    assert ids(bench, "message") == [4, 6]


COMPOSITE = (
    "CREATE TABLE root (country CHAR(2), number INTEGER, left_on DATE, PRIMARY KEY (country, number))",
    (
        "CREATE TABLE visit (country CHAR(2) NOT NULL, number INTEGER NOT NULL, visit INTEGER, PRIMARY KEY (country,"
        " number, visit), FOREIGN KEY (country, number) REFERENCES root (country, number))"
    ),
    (
        "CREATE TABLE note (id INTEGER PRIMARY KEY, c CHAR(2), n INTEGER, v INTEGER,"
        " FOREIGN KEY (c, n, v) REFERENCES visit (country, number, visit))"
    ),
    f"INSERT INTO root VALUES ('BE', 1, {OLD}), ('BE', 2, {NEW}), ('FR', 1, {NEW}), ('FR', 2, {OLD}), ('NO', 1, {OLD})",
    "INSERT INTO visit VALUES ('BE', 1, 1), ('BE', 1, 2), ('BE', 2, 1), ('FR', 1, 1), ('FR', 2, 1)",
    (
        "INSERT INTO note VALUES (1, 'BE', 1, 1), (2, 'BE', 1, 2), (3, 'BE', 2, 1), (4, NULL, 1, 1),"
        " (5, 'FR', 2, NULL), (6, 'FR', 2, 1)"
    ),
)


@pytest.mark.parametrize("chunk_rows", [2])
def test_composite_keys_and_references(bench: Bench, chunk_rows: int) -> None:
    bench.chunk_rows = chunk_rows
    bench.make(*COMPOSITE)
    (report,) = bench.carried_out(policy_text("root: {source: crm, table: root, cascade: [visit, note]}"))
    assert report.due == 3
    assert report.cascade == {"crm.visit": 3, "crm.note": 3}
    assert ids(bench, "note") == [3, 4, 5]


def test_a_reference_to_a_unique_column_that_is_no_key(bench: Bench) -> None:
    bench.make(
        "CREATE TABLE root (id INTEGER PRIMARY KEY, code VARCHAR(10) NULL UNIQUE, left_on DATE)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, code VARCHAR(10) REFERENCES root (code), hold BOOLEAN"
        + (", FOREIGN KEY (code) REFERENCES root (code))" if bench.engine() == "mariadb" else ")"),
        f"INSERT INTO root VALUES (1, 'a', {OLD}), (2, 'b', {NEW}), (3, NULL, {OLD}), (4, 'd', {OLD})",
        "INSERT INTO child VALUES (1, 'a', FALSE), (2, 'b', FALSE), (3, NULL, TRUE), (4, 'd', TRUE), (5, 'a', NULL)",
    )
    records = """
root: {source: crm, table: root, cascade: [child]}
child: {source: crm, table: child, belongs_to: {root: {code: code}}, held: hold}
"""
    (report,) = bench.carried_out(policy_text(records))
    assert (report.due, report.held) == (2, 1)
    assert report.cascade == {"crm.child": 2}
    assert ids(bench, "child") == [2, 3, 4]


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "RESTRICT", "NO ACTION"])
def test_whatever_the_database_would_do_is_declared_or_refused(bench: Bench, action: str) -> None:
    bench.make(
        "CREATE TABLE root (id INTEGER PRIMARY KEY, left_on DATE)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, root_id INTEGER NULL, hold BOOLEAN,"
        f" CONSTRAINT child_of_root FOREIGN KEY (root_id) REFERENCES root (id) ON DELETE {action})",
        f"INSERT INTO root VALUES (1, {OLD}), (2, {NEW}), (3, {OLD})",
        "INSERT INTO child VALUES (1, 1, FALSE), (2, 1, FALSE), (3, 2, FALSE), (4, 3, TRUE), (5, NULL, FALSE)",
    )
    before = bench.content()
    (problem,) = bench.problems(policy_text("root: {source: crm, table: root}"))
    assert problem.startswith("undeclared-reach: deleting from crm.root ")
    assert "crm.child" in problem
    assert ("child(root_id)" if bench.engine() == "sqlite" else "child_of_root") in problem
    assert "`cascade: [child]`" in problem
    assert bench.content() == before
    records = "root: {source: crm, table: root, cascade: [child]}\nchild: {source: crm, table: child, held: hold}"
    (report,) = bench.carried_out(policy_text(records))
    assert (report.due, report.held, report.cascade) == (1, 1, {"crm.child": 2})
    assert ids(bench, "child") == [3, 4, 5]


def test_belongs_to_joins_where_there_is_no_foreign_key(bench: Bench) -> None:
    bench.make(
        "CREATE TABLE root (id INTEGER PRIMARY KEY, left_on DATE)",
        "CREATE TABLE contract (id INTEGER PRIMARY KEY, root_id INTEGER REFERENCES root (id))",
        "CREATE TABLE document (id INTEGER PRIMARY KEY, contract_id INTEGER REFERENCES contract (id), owner INTEGER)",
        "CREATE TABLE letter (id INTEGER PRIMARY KEY, root_id INTEGER, hold BOOLEAN)",
        f"INSERT INTO root VALUES (1, {OLD}), (2, {NEW}), (3, {OLD})",
        "INSERT INTO contract VALUES (1, 1), (2, 2)",
        "INSERT INTO document VALUES (1, 1, 2), (2, 2, 1), (3, NULL, 1), (4, 2, 2)",
        "INSERT INTO letter VALUES (1, 1, FALSE), (2, 2, FALSE), (3, 3, TRUE), (4, NULL, FALSE), (5, 99, FALSE)",
    )
    records = """
root: {source: crm, table: root, cascade: [contract, document, letter]}
contract: {source: crm, table: contract, belongs_to: {root: root_id}, cascade: [document]}
document: {source: crm, table: document, belongs_to: {contract: contract_id, root: owner}}
letter: {source: crm, table: letter, belongs_to: {root: root_id}, held: hold}
"""
    (report,) = bench.carried_out(policy_text(records))
    assert (report.due, report.held) == (1, 1)
    assert report.cascade == {"crm.contract": 1, "crm.document": 3, "crm.letter": 1}
    assert ids(bench, "letter") == [2, 3, 4, 5]
    # Where only the contract names its documents, whoever owns one does not take it along.
    assert bench.problems(policy_text(records.replace("[contract, document, letter]", "[contract, letter]"))) == []


def test_a_table_that_nothing_joins_is_refused(bench: Bench) -> None:
    bench.make(
        "CREATE TABLE root (id INTEGER PRIMARY KEY, left_on DATE)",
        "CREATE TABLE log (id INTEGER PRIMARY KEY, root_id INTEGER)",
    )
    (problem,) = bench.problems(policy_text("root: {source: crm, table: root, cascade: [log]}"))
    assert problem.startswith("no-join: crm.log is in the cascade, but no foreign key or belongs_to leads from it")


def test_names_of_every_kind(bench: Bench) -> None:
    long = "n" * 63
    bench.make(
        'CREATE TABLE "Select Éß" ("Group" INTEGER PRIMARY KEY, left_on DATE)',
        (
            f'CREATE TABLE "{long}" ("order" INTEGER PRIMARY KEY, "Fröm % :x" INTEGER,'
            ' CONSTRAINT "short %s" FOREIGN KEY ("Fröm % :x") REFERENCES "Select Éß" ("Group"))'
        ),
        f'INSERT INTO "Select Éß" VALUES (1, {OLD}), (2, {NEW})',
        f'INSERT INTO "{long}" VALUES (1, 1), (2, 2), (3, NULL)',
    )
    records = f"root: {{source: crm, table: 'Select Éß', cascade: [{long}]}}"
    rule = "record: root, where: '\"Group\" > 0', keep: 1 year after left_on, then: delete"
    (report,) = bench.carried_out(policy_text(records, rule))
    assert report.cascade == {f"crm.{long}": 1}


def test_case_insensitive_keys_lead_to_their_own_parent(new_database: Callable[[str], str], tmp_path: Path) -> None:
    with Bench(tmp_path, {"crm": new_database("mariadb")}) as bench:
        bench.make(
            "CREATE TABLE root (code VARCHAR(10) PRIMARY KEY, left_on DATE, hold BOOLEAN)",
            "CREATE TABLE child (id INTEGER PRIMARY KEY, code VARCHAR(10), hold BOOLEAN,"
            " FOREIGN KEY (code) REFERENCES root (code) ON DELETE CASCADE)",
            f"INSERT INTO root VALUES ('A', {OLD}, 0), ('b', {OLD}, 0), ('C', {NEW}, 0), ('d', {OLD}, 0),"
            f" ('é', {OLD}, 0), ('f', {OLD}, 1)",
            "INSERT INTO child VALUES (1, 'a', 0), (2, 'B', 1), (3, 'c', 0), (4, 'D ', 0), (5, 'É', 0), (6, 'e', 1),"
            " (7, 'F', 0)",
        )
        records = """
root: {source: crm, table: root, cascade: [child], held: hold}
child: {source: crm, table: child, held: hold}
"""
        (report,) = bench.carried_out(policy_text(records))
        assert [row[0] for row in bench.rows("SELECT code FROM root ORDER BY code")] == ["b", "C", "é", "f"]
        assert ids(bench, "child") == [2, 3, 5, 6, 7]
        assert (report.due, report.held) == (2, 3)


def test_sqlite_keys_are_compared_as_the_parent_column_says(new_database: Callable[[str], str], tmp_path: Path) -> None:
    with Bench(tmp_path, {"crm": new_database("sqlite")}) as bench:
        bench.make(
            "CREATE TABLE root (code TEXT COLLATE NOCASE PRIMARY KEY, left_on DATE)",
            "CREATE TABLE child (id INTEGER PRIMARY KEY, code TEXT REFERENCES root (code) ON DELETE CASCADE,"
            " hold BOOLEAN)",
            "PRAGMA foreign_keys = ON",
            f"INSERT INTO root VALUES ('A', {OLD}), ('b', {OLD}), ('C', {NEW})",
            "INSERT INTO child VALUES (1, 'a', 0), (2, 'B', 1), (3, 'c', 0)",
        )
        records = """
root: {source: crm, table: root, cascade: [child]}
child: {source: crm, table: child, held: hold}
"""
        (report,) = bench.carried_out(policy_text(records))
        assert (report.due, report.held, report.cascade) == (1, 1, {"crm.child": 1})
        assert ids(bench, "child") == [2, 3]
