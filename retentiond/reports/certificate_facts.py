"""From the entries of the ledger to the certificate of one run: what they say, put together and nothing added."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from retentiond import __version__
from retentiond.engine.recognition import COMMITTED, SETTLED, Batch
from retentiond.errors import UsageError
from retentiond.reports.certificate import (
    Approval,
    Backup,
    Certificate,
    Clocks,
    Gap,
    HeldBack,
    Recount,
    Restore,
    Signed,
)
from retentiond.state.ledger.leaf import instant_of
from retentiond.state.values import RunRecord

Leaf = Mapping[str, Any]


class Story:
    """What the ledger says of one run. Give it every entry, oldest first."""

    def __init__(self, run: RunRecord) -> None:
        self.run = run
        self.job = f"{run.job.policy}/{run.job.rule}@{run.job.source}"
        self.intents: list[Leaf] = []
        self.outcomes: list[Leaf] = []
        self.approvals: list[Leaf] = []
        self.restores: list[Leaf] = []
        self.continuations: list[Leaf] = []
        self.holds: dict[str, str] = {}
        self._holds: dict[str, str] = {}

    def take(self, entry: Leaf) -> None:
        """One entry more."""
        match entry["kind"]:
            case "intent" if entry["run"] == self.run.id:
                self.intents.append(entry)
            case "outcome" if entry.get("run") == self.run.id and entry["status"] in (*SETTLED, "unresolved"):
                self.outcomes.append(entry)
                self.holds = dict(self._holds)
            case "approval" if entry.get("job") == self.job and not self.intents:
                self.approvals.append(entry)
            case "hold":
                self._hold(entry)
            case "restore" if self.committed and entry.get("job") == self.job:
                self.restores.append(entry)
            case "restore" if self.committed and any(gap["job"] == self.job for gap in entry.get("gaps", ())):
                self.continuations.append(entry)

    @property
    def committed(self) -> list[Leaf]:
        """The outcomes that destroyed or changed rows."""
        return [outcome for outcome in self.outcomes if outcome["status"] in COMMITTED]

    @property
    def batches(self) -> list[Batch]:
        """The committed batches with what was meant by them."""
        intents = {intent["batch"]: intent for intent in self.intents}
        return [Batch(intents[outcome["batch"]], outcome) for outcome in self.committed]

    def told(self) -> list[Leaf]:
        """Every entry that the certificate rests on."""
        return [*self.intents, *self.outcomes, *self.approvals, *self.restores, *self.continuations]

    def _hold(self, entry: Leaf) -> None:
        if entry["event"] == "released":
            self._holds.pop(entry["hold"], None)
        elif entry["event"] == "added" and entry.get("policy") in (None, self.run.job.policy):
            self._holds[entry["hold"]] = entry["hold_kind"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What a certificate takes from elsewhere: today's facts of the rule, should the ledger hold none; how long back-ups
    are kept, by source; the count made now; the signed entries.
    """

    rule: Mapping[str, Any] | None
    kept: Mapping[str, timedelta | None]
    recount: Recount
    signed: Callable[[Sequence[Leaf]], Signed]


def refuse_empty(story: Story) -> None:
    """Raise a UsageError where the run destroyed nothing: a certificate of that would mislead."""
    if story.committed:
        return
    open_ends = _unsettled(story)
    hint = "a batch of it is not settled yet: the next run of the rule does that" if open_ends else ""
    raise UsageError(f"run {story.run.id} of {story.job} destroyed nothing", hint=hint, code="nothing-destroyed")


def certificate_of(story: Story, around: Surroundings, issued: datetime) -> Certificate:
    """
    The certificate of a run that destroyed something.

    Raises:
        UsageError: where nobody knows any more what the rule said.
    """
    run, committed = story.run, story.committed
    said = next((intent["rule"] for intent in story.intents if "rule" in intent), None)
    rule, recorded = (around.rule, False) if said is None else (said, True)
    if rule is None:
        raise UsageError(
            f"neither the ledger nor a policy file says what {story.job} meant",
            hint="bring the policy file back that was in force then",
            code="rule-gone",
        )
    told = [batch.intent for batch in story.batches]
    zone = ZoneInfo(str(rule["timezone"]))
    return Certificate(
        issued=issued,
        tool=f"retentiond {__version__}",
        tools=tuple(sorted({f"retentiond {intent['tool']}" for intent in told if "tool" in intent})),
        run=run.id,
        job=story.job,
        source=run.job.source,
        action=run.job.action,
        requested_by=run.requested_by,
        started=run.started_at,
        finished=run.finished_at,
        outcome=run.outcome,
        failed=run.failed.code if run.failed else None,
        as_of=run.as_of,
        plan=str(told[0]["plan"]) if told else run.plan_digest,
        rule=rule,
        recorded=recorded,
        due=_due(told),
        cutoffs=tuple((one["clock"], one["cutoff"]) for one in told[0].get("cutoffs", ())) if told else (),
        tables=_tables(committed, run.job.own_table),
        first_commit=instant_of(committed[0]["time"]),
        last_commit=instant_of(committed[-1]["time"]),
        batches=len(committed),
        aborted=sum(outcome["status"] == "aborted" for outcome in story.outcomes),
        unsettled=_unsettled(story),
        evidence=dict(sorted(Counter(outcome["evidence"] for outcome in committed).items())),
        cross_source=any(intent.get("cross_source", False) for intent in told),
        held_back=_held_back(story),
        approvals=_approvals(story, told),
        clocks=_clocks(told),
        backups=_backups(committed, around.kept, zone),
        restores=_restores(story),
        gaps=tuple(gap for entry in story.continuations for job, gap in gaps_of(entry) if job == story.job),
        recount=around.recount,
        signed=around.signed(story.told()),
    )


