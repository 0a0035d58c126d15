"""BluSpark's databases: its own platform, and one per customer for the end users of that customer's app."""

from __future__ import annotations

from datetime import UTC, datetime

from retentiond.demo.database import Database
from retentiond.demo.dates import Term, day, stamp
from retentiond.demo.drawing import Drawer

ZONE = "Europe/Paris"
TENANTS = {"atelier": Term(months=24), "kiosk": Term(months=12), "museum": Term(months=24)}
UNUSED = Term(months=36)
VISIT = Term(months=25)
LOG = Term(months=12)
BILLING = (Term(months=120, end_of="year"), Term(months=12, end_of="quarter"))
COMMENT = Term(months=60)
CALLS, SESSION = Term(hours=72), Term(months=6)

PLATFORM = """
CREATE TABLE tenants (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, country TEXT NOT NULL);
CREATE TABLE accounts (
  id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL REFERENCES tenants (id),
  full_name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, created_at DATETIME NOT NULL, last_login_at DATETIME,
  account_deleted_at DATETIME);
CREATE INDEX accounts_tenant ON accounts (tenant_id);
CREATE INDEX accounts_login ON accounts (last_login_at);
CREATE INDEX accounts_created ON accounts (created_at);
CREATE INDEX accounts_deleted ON accounts (account_deleted_at);
CREATE TABLE mail_subscriptions (
  id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  address TEXT NOT NULL, topic TEXT NOT NULL, subscribed_at DATETIME NOT NULL, unsubscribed_at DATETIME);
CREATE INDEX mail_subscriptions_account ON mail_subscriptions (account_id);
CREATE INDEX mail_subscriptions_unsubscribed ON mail_subscriptions (unsubscribed_at);
CREATE TABLE invoices (
  id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL REFERENCES tenants (id), number TEXT NOT NULL UNIQUE,
  billing_name TEXT NOT NULL, contact_name TEXT, contact_email TEXT, amount_cents INTEGER NOT NULL,
  issued_on DATE NOT NULL);
CREATE INDEX invoices_tenant ON invoices (tenant_id);
CREATE INDEX invoices_issued ON invoices (issued_on);
CREATE TABLE visitors (
  id INTEGER PRIMARY KEY, ip TEXT NOT NULL, user_agent TEXT, first_seen_at DATETIME NOT NULL,
  last_seen_at DATETIME NOT NULL);
CREATE INDEX visitors_seen ON visitors (last_seen_at);
CREATE TABLE server_log (
  id INTEGER PRIMARY KEY, ip TEXT NOT NULL, path TEXT NOT NULL, logged_at INTEGER NOT NULL);
CREATE INDEX server_log_logged ON server_log (logged_at);
CREATE TABLE blog_posts (
  id INTEGER PRIMARY KEY, title TEXT NOT NULL, author_name TEXT NOT NULL, author_email TEXT, body TEXT NOT NULL,
  published_on DATE NOT NULL, removal_granted_at DATETIME, redacted_at DATETIME);
CREATE INDEX blog_posts_removal ON blog_posts (removal_granted_at);
CREATE TABLE blog_comments (
  id INTEGER PRIMARY KEY, post_id INTEGER NOT NULL REFERENCES blog_posts (id), commenter_name TEXT NOT NULL,
  commenter_email TEXT NOT NULL, body TEXT NOT NULL, posted_at DATETIME NOT NULL);
CREATE INDEX blog_comments_post ON blog_comments (post_id);
CREATE INDEX blog_comments_commenter ON blog_comments (commenter_email);
CREATE INDEX blog_comments_posted ON blog_comments (posted_at);
"""

TENANT = """
CREATE TABLE end_users (
  id INTEGER PRIMARY KEY, display_name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, last_seen_at DATETIME NOT NULL,
  account_deleted_at DATETIME);
CREATE INDEX end_users_seen ON end_users (last_seen_at);
CREATE INDEX end_users_deleted ON end_users (account_deleted_at);
CREATE TABLE submissions (
  id INTEGER PRIMARY KEY, end_user_id INTEGER NOT NULL REFERENCES end_users (id) ON DELETE CASCADE,
  form TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX submissions_end_user ON submissions (end_user_id);
CREATE TABLE api_sessions (id INTEGER PRIMARY KEY, ip TEXT NOT NULL, user_agent TEXT, started_at DATETIME NOT NULL);
CREATE INDEX api_sessions_started ON api_sessions (started_at);
CREATE TABLE api_calls (
  id INTEGER PRIMARY KEY, session_id INTEGER NOT NULL REFERENCES api_sessions (id), path TEXT NOT NULL);
CREATE INDEX api_calls_session ON api_calls (session_id);
"""

