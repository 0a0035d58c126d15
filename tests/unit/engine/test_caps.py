"""Caps, and what an approval releases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.engine.guard_approval import Judgement, judge, most, why_missing
from retentiond.engine.guard_caps import tripped
from retentiond.policy.model import Guard
from retentiond.state.approvals import Approval, Wanted
from retentiond.state.values import Person

AT = datetime(2026, 11, 22, tzinfo=UTC)
WIDE = Guard(max_rows=10**9, max_share=1.0)
ANNA = Person("anna", 1001)


def approval(
    rows: int,
    *caps: str,
    digest: str = "d",
    in_force: bool = True,
    by_two: bool = False,
    withdrawn: bool = False,
    run: str | None = None,
    seq: int = 1,
) -> Approval:
    return Approval(seq, Wanted("p/r@s", digest, {}, rows, caps), AT, ANNA, in_force, by_two, run, withdrawn)


def judged(guard: Guard, standing: list[Approval], due: int, total: int, *history: int) -> Judgement:
    unused = [one for one in standing if one.run is None]
    return judge(guard, standing, due=due, total=total, history=history, unused=unused, reason="first run")


@pytest.mark.parametrize(
    ("guard", "due", "total", "names"),
    [
        (Guard(), 100_000, 10**6, []),
        (Guard(), 100_001, 10**6, ["max_rows"]),
        (Guard(), 2, 10, []),
        (Guard(), 3, 10, ["max_share"]),
        (Guard(), 200_001, 10**6, ["max_rows", "max_share"]),
        (Guard(max_rows=5), 6, 100, ["max_rows"]),
        (Guard(max_rows=0), 1, 100, ["max_rows"]),
        (Guard(max_share=0.05), 6, 100, ["max_share"]),
        (Guard(max_share=0.05), 5, 100, []),
        (Guard(max_share=1.0), 100, 100, []),
        (Guard(), 0, 0, []),
    ],
)
def test_caps_on_rows_and_share(guard: Guard, due: int, total: int, names: list[str]) -> None:
    assert [cap.guard for cap in tripped(guard, due, total, ())] == names


@pytest.mark.parametrize(
    ("due", "history", "trips"),
    [
        (100, (9, 9, 9), True),
        (99, (9, 9, 9), False),  # too few to matter
        (100, (10, 9, 9), False),  # ten times the most is not more than that
        (101, (10, 9, 9), True),
        (10_000, (9, 9), False),  # two runs are no history
        (10_000, (), False),
        (10_000, (1, 1, 1001), False),
    ],
)
def test_a_spike_over_what_is_usual(due: int, history: tuple[int, ...], trips: bool) -> None:
    assert [cap.guard for cap in tripped(WIDE, due, 10**9, history)] == (["spike"] if trips else [])


def test_nothing_due_needs_nothing() -> None:
    for standing, word in (([], "not needed"), ([approval(5)], "given")):
        found = judged(Guard(), standing, 0, 10)
        assert (found.stops, found.approval, found.guard, found.message) == (False, word, "ok", "")


def test_without_an_approval_nothing_goes() -> None:
    found = judged(WIDE, [], 1, 10)
    assert (found.stops, found.approval, found.guard) == (True, "missing", "ok")
    assert "first run" in found.message


def test_a_cap_stops_an_approved_job() -> None:
    found = judged(Guard(), [approval(1)], 5, 10)
    assert (found.stops, found.approval, found.guard) == (True, "given", "max_share")
    assert "50.0 %" in found.message


@pytest.mark.parametrize(
    ("given_", "stops"),
    [
        (approval(5, "max_share"), False),
        (approval(5, "max_share", "max_rows"), False),
        (approval(5, "max_rows"), True),
        (approval(4, "max_share"), True),  # a tenth more than 4 is not 5
        (approval(5, "max_share", run="earlier"), True),
    ],
)
def test_what_releases_a_cap(given_: Approval, stops: bool) -> None:
    assert judged(Guard(), [given_], 5, 10).stops is stops


def test_an_older_approval_may_release_the_cap_that_a_newer_does_not() -> None:
    older, newer = approval(5, "max_share", seq=1), approval(1, seq=2)
    found = judged(Guard(), [newer, older], 5, 10)
    assert (found.stops, found.serving, found.first_use) == (False, older, older)


def test_between_approval_and_first_run_only_a_little_may_be_added() -> None:
    assert not judged(WIDE, [approval(1000)], 1100, 10**6).stops
    grown = judged(WIDE, [approval(1000)], 1101, 10**6)
    assert (grown.stops, grown.guard) == (True, "spike")
    assert not judged(WIDE, [approval(1000, run="earlier")], 1101, 10**6).stops
    assert not judged(WIDE, [approval(1)], 99, 10**6).stops


def test_the_most_that_a_run_may_take() -> None:
    found = judged(Guard(), [approval(5, "max_share")], 5, 10)
    assert most(Guard(), found, 10) == 5
    assert most(Guard(), judged(Guard(), [approval(1)], 1, 1000), 1000) == 200
    assert most(Guard(max_rows=50), judged(Guard(max_rows=50), [approval(1)], 1, 1000), 1000) == 50
    both = judged(Guard(max_rows=50), [approval(300, "max_rows", "max_share")], 300, 1000)
    assert most(Guard(max_rows=50), both, 1000) == 330


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.lists(st.integers(1, 10**5), max_size=10),
    st.lists(
        st.builds(
            approval,
            st.integers(0, 10**6),
            st.sampled_from(["max_rows", "max_share", "spike"]),
            run=st.sampled_from([None, "earlier"]),
        ),
        max_size=3,
    ),
)
def test_no_more_goes_than_somebody_approved(
    due: int, total: int, history: list[int], standing: list[Approval]
) -> None:
    found = judged(Guard(), standing, due, total, *history)
    if due and not found.stops:
        assert standing
        names = {cap.guard for cap in tripped(Guard(), due, total, history)}
        assert not names or any(names <= set(one.wanted.caps) and one.covers(due) and not one.run for one in standing)
        assert due <= most(Guard(), found, total)


@pytest.mark.parametrize(
    ("approvals", "two", "words"),
    [
        ([], False, "first run"),
        ([approval(1, withdrawn=True)], False, "withdrawn"),
        ([approval(1, digest="other")], False, "changed rule"),
        ([approval(1)], True, "it takes two"),
        ([approval(1, in_force=False)], True, "takes a second person"),
        ([approval(1)], False, "its tables"),
    ],
)
def test_why_there_is_no_approval(approvals: list[Approval], two: bool, words: str) -> None:
    assert words in why_missing(approvals, "d", two=two, elsewhere=[])


def test_a_rule_that_may_have_been_renamed_is_named() -> None:
    assert "shop/old is no longer there" in why_missing([], "d", two=False, elsewhere=["shop/old"])
