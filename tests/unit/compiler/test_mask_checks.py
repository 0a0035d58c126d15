from collections.abc import Sequence
from dataclasses import replace

import pytest

from retentiond.catalog.model import Check, Column, Family, ForeignKey, Index, Table
from retentiond.compiler.mask_checks import check_action
from retentiond.errors import Position, Problem
from retentiond.policy.model import Action, Clock, Keep, Link, Method, Moment, Period, Policy, Record, Rule, Term, Verb

EMPTY = Method("empty")
YEARS = Period(24, 0, 0, "2 years")

TABLE = Table(
    "people",
    "table",
    (
        Column("id", "integer", Family.INTEGER, nullable=False),
        Column("name", "varchar(40)", Family.TEXT, length=40),
        Column("email", "varchar(60)", Family.TEXT, nullable=False, length=60),
        Column("code", "varchar(6)", Family.TEXT, length=6),
        Column("born", "date", Family.DATE),
        Column("income", "numeric(9,2)", Family.DECIMAL),
        Column("level", "smallint", Family.INTEGER),
        Column("kind", "enum('a','b''c')", Family.TEXT, length=3),
        Column("address", "inet", Family.INET),
        Column("extra", "jsonb", Family.JSON),
        Column("token", "uuid", Family.UUID),
        Column("photo", "bytea", Family.BINARY),
        Column("company_id", "integer", Family.INTEGER),
        Column("full", "text", Family.TEXT, generated=True),
        Column("left_at", "timestamptz", Family.INSTANT),
        Column("hold", "boolean", Family.BOOLEAN),
        Column("done_at", "timestamptz", Family.INSTANT),
    ),
    primary_key=("id",),
    foreign_keys=(ForeignKey("people_company_fk", "people", ("company_id",), "companies", ("id",)),),
    indexes=(Index("people_pkey", ("id",), unique=True), Index("people_email_key", ("email",), unique=True)),
)
RECORD = Record("person", ("crm",), "people", "person", "id", held="hold", marker="done_at")
ALL = tuple(column.name for column in TABLE.columns)


def rule(action: Action, index: int = 0, clock: Moment | None = None) -> Rule:
    term = Term(YEARS, Clock(clock or Moment("left_at"), None, "left_at"))
    return Rule(f"rule-{index}", "person", "1", Keep((term,), "only", floor=False), action, index)


def check(
    methods: dict[str, Method],
    *,
    verb: Verb = "pseudonymise",
    leave: Sequence[str] = (),
    table: Table = TABLE,
    record: Record = RECORD,
    incoming: tuple[ForeignKey, ...] = (),
    others: tuple[Record, ...] = (),
    clock: Moment | None = None,
) -> list[Problem]:
    own = rule(Action(verb, tuple(methods.items()), tuple(leave)), clock=clock)
    places: dict[tuple[str | int, ...], Position] = {
        ("rules", 0, "then", verb, name): Position("p.yaml", 10, at) for at, name in enumerate(methods, 1)
    }
    policy = Policy("p.yaml", 1, "p", "P", (record, *others), (own,), places=places)
    return check_action(own, record, table, incoming, policy)


def errors(problems: list[Problem]) -> list[str]:
    return [problem.code for problem in problems if problem.severity == "error"]


def warnings(problems: list[Problem]) -> list[str]:
    return [problem.code for problem in problems if problem.severity == "warning"]


def with_column(**changes: object) -> Table:
    column = replace(Column("extra_column", "text", Family.TEXT), **changes)  # type: ignore[arg-type]
    return replace(TABLE, columns=(*TABLE.columns, column))


def test_what_fits_is_fine() -> None:
    methods = {
        "name": Method("random"),
        "email": Method("token", "email"),
        "code": Method("prefix", 2),
        "born": Method("truncate", "year"),
        "income": Method("round", 1000),
        "level": Method("constant", "-32768"),
        "kind": Method("constant", "b'c"),
        "address": Method("network"),
        "extra": Method("json", inside=(("a.b", EMPTY), ("a.c", Method("redact")))),
        "token": Method("random"),
        "photo": EMPTY,
        "company_id": EMPTY,
    }
    assert check(methods) == []


def test_a_deletion_has_nothing_to_check() -> None:
    assert check({}, verb="delete") == []


