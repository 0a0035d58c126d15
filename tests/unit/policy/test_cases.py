"""A policy's own test cases: read, run, and what is wrong with them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from retentiond.errors import PolicyError
from retentiond.policy.case_file import read_instant
from retentiond.policy.case_rows import Scalar, column_uses, typed_row
from retentiond.policy.cases import CaseResult, run_cases
from retentiond.policy.expression import All, Between, Column, Compare, Constant, Expression, Function, IsNull, Like
from retentiond.policy.model import Action, Clock, Keep, Moment, Policy, Record, Rule, Term, Where

POLICY = """\
version: 1
name: shop
title: A shop
timezone: Europe/Brussels
effective: 2020-05-07
records:
  customer:
    source: crm
    table: customers
    subject: id
    cascade: [contract]
    held: legal_hold
  contract:
    source: crm
    table: contracts
    belongs_to: {customer: customer_id}
    cascade: [invoice]
  invoice: {source: crm, table: invoices, belongs_to: {contract: contract_id}, format: {paid: epoch s}}
  ticket:
    source: crm
    table: tickets
    belongs_to: {customer: customer_id}
rules:
  - {name: invoices, clause: I, record: invoice, keep: at least 10 years after end of year of paid,
     statute: {law: VAT Code art. 60, checked: 2026-01-02}, then: nothing}
  - {name: tickets, clause: III, record: ticket, where: closed and reopened_at is null and kind <> '007' and level < 3,
     keep: until closed_at, then: {clear: [body]}}
  - {name: contract-data, clause: II, record: customer, keep: 10 years after last contract.ended_at, then: delete}
"""

CASES = """\
policy: ../shop.yaml
cases:
  - name: leap day
    rule: contract-data
    row: {id: 7}
    related: {contract: [{ended_at: 2016-02-29 10:00}]}
    expect: {2026-02-28T23:59:59+01:00: not yet, 2026-03-01T00:00:00+01:00: delete}
"""


@pytest.fixture
def run(tmp_path: Path) -> "Run":
    return Run(tmp_path)


class Run:
    """Writes a policy and its cases, and runs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tests").mkdir()
        (folder / "shop.yaml").write_text(POLICY)

    def __call__(self, text: str, name: str = "cases.yaml") -> tuple[CaseResult, ...]:
        path = self.folder / "tests" / name
        path.write_text(text)
        return run_cases([path])

    def one(self, case: str) -> list[tuple[str, str]]:
        """What was expected and what came out, for one case."""
        (result,) = self("policy: ../shop.yaml\ncases:\n  - " + case)
        return [(answer.expected, answer.got) for answer in result.answers]

    def problems(self, text: str) -> list[str]:
        with pytest.raises(PolicyError) as caught:
            self(text)
        return [
            f"{Path(problem.position.file).name}:{problem.position.line}:{problem.position.column}: {problem.code}"
            for problem in caught.value.problems
        ]


def test_the_contract_s_example_passes(run: Run) -> None:
    (result,) = run(CASES)
    assert result.passed
    assert (result.name, result.policy, result.rule) == ("leap day", "shop", "contract-data")
    assert [(answer.when, answer.got) for answer in result.answers] == [
        ("2026-02-28T23:59:59+01:00", "not yet"),
        ("2026-03-01T00:00:00+01:00", "delete"),
    ]


def test_a_failure_names_its_line_and_both_outcomes(run: Run) -> None:
    (result,) = run(CASES.replace("01:00: not yet", "01:00: suspect"))
    assert not result.passed
    (failure,) = result.failures
    assert str(failure).endswith("cases.yaml:7:14: 2026-02-28T23:59:59+01:00: expected suspect, got not yet")


