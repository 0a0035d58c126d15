"""The facts of a rule are in words of the policy, and fit into the ledger."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from retentiond.policy.facts import method_words, rule_facts, start_event
from retentiond.policy.loader import load_policies
from retentiond.policy.model import Clock, Method, Moment, Policy
from retentiond.state.ledger.leaf import canonical, parse

POLICIES = load_policies(sorted((Path(__file__).parents[3] / "policies").glob("*.yaml")), default_timezone="UTC")
RULES = [(policy, rule.name) for policy in POLICIES for rule in policy.rules]


@pytest.mark.parametrize(("policy", "rule"), RULES, ids=lambda value: getattr(value, "name", value))
def test_every_rule_has_facts_that_a_leaf_can_hold(policy: Policy, rule: str) -> None:
    facts: dict[str, Any] = rule_facts(policy, policy.rule(rule))
    assert parse(canonical(facts)) == facts
    assert facts["controllers"]
    assert facts["terms"]
    assert len(facts["columns"]) == len(policy.rule(rule).action.methods)
    assert facts["clause"] in {promise.clause for promise in policy.promises} or facts["says"] is None


def test_the_facts_of_one_rule() -> None:
    (policy,) = (policy for policy in POLICIES if policy.name == "sparkcentral")
    facts = rule_facts(policy, policy.rule("complaint-data"))
    assert facts == {
        "policy": "sparkcentral",
        "sha256": sha256(Path(policy.file).read_bytes()).hexdigest(),
        "title": "Sparkcentral privacy policy",
        "published": "2020-04-07",
        "controllers": ["Sparkcentral Europe NV", "Sparkcentral Inc."],
        "role": "controller",
        "rule": "complaint-data",
        "clause": "VIII.3",
        "says": "complaint data only until the complaint is closed",
        "purpose": "handling complaints",
        "basis": "legitimate interest",
        "statute": None,
        "record": "complaint",
        "table": "complaints",
        "where": "status = 'closed'",
        "floor": False,
        "combine": "",
        "terms": [{"period": None, "start": "closed_at of the complaint"}],
        "timezone": "Europe/Brussels",
        "action": "anonymise",
        "columns": [
            {"column": "customer_ref", "how": "emptied"},
            {"column": "complainant_name", "how": "emptied"},
            {"column": "email", "how": "replaced by chance"},
            {"column": "phone", "how": "emptied"},
            {"column": "body", "how": "emptied"},
            {"column": "ip", "how": "emptied"},
        ],
        "leave": ["id", "topic", "status", "opened_at", "closed_at", "legal_hold"],
        "outside": [
            {"what": "back-ups and archives of all databases", "owner": "IT operations"},
            {
                "what": "the mail service that sends the newsletter and keeps its own recipient lists",
                "owner": "marketing operations",
            },
        ],
    }


@pytest.mark.parametrize(
    ("clock", "words"),
    [
        (Clock(Moment("closed_at"), None, ""), "closed_at of the ticket"),
        (Clock(Moment("started_at", "session"), None, ""), "started_at of its session"),
        (Clock(Moment("ended_at", "contract", "last"), None, ""), "the last ended_at of its contract rows"),
        (Clock(Moment("issued_on"), "year", ""), "the end of the year of issued_on of the ticket"),
    ],
)
def test_a_clock_in_words(clock: Clock, words: str) -> None:
    assert start_event(clock, "ticket") == words


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (Method("constant", "(gone)"), "replaced by one word for all"),
        (Method("truncate", "year"), "cut to the year"),
        (Method("round", 1000), "rounded to 1000"),
        (Method("prefix", 2), "cut to its first 2 characters"),
        (Method("network"), "cut to its network"),
        (Method("mask", 4), "hidden but for its last 4 characters"),
        (Method("token", "email"), "replaced by a keyed token"),
        (Method("json", inside=(("a.b", Method("empty")),)), "masked inside: a.b emptied"),
    ],
)
def test_a_method_in_words(method: Method, words: str) -> None:
    assert method_words(method) == words
