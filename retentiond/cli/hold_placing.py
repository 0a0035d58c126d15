"""`hold add`: what is to be held, checked as far as that can be done now; placed whatever state the sources are in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import click

from retentiond.cli.failures import FINE, exit_code, tell
from retentiond.cli.hold_lines import Lines, numbered, read_lines
from retentiond.cli.moments import now, shown
from retentiond.cli.output import counted, warn
from retentiond.engine.custody import utc_now
from retentiond.engine.hold_targets import Target, policy_of_subject, targets_of
from retentiond.engine.people import this_person
from retentiond.engine.revocation import take_back
from retentiond.engine.sources import Sources
from retentiond.engine.went_before import went_before
from retentiond.errors import PolicyError, RetentiondError, UsageError
from retentiond.policy.loader import load_policies
from retentiond.policy.model import Policy
from retentiond.policy.wording import listed, nearest
from retentiond.settings import Settings
from retentiond.state.holds import Kind, NewHold
from retentiond.state.keys import KeyRing
from retentiond.state.store import open_store

_LONGEST = 200  # characters of a reference


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for on the command line; the files by their names."""

    kind: Kind
    matter: str
    review: str
    policy: str | None = None
    subject: str | None = None
    id_file: str | None = None
    record: str | None = None
    keys_file: str | None = None
    source: str | None = None

    @property
    def file(self) -> str:
        """The file that ids or keys come from."""
        return self.id_file or self.keys_file or ""


def place(settings: Settings, order: Order, read: Callable[[], bytes] | None) -> int:
    """The exit code of placing a hold, whose id stands on stdout as soon as it is placed."""
    _check_scope(order)
    review = _review(order.review, now().astimezone(settings.timezone).date())
    policies = _policies(settings)
    lines = read_lines(read(), order.file) if read else None
    hold = _hold(order, review, policies, tuple(lines.numbers) if lines else (), settings)
    with Sources(settings) as sources:
        targets, unreachable = targets_of(hold, policies or (), sources)
        if lines:
            _check_fit(lines, targets, order.file)
            _tell_unchecked(unreachable, policies)
        url = settings.state.connection_url()
        with open_store(url, create=True, keys=settings.ledger.keys) as store:
            keys = KeyRing(sources.keys_folder, store.keys, utc_now)
            sealer, code, placed = keys.sealer(), FINE, list[str]()
            try:
                take_back(
                    store,
                    sources,
                    lambda: placed.append(store.holds.add(hold, sealer, by=this_person(), now=utc_now())),
                )
            except RetentiondError as error:
                if not placed:
                    raise
                tell(error)
                code = exit_code(error)
            click.echo(placed[0])
            _tell_before(hold, targets, store.ledger, keys, settings)
    return code


def _check_scope(order: Order) -> None:
    scopes = [order.subject, order.record, order.source]
    if sum(scope is not None for scope in scopes) != 1:
        hint = "--subject TYPE --id-file F, --record POLICY/RECORD or --source S"
        raise UsageError("a hold is on subjects, on a record or on a source", hint=hint, code="hold-scope")
    if (order.subject is None) != (order.id_file is None):
        raise UsageError(
            "--subject and --id-file go together",
            hint="ids come from a file (- for stdin), never from the command line",
            code="hold-scope",
        )
    if (order.keys_file and not order.record) or (order.policy and not order.subject):
        raise UsageError(
            "--keys-file belongs to --record, and --policy to --subject",
            hint="--record POLICY/RECORD names the policy itself",
            code="hold-scope",
        )
    matter = order.matter.strip()
    if not matter or len(matter) > _LONGEST or not matter.isprintable():
        hint = f"a line of at most {_LONGEST} characters, such as a file number"
        raise UsageError("--matter is no reference", hint=hint, code="bad-matter")


def _review(text: str, today: date) -> date:
    try:
        review = date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--review {text}: no date", hint="2027-06-30", code="bad-review") from None
    if review < today:
        hint = "when will somebody look at it again?"
        raise UsageError(f"--review {text} lies in the past", hint=hint, code="bad-review")
    return review


