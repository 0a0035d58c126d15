"""What the demo's rules must find, counted from language.md with plain SQL and dateutil; retentiond is not asked.

Each rule is one SELECT of (held, floored, clock, clock, …) over the rows that pass its `where` and are not masked yet.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

RUNNING, NEVER, SUSPECT = "running", "never", "suspect"
TENANTS = ("atelier", "kiosk", "museum")


@dataclass(frozen=True)
class Term:
    months: int = 0
    days: int = 0
    hours: int = 0
    end: int = 0  # months of the unit in `end of …`: 1, 3 or 12
    until: bool = False
    never: bool = False  # NULL means that it never happened
    form: str = "text"


@dataclass(frozen=True)
class Rule:
    source: str
    select: str
    terms: tuple[Term, ...]
    combine: str = "first"
    zone: str = "Europe/Paris"


def last(column: str, rest: str) -> str:
    """A clock over several rows: never without any, suspect before running before the latest."""
    return (
        f"(SELECT CASE WHEN count(*) = 0 THEN 'never' WHEN min({column}) < '1971' THEN '1970-01-01' "
        f"WHEN count(*) > count({column}) THEN NULL ELSE max(replace({column}, 'T', ' ')) END FROM {rest})"
    )


BRUSSELS, KOLKATA = "Europe/Brussels", "Asia/Kolkata"
UNTIL = Term(until=True)
FLOORED = """(EXISTS (SELECT 1 FROM contracts c JOIN invoices i ON i.contract_id = c.id WHERE c.customer_id = t.id
    AND (CAST(substr(i.issued_on, 1, 4) AS INTEGER) + 11 > :year OR i.issued_on < '1971'))
  OR EXISTS (SELECT 1 FROM disputes d WHERE d.customer_id = t.id AND (d.ended_on IS NULL OR d.ended_on >= :today)))"""
SC_LAST = last("c.ended_at", "sparkcentral_crm.contracts c WHERE c.customer_id = t.customer_ref")
BS_LAST = last("c.ended_at", "bsoft_crm.contracts c WHERE c.customer_id = {}")
THREE_YEARS = Term(months=36)


def rules() -> dict[str, Rule]:
    """Every rule with a job, by policy/rule, or policy/rule@tenant where a pattern reaches several sources."""
    return sparkcentral() | bsoft() | blooom() | bluspark() | blue_messaggio()


def sparkcentral() -> dict[str, Rule]:
    def rule(source: str, select: str, *terms: Term) -> Rule:
        return Rule(f"sparkcentral-{source}", select, terms, "first", BRUSSELS)

    gone = "t.bounced_at, t.found_invalid_at"
    mailed = Term(months=18, never=True)
    return {
        "sparkcentral/complaint-data": rule(
            "support",
            "SELECT legal_hold, 0, closed_at FROM complaints WHERE status = 'closed' AND anonymised_at IS NULL",
            UNTIL,
        ),
        "sparkcentral/marketing": rule(
            "marketing",
            f"SELECT 0, 0, t.last_mailed_at, t.unsubscribed_at, {gone} FROM contacts t WHERE renewed = 0",
            *(mailed, UNTIL, UNTIL, UNTIL),
        ),
        "sparkcentral/marketing-renewed": rule(
            "marketing",
            f"SELECT 0, 0, t.last_mailed_at, {gone} FROM contacts t WHERE renewed = 1",
            mailed,
            UNTIL,
            UNTIL,
        ),
        "sparkcentral/invoices-by-law": rule("crm", "SELECT 0, 0, issued_on FROM invoices", Term(months=120, end=12)),
        "sparkcentral/ticket-data": rule("support", f"SELECT 0, 0, {SC_LAST} FROM tickets t", Term(months=120)),
        "sparkcentral/contract-data": rule(
            "crm",
            f"SELECT 0, {FLOORED}, {SC_LAST.replace('t.customer_ref', 't.id')} FROM customers t",
            Term(months=120),
        ),
    }


def bsoft() -> dict[str, Rule]:
    trainee = "(SELECT s.customer_number FROM sessions s WHERE s.id = t.session_id)"
    by_number, by_id = BS_LAST.format("t.customer_number"), BS_LAST.format("t.customer_id")
    return {
        "bsoft/cookie-identifiers": Rule(
            "bsoft-web",
            "SELECT 0, 0, created_at FROM identifiers WHERE kind <> 'consent-proof'",
            (Term(months=13, form="s"),),
        ),
        "bsoft/access-logs": Rule("bsoft-web", f"SELECT 0, 0, {by_number} FROM access_log t", (THREE_YEARS,)),
        "bsoft/participants": Rule(
            "bsoft-training",
            f"SELECT 0, 0, {BS_LAST.format(trainee)}, deleted_by_customer_at FROM participants t",
            (THREE_YEARS, UNTIL),
        ),
        "bsoft/sessions": Rule(
            "bsoft-training", f"SELECT 0, 0, {by_number}, deleted_by_customer_at FROM sessions t", (THREE_YEARS, UNTIL)
        ),
        "bsoft/accounts": Rule(
            "bsoft-crm", f"SELECT 0, 0, {by_id}, deleted_by_customer_at FROM accounts t", (THREE_YEARS, UNTIL)
        ),
        "bsoft/customers": Rule("bsoft-crm", f"SELECT 0, 0, {BS_LAST.format('t.id')} FROM customers t", (THREE_YEARS,)),
    }


def blooom() -> dict[str, Rule]:
    contract = last("c.ended_at", "contracts c WHERE c.customer_id = t.id")
    order = last("o.ordered_at", "orders o WHERE o.customer_id = t.id")
    return {
        "blooom/analytics-events": Rule(
            "blooom-analytics", "SELECT 0, 0, recorded_at FROM events WHERE customer_ref IS NOT NULL", (UNTIL,)
        ),
        "blooom/analytics-surveys": Rule(
            "blooom-analytics", "SELECT 0, 0, answered_at FROM survey_answers WHERE anonymised_at IS NULL", (UNTIL,)
        ),
        "blooom/prospects": Rule(
            "blooom-shop", "SELECT 0, 0, objected_at FROM prospects WHERE anonymised_at IS NULL", (UNTIL,)
        ),
        "blooom/relationship": Rule(
            "blooom-shop",
            f"SELECT legal_hold, 0, {contract}, {order}, last_login_at FROM customers t",
            (THREE_YEARS, THREE_YEARS, Term(months=36, never=True)),
            "last",
        ),
    }


def bluspark() -> dict[str, Rule]:
    def platform(select: str, *terms: Term, combine: str = "first", zone: str = "Europe/Paris") -> Rule:
        return Rule("bluspark-platform", select, terms, combine, zone)

    found = {
        "bluspark/promotional-mail": platform(
            "SELECT 0, 0, unsubscribed_at FROM mail_subscriptions "
            "WHERE unsubscribed_at > subscribed_at AND address NOT LIKE 'anon-%'",
            UNTIL,
        ),
        "bluspark/deleted-accounts": platform("SELECT 0, 0, account_deleted_at FROM accounts", UNTIL),
        "bluspark/unused-accounts": platform(
            "SELECT 0, 0, last_login_at, created_at FROM accounts",
            *(Term(months=36, never=True), THREE_YEARS),
            combine="last",
        ),
        "bluspark/visitors": platform("SELECT 0, 0, last_seen_at FROM visitors", Term(months=25)),
        "bluspark/server-logs": platform(
            "SELECT 0, 0, logged_at FROM server_log", Term(months=12, form="s"), zone="UTC"
        ),
        "bluspark/billing-contacts": platform(
            "SELECT 0, 0, issued_on FROM invoices WHERE contact_name IS NOT NULL OR contact_email IS NOT NULL",
            Term(months=12, end=3),
        ),
        "bluspark/blog-posts": platform(
            "SELECT 0, 0, removal_granted_at FROM blog_posts WHERE redacted_at IS NULL", UNTIL
        ),
        "bluspark/blog-comments": platform("SELECT 0, 0, posted_at FROM blog_comments", Term(months=60)),
    }
    for name, months in (("atelier", 24), ("kiosk", 12)):
        found[f"bluspark/end-users-{name}"] = Rule(
            f"bluspark-tenant-{name}",
            "SELECT 0, 0, last_seen_at, account_deleted_at FROM end_users",
            (Term(months=months), UNTIL),
        )
    started = "(SELECT s.started_at FROM api_sessions s WHERE s.id = t.session_id)"
    for name in TENANTS:
        source = f"bluspark-tenant-{name}"
        found[f"bluspark/api-calls@{source}"] = Rule(
            source, f"SELECT 0, 0, {started} FROM api_calls t", (Term(hours=72),)
        )
        found[f"bluspark/api-sessions@{source}"] = Rule(
            source, "SELECT 0, 0, started_at FROM api_sessions", (Term(months=6),)
        )
    return found


def blue_messaggio() -> dict[str, Rule]:
    def rule(source: str, select: str, *terms: Term, combine: str = "first", zone: str = KOLKATA) -> Rule:
        return Rule(f"blue-messaggio-{source}", f"SELECT {select}", terms, combine, zone)

    disputed = "EXISTS (SELECT 1 FROM tickets k WHERE k.account_id = t.id AND k.under_dispute)"
    found = {
        "messages": rule("app", "0, 0, sent_at FROM messages", Term(months=6)),
        "cards": rule("app", "0, 0, removed_at, expires_on FROM cards", UNTIL, Term(months=6, end=1)),
        "devices": rule("app", "0, 0, last_seen_ms FROM devices", Term(days=364, form="ms")),
        "tickets": rule("app", "under_dispute, 0, closed_at FROM tickets WHERE status = 'closed'", Term(months=18)),
        "locations": rule("app", "0, 0, recorded_at FROM locations", Term(hours=72), zone="UTC"),
        "marketing-opt-out": rule(
            "app",
            "0, 0, opted_out_at FROM marketing_profiles WHERE (opted_in_at IS NULL OR opted_in_at < opted_out_at) "
            "AND (email IS NOT NULL OR phone IS NOT NULL OR interests IS NOT NULL)",
            UNTIL,
        ),
        "payments": rule("billing", "0, 0, paid_on FROM payments", Term(months=96, end=12, form="dmy")),
        "delivery-numbers": rule(
            "logs",
            "0, 0, delivered_at FROM deliveries "
            "WHERE recipient NOT LIKE '•%' OR sender_email LIKE '%@%' OR ip NOT LIKE '%.0'",
            Term(days=30),
        ),
        "deliveries": rule("logs", "0, 0, delivered_at FROM deliveries", Term(months=13)),
        "usage": rule("logs", "0, 0, used_on FROM usage_days", Term(months=12, end=1)),
        "access-logs": rule("logs", "0, 0, logged_at FROM access_log", Term(days=90), zone="UTC"),
        "children": rule("app", f"{disputed}, 0, minor_found_at FROM accounts t", UNTIL),
        "unused-accounts": rule(
            "app",
            f"{disputed}, 0, last_login_at, warned_at FROM accounts t WHERE warned_at > last_login_at",
            *(Term(months=24, never=True), Term(days=30)),
            combine="last",
        ),
        "abandoned-accounts": rule(
            "app",
            f"{disputed}, 0, last_login_at, created_at FROM accounts t",
            *(Term(months=60, never=True), Term(months=60)),
            combine="last",
        ),
    }
    return {f"blue-messaggio/{name}": value for name, value in found.items()}


def expected(sources: Mapping[str, Path], now: datetime) -> dict[str, Counter[str]]:
    """Per rule, how many rows are due, held, floored, not_started, suspect and not_yet."""
    return {
        name: Counter(classify(rule, row, states, now) for row, states in rows_of(rule, sources, now))
        for name, rule in rules().items()
    }


def instants(rule: Rule, sources: Mapping[str, Path], now: datetime) -> list[datetime]:
    """Every instant at which a term of the rule ends for a row."""
    found = [state for _, states in rows_of(rule, sources, now) for state in states]
    return [state for state in found if isinstance(state, datetime)]


def rows_of(
    rule: Rule, sources: Mapping[str, Path], now: datetime
) -> list[tuple[tuple[object, ...], list[datetime | str]]]:
    """The rule's rows, each with what its terms come to."""
    here = now.astimezone(ZoneInfo(rule.zone))
    with closing(sqlite3.connect(f"file:{sources[rule.source]}?mode=ro", uri=True)) as connection:
        for name, path in sources.items():
            if name in ("sparkcentral-crm", "bsoft-crm"):
                connection.execute(f"ATTACH 'file:{path}?mode=ro' AS {name.replace('-', '_')}")
        rows = connection.execute(rule.select, {"year": here.year, "today": here.date().isoformat()})
        return [(row, [due(t, value, rule.zone) for t, value in zip(rule.terms, row[2:], strict=True)]) for row in rows]


