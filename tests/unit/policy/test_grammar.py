"""The grammar of `keep`: what it means, and what it refuses where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.policy.grammar import NotUnderstoodError, parse_clock, parse_keep, parse_period, parse_term
from retentiond.policy.model import Clock, Keep, Moment, Period, Term


@pytest.mark.parametrize(
    ("text", "months", "days", "seconds"),
    [
        ("1 year", 12, 0, 0),
        ("10 years", 120, 0, 0),
        ("18 months", 18, 0, 0),
        ("1 year and 6 months", 18, 0, 0),
        ("1 year, 6 months", 18, 0, 0),
        ("1 year,6 months", 18, 0, 0),
        ("1 year 6 months 2 weeks 3 days", 18, 17, 0),
        ("6 months and 1 year", 18, 0, 0),
        ("13 months", 13, 0, 0),
        ("2 weeks", 0, 14, 0),
        ("72 hours", 0, 0, 72 * 3600),
        ("1 hour and 30 minutes", 0, 0, 5400),
        ("  5\tminutes\n", 0, 0, 300),
        ("P10Y", 120, 0, 0),
        ("P18M", 18, 0, 0),
        ("P1Y6M2W3D", 18, 17, 0),
        ("PT72H", 0, 0, 72 * 3600),
        ("PT1H30M", 0, 0, 5400),
        ("200 years", 2400, 0, 0),
        ("2400 months", 2400, 0, 0),
        ("73048 days", 0, 73048, 0),
    ],
)
def test_periods(text: str, months: int, days: int, seconds: int) -> None:
    assert parse_period(text) == Period(months, days, seconds, " ".join(text.split()))


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("", 0),
        ("   ", 0),
        ("years", 0),
        ("3", 1),
        ("0 years", 0),
        ("1 year and 0 months", 11),
        ("-1 year", 0),
        ("+1 year", 0),
        ("1.5 years", 0),
        ("1,5 years", 1),
        ("½ year", 0),
        ("010 years", 0),
        ("0x10 years", 0),
        ("1e3 days", 0),
        ("1_000 days", 0),
        ("10years", 0),
        ("١ years", 0),
        ("10 Years", 3),
        ("3 decades", 2),
        ("3 seconds", 2),
        ("201 years", 0),
        ("200 years and 1 day", 0),
        ("2401 months", 0),
        ("73049 days", 0),
        ("99999999999999999999999999 years", 0),
        ("1 day and 2 hours", 12),
        ("2 hours and 1 day", 14),
        ("1 year and 1 year", 13),
        ("1 year and", 10),
        ("1 year and and 1 month", 11),
        ("1 year,, 1 month", 7),
        ("1 year and, 1 month", 10),
        ("3 years later", 8),
        ("P", 0),
        ("PT", 0),
        ("P1YT", 0),
        ("P1", 0),
        ("P0D", 0),
        ("P1Y0M", 0),
        ("P01Y", 0),
        ("P0.5Y", 0),
        ("P1DT2H", 0),
        ("PT30S", 0),
        ("P6M1Y", 0),
        ("P1Y1Y", 0),
        ("p1y", 0),
        ("-P1Y", 0),
        ("P201Y", 0),
    ],
)
def test_periods_refused(text: str, offset: int) -> None:
    with pytest.raises(NotUnderstoodError) as caught:
        parse_period(text)
    assert (caught.value.code, caught.value.offset) == ("bad-period", offset)


@pytest.mark.parametrize(
    ("text", "moment", "end_of"),
    [
        ("closed_at", Moment("closed_at"), None),
        ("contract.ended_at", Moment("ended_at", "contract"), None),
        ("last contract.ended_at", Moment("ended_at", "contract", "last"), None),
        ("first contract.ended_at", Moment("ended_at", "contract", "first"), None),
        ("end of year of issued_on", Moment("issued_on"), "year"),
        ("end of quarter of last invoice.issued_on", Moment("issued_on", "invoice", "last"), "quarter"),
        ("end of month of contract.ended_at", Moment("ended_at", "contract"), "month"),
        ("last", Moment("last"), None),
        ("end", Moment("end"), None),
        ("last.ended_at", Moment("ended_at", "last"), None),
        ("InvoiceDate", Moment("InvoiceDate"), None),
        ('"Order Date"', Moment("Order Date"), None),
        ('last order."Shipped ""On"""', Moment('Shipped "On"', "order", "last"), None),
    ],
)
def test_clocks(text: str, moment: Moment, end_of: str | None) -> None:
    clock = parse_clock(text)
    assert (clock.moment, clock.end_of, clock.text) == (moment, end_of, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "last contract",
        "last contract.",
        ".x",
        "a.b.c",
        "end of week of x",
        "end of year x",
        "1x",
        "a b",
        '"a',
        "a.1",
    ],
)
def test_clocks_refused(text: str) -> None:
    with pytest.raises(NotUnderstoodError, match=r"."):
        parse_clock(text)


def test_one_sentence() -> None:
    clock = Clock(Moment("ended_at", "contract", "last"), None, "last contract.ended_at")
    term = Term(Period(120, 0, 0, "10 years"), clock)
    assert parse_keep("10 years after last contract.ended_at") == Keep((term,), "only", floor=False)
    assert parse_keep("at most 10 years after last contract.ended_at") == Keep((term,), "only", floor=False)
    assert parse_keep("at least 10 years after last contract.ended_at") == Keep((term,), "only", floor=True)
    assert term.text == "10 years after last contract.ended_at"


def test_until_needs_no_period() -> None:
    assert parse_keep("until closed_at").terms[0].period is None
    assert parse_keep("at least until closed_at").floor


def test_lists() -> None:
    said = ["18 months after last_mailed_at", "until unsubscribed_at"]
    keep = parse_keep({"whichever comes first": said})
    assert (keep.combine, [term.text for term in keep.terms]) == ("first", said)
    assert parse_keep({"whichever comes last": said}).combine == "last"


@pytest.mark.parametrize("text", ["at least 3 years after x", "at most until x"])
def test_prefixes_stand_alone(text: str) -> None:
    with pytest.raises(NotUnderstoodError, match="not in a list"):
        parse_term(text)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("3 years", 7),
        ("3 years from x", 8),
        ("3 years after", 13),
        ("until", 5),
        ("until 3 years after x", 6),
        ("forever", 0),
        ("Until x", 0),
        ("at least", 8),
        ("at least at most 3 years after x", 9),
        ("until x and until y", 8),
    ],
)
def test_sentences_refused(text: str, offset: int) -> None:
    with pytest.raises(NotUnderstoodError) as caught:
        parse_keep(text)
    assert caught.value.offset == offset


@given(st.text(alphabet='0123456789 ,."PYMDTHabcdeflnrstuy_', max_size=40))
def test_nothing_but_the_own_error_ever_comes_out(text: str) -> None:
    try:
        keep = parse_keep(text)
    except NotUnderstoodError as error:
        assert 0 <= error.offset <= len(text)  # noqa: PT017 - either outcome is fine
    else:
        assert parse_keep(keep.terms[0].text).terms == keep.terms


@given(st.integers(1, 200), st.integers(1, 11), st.sampled_from([" and ", ", ", " "]))
def test_words_and_iso_agree(years: int, months: int, between: str) -> None:
    if years == 200:
        years = 199
    said = parse_period(f"{years} years{between}{months} months")
    iso = parse_period(f"P{years}Y{months}M")
    assert (said.months, said.days, said.seconds) == (iso.months, iso.days, iso.seconds)