def _policies(settings: Settings) -> tuple[Policy, ...] | None:
    """The policies; None, and said, where they cannot be read: that must keep nobody from placing a hold."""
    try:
        return load_policies(settings.policy_files(), default_timezone=str(settings.timezone))
    except PolicyError as error:
        tell(error)
        warn("the policies are broken: nobody can check what this hold names")
        return None


def _hold(
    order: Order, review: date, policies: tuple[Policy, ...] | None, ids: tuple[str, ...], settings: Settings
) -> NewHold:
    """The hold, all that it names known to exist where the policies can be read."""
    why: dict[str, Any] = {"kind": order.kind, "matter": order.matter.strip(), "review": review, "ids": ids}
    if order.source is not None:
        if order.source not in settings.sources:
            hint = nearest(order.source, list(settings.sources), "sources")
            raise UsageError(f"no source {order.source}", hint=hint, code="unknown-source")
        return NewHold(scope="source", source=order.source, **why)
    if order.subject is not None:
        if policies is None and order.policy is None:
            raise UsageError("say which policy: --policy", code="which-policy")
        policy = order.policy if policies is None else policy_of_subject(policies, order.subject, order.policy).name
        return NewHold(scope="subject", policy=policy, subject_type=order.subject, **why)
    name, _, record = (order.record or "").partition("/")
    if not name or not record:
        raise UsageError("POLICY/RECORD names a policy and one of its records", hint="sparkcentral/customer")
    if policies is not None:
        _check_record(policies, name, record)
    return NewHold(scope="record", policy=name, record=record, **why)


def _check_record(policies: Sequence[Policy], name: str, record: str) -> None:
    policy = next((policy for policy in policies if policy.name == name), None)
    if policy is None:
        hint = nearest(name, [policy.name for policy in policies], "policies")
        raise UsageError(f"no policy {name}", hint=hint, code="unknown-policy")
    known = [one.name for one in policy.records]
    if record not in known:
        raise UsageError(
            f"{name} has no record {record}", hint=nearest(record, known, "records"), code="unknown-record"
        )


def _check_fit(lines: Lines, targets: Sequence[Target], file: str) -> None:
    """Refuses ids that no column could hold: they would hold nothing."""
    unfit = [one for one in lines.numbers if targets and not any(target.keys_of(one) for target in targets)]
    if unfit:
        kinds = listed(sorted({target.kind for target in targets}))
        where = numbered(lines.numbers_of(unfit))
        raise UsageError(f"{file}: {where}: no id of {kinds}", hint="nothing was placed", code="bad-id")
    if lines.twice:
        click.echo(f"{file}: {counted(lines.twice, 'id')} said twice", err=True)
    if lines.blank:
        where = numbered(lines.blank)
        warn(f"{file}: {where} begin or end with a blank; in a column of text that is another id than without")


def _tell_unchecked(unreachable: dict[str, RetentiondError], policies: tuple[Policy, ...] | None) -> None:
    for source, error in sorted(unreachable.items()):
        warn(f"{source} cannot be reached, so the ids were not compared with its columns: {error}")
    if policies is None:
        warn("the ids were compared with no column")


def _tell_before(hold: NewHold, targets: Sequence[Target], ledger: Any, keys: KeyRing, settings: Settings) -> None:
    """Says on stderr what went before the hold was placed, as far as the ledger can tell."""
    if not hold.ids:
        return
    try:
        before = went_before(hold.ids, targets, ledger, keys)
    except RetentiondError as error:
        warn(f"whether anything went before cannot be told: {error}")
        return
    for went in before.went:
        first, last = (shown(moment, settings.timezone) for moment in (went.first, went.last))
        when = first if first == last else f"between {first} and {last}"
        verb = "destroyed" if went.action == "delete" else "masked"
        click.echo(f"before: {counted(went.rows, 'row')} of {went.table} {verb} by {went.job}, {when}", err=True)
    if not before.went and targets:
        click.echo("before: the ledger knows of no row with these ids that went", err=True)
    for label in before.unknown:
        click.echo(f"before: of {label} the ledger cannot tell: the id is not its key", err=True)
