"""Files with ids as people make them, and how holds look."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.cli.hold_lines import numbered, read_lines
from retentiond.cli.hold_views import as_json, hold_sheet, summary
from retentiond.cli.output import plain_lines
from retentiond.errors import UsageError
from retentiond.state.holds import Hold
from retentiond.state.values import Person

SECRET = "Zq3-held-person-5521"
ADDED = datetime(2026, 3, 1, 8, tzinfo=UTC)
OPEN = Hold(
    "h1", "proceedings", "subject", "shop", "customer", None, None, "M 1", date(2026, 6, 1), ADDED, "anna", 1200
)
ROWS = Hold("h2", "authority", "record", "shop", None, "order", None, "M 2", date(2027, 6, 1), ADDED, "anna", 1)
DONE = Hold(
    "h3", "restriction", "source", None, None, None, "crm", "M 3", date(2026, 6, 1), ADDED, "anna", 0,
    Person("bert", 1), ADDED, "carl",
)  # fmt: skip
TODAY = date(2026, 6, 2)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"1", {"1": 1}),
        (b"1\n2\n", {"1": 1, "2": 2}),
        (b"\xef\xbb\xbf1\r\n2\r\n", {"1": 1, "2": 2}),
        (b"\n\n  \n1\n\n", {"1": 4}),
        (b"a\nb\na\n", {"a": 1, "b": 2}),
        (b" a\na\na \n", {" a": 1, "a": 2, "a ": 3}),
        (b"a\tb\n", {"a\tb": 1}),
        ("é\nΩ\n😀\n".encode(), {"é": 1, "Ω": 2, "😀": 3}),
        ("a\u2028b\n".encode(), {"a\u2028b": 1}),  # no line end of a file
        (b"0042\n42\n", {"0042": 1, "42": 2}),
    ],
)
def test_the_ids_of_a_file(data: bytes, found: dict[str, int]) -> None:
    assert read_lines(data, "f").numbers == found


def test_what_is_worth_a_word() -> None:
    lines = read_lines(b"1\n 2\n1\n1\n3 \n", "f")
    assert (lines.twice, lines.blank) == (2, (2, 5))
    assert lines.numbers_of(["3 ", "1"]) == [1, 5]


@pytest.mark.parametrize(
    ("data", "message", "code"),
    [
        (b"", "f holds no id", "no-ids"),
        (b"\xef\xbb\xbf", "f holds no id", "no-ids"),
        (b"\r\n \t\n", "f holds no id", "no-ids"),
        (f"1\n{SECRET}\xff".encode("latin-1"), "f: line 2 is no UTF-8", "not-utf-8"),
        ("1\n2\n".encode("utf-16"), "f: line 1 is no UTF-8", "not-utf-8"),
        (f"1\n{SECRET}\0\n".encode(), "f: line 2 holds a control character", "bad-id"),
        (f"{SECRET}\r2\n".encode(), "f: line 1 holds a control character", "bad-id"),
        ((SECRET * 50_000).encode(), "f: line 1 is too long to be an id: 1,000,000 characters", "bad-id"),
    ],
)
def test_a_line_that_is_no_id_is_named_and_not_shown(data: bytes, message: str, code: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_lines(data, "f")
    assert refused.value.message == message
    assert refused.value.code == code
    assert SECRET not in str(refused.value)


def test_too_many_lines_are_no_hold() -> None:
    with pytest.raises(UsageError) as refused:
        read_lines(b"\n".join(b"%d" % number for number in range(1_000_001)), "f")
    assert refused.value.code == "too-many-ids"


@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(str.strip), min_size=1))
def test_every_line_is_found_on_its_place(ids: list[str]) -> None:
    lines = read_lines("\r\n".join(ids).encode(), "f")
    assert list(lines.numbers) == list(dict.fromkeys(ids))
    assert all(ids[number - 1] == one for one, number in lines.numbers.items())
    assert lines.twice == len(ids) - len(set(ids))


def test_lines_are_called_by_their_numbers() -> None:
    assert numbered([3]) == "line 3"
    assert numbered([3, 4]) == "lines 3 and 4"
    assert numbered(range(1, 11)) == "lines 1, 2, 3, 4, 5, 6, 7, 8, 9 and 10"
    assert numbered(range(1, 2012)) == "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2,001 more"


def test_how_holds_are_listed() -> None:
    zone = ZoneInfo("Europe/Brussels")
    assert plain_lines(hold_sheet([OPEN, ROWS], TODAY, zone, released=False)) == [
        "hold  kind         on                      matter  review                since             by",
        "h1    proceedings  shop: customer (1,200)  M 1     2026-06-01 (overdue)  2026-03-01 09:00  anna",
        "h2    authority    shop/order (1 row)      M 2     2027-06-01            2026-03-01 09:00  anna",
    ]
    assert plain_lines(hold_sheet([DONE], TODAY, zone, released=True))[1] == (
        "h3    restriction  source crm  M 3     2026-06-01  2026-03-01 09:00  anna  2026-03-01 09:00  carl"
    )


def test_holds_as_a_document() -> None:
    assert as_json(OPEN, TODAY)["overdue"] is True
    assert as_json(OPEN, date(2026, 6, 1))["overdue"] is False
    assert as_json(DONE, TODAY) == {
        "id": "h3",
        "kind": "restriction",
        "scope": "source",
        "policy": None,
        "subject": None,
        "record": None,
        "source": "crm",
        "count": 0,
        "matter": "M 3",
        "review": "2026-06-01",
        "overdue": False,
        "since": "2026-03-01T08:00:00Z",
        "by": "anna",
        "release_asked_by": "bert",
        "released": "2026-03-01T08:00:00Z",
        "released_by": "carl",
    }
    assert summary([OPEN, ROWS, DONE], TODAY) == {"active": 2, "review_overdue": 1}