def classify(rule: Rule, row: tuple[object, ...], states: list[datetime | str], now: datetime) -> str:
    """The class of one row: (held, floored, clocks …)."""
    ends = [state for state in states if isinstance(state, datetime)]
    if SUSPECT in states:
        return SUSPECT
    if not ends or (rule.combine == "last" and RUNNING in states):
        return "not_started"
    if (min if rule.combine == "first" else max)(ends) > now:
        return "not_yet"
    return "held" if row[0] else "floored" if row[1] else "due"


def due(term: Term, value: object, zone: str) -> datetime | str:
    """The instant from which the term is over, or why there is none."""
    if value is None:
        return NEVER if term.never else RUNNING
    if value == NEVER:
        return NEVER
    clock = moment(term.form, value, zone)
    if clock.year < 1971:
        return SUSPECT
    if term.until:
        return clock
    if term.hours:
        return clock.astimezone(UTC) + timedelta(hours=term.hours)
    day = clock.date()
    if term.end:
        first = date(day.year, (day.month - 1) // term.end * term.end + 1, 1)
        day = first + relativedelta(months=term.end) - timedelta(days=1)
    day = day + relativedelta(months=term.months) + timedelta(days=term.days + 1)
    return datetime.combine(day, time(), ZoneInfo(zone))


def moment(form: str, value: object, zone: str) -> datetime:
    """The clock's value as an instant in the rule's zone."""
    local = ZoneInfo(zone)
    if form in ("s", "ms"):
        return datetime.fromtimestamp(int(str(value)) // (1000 if form == "ms" else 1), local)
    if form == "dmy":
        return datetime.strptime(str(value), "%d.%m.%Y").replace(tzinfo=local)
    return datetime.fromisoformat(str(value)).replace(tzinfo=local)
