"""Which tables a trigger's text names for a change, and when it is better not to say."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.catalog.create_text import read_condition, read_table, read_trigger, tokens
from retentiond.catalog.model import Dialect
from retentiond.catalog.trigger_text import sqlite_body, touched


@pytest.mark.parametrize(
    ("dialect", "text", "expected"),
    [
        ("postgresql", "BEGIN RETURN OLD; END", ()),
        ("postgresql", "BEGIN NEW.at := now(); RETURN NEW; END", ()),
        ("postgresql", "BEGIN INSERT INTO Log (a) VALUES (now()) ON CONFLICT DO NOTHING; END", (("log",),)),
        ("postgresql", 'BEGIN DELETE FROM ONLY "S".x WHERE id = OLD.id; END', (("S", "x"),)),
        ("postgresql", "WITH d AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM d;", (("a",), ("b",))),
        ("postgresql", "INSERT INTO a VALUES (1) ON CONFLICT (id) DO UPDATE SET x = 1;", (("a",),)),
        ("postgresql", "SELECT 1 FROM a FOR UPDATE;", ()),
        ("postgresql", "RAISE EXCEPTION 'delete from z';", ()),
        ("postgresql", "-- delete from z\n/* update y set */ RETURN OLD;", ()),
        ("mariadb", "INSERT IGNORE INTO `au dit` SET a = OLD.id", (("au dit",),)),
        ("mariadb", "WHILE x < 3 DO DELETE FROM t WHERE a = x LIMIT 1; SET x = x + 1; END WHILE", (("t",),)),
        ("mariadb", "INSERT INTO a VALUES (1) ON DUPLICATE KEY UPDATE x = 2", (("a",),)),
        ("mariadb", "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'", ()),
        ("mariadb", "SET NEW.a = UPPER(NEW.a)", ()),
        ("sqlite", "INSERT OR REPLACE INTO l VALUES (foo(OLD.id)); DELETE FROM [m n]; END", (("l",), ("m n",))),
        ("sqlite", "UPDATE OR IGNORE \"T\" SET x = 1; SELECT raise(ABORT, 'delete from z'); END", (("T",),)),
        ("sqlite", "REPLACE INTO t VALUES (replace(OLD.a, 'x', 'y')); END", (("t",),)),
    ],
)
def test_what_can_be_told(dialect: Dialect, text: str, expected: tuple[tuple[str, ...], ...]) -> None:
    assert touched(text, dialect) == expected


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("postgresql", "EXECUTE 'DROP TABLE x';"),
        ("postgresql", "PERFORM app.clean(OLD.id);"),
        ("postgresql", "PERFORM clean(OLD.id);"),
        ("postgresql", 'PERFORM "now"(OLD.id);'),
        ("postgresql", "TRUNCATE a, b;"),
        ("postgresql", "DELETE FROM a USING b WHERE a.x = b.x;"),
        ("postgresql", "x := E'it\\'s'; DELETE FROM y; z := '';"),
        ("postgresql", "x := $q$'$q$; DELETE FROM y; z := '';"),
        ("postgresql", "CALL clean();"),
        ("mariadb", "UPDATE a JOIN b ON a.x = b.x SET a.y = 1"),
        ("mariadb", "DELETE a FROM a JOIN b ON a.x = b.x"),
        ("mariadb", "SET @x = clean(OLD.id)"),
        ("mariadb", "/*! DELETE FROM a */"),
        ("mariadb", "SET @x = 1; # it's\n DELETE FROM a; SET @y = ''"),
        ("mariadb", "SET @x = 1--1; DELETE FROM a"),
        ("mariadb", "SET @x = 'it\\'s'; DELETE FROM a; SET @y = ''"),
    ],
)
def test_what_cannot_be_told(dialect: Dialect, text: str) -> None:
    assert touched(text, dialect) is None


@given(
    st.text(alphabet="DELETE FROMab'\"`[]()--/*,;.\n", max_size=60),
    st.sampled_from(["postgresql", "mariadb", "sqlite"]),
)
def test_no_text_breaks_it(text: str, dialect: Dialect) -> None:
    touched(text, dialect)
    read_table(text)
    read_trigger(text)
    read_condition(text)
    sqlite_body(text)


@given(st.text())
def test_tokens_lose_nothing_but_spaces_and_comments(text: str) -> None:
    found = tokens(text)
    assert all(text[token.start : token.end] == token.text for token in found)
    assert all(left.end <= right.start for left, right in itertools.pairwise(found))
