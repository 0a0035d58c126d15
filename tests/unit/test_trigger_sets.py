"""Which columns of its own table a trigger sets: rather one too many than one too few."""

from __future__ import annotations

import pytest

from retentiond.catalog.model import Dialect
from retentiond.catalog.trigger_sets import assigned
from retentiond.catalog.trigger_text import deeds


@pytest.mark.parametrize(
    ("dialect", "text", "expected"),
    [
        ("postgresql", "BEGIN NEW.last_update = CURRENT_TIMESTAMP; RETURN NEW; END", ("last_update",)),
        ("postgresql", "BEGIN NEW.Closed_At := now(); RETURN NEW; END", ("closed_at",)),
        ("postgresql", "BEGIN IF NEW.a = OLD.a THEN NEW.b := 1; ELSE NEW.c = 2; END IF; RETURN NEW; END", ("b", "c")),
        ("postgresql", "BEGIN SELECT x, y INTO NEW.a, NEW.b FROM t; RETURN NEW; END", ("a", "b")),
        ("postgresql", "BEGIN RAISE EXCEPTION 'no'; RETURN NULL; END", ()),
        (
            "postgresql",
            "BEGIN UPDATE own SET a = now(), (b, c) = (1, 2) WHERE d = NEW.d; RETURN NEW; END",
            ("a", "b", "c"),
        ),
        ("postgresql", "BEGIN UPDATE other SET a = now(); RETURN NEW; END", ()),
        ("postgresql", "DECLARE r record; BEGIN r := NEW; r.a := 1; RETURN r; END", None),
        ("postgresql", "BEGIN NEW := OLD; RETURN NEW; END", None),
        ("postgresql", "BEGIN SELECT * INTO NEW FROM own; RETURN NEW; END", None),
        ("postgresql", "BEGIN INSERT INTO own VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 2; RETURN NEW; END", None),
        ("mariadb", "SET NEW.a = 1, NEW.b = coalesce(NEW.c, 2)", ("a", "b")),
        ("mariadb", "BEGIN IF NEW.a <> OLD.a THEN SET NEW.b = 1; END IF; END", ("b",)),
        ("sqlite", "UPDATE own SET a = datetime('now') WHERE rowid = NEW.rowid; END", ("a",)),
        ("sqlite", 'UPDATE OR IGNORE "own" SET [a] = 1, b = (SELECT max(c) FROM own); END', ("a", "b")),
        ("sqlite", "DELETE FROM own WHERE a = NEW.a; END", None),
    ],
)
def test_what_is_set(dialect: Dialect, text: str, expected: tuple[str, ...] | None) -> None:
    assert assigned(text, dialect, lambda name: name[-1].lower() == "own") == expected


def test_what_is_deleted_is_told_apart_from_what_is_changed() -> None:
    found = deeds(
        "INSERT INTO a VALUES (1); DELETE FROM b; REPLACE INTO c VALUES (1); UPDATE d SET x = 1; END", "sqlite"
    )
    assert found is not None
    assert found.touches == (("a",), ("b",), ("c",), ("d",))
    assert found.removes == (("b",), ("c",))