OUTCOMES = """\
policy: ../shop.yaml
cases:
  - {rule: contract-data, expect: {2030-01-01: not started}}
  - {rule: contract-data, related: {contract: [{ended_at: ~}]}, expect: {2030-01-01: not started}}
  - {rule: contract-data, related: {contract: [{ended_at: }]}, expect: {2030-01-01: not started}}
  - {rule: contract-data, related: {contract: {ended_at: 1970-01-01}}, expect: {2030-01-01: suspect}}
  - {rule: contract-data, related: {contract: {ended_at: 2021-02-31}}, expect: {2030-01-01: suspect}}
  - rule: contract-data
    related: {contract: {ended_at: 2016-02-29}}
    expect: {2026-02-28 23:59: not yet, 2026-03-01: delete}
  - rule: contract-data
    row: {legal_hold: true}
    related: {contract: {ended_at: 2010-01-01}}
    expect: {2020-01-01: not yet, 2026-01-01: held}
  - rule: contract-data
    row: {legal_hold: 0}
    related: {contract: {ended_at: 2010-01-01}}
    expect: {2026-01-01: delete}
  - rule: contract-data
    related: {contract: {ended_at: 2010-01-01}, invoice: {paid: 1600000000}}
    expect: {2026-01-01: floored, 2031-01-01: delete}
  - name: before the policy is effective
    rule: contract-data
    related: {contract: {ended_at: 2001-01-01}}
    expect: {2020-05-06T23:59:59+02:00: not yet, 2020-05-07: delete}
  - {rule: invoices, row: {paid: 1300000000}, expect: {2021-12-31: not yet, 2022-01-01: nothing}}
  - rule: tickets
    row: {closed: true, kind: 7, level: 2, closed_at: 2024-01-01 10:00}
    expect: {2024-01-01 09:59:59: not yet, 2024-01-01 10:00: clear}
  - {rule: tickets, row: {closed: 1, kind: 007, level: 2, closed_at: 2024-01-01}, expect: {2024-01-02: not yet}}
  - {rule: tickets, row: {closed: 1, kind: a, level: 3.5, closed_at: 2024-01-01}, expect: {2024-01-02: not yet}}
  - {rule: tickets, row: {closed: false, kind: a, closed_at: 2024-01-01}, expect: {2024-01-02: not yet}}
  - rule: tickets
    row: {closed: 1, kind: a, level: 1, reopened_at: 2024-01-01, closed_at: 2024-01-01}
    expect: {2024-01-02: not yet}
"""


def test_outcomes(run: Run) -> None:
    results = run(OUTCOMES)
    assert len(results) == 16
    assert [str(failure) for result in results for failure in result.failures] == []
    assert results[0].name == "case 1"


def test_another_verb_than_the_rule_s_fails(run: Run) -> None:
    row = "{closed: 1, kind: a, level: 1, closed_at: 2024-01-01}"
    assert run.one(f"{{rule: tickets, row: {row}, expect: {{2024-01-02: delete}}}}") == [("delete", "clear")]


def test_a_time_without_an_offset_is_local_to_the_policy() -> None:
    zone = ZoneInfo("Europe/Brussels")
    assert read_instant("2026-03-01", zone) == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert read_instant("2026-03-01T00:30", zone) == datetime(2026, 2, 28, 23, 30, tzinfo=UTC)
    assert read_instant("2026-03-01T00:00:00Z", zone) == datetime(2026, 3, 1, tzinfo=UTC)
    for text in ("tomorrow", "2026-02-30", "2026-3-1", "0001-01-01T00:00+14:00"):
        assert read_instant(text, zone) is None


def test_all_mistakes_of_a_file_come_at_once_with_their_places(run: Run) -> None:
    wrong = """\
policy: ../shop.yaml
extra: 1
cases:
  - {rule: contract-dat, expect: {2026-03-01: delete}}
  - {rule: contract-data, related: {contracts: []}, expect: {2026-03-01: delete}}
  - {rule: contract-data, expect: {soon: delete, 2026-03-01: destroy}}
  - {rule: contract-data, row: {tags: [a]}, related: [contract], expect: []}
  - {rule: contract-data, row: 7, expects: {2026-03-01: delete}}
  - gone
  - {rule: [contract-data], related: {contract: [7]}, expect: {2026-03-01: delete}}
"""
    assert run.problems(wrong) == [
        "cases.yaml:2:1: unknown-key",
        "cases.yaml:4:12: unknown-rule",
        "cases.yaml:5:37: unknown-record",
        "cases.yaml:6:36: bad-instant",
        "cases.yaml:6:62: bad-expectation",
        "cases.yaml:7:33: bad-type",
        "cases.yaml:7:54: bad-type",
        "cases.yaml:7:74: bad-type",
        "cases.yaml:8:5: missing-key",
        "cases.yaml:8:32: bad-type",
        "cases.yaml:8:35: unknown-key",
        "cases.yaml:9:5: bad-type",
        "cases.yaml:10:12: bad-type",
        "cases.yaml:10:50: bad-type",
    ]


def test_the_nearest_name_is_offered(run: Run) -> None:
    with pytest.raises(PolicyError) as caught:
        run(CASES.replace("rule: contract-data", "rule: contract-dat"))
    assert caught.value.problems[0].hint == 'did you mean "contract-data"?'


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["cases.yaml:1:1: empty-file"]),
        ("- a\n", ["cases.yaml:1:1: bad-type"]),
        ("cases: []\n", ["cases.yaml:1:1: missing-key"]),
        ("policy: ../shop.yaml\n", ["cases.yaml:1:1: missing-key"]),
        ("policy: ../shop.yaml\ncases: {}\n", ["cases.yaml:2:8: bad-type"]),
        ("policy: ../ship.yaml\ncases: []\n", ["cases.yaml:1:9: no-policy"]),
        ("policy: ..\ncases: []\n", ["cases.yaml:1:9: no-policy"]),
        ("policy: [../shop.yaml]\ncases: []\n", ["cases.yaml:1:9: bad-type"]),
        ("policy: &a ../shop.yaml\ncases: []\n", ["cases.yaml:1:9: anchor"]),
        ("policy: ../shop.yaml\ncases: [\n", ["cases.yaml:2:8: bad-yaml"]),
    ],
)
def test_files_that_are_no_cases(run: Run, text: str, problems: list[str]) -> None:
    assert run.problems(text) == problems


