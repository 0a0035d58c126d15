"""A held row is found whatever type its key is of: each type that people use for keys, on each engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.database.bench import policy_text
from tests.database.holding import Holding
from tests.database.test_holds import LONG_AGO, due

ONE, TWO = "0a1b2c3d-0000-4000-8000-00000000ffff", "0a1b2c3d-0000-4000-8000-00000000eeee"
BYTES = {"postgresql": "'\\xcafe'::bytea", "mariadb": "x'CAFE'", "sqlite": "x'CAFE'"}
OTHER = {"postgresql": "'\\xbeef'::bytea", "mariadb": "x'BEEF'", "sqlite": "x'BEEF'"}

# The type; the stored key that is held, as SQL; another one; the ids that mean the first; one that means neither.
TYPES: dict[str, list[tuple[str, str, str, tuple[str, ...], str]]] = {
    "postgresql": [
        ("smallint", "7", "8", ("7", "007", "+7", " 7 "), "9"),
        ("bigint", "9007199254740993", "9007199254740992", ("9007199254740993",), "9007199254740994"),
        ("numeric(20, 2)", "7.50", "7.51", ("7.5", "7.500"), "7.49"),
        ("double precision", "0.5", "0.25", ("0.5",), "0.1"),
        ("text", "'Ab'", "'ab'", ("Ab",), "AB"),
        ("text COLLATE \"C\"", "'é'", "'e'", ("é",), "E"),
        ("varchar(5)", "'a b'", "'ab'", ("a b",), "a  b"),
        ("char(5)", "'ab'", "'abc'", ("ab", "ab  "), "a"),
        ("name", "'ab'", "'ac'", ("ab",), "AB"),
        ("uuid", f"'{ONE}'", f"'{TWO}'", (ONE, ONE.upper(), ONE.replace("-", "")), "0" * 32),
        ("bytea", BYTES["postgresql"], OTHER["postgresql"], ("cafe", "0xCAFE", "\\xcafe"), "cafe00"),
        ("date", "'2020-02-29'", "'2020-02-28'", ("2020-02-29",), "2020-03-01"),
        ("timestamp", "'2020-02-29 10:00:00.5'", "'2020-02-29 10:00'", ("2020-02-29T10:00:00.5",), "2020-02-29"),
        ("timestamptz", "'2020-02-29 10:00+00'", "'2020-02-29 11:00+00'", ("2020-02-29T12:00+02:00",), "2020-02-29"),
        ("inet", "'10.0.0.1'", "'10.0.0.2'", ("10.0.0.1/32",), "10.0.0.3"),
        ("macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'", ("08:00:2b:01:02:03",), "nothing"),
        ("mood", "'sad'", "'glad'", ("sad",), "angry"),
        ("short", "'ab'", "'ac'", ("ab",), "AB"),
    ],
    "mariadb": [
        ("tinyint", "7", "8", ("7", "007"), "9"),
        ("bigint unsigned", "18446744073709551615", "18446744073709551614", ("18446744073709551615",), "1"),
        ("decimal(20, 2)", "7.50", "7.51", ("7.5", "7.500"), "7.49"),
        ("double", "0.5", "0.25", ("0.5",), "0.1"),
        ("varchar(5) COLLATE utf8mb4_nopad_bin", "'Ab'", "'ab'", ("Ab",), "AB"),
        ("varchar(5) COLLATE utf8mb4_general_ci", "'Ab'", "'Ac'", ("AB", "ab "), "A b"),
        ("varchar(5) CHARACTER SET latin1", "'é'", "'f'", ("é", "É"), "☃"),
        ("char(5)", "'ab'", "'ac'", ("ab", "AB  "), "a"),
        ("uuid", f"'{ONE}'", f"'{TWO}'", (ONE, ONE.upper()), "0" * 32),
        ("binary(2)", BYTES["mariadb"], OTHER["mariadb"], ("cafe", "0xCAFE"), "cafe00"),
        ("date", "'2020-02-29'", "'2020-02-28'", ("2020-02-29",), "2020-03-01"),
        ("datetime(3)", "'2020-02-29 10:00:00.5'", "'2020-02-29 10:00'", ("2020-02-29T10:00:00.5",), "2020-02-29"),
        ("inet6", "'2001:db8::1'", "'2001:db8::2'", ("2001:db8::1",), "2001:db8::3"),
        ("enum('sad', 'glad')", "'sad'", "'glad'", ("sad",), "angry"),
    ],
    "sqlite": [
        ("INTEGER", "7", "8", ("7", "007"), "9"),
        ("BIGINT", "9007199254740993", "9007199254740992", ("9007199254740993",), "9007199254740994"),
        ("DECIMAL(20, 2)", "7.5", "7.25", ("7.50",), "7.49"),
        ("DECIMAL(20, 2)", "7", "8", ("7.00", "7"), "7.49"),
        ("REAL", "0.5", "0.25", ("0.5",), "0.1"),
        ("TEXT", "'007'", "'7'", ("007",), "07"),
        ("VARCHAR(5)", "'Ab'", "'ab'", ("Ab",), "AB"),
        ("TEXT COLLATE NOCASE", "'Ab'", "'Ac'", ("AB", "ab"), "A b"),
        ("BLOB", BYTES["sqlite"], OTHER["sqlite"], ("cafe", "CAFE"), "cafe00"),
        ("", "7", "8", ("7",), "9"),
        ("", "'7'", "8", ("7",), "9"),
        ("", "'a'", "'b'", ("a",), "c"),
        ("DATE", "'2020-02-29'", "'2020-02-28'", ("2020-02-29",), "2020-03-01"),
    ],
}  # fmt: skip
MARKS = {"postgresql": [pytest.mark.postgresql], "mariadb": [pytest.mark.mariadb], "sqlite": []}


@pytest.mark.parametrize("engine", [pytest.param(name, marks=MARKS[name]) for name in TYPES])
def test_each_type_of_key(new_database: Callable[[str], str], tmp_path: Path, engine: str) -> None:
    kinds = TYPES[engine]
    with Holding(tmp_path, {"crm": new_database(engine)}) as bench:
        if engine == "postgresql":
            bench.make("CREATE TYPE mood AS ENUM ('sad', 'glad')", "CREATE DOMAIN short AS varchar(5)")
        records = []
        for number, (kind, held, other, _, _) in enumerate(kinds):
            declared = kind.replace('"', '""') if engine == "mariadb" else kind
            bench.make(
                f"CREATE TABLE t{number} (id {declared} NOT NULL PRIMARY KEY, left_on DATE)",
                f"CREATE TABLE c{number} (id INTEGER PRIMARY KEY, up {declared}, more {declared}, left_on DATE)",
                f"INSERT INTO t{number} VALUES ({held}, {LONG_AGO}), ({other}, {LONG_AGO})",
                f"INSERT INTO c{number} VALUES (1, {held}, {other}, {LONG_AGO}), (2, {other}, {held}, {LONG_AGO}),"
                f" (3, NULL, NULL, {LONG_AGO})",
            )
            records.append(f"t{number}: {{source: crm, table: t{number}, subject: id, on_request: {{stay: x}}}}")
            records.append(f"c{number}: {{source: crm, table: c{number}, belongs_to: {{t{number}: up}}}}")
        text = policy_text("\n".join(records), *(due(f"{kind}{n}") for n in range(len(kinds)) for kind in "tc"))
        before = {report.record: report for report in bench.carry(text, mode="plan")}
        assert {(report.due, report.held) for report in before.values()} == {(2, 0), (3, 0)}
        for spelling in range(4):
            placed = [
                bench.hold(ids[spelling % len(ids)], stranger, subject=f"t{number}")
                if spelling % 2
                else bench.hold_rows(f"t{number}", ids[spelling % len(ids)], stranger)
                for number, (_, _, _, ids, stranger) in enumerate(kinds)
            ]
            after = {report.record: report for report in bench.carry(text, mode="plan")}
            for number, (name, _, _, _, _) in enumerate(kinds):
                rows, children = after[f"t{number}"], after[f"c{number}"]
                assert (rows.failed, rows.due, rows.held) == (None, 1, 1), (name, spelling)
                wanted = (None, 2, 1) if spelling % 2 else (None, 3, 0)
                assert (children.failed, children.due, children.held) == wanted, (name, spelling)
            for hold in placed:
                bench.release(hold)
        for number, (_, _, _, ids, stranger) in enumerate(kinds):
            bench.hold(ids[0], stranger, subject=f"t{number}")
        bench.carry(text, mode="run")
        for number, (name, _, _, _, _) in enumerate(kinds):
            assert bench.rows(f"SELECT count(*) FROM t{number}") == [(1,)], name
            assert bench.rows(f"SELECT id FROM c{number}") == [(1,)], name
