"""Ids of legal holds as columns of any type hold them; what does not fit names nobody."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.catalog.model import Column, Dialect, Family
from retentiond.compiler.hold_values import bytewise, spelled, spelled_keys, typed, typed_key
from retentiond.compiler.plan import Relation
from tests.unit.compiler.catalogs import column

ONE = uuid.UUID("0A1b2c3d-0000-4000-8000-00000000ffff")
DIALECTS: tuple[Dialect, ...] = ("postgresql", "mariadb", "sqlite")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "0042", 42),
        ("integer", " -7 ", -7),
        ("integer", "+1", 1),
        ("integer", "4_2", None),
        ("integer", "4.0", None),
        ("integer", "", None),
        ("integer", "٤٢", None),
        ("integer", "99999999999999999999999999", None),
        ("numeric", "42.50", Decimal("42.5")),
        ("numeric", "42", Decimal(42)),
        ("numeric", "1e3", None),
        ("numeric", "NaN", None),
        ("text", "0042", "0042"),
        ("text", " a ", " a "),
        ("text(3)", "abc", "abc"),
        ("text(3)", "abcd", None),
        ("uuid", str(ONE).upper(), ONE),
        ("uuid", f"{{{ONE}}}", ONE),
        ("uuid", ONE.hex, ONE),
        ("uuid", "42", None),
        ("bytea", str(ONE), ONE.bytes),
        ("bytea", "0xCAFE", b"\xca\xfe"),
        ("bytea", "\\xcafe", b"\xca\xfe"),
        ("bytea", "caf", None),
        ("date", "2020-02-29", date(2020, 2, 29)),
        ("date", "2021-02-29", None),
        ("timestamp", "2020-02-29 10:00", datetime.fromisoformat("2020-02-29T10:00:00")),
        ("timestamptz", "2020-02-29 10:00", datetime(2020, 2, 29, 10, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_id_is_read_as_its_column(kind: str, text: str, value: object, dialect: Dialect) -> None:
    assert typed(text, column(f"id {kind}"), dialect) == value


def test_a_wide_number_fits_where_the_engine_has_room_for_it() -> None:
    wide = str(2**64 - 1)
    assert typed(wide, column("id integer"), "mariadb") == 2**64 - 1
    assert typed(wide, column("id integer"), "postgresql") is None
    assert spelled(2**64 - 1, column("id integer"), "sqlite") == ()


def test_an_enum_holds_only_its_words() -> None:
    kind = replace(column("kind text"), choices=("a", "b"))
    assert typed("a", kind, "postgresql") == "a"
    assert typed("c", kind, "postgresql") is None
    assert spelled("c", kind, "postgresql") == ()


@pytest.mark.parametrize(
    ("value", "kind", "dialect", "spellings"),
    [
        (42, "integer", "postgresql", (42,)),
        (42, "numeric", "postgresql", (Decimal(42),)),
        (42, "numeric", "sqlite", (42,)),
        (Decimal("42.5"), "numeric", "sqlite", (42.5,)),
        (Decimal("42.5"), "integer", "mariadb", ()),
        (Decimal(42), "integer", "mariadb", (42,)),
        (42, "text", "postgresql", ("42",)),
        ("0042", "integer", "postgresql", (42,)),
        ("x", "integer", "postgresql", ()),
        ("x", "uuid", "postgresql", ()),
        (ONE, "uuid", "postgresql", (ONE,)),
        (ONE, "uuid", "mariadb", (str(ONE),)),
        (str(ONE).upper(), "uuid", "postgresql", (ONE,)),
        (ONE, "text", "mariadb", (str(ONE), str(ONE).upper(), ONE.hex, ONE.hex.upper())),
        (ONE, "bytea", "mariadb", (ONE.bytes,)),
        (b"\xff", "text", "postgresql", ()),
        ("7", "interval", "sqlite", ("7", 7)),
        ("7", "interval", "postgresql", ("7",)),
    ],
)
def test_a_value_in_a_column_of_another_type(
    value: object, kind: str, dialect: Dialect, spellings: tuple[object, ...]
) -> None:
    assert spelled(value, column(f"id {kind}"), dialect) == spellings


def test_what_a_column_pads_it_is_not_asked_for() -> None:
    padded = replace(column("code text(5)"), type="character(5)")
    assert spelled("ab   ", padded, "postgresql") == ("ab",)


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_come_back_as_they_were(number: int) -> None:
    for dialect in DIALECTS:
        for kind in ("integer", "numeric"):
            one = column(f"id {kind}")
            value = typed(f"{number:+021}", one, dialect)
            assert spelled(value, one, dialect) == (number,)


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_texts_come_back_as_they_were(text: str) -> None:
    for dialect in DIALECTS:
        assert spelled(typed(text, column("id text"), dialect), column("id text"), dialect) == (text,)


def relation(*said: str, dialect: Dialect = "postgresql") -> Relation:
    columns = tuple(map(column, said))
    return Relation("crm", dialect, "t", "t", columns, tuple(one.name for one in columns))


def test_the_parts_of_a_key_are_separated_as_in_a_table_of_commas() -> None:
    pair = relation("id integer", "room text")
    assert typed_key('007, "b, c"', pair, pair.key) == (7, "b, c")
    assert typed_key("7", pair, pair.key) is None
    assert typed_key("7,a,b", pair, pair.key) is None
    assert typed_key("x,a", pair, pair.key) is None
    alone = relation("room text")
    assert typed_key("b, c", alone, alone.key) == ("b, c",)


def test_keys_stand_once_and_in_one_order() -> None:
    one = relation("id text")
    keys = spelled_keys([("b",), ("a",), ("b",)], one, ("id",))
    assert keys == (("a",), ("b",))
    assert keys == spelled_keys([("a",), ("b",)], one, ("id",))


@pytest.mark.parametrize(
    ("family", "kind", "collation", "dialect", "same"),
    [
        (Family.INTEGER, "bigint", None, "postgresql", True),
        (Family.FLOAT, "real", None, "postgresql", False),
        (Family.TEXT, "text", None, "postgresql", True),
        (Family.TEXT, "character varying(20)", "C", "postgresql", True),
        (Family.TEXT, "text", "loose", "postgresql", False),
        (Family.TEXT, "citext", None, "postgresql", False),
        (Family.TEXT, "varchar(20)", "utf8mb4_general_ci", "mariadb", False),
        (Family.TEXT, "varchar(20)", "utf8mb4_bin", "mariadb", False),  # `a` and `a ` are one
        (Family.TEXT, "varchar(20)", "utf8mb4_nopad_bin", "mariadb", True),
        (Family.TEXT, "TEXT", None, "sqlite", True),
        (Family.TEXT, "TEXT", "NOCASE", "sqlite", False),
        (Family.OTHER, "macaddr", None, "postgresql", False),
    ],
)
def test_where_equal_means_the_same(
    family: Family, kind: str, collation: str | None, dialect: Dialect, same: bool
) -> None:
    assert bytewise(Column("id", kind, family, collation=collation), dialect) is same