ACCOUNTS = {"active": 70, "deleted by its holder": 5, "unused": 8, "never logged in": 6, "never logged in, old": 2}
SUBSCRIPTIONS = {"none": 30, "subscribed": 40, "unsubscribed": 6, "subscribed again": 8, "forgotten": 8}
POSTS = {"plain": 20, "removal granted": 2, "redacted": 2}
END_USERS = {"active": 80, "left": 8, "account deleted": 4, "date unknown": 1}
LOGS = {"young": 88, "old": 10, "date unknown": 1}


def make(rows: int, now: datetime) -> dict[str, Database]:
    """The platform and the tenants by name, about `rows` rows in all; the tenants get half of them."""
    drawer = _Platform(now)
    drawer.draw(rows // 2)
    made = {"platform": drawer.platform}
    for name, term in TENANTS.items():
        tenant = _Tenant(name, now, term)
        tenant.draw(rows // 2 // len(TENANTS))
        made[f"tenant-{name}"] = tenant.database
    return made


class _Platform(Drawer):
    """Draws the platform's own accounts, mail, billing, visitors, logs and blog."""

    def __init__(self, now: datetime) -> None:
        super().__init__("bluspark", now, ZONE)
        self.platform = Database(PLATFORM)

    def draw(self, rows: int) -> None:
        """Draw about that many rows."""
        database = self.platform
        for name in TENANTS:
            database.add("tenants", name, "FR")
        for kind in self.kinds(ACCOUNTS, lambda: database.size < rows * 0.4):
            self._account(kind)
        for kind in self.kinds(POSTS, lambda: database.size < rows * 0.55):
            self._post(kind)
        for kind in self.kinds(LOGS, lambda: database.size < rows):
            self._invoice(kind)
            self._visitor(kind)
            for _ in range(2):
                self._log(kind)

    def _account(self, kind: str) -> None:
        dates, name = self.dates, self.people.name()
        tenant, email = self.random.randint(1, len(TENANTS)), self.people.email(name)
        created = dates.past(1200, 3000, UNUSED) if kind != "never logged in" else dates.past(10, 900, UNUSED)
        login: str | None = stamp(dates.past(3, 1000, UNUSED))
        if kind == "unused":
            login = stamp(dates.past(1110, 1190, UNUSED))
        if kind.startswith("never"):
            login = None
        deleted = stamp(dates.past(3, 20)) if kind.startswith("deleted") else None
        account = self.platform.add("accounts", tenant, name, email, stamp(created), login, deleted)
        if kind != "active":
            return
        self._subscription(account, email)

    def _subscription(self, account: int, email: str) -> None:
        count = len(self.platform.tables.get("mail_subscriptions", ()))
        kinds = list(SUBSCRIPTIONS)
        kind = kinds[count] if count < len(kinds) else self.random.choices(kinds, list(SUBSCRIPTIONS.values()))[0]
        if kind == "none":
            kind = "subscribed"
        subscribed, unsubscribed = stamp(self.dates.past(100, 1000)), None
        if kind in ("unsubscribed", "forgotten"):
            unsubscribed = stamp(self.dates.past(3, 60))
        if kind == "subscribed again":
            unsubscribed = stamp(self.dates.past(1001, 1200))
        if kind == "forgotten":
            email = f"anon-{self.random.getrandbits(64):016x}@mail.invalid"
        self.platform.add("mail_subscriptions", account, email, "news", subscribed, unsubscribed)

    def _post(self, kind: str) -> None:
        dates, people = self.dates, self.people
        name = people.name()
        text = f"{people.remark()} Write to {people.email(people.name())} or call {people.phone()}."
        granted = stamp(dates.past(3, 90)) if kind != "plain" else None
        done = granted if kind == "redacted" else None
        email: str | None = people.email(name)
        if done:
            name, email, text = "a former author", None, people.remark().split(" My number", maxsplit=1)[0]
        published = day(dates.past(100, 3000))
        post = self.platform.add("blog_posts", f"On {people.topic()}", name, email, text, published, granted, done)
        for _ in self.some(1, 6):
            commenter = people.name()
            posted = stamp(dates.past(3, 1800, COMMENT) if self.chance(0.9) else dates.past(1840, 2900, COMMENT))
            self.platform.add("blog_comments", post, commenter, people.email(commenter), people.remark(), posted)

    def _invoice(self, kind: str) -> None:
        number = len(self.platform.tables.get("invoices", ())) + 1
        tenant, name = self.random.randint(1, len(TENANTS)), self.people.name()
        issued = day(self.dates.past(3, 270, *BILLING) if self.chance(0.3) else self.dates.past(480, 4500, *BILLING))
        # The demo's company cleared old contacts until lately; a tenth was forgotten.
        named = issued > day(self.dates.past(480, 480)) or self.chance(0.1) or kind == "date unknown" or number == 2
        contact, email = (name, self.people.email(name)) if named else (None, None)
        issued = self.dates.sentinel()[:10] if kind == "date unknown" else issued
        self.platform.add("invoices", tenant, f"BS-{number:06}", f"{list(TENANTS)[tenant - 1]} SAS", contact, email,
                          self.random.randrange(900, 90000), issued)  # fmt: skip

    def _visitor(self, kind: str) -> None:
        last = self.dates.past(3, 750, VISIT) if kind != "old" else self.dates.past(770, 1100, VISIT)
        first = stamp(self.dates.past(1101, 1500))
        seen = self.dates.sentinel() if kind == "date unknown" else stamp(last)
        self.platform.add("visitors", self.people.ip(), self.people.browser(), first, seen)

    def _log(self, kind: str) -> None:
        moment = self.dates.past(3, 355, LOG) if kind != "old" else self.dates.past(375, 700, LOG)
        logged = 0 if kind == "date unknown" else int(moment.replace(tzinfo=UTC).timestamp())
        self.platform.add("server_log", self.people.ip(), self.random.choice(("/", "/blog", "/pricing")), logged)


class _Tenant(Drawer):
    """Draws one customer's end users with what they sent, and the calls their app made."""

    def __init__(self, name: str, now: datetime, term: Term) -> None:
        super().__init__(f"bluspark-{name}", now, ZONE)
        self.database = Database(TENANT)
        self.term = term

    def draw(self, rows: int) -> None:
        """Draw about that many rows."""
        for kind in self.kinds(END_USERS, lambda: self.database.size < rows * 0.6):
            self._end_user(kind)
        for kind in self.kinds({"young": 80, "old": 12, "very old": 8}, lambda: self.database.size < rows):
            self._session(kind)

    def _end_user(self, kind: str) -> None:
        period = self.term.months * 30
        name = self.people.name()
        seen = self.dates.past(3, period - 30, self.term) if kind != "left" else self.dates.past(
            period + 40, period + 500, self.term)  # fmt: skip
        deleted = stamp(self.dates.past(3, 9)) if kind == "account deleted" else None
        text = self.dates.sentinel() if kind == "date unknown" else stamp(seen)
        user = self.database.add("end_users", name.split()[0], self.people.email(name), text, deleted)
        for _ in self.some(0, 3):
            form = self.random.choice(("contact", "booking", "feedback"))
            self.database.add("submissions", user, form, self.people.remark())

    def _session(self, kind: str) -> None:
        started = self.dates.lately()
        if kind != "young":
            started = self.dates.past(*((8, 150) if kind == "old" else (200, 500)), CALLS, SESSION)
        session = self.database.add("api_sessions", self.people.ip(), self.people.browser(), stamp(started))
        # Calls older than 72 hours are gone already, but for some that nobody removed.
        for _ in self.some(1, 3) if kind == "young" or self.chance(0.2) or session < 6 else ():
            self.database.add("api_calls", session, self.random.choice(("/items", "/login", "/upload")))
