"""What is read of a PostgreSQL schema."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url, text

from retentiond.catalog.fingerprint import fingerprint
from retentiond.catalog.model import Family, ForeignKey, Partitioning
from tests.database.schemas import as_user, carry_out, catalog_of, column_of, source

pytestmark = pytest.mark.postgresql

SCHEMA = (
    "CREATE EXTENSION citext SCHEMA public",
    'CREATE SCHEMA "My Sch"',
    "CREATE SCHEMA retentiond",
    "CREATE TABLE retentiond.retentiond_fence (job text PRIMARY KEY)",
    "CREATE TABLE retentiond_other (job text PRIMARY KEY)",
    "CREATE TYPE mood AS ENUM ('sad', 'ok')",
    "CREATE DOMAIN email AS citext CHECK (VALUE ~ '@')",
    "CREATE DOMAIN work_email AS email NOT NULL CHECK (length(VALUE) < 50)",
    "CREATE DOMAIN short AS varchar(7)",
    (
        "CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email work_email, mood mood, s short,"
        " c char(5), v varchar(12) COLLATE \"C\" DEFAULT 'x', tags int[], t time, n numeric(10,2), d date,"
        " ts timestamp,"
        " tz timestamptz(3), j jsonb, u uuid, ip inet, b bytea, f real, "
        "full_name text GENERATED ALWAYS AS (v || 'a') STORED,"
        ' "we ird""q" text, ok boolean, boss bigint REFERENCES people ON DELETE SET NULL DEFERRABLE,'
        " CONSTRAINT positive CHECK (n > 0), UNIQUE (email))"
    ),
    "CREATE UNIQUE INDEX on_expression ON people (lower(v))",
    "CREATE UNIQUE INDEX partial ON people (v) WHERE d IS NOT NULL",
    "CREATE UNIQUE INDEX including ON people (u) INCLUDE (v)",
    "CREATE INDEX by_date ON people USING brin (d)",
    (
        'CREATE TABLE "My Sch"."Ord.ers" (id int, k int, p bigint REFERENCES people ON DELETE CASCADE'
        " ON UPDATE SET DEFAULT,"
        " PRIMARY KEY (k, id), UNIQUE NULLS NOT DISTINCT (p))"
    ),
    'CREATE TABLE lines (o int, k int, FOREIGN KEY (k, o) REFERENCES "My Sch"."Ord.ers" (k, id))',
    (
        "CREATE TABLE ev (id bigint, at date, p bigint REFERENCES people ON DELETE CASCADE, PRIMARY KEY (id, at))"
        " PARTITION BY RANGE (at)"
    ),
    "CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
    "CREATE TABLE ev2 PARTITION OF ev DEFAULT PARTITION BY HASH (id)",
    "CREATE TABLE ev2h PARTITION OF ev2 FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
    "CREATE TABLE by_year (d date) PARTITION BY LIST (extract(year FROM d))",
    "CREATE TABLE parent (id int)",
    "CREATE TABLE child (z int) INHERITS (parent)",
    "CREATE VIEW seen AS SELECT id FROM people",
    "CREATE MATERIALIZED VIEW kept AS SELECT id FROM people",
    "CREATE TABLE log (t text)",
    (
        "CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql SET search_path = public"
        " AS $$ BEGIN INSERT INTO log VALUES (OLD.v); RETURN OLD; END $$"
    ),
    "CREATE FUNCTION dynamic() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN EXECUTE 'TRUNCATE log'; RETURN NULL; END$$",
    "CREATE TRIGGER remember BEFORE DELETE OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION remember()",
    "CREATE TRIGGER dynamic AFTER TRUNCATE ON people EXECUTE FUNCTION dynamic()",
    "CREATE TRIGGER off AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION remember()",
    "ALTER TABLE people DISABLE TRIGGER off",
    "CREATE TRIGGER on_events AFTER DELETE ON ev FOR EACH ROW EXECUTE FUNCTION dynamic()",
    "CREATE RULE keep AS ON DELETE TO parent DO INSTEAD NOTHING",
)


def test_tables_of_all_kinds(postgresql_url: str) -> None:
    carry_out(postgresql_url, *SCHEMA)
    catalog = catalog_of(postgresql_url)
    assert {name: table.kind for name, table in catalog.tables.items()} == {
        "My Sch.Ord.ers": "table",
        "public.by_year": "partitioned",
        "public.child": "table",
        "public.ev": "partitioned",
        "public.ev1": "partition",
        "public.ev2": "partitioned",
        "public.ev2h": "partition",
        "public.kept": "materialized view",
        "public.lines": "table",
        "public.log": "table",
        "public.parent": "table",
        "public.people": "table",
        "public.seen": "view",
    }
    assert (catalog.dialect, catalog.default_schema, catalog.complete) == ("postgresql", "public", True)
    assert catalog.version[0] >= 12
    assert catalog.find("people") is catalog.tables["public.people"]
    assert catalog.tables["My Sch.Ord.ers"].bare_name == "Ord.ers"
    assert catalog.tables["public.kept"].columns
    parent, child = catalog.tables["public.parent"], catalog.tables["public.child"]
    assert (parent.inherited_by, child.inherits) == (("public.child",), ("public.parent",))


def test_columns(postgresql_url: str) -> None:
    carry_out(postgresql_url, *SCHEMA)
    people = catalog_of(postgresql_url).tables["public.people"]
    assert {column.name: column.family for column in people.columns} == {
        "id": Family.INTEGER,
        "email": Family.TEXT,
        "mood": Family.TEXT,
        "s": Family.TEXT,
        "c": Family.TEXT,
        "v": Family.TEXT,
        "tags": Family.OTHER,
        "t": Family.OTHER,
        "n": Family.DECIMAL,
        "d": Family.DATE,
        "ts": Family.NAIVE,
        "tz": Family.INSTANT,
        "j": Family.JSON,
        "u": Family.UUID,
        "ip": Family.INET,
        "b": Family.BINARY,
        "f": Family.FLOAT,
        "full_name": Family.TEXT,
        'we ird"q': Family.TEXT,
        "ok": Family.BOOLEAN,
        "boss": Family.INTEGER,
    }
    assert [column_of(people, name).length for name in ("s", "c", "v", "email")] == [7, 5, 12, None]
    assert column_of(people, "mood").choices == ("sad", "ok")
    assert column_of(people, "v").collation == "C"
    assert not column_of(people, "email").nullable  # its domain says so
    key, made = column_of(people, "id"), column_of(people, "full_name")
    assert (key.identity, key.generated, key.default, key.nullable) == (True, True, True, False)
    assert (made.generated, made.default) == (True, False)
    assert {check.name: check.text for check in people.checks} == {
        "positive": "CHECK ((n > (0)::numeric))",
        "work_email_check": "CHECK ((length((email)::text) < 50))",
        "email_check": "CHECK ((email OPERATOR(public.~) '@'::public.citext))",
    }


def test_keys_and_indexes(postgresql_url: str) -> None:
    carry_out(postgresql_url, *SCHEMA)
    catalog = catalog_of(postgresql_url)
    people = catalog.tables["public.people"]
    indexes = {index.name: index for index in people.indexes}
    assert people.primary_key == ("id",)
    assert indexes["on_expression"].columns == (None,)
    assert indexes["partial"].where == "(d IS NOT NULL)"
    assert indexes["including"].columns == ("u",)
    assert indexes["by_date"].method == "brin"
    assert people.is_unique(("u",))
    assert people.is_unique(("email",))
    assert not people.is_unique(("v",))
    orders = catalog.tables["My Sch.Ord.ers"]
    assert orders.primary_key == ("k", "id")
    assert not orders.indexes[0].nulls_distinct
    assert orders.foreign_keys == (
        ForeignKey("Ord.ers_p_fkey", "My Sch.Ord.ers", ("p",), "public.people", ("id",), "CASCADE", "SET DEFAULT"),
    )
    assert catalog.incoming["My Sch.Ord.ers"] == (
        ForeignKey("lines_k_o_fkey", "public.lines", ("k", "o"), "My Sch.Ord.ers", ("k", "id")),
    )
    # The partitions' copies of the key are not told again.
    assert [key.table for key in catalog.incoming["public.people"]] == ["My Sch.Ord.ers", "public.ev", "public.people"]
    assert people.foreign_keys[0].deferrable


def test_partitions(postgresql_url: str) -> None:
    carry_out(postgresql_url, *SCHEMA)
    catalog = catalog_of(postgresql_url)
    bounds = (("public.ev1", "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"), ("public.ev2", "DEFAULT"))
    assert catalog.tables["public.ev"].partitioning == Partitioning("RANGE", ("at",), bounds)
    assert catalog.tables["public.by_year"].partitioning == Partitioning("LIST", (None,), ())
    assert catalog.tables["public.ev2h"].partition_of == "public.ev2"
    assert catalog.tables["public.ev1"].primary_key == ("id", "at")


def test_estimates_of_partitions_add_up(postgresql_url: str) -> None:
    carry_out(
        postgresql_url,
        *SCHEMA,
        "INSERT INTO ev SELECT i, date '2020-01-01' + (i % 700)::int FROM generate_series(1, 700) AS i",
    )
    assert catalog_of(postgresql_url).tables["public.ev"].estimated_rows is None
    carry_out(postgresql_url, "ANALYZE ev1", "ANALYZE ev2h")
    assert catalog_of(postgresql_url).tables["public.ev"].estimated_rows == 700


def test_triggers_and_rules(postgresql_url: str) -> None:
    carry_out(postgresql_url, *SCHEMA)
    catalog = catalog_of(postgresql_url)
    triggers = {t.name: (t.timing, t.events, t.enabled, t.touches) for t in catalog.tables["public.people"].triggers}
    assert triggers == {
        "remember": ("BEFORE", ("DELETE", "UPDATE"), True, ("public.log",)),
        "dynamic": ("AFTER", ("TRUNCATE",), True, None),
        "off": ("AFTER", ("INSERT",), False, ("public.log",)),
    }
    assert [t.name for t in catalog.tables["public.ev"].triggers] == ["on_events"]
    assert catalog.tables["public.ev1"].triggers == ()
    (rule,) = catalog.tables["public.parent"].triggers
    assert (rule.kind, rule.timing, rule.events, rule.touches) == ("rule", "INSTEAD OF", ("DELETE",), None)


CHANGES = {
    "a trigger's function": "CREATE OR REPLACE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql"
    " AS $$ BEGIN DELETE FROM public.log; RETURN OLD; END $$",
    "a trigger's state": "ALTER TABLE people ENABLE ALWAYS TRIGGER remember",
    "a new trigger": "CREATE TRIGGER more AFTER DELETE ON people FOR EACH ROW EXECUTE FUNCTION dynamic()",
    "an incoming key": "CREATE TABLE late (p bigint REFERENCES people ON DELETE CASCADE)",
    "a key's action": "ALTER TABLE people DROP CONSTRAINT people_boss_fkey,"
    " ADD CONSTRAINT people_boss_fkey FOREIGN KEY (boss) REFERENCES people ON DELETE CASCADE DEFERRABLE",
    "a new column": "ALTER TABLE people ADD COLUMN phone text",
    "a column's type": "ALTER TABLE people ALTER COLUMN ip TYPE text",
    "a unique index": "DROP INDEX including",
    "an inheriting table": "CREATE TABLE heirs () INHERITS (people)",
}
NO_CHANGES = {
    "a new table": "CREATE TABLE unrelated (id int PRIMARY KEY)",
    "a plain index": "CREATE INDEX ON people (ts)",
    "statistics": "ANALYZE people",
    "our own table": "CREATE TABLE retentiond.retentiond_more (p bigint REFERENCES people)",
    "another table's trigger": "CREATE TRIGGER more AFTER DELETE ON log FOR EACH ROW EXECUTE FUNCTION dynamic()",
}


@pytest.mark.parametrize("change", [*CHANGES, *NO_CHANGES])
def test_the_fingerprint_sees_what_bears_on_rows(postgresql_url: str, change: str) -> None:
    carry_out(postgresql_url, *SCHEMA)
    before = fingerprint(catalog_of(postgresql_url), ["public.people"])
    carry_out(postgresql_url, {**CHANGES, **NO_CHANGES}[change])
    after = fingerprint(catalog_of(postgresql_url), ["public.people"])
    assert (before != after) == (change in CHANGES)


def test_new_partitions_come_and_go_but_a_trigger_on_one_is_seen(postgresql_url: str) -> None:
    carry_out(postgresql_url, *SCHEMA)
    before = fingerprint(catalog_of(postgresql_url), ["public.ev"])
    carry_out(postgresql_url, "CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM ('2031-01-01') TO ('2032-01-01')")
    assert fingerprint(catalog_of(postgresql_url), ["public.ev"]) == before
    carry_out(postgresql_url, "CREATE TRIGGER t AFTER DELETE ON ev2h FOR EACH ROW EXECUTE FUNCTION dynamic()")
    assert fingerprint(catalog_of(postgresql_url), ["public.ev"]) != before


def test_a_role_without_rights_sees_the_same(postgresql_url: str) -> None:
    carry_out(postgresql_url, *SCHEMA, "ALTER TABLE people ENABLE ROW LEVEL SECURITY")
    role = f"r_{(make_url(postgresql_url).database or '')[2:14]}"
    carry_out(postgresql_url, f"CREATE ROLE {role} LOGIN", f'ALTER ROLE {role} SET search_path = nowhere, "My Sch"')
    try:
        seen, full = catalog_of(as_user(postgresql_url, role)), catalog_of(postgresql_url)
    finally:
        carry_out(postgresql_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")
    assert (seen.incoming, seen.complete) == (full.incoming, True)
    assert {n: t for n, t in seen.tables.items() if n != "public.people"} == {
        n: t for n, t in full.tables.items() if n != "public.people"
    }
    # Rows are hidden from this role, not from a superuser.
    assert (seen.tables["public.people"].row_security, full.tables["public.people"].row_security) == (True, False)
    assert (seen.default_schema, full.default_schema) == ("My Sch", "public")


def test_types_can_be_written_as_they_are_told(postgresql_url: str) -> None:
    carry_out(postgresql_url, *SCHEMA)
    people = catalog_of(postgresql_url).tables["public.people"]
    with source(postgresql_url) as engine, engine.connect() as connection:
        for column in people.columns:
            if column.name != "email":  # whose domain refuses NULL
                connection.execute(text(f"SELECT CAST(NULL AS {column.type})"))


def test_reading_twice_is_equal(postgresql_url: str) -> None:
    carry_out(postgresql_url, *SCHEMA)
    assert catalog_of(postgresql_url) == catalog_of(postgresql_url)


@pytest.mark.parametrize("name", ["select", "Ünï", "a.b", 'q"q', "x" * 63, "per%cent", "co:lon", "tab\tbed"])
def test_names_of_all_sorts(postgresql_url: str, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    carry_out(postgresql_url, f"CREATE TABLE {quoted} ({quoted} int PRIMARY KEY, up int REFERENCES {quoted})")
    table = catalog_of(postgresql_url).tables[f"public.{name}"]
    assert (table.bare_name, table.primary_key, table.foreign_keys[0].referenced) == (name, (name,), f"public.{name}")
