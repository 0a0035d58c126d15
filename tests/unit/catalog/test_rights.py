"""Rights as values: what is needed against what is held, and the statements that lead from one to the other."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.catalog.grants_mysql import Granted, holds, read_grant
from retentiond.catalog.model import Dialect
from retentiond.catalog.rights import Held, Right, beyond, grant_statements, merged, quoted, quoted_role
from tests.unit.compiler.catalogs import table

COLUMNS = ("id", "name", "email")
TABLES = {"public.t": table("public.t", "id integer, name text, email text", schema="public")}
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
BY_COLUMN = ("SELECT", "INSERT", "UPDATE")

single = st.sampled_from([(one, column) for one in BY_COLUMN for column in COLUMNS] + [(one, "") for one in PRIVILEGES])
Single = tuple[str, str]


def rights(singles: Iterable[Single]) -> tuple[Right, ...]:
    return merged(Right("table", "public.t", one, (column,) if column else ()) for one, column in singles)


def reach(singles: Iterable[Single]) -> set[Single]:
    """What may be done, column by column where there are columns."""
    found: set[Single] = set()
    for one, column in singles:
        whole = COLUMNS if one in BY_COLUMN and not column else (column,)
        found |= {(one, name) for name in whole}
    return found


def carry_out(statement: str, held: set[Single]) -> set[Single]:
    """What PostgreSQL makes of a GRANT or REVOKE: taking a whole table takes its columns too."""
    parsed = re.fullmatch(r"(GRANT|REVOKE) (.+) ON TABLE public\.t (?:TO|FROM) role", statement)
    assert parsed, statement
    for one, columns in re.findall(r"([A-Z]+)(?: \(([^)]*)\))?", parsed[2]):
        named = {(one, column) for column in columns.split(", ")} if columns else {(one, "")}
        if parsed[1] == "GRANT":
            held = held | named
        else:
            held = held - named if columns else {single for single in held if single[0] != one}
    return held


@given(held=st.sets(single, max_size=8), needed=st.sets(single, max_size=8))
def test_the_remedies_leave_exactly_what_is_needed_of_what_was_held(held: set[Single], needed: set[Single]) -> None:
    given_to = [Held(right.name, right.privilege, right.columns) for right in rights(held)]
    # A whole table and some of its columns may both have been granted.
    given_to += [Held("public.t", one, (column,)) for one, column in held if column]
    after = set(held)
    found = beyond("postgresql", given_to, rights(needed), TABLES, "role")
    for surplus in found:
        for statement in surplus.remedy:
            after = carry_out(statement, after)
    assert reach(after) == reach(held) & reach(needed)
    assert bool(found) == bool(reach(held) - reach(needed))


@given(st.sets(single, max_size=12))
def test_merging_changes_nothing_and_granting_gives_just_that(singles: set[Single]) -> None:
    found = rights(singles)
    assert merged(found) == found
    assert len({(right.name, right.privilege) for right in found}) == len(found)
    held: set[Single] = set()
    for statement in grant_statements("postgresql", found, "role"):
        held = carry_out(statement, held)
    assert reach(held) == reach(singles)


def test_rights_through_others_are_told_and_nothing_is_taken_from_them() -> None:
    (found,) = beyond("postgresql", [Held("public.t", "SELECT", (), "PUBLIC")], (), TABLES, "role")
    assert (found.what, found.remedy) == ("SELECT (through PUBLIC)", ())


@pytest.mark.parametrize(
    ("dialect", "right", "expected"),
    [
        ("postgresql", Right("schema", "My schema", "USAGE"), 'GRANT USAGE ON SCHEMA "My schema" TO r'),
        ("postgresql", Right("table", "s.My t", "UPDATE", ("a b",)), 'GRANT UPDATE ("a b") ON TABLE s."My t" TO r'),
        ("mariadb", Right("server", "", "PROCESS"), "GRANT PROCESS ON *.* TO r"),
        ("mariadb", Right("table", "a`b", "SELECT", ("c`d", "e")), "GRANT SELECT (`c``d`, `e`) ON `a``b` TO r"),
    ],
)
def test_a_statement_quotes_what_it_names(dialect: Dialect, right: Right, expected: str) -> None:
    assert grant_statements(dialect, [right], "r") == [expected]


@given(st.text(min_size=1, max_size=12))
def test_no_name_leaves_its_quotes(name: str) -> None:
    for dialect, mark in (("postgresql", '"'), ("mariadb", "`")):
        said = quoted(dialect, name)  # type: ignore[arg-type]
        inner = said[1:-1] if said.startswith(mark) else said
        assert inner.replace(mark * 2, mark) == name
        assert inner.replace(mark * 2, "").count(mark) == 0
    assert quoted_role("mariadb", f"{name}@%").endswith("@`%`")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*94BDCEBE'", ["USAGE ON *.*"]),
        (
            "GRANT SELECT (`a,b`, `c)`, `d``e`), UPDATE (`x`), DELETE ON `db`.`t` TO `u`@`h`",
            ["SELECT (a,b, c), d`e) ON db.t", "UPDATE (x) ON db.t", "DELETE ON db.t"],
        ),
        ("GRANT SELECT (id, name) ON `db`.`t` TO `u`@`%`", ["SELECT (id, name) ON db.t"]),
        (
            "GRANT CREATE TEMPORARY TABLES, LOCK TABLES ON `d_b`.* TO `r` WITH GRANT OPTION",
            ["CREATE TEMPORARY TABLES ON d_b.*", "LOCK TABLES ON d_b.*", "GRANT OPTION ON d_b.*"],
        ),
        ("GRANT EXECUTE ON FUNCTION `db`.`f` TO `u`@`%`", []),
        ("GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION", []),
        ("GRANT `role` TO `u`@`%`", []),
        ("SET DEFAULT ROLE `r` FOR `u`@`%`", []),
    ],
)
def test_a_line_of_show_grants_is_read(line: str, expected: list[str]) -> None:
    found = list(read_grant(line))
    assert [str(one) for one in found] == expected
    assert "94BDCEBE" not in repr(found)


@pytest.mark.parametrize(
    ("pattern", "database", "matches"),
    [
        ("shop", "shop", True),
        ("shop", "shop2", False),
        ("sh_p", "shop", True),
        (r"sh\_p", "shop", False),
        (r"sh\_p", "sh_p", True),
        ("sh%", "shop", True),
        ("*", "any", True),
    ],
)
def test_a_grant_reaches_the_databases_of_its_pattern(pattern: str, database: str, matches: bool) -> None:
    assert holds([Granted("SELECT", pattern, "*")], "SELECT", database, "t") is matches


def test_a_right_on_columns_is_one_on_these_alone() -> None:
    held = [Granted("SELECT", "db", "t", ("a",)), Granted("ALL PRIVILEGES", "db", "u")]
    assert holds(held, "SELECT", "db", "t", "a")
    assert not holds(held, "SELECT", "db", "t", "b")
    assert not holds(held, "SELECT", "db", "t")
    assert holds(held, "DELETE", "db", "u")
