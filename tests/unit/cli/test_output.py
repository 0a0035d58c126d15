"""How commands write, and which exit code counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import click
import pytest

from retentiond.cli.failures import carry, exit_code, worst
from retentiond.cli.job_views import csv_text, job_sheet, remarks, sample_text, totals
from retentiond.cli.moments import instant, past_instant, shown
from retentiond.cli.output import Column, Sheet, counted, plain_lines
from retentiond.engine.report import JobReport
from retentiond.errors import (
    EvidenceError,
    FailedError,
    PolicyError,
    Position,
    Problem,
    RefusedError,
    RetentiondError,
    TransientError,
    UsageError,
)
from retentiond.state.values import Failure

BRUSSELS = ZoneInfo("Europe/Brussels")
AT = datetime(2026, 6, 1, tzinfo=UTC)

LOOKED = JobReport(
    *("shop", "contract-data", "crm", "customer", "customers", "delete", AT, True),
    due=1234,
    held=2,
    floored=0,
    not_started=40,
    suspect=1,
    total=50210,
    oldest_due=datetime(2013, 1, 31, 23, tzinfo=UTC),
    cascade={"crm.contracts": 1510, "crm.notes": 0},
)
MASKED = JobReport(*("shop", "complaints", "support", "complaint", "complaints", "anonymise", AT, False), due=3, done=3)


def test_numbers_stand_on_the_right() -> None:
    sheet = Sheet(
        (Column("rule"), Column("due", number=True), Column("oldest")), (("a", "1,234", ""), ("bcdef", "7", "x"))
    )
    assert plain_lines(sheet) == ["rule     due  oldest", "a      1,234", "bcdef      7  x"]


@pytest.mark.parametrize(
    ("number", "word", "text"),
    [(1, "row", "1 row"), (0, "row", "0 rows"), (2000, "policy", "2,000 policies"), (None, "", "–"), (5, "", "5")],
)
def test_counts_in_words(number: int | None, word: str, text: str) -> None:
    assert counted(number, word) == text


def test_a_job_as_a_line_of_the_table() -> None:
    (row,) = job_sheet([LOOKED], BRUSSELS, done=False).rows
    assert row == (
        *("shop/contract-data", "crm", "delete", "1,234", "2", "0", "40", "1", "50,210"),
        "2013-02-01 00:00",
    )
    estimated = replace(LOOKED, estimated=True, held=None)
    assert job_sheet([estimated], BRUSSELS, done=True).rows[0][3:5] == ("~1,234", "–")


def test_what_goes_with_it_and_what_failed() -> None:
    assert remarks([LOOKED]) == ["shop/contract-data@crm: with it go 1,510 of contracts"]
    failed = replace(MASKED, failed=Failure("23505", "duplicate key"), set_aside=1, guard="spike", approval="missing")
    assert remarks([failed]) == [
        "shop/complaints@support: 1 row set aside: the database refused them",
        "shop/complaints@support: failed: 23505: duplicate key",
        "shop/complaints@support: stopped by the guard spike, waits for approval",
    ]


def test_what_waits_for_the_same_stands_in_one_line() -> None:
    waits = [replace(MASKED, rule=f"r{n}", approval="missing", guard_message=f"first run; {n} rows") for n in range(12)]
    assert remarks(waits[:2]) == [f"shop/r{n}@support: waits for approval: first run; {n} rows" for n in range(2)]
    (line,) = remarks(waits)
    assert line.startswith("12 jobs wait for approval (`retentiond approve`): first run: shop/r0@support, ")
    assert line.endswith("and 2 more")
    guarded = replace(LOOKED, guard="stop", guard_message="anna stopped everything")
    assert (
        remarks([guarded])[-1] == "shop/contract-data@crm: would be stopped by the guard stop: anna stopped everything"
    )


def test_totals() -> None:
    assert totals([LOOKED]) == (
        "1 job: 1,234 rows due; 1,510 rows with them; kept: 2 held, 40 not started, 1 suspect. Nothing was written."
    )
    assert totals([MASKED]) == "1 job: 3 rows due; 0 deleted, 3 masked."


def test_csv() -> None:
    header, line = csv_text([LOOKED]).splitlines()
    assert header.startswith("at,dry_run,policy,rule,source,")
    assert "2026-06-01T00:00:00Z,true,shop,contract-data,crm,customer,customers,delete,,,1234,2,0,40,1," in line
    assert "crm.contracts=1510;crm.notes=0" in line


def test_sample_keys_are_written_as_explain_takes_them() -> None:
    assert sample_text((7,)) == "7"
    assert sample_text(("a,b",)) == "a,b"
    assert sample_text(("a,b", 7)) == '"a,b",7'


@pytest.mark.parametrize(
    ("codes", "counts"), [([], 0), ([0, 10], 10), ([10, 3], 3), ([3, 1], 1), ([1, 2], 2), ([10, 3, 1, 2, 4], 4)]
)
def test_the_first_of_4_2_1_3_10_counts(codes: list[int], counts: int) -> None:
    assert worst(codes) == counts


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (PolicyError([Problem(Position("f", 1, 1), "c", "m")]), 2),
        (RefusedError("x"), 3),
        (FailedError("x"), 1),
        (TransientError("x"), 1),
        (EvidenceError("x"), 4),
        (RetentiondError("x"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: RetentiondError, code: int) -> None:
    assert exit_code(error) == code


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code"),
    [(click.UsageError("x"), 2), (click.Abort(), 130), (KeyboardInterrupt(), 130), (RefusedError("x"), 3)],
)
def test_whatever_happens_there_is_an_exit_code(error: BaseException, code: int) -> None:
    assert carry(raising(error)) == code


def test_the_text_of_an_unexpected_error_is_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert carry(raising(LookupError("canary-8842"))) == 1
    seen = capsys.readouterr().err
    assert "unexpected LookupError" in seen
    monkeypatch.setenv("RETENTIOND_DEBUG", "1")
    assert carry(raising(LookupError("canary-8842"))) == 1
    seen += capsys.readouterr().err
    assert "test_output.py" in seen
    assert "canary" not in seen


def test_problems_are_told_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [
        Problem(Position("p.yaml", 3, 5), "bad-keep", "no period", "10 years"),
        Problem(Position("p.yaml", 1, 1), "a", "b"),
    ]
    carry(raising(PolicyError(problems)))
    assert capsys.readouterr().err == "p.yaml:1:1: a: b\np.yaml:3:5: bad-keep: no period (10 years)\n"


def test_a_moment_is_shown_with_the_seconds_it_has() -> None:
    assert shown(AT, BRUSSELS) == "2026-06-01 02:00"
    assert shown(AT.replace(second=9), BRUSSELS) == "2026-06-01 02:00:09"
    assert shown(None, BRUSSELS) == "–"


@pytest.mark.parametrize(
    ("when", "found"),
    [
        ("2026-06-01", "2026-05-31T22:00:00Z"),
        ("2026-06-01T00:00:00", "2026-05-31T22:00:00Z"),
        ("2026-06-01T00:00:00.999999+02:00", "2026-05-31T22:00:00Z"),
        ("2026-06-01 00:00Z", "2026-06-01T00:00:00Z"),
        ("2026-03-29T02:30", "2026-03-29T01:30:00Z"),
        ("2026-10-25T02:30", "2026-10-25T01:30:00Z"),
    ],
)
def test_when_is_read_on_the_settings_clock(when: str, found: str) -> None:
    assert instant(when, BRUSSELS) == datetime.fromisoformat(found)


def test_now_is_cut_to_seconds_and_the_future_refused() -> None:
    assert instant(None, BRUSSELS).microsecond == 0
    with pytest.raises(UsageError, match="future"):
        past_instant("2999-01-01", BRUSSELS)
    with pytest.raises(UsageError, match="neither"):
        instant("0001-01-01T00:00:00+14:00", BRUSSELS)