def _unsettled(story: Story) -> int:
    """How many batches have no end, or one that nobody could tell."""
    ended = {outcome["batch"] for outcome in story.outcomes if outcome["status"] in SETTLED}
    return sum(intent["batch"] not in ended for intent in story.intents)


def _tables(committed: Iterable[Leaf], own: str) -> dict[str, int]:
    """Rows by table, the rule's own table first; a table of which nothing went is not named."""
    counts: Counter[str] = Counter()
    for outcome in committed:
        counts.update(outcome["tables"])
    return {label: counts[label] for label in sorted(counts, key=lambda label: (not _is(label, own), label))}


def _is(label: str, own: str) -> bool:
    """True where a label of the ledger (source.schema.table) is that table (source.table)."""
    source, _, table = own.partition(".")
    return label.partition(".")[0] == source and label.rpartition(".")[2] == table.rpartition(".")[2]


def _due(told: Sequence[Leaf]) -> tuple[date, date] | None:
    """The first and the last day on which one of the rows fell due; None where a batch does not say."""
    spans = [intent["due"] for intent in told if {"first", "last"} <= set(intent.get("due") or ())]
    if not spans or len(spans) < len(told):
        return None
    return min(date.fromisoformat(one["first"]) for one in spans), max(date.fromisoformat(one["last"]) for one in spans)


def _held_back(story: Story) -> HeldBack:
    counts = story.run.counts
    return HeldBack(
        held=counts.held,
        floored=counts.floored,
        suspect=counts.suspect,
        not_started=counts.not_started,
        counted_at=counts.counted_at,
        holds=dict(sorted(Counter(story.holds.values()).items())),
    )


def _approvals(story: Story, told: Sequence[Leaf]) -> tuple[Approval, ...]:
    """What was said about the plan that ran, since the last time it was taken back."""
    plans = {intent["plan"] for intent in told}
    about = [entry for entry in story.approvals if entry["digest"] in plans]
    for place in range(len(about) - 1, -1, -1):
        if about[place]["event"] == "withdrawn":
            about = about[place + 1 :]
            break
    return tuple(
        Approval(entry["event"], entry["by"], instant_of(entry["time"]), entry["seq"], entry.get("rows"))
        for entry in about
    )


def _clocks(told: Sequence[Leaf]) -> Clocks | None:
    said = [intent["clock"] for intent in told if intent.get("clock")]
    if not said:
        return None
    pairs = [(instant_of(one["host"]), instant_of(one["database"]) if one["database"] else None) for one in said]
    apart = [abs((host - database).total_seconds()) for host, database in pairs if database]
    return Clocks(*pairs[0], max(apart, default=None))


def _backups(committed: Iterable[Leaf], kept: Mapping[str, timedelta | None], zone: ZoneInfo) -> tuple[Backup, ...]:
    last: dict[str, datetime] = {}
    for outcome in committed:
        for label in outcome["tables"]:
            last[source_of(label)] = instant_of(outcome["time"])
    return tuple(Backup(source, when, kept.get(source), zone) for source, when in sorted(last.items()))


def _restores(story: Story) -> tuple[Restore, ...]:
    """Restores that went back to before one of the run's batches."""
    fences: dict[str, int] = {}
    for outcome in story.committed:
        for fence in outcome.get("fences", ()):
            fences[fence["source"]] = max(fence["seq"], fences.get(fence["source"], 0))
    return tuple(
        Restore(entry["source"], instant_of(entry["time"]), entry["seq"])
        for entry in story.restores
        if entry["fence"] < fences.get(entry["source"], 0)
    )


def gaps_of(entry: Leaf) -> Iterator[tuple[str, Gap]]:
    """The gaps that an entry tells of, each with the job that it is in."""
    for gap in entry.get("gaps", ()):
        at, steps = instant_of(entry["time"]), gap["found"] - gap["known"]
        yield gap["job"], Gap(gap["source"], steps, at, entry["seq"])


def source_of(label: str) -> str:
    """The source in a label of the ledger; names of sources hold no dot."""
    return label.partition(".")[0]