def test_a_row_whose_values_the_condition_cannot_take_is_a_mistake(run: Run) -> None:
    row = "{closed: 1, kind: a, level: high, closed_at: 2024-01-01}"
    text = f"policy: ../shop.yaml\ncases:\n  - {{rule: tickets, row: {row}, expect: {{2026-03-01: clear}}}}\n"
    assert run.problems(text) == ["cases.yaml:3:5: bad-row"]


def test_a_broken_policy_tells_its_own_problems_once(run: Run) -> None:
    (run.folder / "shop.yaml").write_text(POLICY.replace("then: delete", "then: destroy"))
    paths = [run.folder / "tests" / name for name in ("a.yaml", "b.yaml")]
    for path in paths:
        path.write_text(CASES)
    with pytest.raises(PolicyError) as caught:
        run_cases([*paths, run.folder / "tests" / "c.yaml"])
    found = [(Path(problem.position.file), problem.code) for problem in caught.value.problems]
    assert found == [(run.folder / "shop.yaml", "bad-then"), (run.folder / "tests" / "c.yaml", "unreadable")]


# -- types ------------------------------------------------------------------------------------------------------------


def policy(where: Expression) -> Policy:
    record = Record("r", ("s",), "t", held="held", marker="marked", formats=(("at", "epoch ms"), ("on", "%d.%m.%Y")))
    keep = Keep((Term(None, Clock(Moment("at"), None, "at")),), "only", floor=False)
    return Policy("p", 1, "p", "P", (record,), (Rule("r", "r", "", keep, Action("delete"), 0, Where("", where)),))


def typed(where: Expression, **cells: str) -> dict[str, object]:
    known = policy(where)
    row = {name: Scalar(text.strip('"'), plain=not text.startswith('"')) for name, text in cells.items()}
    return typed_row(row, known.record("r"), known)


A, B = Column("a"), Column("b")


@pytest.mark.parametrize(
    ("where", "text", "value"),
    [
        (Compare("=", A, Constant("x")), "7", "7"),
        (Compare("=", A, Constant(7)), "007", 7),
        (Compare("<", A, Constant(Decimal("1.5"))), "1.25", Decimal("1.25")),
        (Compare("=", A, Constant(value=True)), "false", False),
        (All((A, B)), "True", True),
        (Like(A, "7%"), "7", "7"),
        (Compare("=", Function("lower", (A,)), Constant(None)), "7", "7"),
        (Compare("=", Function("abs", (A,)), B), "-7", -7),
        (Compare("=", Function("coalesce", (A, Constant(0))), B), "7", 7),
        (Between(A, Constant("2020-01-01"), Constant("2020-12-31")), "2020-02-03", date(2020, 2, 3)),
        (Compare("<", A, B), "2020-02-03T10:00Z", datetime(2020, 2, 3, 10, tzinfo=UTC)),
        (Compare("<", A, B), "7", 7),
        (Compare("<", A, B), '"7"', "7"),
        (Compare("<", A, B), "open", "open"),
        (IsNull(A), "2021-02-31", "2021-02-31"),
        (B, "7", "7"),
    ],
)
def test_a_value_is_typed_by_its_use(where: Expression, text: str, value: object) -> None:
    found = typed(where, a=text)["a"]
    assert found == value
    assert type(found) is type(value)


def test_what_the_record_says_of_a_column_comes_first() -> None:
    row = typed(Compare("=", Column("on"), Column("at")), held="true", marked="2020-01-01", at="17", on="01.02.2020")
    assert row == {"held": True, "marked": "2020-01-01", "at": 17, "on": "01.02.2020"}
    for text, truth in {"no": False, "Yes": True, "off": False, "on": True, "0": 0, "perhaps": "perhaps"}.items():
        assert typed(Compare("=", Column("on"), Column("at")), held=text)["held"] == truth
    assert typed_row({"a": None}, policy(A).record("r"), policy(A)) == {"a": None}


def test_the_strongest_use_wins() -> None:
    where = All((IsNull(A), Compare("=", A, Constant("x")), Compare("=", B, Constant(1)), IsNull(B)))
    assert column_uses(policy(where), policy(where).record("r")) == {"a": "text", "b": "value"}
