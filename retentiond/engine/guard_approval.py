"""Whether what is due was approved: the rule's plan on this schema, and the caps that it exceeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from retentiond.engine.guard_caps import SPIKE_AT_LEAST_ROWS, Tripped, max_rows, max_share, tripped
from retentiond.policy.model import Guard
from retentiond.state.approvals import MARGIN, Approval


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    What approvals and caps say of `due` rows. `standing` are the approvals of exactly this; `exceeded` the names of
    all caps that are, `caps` those that nobody released; `serving` is the approval that the run makes use of,
    `first_use` the same where it is the first to do so; `reason` says why approval is missing.
    """

    due: int
    standing: tuple[Approval, ...] = ()
    exceeded: tuple[str, ...] = ()
    caps: tuple[Tripped, ...] = ()
    serving: Approval | None = None
    first_use: Approval | None = None
    reason: str = ""

    @property
    def approval(self) -> str:
        """The word of a report."""
        return "given" if self.standing else "missing" if self.due else "not needed"

    @property
    def stops(self) -> bool:
        """True where nothing may go before somebody approves."""
        return bool(self.due and (self.caps or not self.standing))

    @property
    def guard(self) -> str:
        """The first cap that stops the job, or `ok`."""
        return self.caps[0].guard if self.caps else "ok"

    @property
    def message(self) -> str:
        """Why it is stopped, and what releases it; empty where it is not."""
        if not self.stops:
            return ""
        whys = [*([] if self.standing else [self.reason]), *(cap.message for cap in self.caps)]
        return "; ".join([*whys, "`retentiond approve` releases it"])


def judge(
    guard: Guard,
    standing: Sequence[Approval],
    *,
    due: int,
    total: int,
    history: Sequence[int],
    unused: Sequence[Approval],
    reason: str,
) -> Judgement:
    """The judgement of `due` rows of a table of `total`; `unused` are the approvals that served no run before."""
    if not due:
        return Judgement(0, tuple(standing))
    caps = tripped(guard, due, total, history) + _grown(standing, unused, due)
    names = tuple(dict.fromkeys(cap.guard for cap in caps))
    if not standing:
        return Judgement(due, (), names, caps, reason=reason)
    for approval in standing:
        if not names or (set(names) <= set(approval.wanted.caps) and approval.covers(due) and approval in unused):
            return Judgement(due, tuple(standing), names, (), approval, approval if approval in unused else None)
    return Judgement(due, tuple(standing), names, caps)


def most(guard: Guard, judgement: Judgement, total: int) -> int:
    """How many rows a run under this judgement may take: its caps, or what was approved beyond them, and a little."""
    limits = {"max_rows": max_rows(guard), "max_share": int(max_share(guard) * total)}
    if judgement.serving is not None:
        approved = judgement.serving.wanted
        limits |= {cap: int(approved.rows * MARGIN) for cap in approved.caps if cap in limits}
    return max(judgement.due, min(limits.values()))


def why_missing(approvals: Sequence[Approval], digest: str, *, two: bool, elsewhere: Sequence[str]) -> str:
    """
    Why there is no approval of this plan: `approvals` are all that the job ever had, newest first; `elsewhere` names
    rules that are gone and may be this one under another name.
    """
    waiting = next((one for one in approvals if not one.in_force and not one.withdrawn), None)
    if waiting is not None and waiting.wanted.digest == digest:
        return f"{waiting.given_by.name} has approved it, and it takes a second person"
    given = [one for one in approvals if one.in_force]
    if not given:
        renamed = f", and {', '.join(elsewhere)} is no longer there: was it renamed?" if elsewhere else ""
        return f"first run, no rule of this name was ever approved{renamed}"
    if given[0].withdrawn:
        return "its approval was withdrawn"
    if given[0].wanted.digest != digest:
        return "changed rule, not the one that was approved"
    if two and not given[0].by_two:
        return "one person approved it, and it takes two"
    return "its tables are not those that were approved"


def _grown(standing: Sequence[Approval], unused: Sequence[Approval], due: int) -> tuple[Tripped, ...]:
    """Between an approval and the first run under it no more may fall due than a little."""
    if not standing or len(unused) < len(standing) or due < SPIKE_AT_LEAST_ROWS:
        return ()
    if any(one.covers(due) for one in standing):
        return ()
    shown = max(one.wanted.rows for one in standing)
    return (Tripped("spike", f"{due:,} rows are due, and {shown:,} were when it was approved"),)