@pytest.mark.parametrize(
    ("column", "method", "code"),
    [
        ("nmae", EMPTY, "unknown-column"),
        ("email", EMPTY, "null-into-not-null"),
        ("email", Method("constant", "x"), "not-unique"),
        ("email", Method("prefix", 2), "not-unique"),
        ("email", Method("domain"), "not-unique"),
        ("born", Method("constant", "soon"), "wrong-type"),
        ("level", Method("constant", "1.5"), "wrong-type"),
        ("level", Method("constant", "32768"), "too-long"),
        ("income", Method("constant", "10000000"), "too-long"),
        ("income", Method("constant", "1.005"), "too-long"),
        ("code", Method("constant", "removed"), "too-long"),
        ("code", Method("random"), "too-long"),
        ("code", Method("token"), "too-long"),
        ("code", Method("mask", 4), "too-long"),
        ("code", Method("network"), "too-long"),
        ("kind", Method("constant", "c"), "wrong-type"),
        ("kind", Method("prefix", 1), "wrong-type"),
        ("name", Method("round", 10), "wrong-type"),
        ("name", Method("truncate", "year"), "wrong-type"),
        ("income", Method("prefix", 2), "wrong-type"),
        ("income", Method("redact"), "wrong-type"),
        ("born", Method("random"), "wrong-type"),
        ("token", Method("token"), "wrong-type"),
        ("address", Method("random"), "wrong-type"),
        ("born", Method("json", inside=(("a", EMPTY),)), "wrong-type"),
        ("photo", Method("constant", "x"), "wrong-type"),
        ("id", EMPTY, "key-changed"),
        ("company_id", Method("constant", "1"), "foreign-key-changed"),
        ("full", EMPTY, "generated-changed"),
        ("left_at", Method("truncate", "year"), "clock-changed"),
        ("hold", EMPTY, "hold-changed"),
        ("done_at", EMPTY, "marker-changed"),
    ],
)
def test_refused(column: str, method: Method, code: str) -> None:
    problems = check({column: method})
    assert code in errors(problems)
    assert {problem.position for problem in problems} == {Position("p.yaml", 10, 1)}


def test_a_typo_gets_the_nearest_name() -> None:
    (problem,) = check({"nmae": EMPTY})
    assert problem.hint == 'did you mean "name"?'


def test_random_in_a_unique_column_needs_room_for_64_bits() -> None:
    column = {"name": "extra_column", "type": "varchar(12)", "length": 12}
    table = with_column(**column)
    assert errors(check({"extra_column": Method("random")}, table=table)) == []
    unique = replace(table, indexes=(Index("u", ("extra_column",), unique=True),))
    assert errors(check({"extra_column": Method("random")}, table=unique)) == ["too-long"]


def test_a_column_that_others_reference_stays() -> None:
    key = ForeignKey("orders_fk", "orders", ("person",), "people", ("code",))
    assert errors(check({"code": Method("prefix", 1)}, incoming=(key,))) == ["referenced-changed"]
    other = Record("order", ("shop",), "orders", belongs_to=(Link("person", "person", "code"),))
    assert errors(check({"code": Method("prefix", 1)}, others=(other,))) == ["referenced-changed"]


def test_a_link_without_a_foreign_key_can_only_be_emptied_too() -> None:
    record = replace(RECORD, belongs_to=(Link("company", "code"),))
    assert errors(check({"code": Method("prefix", 1)}, record=record)) == ["foreign-key-changed"]
    assert errors(check({"code": EMPTY}, record=record)) == []


def test_a_declared_key_stays() -> None:
    record = replace(RECORD, key=("code",))
    assert errors(check({"code": EMPTY}, record=record)) == ["key-changed"]


def test_a_clock_of_another_record_on_the_same_table_stays() -> None:
    twin = Record("member", ("crm",), "public.people")
    far = Record("order", ("crm",), "orders")
    clock = Moment("born", "member")
    assert errors(check({"born": EMPTY}, others=(twin,), clock=clock)) == ["clock-changed"]
    assert errors(check({"born": EMPTY}, others=(far,), clock=Moment("born", "order", "last"))) == []


def test_a_clock_that_any_change_moves_stops_every_mask() -> None:
    columns = tuple(replace(c, on_update=True) if c.name == "left_at" else c for c in TABLE.columns)
    assert errors(check({"name": EMPTY}, table=replace(TABLE, columns=columns))) == ["clock-changed"]
    columns = tuple(replace(c, on_update=True) if c.name == "born" else c for c in TABLE.columns)
    assert errors(check({"name": EMPTY}, table=replace(TABLE, columns=columns))) == []


def test_unique_together_is_a_warning_unless_all_of_it_is_masked() -> None:
    table = replace(TABLE, indexes=(Index("u", ("name", "code"), unique=True),))
    assert warnings(check({"name": Method("constant", "x")}, table=table)) == ["may-collide"]
    both = check({"name": Method("constant", "x"), "code": Method("prefix", 1)}, table=table)
    assert errors(both) == ["not-unique", "not-unique"]
    with_key = replace(TABLE, indexes=(Index("u", ("name", "id"), unique=True),))
    assert check({"name": Method("constant", "x")}, table=with_key) == []
    expression = replace(TABLE, indexes=(Index("u", (None,), unique=True),))
    assert warnings(check({"name": Method("constant", "x")}, table=expression)) == ["may-collide"]


