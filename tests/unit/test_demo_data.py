"""The demo's drawn rows, before they become files."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from retentiond.demo.build import COMPANIES, published_policies
from retentiond.demo.dates import MARGIN, Calendar, Term, add_months, end_of
from retentiond.demo.people import DOMAINS, People, fingerprint

NOW = datetime(2026, 11, 22, 11, 0, tzinfo=UTC)
TERMS = (
    Term(months=120),
    Term(months=18),
    Term(days=30),
    Term(months=120, end_of="year"),
    Term(months=12, end_of="quarter"),
    Term(months=6, end_of="month"),
    Term(hours=72),
)


@pytest.mark.parametrize("company", COMPANIES)
@pytest.mark.parametrize("rows", [500, 5000])
def test_a_company_has_about_as_many_rows_as_were_asked_for(company: str, rows: int) -> None:
    made = COMPANIES[company](rows, NOW)
    size = sum(database.size for database in made.values())
    assert size == sum(len(table) for database in made.values() for table in database.tables.values())
    assert rows * 0.9 <= size <= rows * 1.1


@pytest.mark.parametrize("company", COMPANIES)
def test_the_same_now_gives_the_same_rows(company: str) -> None:
    first, second = (COMPANIES[company](600, NOW) for _ in range(2))
    assert {name: dict(made.tables) for name, made in first.items()} == {
        name: dict(made.tables) for name, made in second.items()
    }


@pytest.mark.parametrize("company", COMPANIES)
def test_the_smallest_demo_still_shows_every_kind_of_case(company: str) -> None:
    made = COMPANIES[company](1, NOW)
    assert all(database.size for database in made.values())


@given(
    now=st.integers(0, 20 * 365 * 86400).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    seed=st.integers(0, 2**32),
    low=st.integers(0, 4000),
    span=st.integers(0, 400),
    term=st.sampled_from(TERMS),
)
def test_no_drawn_date_and_nothing_due_from_it_is_near_now(
    now: datetime, seed: int, low: int, span: int, term: Term
) -> None:
    dates = Calendar(Random(seed), now, "Europe/Brussels")
    moment = dates.past(low, low + span, term)
    assert dates.now - moment > timedelta(days=1)
    assert abs(term.due(moment) - dates.now) >= MARGIN


def test_what_happened_lately_is_well_within_three_days() -> None:
    dates = Calendar(Random(1), NOW, "Europe/Paris")
    for _ in range(100):
        moment = dates.lately()
        assert timedelta(hours=29) < dates.now - moment < timedelta(hours=41)


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
        (date(2024, 8, 31), 18, date(2026, 2, 28)),
        (date(2024, 12, 31), 1, date(2025, 1, 31)),
        (date(2024, 12, 31), 0, date(2024, 12, 31)),
    ],
)
def test_months_end_where_the_month_ends(day: date, months: int, later: date) -> None:
    assert add_months(day, months) == later


@pytest.mark.parametrize(
    ("unit", "last"), [("", date(2024, 2, 10)), ("month", date(2024, 2, 29)), ("quarter", date(2024, 3, 31))]
)
def test_the_end_of_a_unit_is_its_last_day(unit: str, last: date) -> None:
    assert end_of(unit, date(2024, 2, 10)) == last


def test_addresses_are_different_and_reach_nobody() -> None:
    people = People(Random(1))
    addresses = [people.email(people.name()) for _ in range(1000)]
    assert len(set(addresses)) == 1000
    assert {address.split("@")[1] for address in addresses} <= set(DOMAINS)


def test_a_suppressed_address_is_found_however_it_is_written() -> None:
    assert fingerprint(" A@Example.org ") == fingerprint("a@example.org")
    assert len(fingerprint("a@example.org")) == 64


@pytest.mark.parametrize("company", COMPANIES)
def test_every_rule_of_a_published_policy_has_a_case(company: str) -> None:
    folder = published_policies()
    policy = YAML(typ="safe").load(folder / f"{company}.yaml")
    cases = YAML(typ="safe").load(folder / "tests" / f"{company}.yaml")
    assert cases["policy"] == f"../{company}.yaml"
    assert {case["rule"] for case in cases["cases"]} == {rule["name"] for rule in policy["rules"]}
    names = [case["name"] for case in cases["cases"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("company", COMPANIES)
def test_a_period_that_nobody_published_says_so(company: str) -> None:
    text = (published_policies() / f"{company}.yaml").read_text()
    policy = YAML(typ="safe").load(text)
    open_clauses = {clause for clause, said in policy["promises"].items() if isinstance(said, dict)}
    if any(rule["clause"] in open_clauses for rule in policy["rules"]):
        assert "configured for this demo, not published by the company" in text
    for said in policy["promises"].values():
        assert isinstance(said, str) or set(said) == {"says", "undecided", "owner"}
