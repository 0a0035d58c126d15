"""Which way a clock lies, and when that cannot be said."""

from itertools import pairwise

import pytest

from retentiond.policy.model import Link, Moment, Record
from retentiond.policy.relations import NoPathError, clock_path


def records(**links: str) -> list[Record]:
    """Records by name; the text lists what each belongs to, a column of the same name each."""
    return [
        Record(name, ("crm",), f"{name}s", belongs_to=tuple(Link(to, f"{to}_id") for to in belongs.split()))
        for name, belongs in links.items()
    ]


SHOP = records(customer="", contract="customer", invoice="contract", line="invoice", message="customer", region="")


def way(known: list[Record], start: str, moment: Moment) -> str:
    return " ".join(f"{'up' if step.up else 'down'}:{step.target}" for step in clock_path(known, start, moment).steps)


@pytest.mark.parametrize(
    ("start", "moment", "expected"),
    [
        ("contract", Moment("x"), ""),
        ("contract", Moment("x", "customer"), "up:customer"),
        ("line", Moment("x", "customer"), "up:invoice up:contract up:customer"),
        ("customer", Moment("x", "contract", "last"), "down:contract"),
        ("customer", Moment("x", "line", "first"), "down:contract down:invoice down:line"),
        ("message", Moment("x", "contract", "last"), "up:customer down:contract"),
        ("contract", Moment("x", "contract", "last"), "up:customer down:contract"),
        ("invoice", Moment("x", "contract", "last"), "up:contract up:customer down:contract"),
        ("message", Moment("x", "line", "last"), "up:customer down:contract down:invoice down:line"),
    ],
)
def test_the_way(start: str, moment: Moment, expected: str) -> None:
    assert way(SHOP, start, moment) == expected


def test_steps_join_end_to_start() -> None:
    steps = clock_path(SHOP, "message", Moment("x", "line", "last")).steps
    assert steps[0].origin == "message"
    assert all(one.target == other.origin for one, other in pairwise(steps))


def test_the_shorter_way_up_wins() -> None:
    known = records(customer="", contract="customer", invoice="contract customer")
    assert way(known, "invoice", Moment("x", "customer")) == "up:customer"


@pytest.mark.parametrize("which", ["last", "first"])
def test_the_shorter_way_down_does_not_win(which: str) -> None:
    known = records(customer="", contract="customer", invoice="contract customer")
    with pytest.raises(NoPathError, match="customer → contract → invoice") as caught:
        clock_path(known, "customer", Moment("x", "invoice", "last" if which == "last" else "first"))
    assert caught.value.code == "ambiguous-path"
    assert "customer → invoice" in caught.value.message


def test_as_few_steps_up_as_reach_it() -> None:
    known = records(company="", branch="company", customer="branch company", contract="customer branch")
    assert way(known, "customer", Moment("x", "contract", "last")) == "down:contract"


def test_two_ways_up_of_one_length() -> None:
    known = records(person="", buyer="person", seller="person", deal="buyer seller")
    with pytest.raises(NoPathError, match=r"deal → buyer → person .* and deal → seller → person"):
        clock_path(known, "deal", Moment("x", "person"))


def test_two_links_to_one_record() -> None:
    known = [
        Record("person", ("s",), "p"),
        Record("deal", ("s",), "d", belongs_to=(Link("person", "a"), Link("person", "b"))),
    ]
    with pytest.raises(NoPathError, match=r"deal\.a.*deal\.b"):
        clock_path(known, "deal", Moment("x", "person"))


def test_a_record_that_belongs_to_itself() -> None:
    known = records(company="", employee="company employee")
    assert way(known, "employee", Moment("x", "employee")) == "up:employee"
    assert way(known, "employee", Moment("x", "employee", "last")) == "down:employee"
    assert way(known, "company", Moment("x", "employee", "last")) == "down:employee"


def test_records_in_a_circle() -> None:
    known = records(a="b", b="c", c="a", d="a")
    assert way(known, "a", Moment("x", "c")) == "up:b up:c"
    assert way(known, "a", Moment("x", "d", "last")) == "down:d"
    assert way(known, "a", Moment("x", "a")) == "up:b up:c up:a"


@pytest.mark.parametrize(
    ("moment", "code", "hint"),
    [
        (Moment("x", "contrakt", "last"), "unknown-record", "contract"),
        (Moment("x", "contract"), "no-path", "last contract.x"),
        (Moment("x", "customer"), "no-path", "`x` alone"),
        (Moment("x", "region", "last"), "no-path", "region"),
        (Moment("x", "region"), "no-path", "region"),
    ],
)
def test_no_way(moment: Moment, code: str, hint: str) -> None:
    with pytest.raises(NoPathError) as caught:
        clock_path(SHOP, "customer", moment)
    assert caught.value.code == code
    assert hint in caught.value.hint


def test_many_records_take_no_time() -> None:
    layers, width = 8, 8
    links = {"top": ""}
    for layer in range(layers):
        above = " ".join(f"l{layer - 1}_{k}" for k in range(width)) if layer else "top"
        links |= {f"l{layer}_{k}": above for k in range(width)}
    known = records(**links)
    with pytest.raises(NoPathError, match="two ways"):
        clock_path(known, "top", Moment("x", f"l{layers - 1}_0", "last"))
    with pytest.raises(NoPathError, match="two ways"):
        clock_path(known, f"l{layers - 1}_0", Moment("x", "top"))