def test_a_column_named_twice() -> None:
    own = rule(Action("pseudonymise", (("name", EMPTY), ("name", Method("random")))))
    policy = Policy("p.yaml", 1, "p", "P", (RECORD,), (own,))
    assert errors(check_action(own, RECORD, TABLE, (), policy)) == ["named-twice"]


def test_no_effect_is_worth_a_word() -> None:
    assert warnings(check({"code": Method("prefix", 6)})) == ["no-effect"]
    assert warnings(check({"born": Method("truncate", "day")})) == ["no-effect"]


def test_dots_need_a_character_set_that_has_them() -> None:
    ascii_table = with_column(collation="ascii_general_ci")
    assert errors(check({"extra_column": Method("mask", 4)}, table=ascii_table)) == ["wrong-type"]
    latin_table = with_column(collation="latin1_swedish_ci")
    assert errors(check({"extra_column": Method("mask", 4)}, table=latin_table)) == []


def test_two_paths_to_one_place() -> None:
    method = Method("json", inside=(("a.*", EMPTY), ("a.b.c", EMPTY), ("d..e", EMPTY)))
    assert errors(check({"extra": method})) == ["json-overlap", "json-path"]


# --- markers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "method"),
    [("name", Method("redact")), ("extra", Method("json", inside=(("a", EMPTY),))), ("token", Method("random"))],
)
def test_what_sql_cannot_see_needs_a_marker(column: str, method: Method) -> None:
    assert errors(check({column: method}, record=replace(RECORD, marker=None))) == ["marker-missing"]
    assert check({column: method}) == []


@pytest.mark.parametrize(
    ("marker", "code"),
    [("name", "bad-marker"), ("left_at", "clock-changed"), ("hold", "hold-changed")],
)
def test_bad_markers(marker: str, code: str) -> None:
    assert errors(check({"code": EMPTY}, record=replace(RECORD, marker=marker))) == [code]


def test_a_marker_must_not_be_set_by_itself() -> None:
    own = {"name": "extra_column", "type": "timestamp", "family": Family.NAIVE}
    record = replace(RECORD, marker="extra_column")
    assert errors(check({"code": EMPTY}, record=record, table=with_column(**own))) == []
    assert errors(check({"code": EMPTY}, record=record, table=with_column(**own, on_update=True))) == ["bad-marker"]
    assert errors(check({"code": EMPTY}, record=record, table=with_column(**own, nullable=False))) == ["bad-marker"]


# --- anonymise -------------------------------------------------------------------------------------------------------

ANONYMISED = {"name": EMPTY, "email": Method("random"), "company_id": EMPTY}
LEFT = [name for name in ALL if name not in (*ANONYMISED, "id", "hold", "done_at")]
OWNED = replace(RECORD, subject_column="company_id", belongs_to=(Link("company", "company_id"),))


def test_a_whole_anonymisation() -> None:
    assert check(ANONYMISED, verb="anonymise", leave=LEFT) == []
    assert check(ANONYMISED, verb="anonymise", leave=LEFT, record=OWNED) == []


def test_each_column_is_decided_upon() -> None:
    (problem,) = check(ANONYMISED, verb="anonymise", leave=LEFT[2:])
    assert problem.code == "column-undecided"
    assert f"{LEFT[0]} and {LEFT[1]}" in problem.message
    assert f"leave: [{', '.join([*LEFT[2:], *LEFT[:2]])}]" in problem.hint


def test_a_misspelt_column_is_one_problem() -> None:
    misspelt = {"nmae": EMPTY, "email": Method("random"), "company_id": EMPTY}
    assert errors(check(misspelt, verb="anonymise", leave=LEFT)) == ["unknown-column"]
    assert errors(check(ANONYMISED, verb="anonymise", leave=[*LEFT[1:], "nowhere"])) == ["unknown-column"]
    # Said of the record, once for all its rules.
    assert check(ANONYMISED, verb="anonymise", leave=LEFT, record=replace(RECORD, marker="nowhere")) == []
    strange = replace(RECORD, subject_column="nowhere", belongs_to=(Link("company", "elsewhere"),))
    assert check(ANONYMISED, verb="anonymise", leave=LEFT, record=strange) == []


@pytest.mark.parametrize(
    ("methods", "leave"),
    [
        ({"name": EMPTY, "email": Method("random")}, [*LEFT, "company_id"]),
        ({"name": EMPTY, "email": Method("random")}, LEFT),
    ],
)
def test_the_link_to_the_person_is_cut(methods: dict[str, Method], leave: list[str]) -> None:
    problems = check(methods, verb="anonymise", leave=leave, record=OWNED)
    assert errors(problems) == ["not-anonymous"]
    assert "company_id" in problems[0].message


