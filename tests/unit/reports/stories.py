"""A run that really could have been, told as entries of a ledger; tests bend it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from retentiond.policy.facts import rule_facts
from retentiond.policy.loader import load_policies
from retentiond.policy.model import Policy
from retentiond.reports.certificate import Certificate, Recount, Signed
from retentiond.reports.certificate_facts import Story, Surroundings, certificate_of
from retentiond.reports.proofs import proven
from retentiond.state.ledger.leaf import canonical, instant_text
from retentiond.state.ledger.tree import leaf_hash
from retentiond.state.values import Counts, JobIdentity, RunRecord

POLICIES = Path(__file__).parents[3] / "policies"
RUN = "5f0c6a52-6a3a-4f0e-9b53-6f0c9d1f2a10"
START = datetime(2026, 11, 22, 1, 0, 3, tzinfo=UTC)
ISSUED = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
JOB = JobIdentity("sparkcentral", "contract-data", "sparkcentral-crm", "customer", "customers", "delete")
PLAN = hashlib.sha256(b"plan").hexdigest()
VKEY = "retentiond/made-up+1a2b3c4d+AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
NOTE = "retentiond/made-up\n12\nuVbW0aaUnUbvVKQDJMbJ8rdHAzC6iG8EbuP9BZqzB+k=\n\n— retentiond/made-up GisrPEFB\n"

Leaf = dict[str, Any]


@cache
def policies() -> dict[str, Policy]:
    return {policy.name: policy for policy in load_policies(sorted(POLICIES.glob("*.yaml")), default_timezone="UTC")}


def facts(policy: str = "sparkcentral", rule: str = "contract-data") -> dict[str, object]:
    said = rule_facts(policies()[policy], policies()[policy].rule(rule))
    return said | {"sha256": hashlib.sha256(policy.encode()).hexdigest()}


def run_record(job: JobIdentity = JOB) -> RunRecord:
    return RunRecord(
        id=RUN,
        job=job,
        plan_digest=PLAN,
        as_of=START,
        started_at=START,
        finished_at=START + timedelta(seconds=9),
        outcome="done",
        done=1234,
        cascade={},
        counts=Counts(1234, 2, 3, 40, 1, 50210, None, START),
        failed=None,
        requested_by="anke",
        host="db1",
        pid=4711,
    )


class Telling:
    """Entries of a ledger, numbered and timed as they are told."""

    def __init__(self, job: JobIdentity = JOB) -> None:
        self.entries: list[Leaf] = []
        self.now = START
        self.job = f"{job.policy}/{job.rule}@{job.source}"
        self.action, self.source = job.action, job.source
        self._fence = 0

    def tell(self, kind: str, **fields: object) -> Leaf:
        self.now += timedelta(seconds=1)
        self.entries.append({"seq": len(self.entries), "time": instant_text(self.now), "kind": kind, **fields})
        return self.entries[-1]

    def intent(self, batch: str, tables: Mapping[str, int], *, run: str = RUN, **fields: object) -> Leaf:
        said: Leaf = {
            "run": run,
            "batch": batch,
            "job": self.job,
            "action": self.action,
            "plan": PLAN,
            "at": instant_text(START),
            "cutoffs": [{"clock": "last contract.ended_at", "cutoff": "2016-11-21T23:00:00Z"}],
            "epoch": 3,
            "tables": dict(tables),
            "fences": [{"source": self.source, "seq": self._fence}],
            "mode": "fence",
            "cross_source": False,
            "tokens": [],
            "tool": "0.3.0",
            "clock": {"host": instant_text(self.now), "database": instant_text(self.now)},
            "due": {"first": "2013-02-01", "last": "2026-11-21"},
        }
        return self.tell("intent", **(said | fields))

    def outcome(self, intent: Leaf, status: str = "", **fields: object) -> Leaf:
        self._fence += 1
        said: Leaf = {
            "run": intent["run"],
            "batch": intent["batch"],
            "job": self.job,
            "status": status or ("destroyed" if self.action == "delete" else "changed"),
            "action": self.action,
            "tables": dict(intent["tables"]) if status != "aborted" else {},
            "evidence": "fence",
            "intent": intent["seq"],
            "fences": [{"source": self.source, "seq": self._fence}],
        }
        return self.tell("outcome", **(said | fields))

    def approval(self, event: str = "given", by: str = "marie", **fields: object) -> Leaf:
        said: Leaf = {"job": self.job, "event": event, "digest": PLAN, "rows": 1300, "guards": [], "by": by}
        return self.tell("approval", **(said | fields))

    def hold(self, event: str, hold: str, kind: str, policy: str | None = JOB.policy) -> Leaf:
        return self.tell("hold", event=event, hold=hold, hold_kind=kind, policy=policy, scope="subject", subjects=1)


def plain_story() -> Telling:
    """Two batches of customers, with what went along; held, approved, recorded."""
    telling = Telling()
    telling.tell("key", event="made", key="tokens-2026", purpose="tokens")
    telling.tell("approval", event="pinned", source="sparkcentral-crm", by="anke", anew=False)
    telling.approval()
    telling.hold("added", "h1", "proceedings")
    telling.hold("added", "h2", "authority")
    telling.hold("released", "h2", "authority")
    label = "sparkcentral-crm."
    tables = {f"{label}customers": 1000, f"{label}contracts": 1203, f"{label}addresses": 1100}
    telling.outcome(telling.intent("b1", tables, rule=facts()))
    telling.outcome(telling.intent("b2", {f"{label}customers": 234, f"{label}contracts": 250}))
    return telling


def signer(entries: Sequence[Leaf]) -> Callable[[Sequence[Mapping[str, Any]]], Signed]:
    hashes = [leaf_hash(canonical(entry)) for entry in entries]
    return lambda told: proven(NOTE, (VKEY,), hashes, told)


def counted(tables: Mapping[str, tuple[int, int]] | None = None, *why_not: str) -> Recount:
    at = ISSUED if tables else None
    return Recount(at, tables or {}, why_not)


def certificate(
    telling: Telling,
    *,
    run: RunRecord | None = None,
    kept: Mapping[str, timedelta | None] | None = None,
    recount: Recount | None = None,
    rule: Mapping[str, Any] | None = None,
    issued: datetime = ISSUED,
) -> Certificate:
    story = Story(run or run_record())
    for entry in telling.entries:
        story.take(entry)
    again = recount or counted({"sparkcentral-crm.customers": (1234, 0), "sparkcentral-crm.contracts": (1453, 0)})
    around = Surroundings(
        rule, {"sparkcentral-crm": timedelta(days=35)} if kept is None else kept, again, signer(telling.entries)
    )
    return certificate_of(story, around, issued)


def masking_story() -> tuple[Telling, RunRecord]:
    """One batch of complaints that were anonymised."""
    job = JobIdentity("sparkcentral", "complaint-data", "sparkcentral-support", "complaint", "complaints", "anonymise")
    telling = Telling(job)
    first = telling.intent("b1", {"sparkcentral-support.complaints": 12}, rule=facts(rule="complaint-data"))
    telling.outcome(first)
    return telling, replace(run_record(job), done=12)
