"""Warnings that need no database."""

from datetime import date

import pytest

from retentiond.policy.findings import findings
from retentiond.policy.loader import load_policy_text

TODAY = date(2026, 11, 22)

TEXT = """\
version: 1
name: shop
title: Shop
records:
  customer: {source: crm, table: customers, subject: id}
  contract: {source: crm, table: contracts, belongs_to: {customer: customer_id}}
  message: {source: crm, table: messages, belongs_to: {customer: customer_id}}
rules:
  - {name: customers, record: customer, clause: a, keep: 20 years after left_at, then: delete}
  - {name: contracts, record: contract, clause: b, keep: 5 years after ended_at, then: delete}
  - {name: messages, record: message, clause: c, keep: 3 years after last contract.ended_at, then: delete}
"""


def found(text: str, today: date = TODAY) -> list[tuple[int, str]]:
    return [(problem.position.line, problem.code) for problem in findings(load_policy_text(text), today)]


def test_nothing_to_say() -> None:
    assert found(TEXT) == []


def test_a_shorter_rule_takes_the_clock() -> None:
    assert found(TEXT.replace("5 years", "2 years")) == [(11, "clock-destroyed")]


def test_a_cascade_takes_the_clock() -> None:
    text = TEXT.replace("subject: id}", "subject: id, cascade: [contract]}").replace("20 years", "1 year")
    assert found(text) == [(11, "clock-destroyed")]
    assert found(text.replace("cascade: [contract]", "cascade: [contract, message]")) == []


@pytest.mark.parametrize(
    "column", ["unsubscribed_at", "opted_out_on", "optout", "objection_at", "consent_withdrawn_at"]
)
def test_the_memory_of_an_objection(column: str) -> None:
    text = TEXT.replace("20 years after left_at", f"until {column}")
    assert (9, "objection-forgotten") in found(text)
    kept = text.replace(f"until {column}, then: delete", f"until {column}, then: {{anonymise: {{id: empty}}}}")
    assert kept != text
    assert found(kept) == []


@pytest.mark.parametrize(
    ("checked", "today", "old"),
    [
        ("2024-11-22", date(2026, 11, 22), False),
        ("2024-11-21", date(2026, 11, 22), True),
        ("2024-02-29", date(2026, 2, 28), False),
        ("2024-02-29", date(2026, 3, 1), True),
    ],
)
def test_old_statutes(checked: str, today: date, old: bool) -> None:
    floor = f"at least 5 years after ended_at, statute: {{law: Code, checked: {checked}}}"
    assert found(TEXT.replace("5 years after ended_at", floor), today) == ([(10, "statute-old")] if old else [])


def test_a_warning_says_that_it_is_one() -> None:
    (warning,) = findings(load_policy_text(TEXT.replace("5 years", "2 years")), TODAY)
    assert warning.severity == "warning"
    assert ": warning: clock-destroyed: " in str(warning)