def test_a_link_inside_a_longer_key_cannot_be_cut() -> None:
    table = replace(TABLE, primary_key=("id", "company_id"), foreign_keys=())
    methods = {"name": EMPTY, "email": Method("random")}
    assert errors(check(methods, verb="anonymise", leave=LEFT, record=OWNED, table=table)) == ["not-anonymous"]


@pytest.mark.parametrize(
    "method",
    [Method("token"), Method("mask", 4), Method("redact"), Method("json", inside=(("a", Method("token")),))],
)
def test_no_way_back(method: Method) -> None:
    column = with_column()
    problems = check({**ANONYMISED, "extra_column": method}, verb="anonymise", leave=LEFT, table=column)
    assert errors(problems) == ["not-anonymous"]


def test_leave_names_columns_once() -> None:
    problems = check(ANONYMISED, verb="anonymise", leave=[*LEFT, "nowhere", "name"])
    assert sorted(errors(problems)) == ["named-twice", "unknown-column"]


# --- CHECK -----------------------------------------------------------------------------------------------------------


def checked(text: str, method: Method, column: str = "name") -> list[Problem]:
    return check({column: method}, table=replace(TABLE, checks=(Check("c", text),)))


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("name IS NOT NULL", EMPTY),
        ("((name IS NOT NULL))", EMPTY),
        ("CHECK ((COALESCE(code, 'x') IS NULL) AND name IS NOT NULL)", EMPTY),
        (
            "((name)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
            Method("constant", "c"),
        ),
        ("`name` in ('a','b')", Method("constant", "c")),
        ("`name` in (_utf8mb4'a',_utf8mb4'b')", Method("random")),
        ("length(name) <= 3", Method("constant", "long")),
        ("((name)::text ~~ '%@%'::text)", Method("token")),
        ("char_length(name) < 20", Method("token")),
        ("name LIKE 'A%' AND code = 'x'", Method("constant", "b")),
        ("NOT name = 'x'", Method("constant", "x")),
    ],
)
def test_a_check_that_the_mask_breaks(text: str, method: Method) -> None:
    assert errors(checked(text, method)) == ["check-violated"]


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("length(name) > 2", EMPTY),
        ("name <> '' AND name LIKE '%@%'", EMPTY),
        ("((name)::text ~ '^[a-z]'::text)", EMPTY),
        ("json_valid(`name`)", EMPTY),
        ("name IS NULL OR name IN ('a')", EMPTY),
        ("code IS NOT NULL", EMPTY),
        ("name IS NOT NULL", Method("prefix", 2)),
        ("`name` in ('a','b')", Method("constant", "b")),
        ("length(trim(name)) BETWEEN 2 AND 4", Method("constant", "gone ")),
        ("((name)::text ~~ '%@%'::text)", Method("token", "email")),
        ("((name)::text ~~ '%@%'::text)", Method("random")),
        ("upper(name) = 'GONE' OR code = 'x'", Method("constant", "gone")),
        ("json_valid(`name`)", Method("json", inside=(("a", EMPTY),))),
        ("not even SQL ((", Method("constant", "b")),
    ],
)
def test_a_check_that_the_mask_passes(text: str, method: Method) -> None:
    assert checked(text, method) == []


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("name = code", Method("constant", "b")),
        ("name IS NOT NULL OR code IS NOT NULL", EMPTY),
        ("coalesce(name, code) <> 'x'", EMPTY),
        ("length(name) > 2", Method("prefix", 2)),
        ("name = 'GONE'", Method("constant", "gone")),
        ("name > 'a'", Method("constant", "b")),
        ("my_function(name)", Method("constant", "b")),
        ("my_function(name)", EMPTY),
        ("name = 'x' ((", Method("constant", "x")),
    ],
)
def test_a_check_that_nothing_proves(text: str, method: Method) -> None:
    problems = checked(text, method)
    assert [problem.severity for problem in problems] == ["warning"]
    assert warnings(problems) == ["check-unproven"]


def test_checks_on_dates_and_numbers() -> None:
    assert errors(checked("born >= '2000-01-01'::date", Method("constant", "1900-01-01"), "born")) == ["check-violated"]
    assert checked("born >= '1900-01-01'::date", Method("constant", "1900-01-01"), "born") == []
    assert errors(checked("income > 0", Method("constant", "-1"), "income")) == ["check-violated"]
    assert checked("income BETWEEN -5 AND 5", Method("constant", "-1"), "income") == []
