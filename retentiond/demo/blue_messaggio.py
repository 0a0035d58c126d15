"""Blue Messaggio's databases: the messenger itself, its billing, and its logs."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from retentiond.demo.database import Database
from retentiond.demo.dates import Calendar, Term, day, stamp
from retentiond.demo.drawing import Drawer

ZONE = "Asia/Kolkata"
MESSAGE, TICKET = Term(months=6), Term(months=18)
CARD = Term(months=6, end_of="month")
DEVICE = Term(days=364)
UNUSED, WARNED, ABANDONED = Term(months=24), Term(days=30), Term(months=60)
PAYMENT = Term(months=96, end_of="year")
DELIVERY = (Term(days=30), Term(months=13))
USAGE = Term(months=12, end_of="month")
LOG, LOCATION = Term(days=90), Term(hours=72)

APP = """
CREATE TABLE accounts (
  id INTEGER PRIMARY KEY, full_name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, phone TEXT, created_at DATETIME NOT NULL,
  last_login_at DATETIME, warned_at DATETIME, minor_found_at DATETIME);
CREATE INDEX accounts_login ON accounts (last_login_at);
CREATE INDEX accounts_created ON accounts (created_at);
CREATE INDEX accounts_warned ON accounts (warned_at);
CREATE INDEX accounts_minor ON accounts (minor_found_at);
CREATE TABLE messages (
  id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), recipient TEXT NOT NULL,
  body TEXT NOT NULL, sent_at DATETIME NOT NULL);
CREATE INDEX messages_account ON messages (account_id);
CREATE INDEX messages_sent ON messages (sent_at);
CREATE TABLE cards (
  id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), last_digits TEXT NOT NULL,
  expires_on DATE NOT NULL, removed_at DATETIME);
CREATE INDEX cards_account ON cards (account_id);
CREATE INDEX cards_expires ON cards (expires_on);
CREATE INDEX cards_removed ON cards (removed_at);
CREATE TABLE devices (
  id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), model TEXT NOT NULL,
  push_token TEXT NOT NULL, last_seen_ms INTEGER NOT NULL);
CREATE INDEX devices_account ON devices (account_id);
CREATE INDEX devices_seen ON devices (last_seen_ms);
CREATE TABLE tickets (
  id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), topic TEXT NOT NULL,
  status TEXT NOT NULL, closed_at DATETIME, under_dispute BOOLEAN NOT NULL DEFAULT 0);
CREATE INDEX tickets_account ON tickets (account_id);
CREATE INDEX tickets_closed ON tickets (closed_at);
CREATE TABLE ticket_notes (
  id INTEGER PRIMARY KEY, ticket_id INTEGER NOT NULL REFERENCES tickets (id) ON DELETE CASCADE, body TEXT NOT NULL);
CREATE INDEX ticket_notes_ticket ON ticket_notes (ticket_id);
CREATE TABLE locations (
  id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), latitude REAL NOT NULL,
  longitude REAL NOT NULL, recorded_at DATETIME NOT NULL);
CREATE INDEX locations_account ON locations (account_id);
CREATE INDEX locations_recorded ON locations (recorded_at);
CREATE TABLE marketing_profiles (
  id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL UNIQUE REFERENCES accounts (id), email TEXT, phone TEXT,
  interests TEXT, opted_in_at DATETIME, opted_out_at DATETIME);
CREATE INDEX marketing_profiles_out ON marketing_profiles (opted_out_at);
"""

BILLING = """
CREATE TABLE payments (
  id INTEGER PRIMARY KEY, account_ref INTEGER NOT NULL, payer TEXT NOT NULL, amount_paise INTEGER NOT NULL,
  paid_on TEXT NOT NULL);
CREATE INDEX payments_account ON payments (account_ref);
CREATE INDEX payments_paid ON payments (paid_on);
"""

LOGS = """
CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY, recipient TEXT NOT NULL, sender_email TEXT, ip TEXT, result TEXT NOT NULL,
  delivered_at DATETIME NOT NULL);
CREATE INDEX deliveries_delivered ON deliveries (delivered_at);
CREATE TABLE usage_days (
  account_ref INTEGER NOT NULL, used_on DATE NOT NULL, messages INTEGER NOT NULL, PRIMARY KEY (account_ref, used_on));
CREATE INDEX usage_days_used ON usage_days (used_on);
CREATE TABLE access_log (
  id INTEGER PRIMARY KEY, ip TEXT NOT NULL, path TEXT NOT NULL, logged_at DATETIME NOT NULL);
CREATE INDEX access_log_logged ON access_log (logged_at);
"""

ACCOUNTS = {
    "active": 70, "a child's": 2, "unused, warned": 4, "unused, not warned": 8, "warned, came back": 6,
    "warned, came back, unused again": 3, "warned of late": 3, "abandoned": 4, "never logged in": 3, "login unknown": 1,
}  # fmt: skip
PROFILES = {"in": 50, "out": 4, "out, cleared": 8, "in again": 6}


def make(rows: int, now: datetime) -> dict[str, Database]:
    """The three databases by name, about `rows` rows in all."""
    drawer = _Messenger(now)
    for kind in drawer.kinds(ACCOUNTS, lambda: drawer.size < rows * 0.75):
        drawer.account(kind)
    for _ in drawer.kinds({"day": 1}, lambda: drawer.size < rows):
        drawer.delivery()
        drawer.access()
    return {"app": drawer.app, "billing": drawer.billing, "logs": drawer.logs}


class _Messenger(Drawer):
    """Draws accounts with all that hangs on them, and logs that know telephone numbers only."""

    def __init__(self, now: datetime) -> None:
        super().__init__("blue-messaggio", now, ZONE)
        self.app, self.billing, self.logs = Database(APP), Database(BILLING), Database(LOGS)
        self.universal = Calendar(self.random, now, "UTC")

    @property
    def size(self) -> int:
        """Rows drawn so far."""
        return self.app.size + self.billing.size + self.logs.size

    def account(self, kind: str) -> None:
        """An account of that kind, and what it left in the three databases."""
        name = self.people.name()
        email, phone = self.people.email(name), self.people.phone()
        created, login, warned = self._history(kind)
        minor = stamp(self.dates.past(3, 8)) if kind == "a child's" else None
        account = self.app.add("accounts", name, email, phone, created, login, warned, minor)
        for _ in self.some(0, 4):
            sent = self.dates.past(3, 175, MESSAGE) if self.chance(0.88) else self.dates.past(190, 400, MESSAGE)
            self.app.add("messages", account, self.people.phone(), self.people.remark(), stamp(sent))
        for draw, share in ((self._card, 0.3), (self._device, 0.7), (self._ticket, 0.3), (self._location, 0.3)):
            if self.chance(share) or account <= 3:
                draw(account)
        self._profile(account, email, phone)
        for _ in self.some(0, 2):
            paid = self.dates.past(3, 2800, PAYMENT) if self.chance(0.85) else self.dates.past(3350, 4200, PAYMENT)
            self.billing.add("payments", account, name, self.random.randrange(9900, 99900), f"{paid:%d.%m.%Y}")
        for used_on in sorted({self._used_on() for _ in self.some(0, 3)}):
            self.logs.put("usage_days", account, used_on, self.random.randint(1, 60))

    def _history(self, kind: str) -> tuple[str, str | None, str | None]:
        """When an account of that kind was made, last used and last warned."""
        past = self.dates.past
        created = past(1900, 3000, ABANDONED)
        login, warned = past(3, 690, UNUSED), None
        if kind.startswith("unused") or kind in ("warned of late", "warned, came back, unused again"):
            login = past(800, 1200, UNUSED, ABANDONED)
        if kind in ("unused, warned", "warned of late"):
            warned = past(40, 300, WARNED) if kind == "unused, warned" else past(4, 24, WARNED)
        if kind.startswith("warned, came back"):
            warned = past(1300, 1700, WARNED)  # before the last login: a warning that did its work
        if kind == "abandoned":
            login = past(1850, 1890, ABANDONED)
        if kind == "never logged in":
            created = past(10, 1700, ABANDONED)
        text: str | None = stamp(login) if kind != "never logged in" else None
        if kind == "login unknown":
            text, warned = self.dates.sentinel(), past(40, 300, WARNED)
        return stamp(created), text, stamp(warned) if warned else None

    def _card(self, account: int) -> None:
        kind = self.random.choices(("valid", "expired", "removed"), (80, 10, 10))[0] if account > 3 else "removed"
        expires = self.dates.past(240, 700, CARD) if kind == "expired" else self.dates.ahead(30, 1200)
        removed = stamp(self.dates.past(3, 9)) if kind == "removed" else None
        self.app.add("cards", account, f"{self.random.randrange(10000):04}", day(expires), removed)

    def _device(self, account: int) -> None:
        seen = self.dates.past(3, 355, DEVICE) if self.chance(0.88) else self.dates.past(372, 800, DEVICE)
        moment = int(seen.replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC).timestamp()) * 1000
        token = f"{self.random.getrandbits(128):032x}"
        self.app.add("devices", account, self.random.choice(("Demo One", "Demo Two")), token, moment)

    def _ticket(self, account: int) -> None:
        kinds = ("closed long ago", "closed", "open", "opened again", "closed long ago, disputed")
        count = len(self.app.tables.get("tickets", ()))
        kind = kinds[count] if count < len(kinds) else self.random.choices(kinds, (8, 40, 30, 20, 2))[0]
        closed = self.dates.past(3, 530, TICKET) if kind == "closed" else self.dates.past(560, 1200, TICKET)
        status = "closed" if kind.startswith("closed") else "open"
        closed_at, disputed = None if kind == "open" else stamp(closed), int(kind.endswith("disputed"))
        ticket = self.app.add("tickets", account, self.people.topic(), status, closed_at, disputed)
        for _ in self.some(1, 2):
            self.app.add("ticket_notes", ticket, self.people.remark())

    def _location(self, account: int) -> None:
        for _ in self.some(1, 2):
            moment = (
                self.universal.past(6, 90, LOCATION) if account == 1 or self.chance(0.2) else self.universal.lately()
            )
            place = 28 + self.random.random(), 77 + self.random.random()
            self.app.add("locations", account, round(place[0], 4), round(place[1], 4), stamp(moment))

    def _profile(self, account: int, email: str, phone: str) -> None:
        kinds = list(PROFILES)
        kind = kinds[account - 1] if account <= len(kinds) else self.random.choices(kinds, list(PROFILES.values()))[0]
        opted_out = stamp(self.dates.past(3, 90)) if kind.startswith("out") else None
        opted_in = stamp(self.dates.past(100, 900))
        if kind == "in again":
            opted_out = stamp(self.dates.past(901, 1200))
        likes = self.random.choice(("music", "sport", "travel"))
        details = (email, phone, likes) if kind != "out, cleared" else (None, None, None)
        self.app.add("marketing_profiles", account, *details, opted_in, opted_out)

    def _used_on(self) -> str:
        return day(self.dates.past(3, 330, USAGE) if self.chance(0.9) else self.dates.past(430, 700, USAGE))

    def delivery(self) -> None:
        """What an operator said of one message: the full number for a month, its end for a year."""
        kind = self.random.choices(("young", "masked", "forgotten", "old"), (30, 55, 10, 5))[0]
        days = {"young": (3, 26), "masked": (34, 390), "forgotten": (34, 390), "old": (410, 600)}[kind]
        delivered = stamp(self.dates.past(*days, *DELIVERY))
        number, name = self.people.phone(), self.people.name()
        sender: str | None = self.people.email(name)
        ip = f"203.0.113.{self.random.randrange(1, 255)}"
        if kind == "masked" and sender:
            number, sender, ip = "\u2022" * 4 + number[-4:], sender.split("@")[1], "203.0.113.0"
        self.logs.add("deliveries", number, sender, ip, "delivered", delivered)

    def access(self) -> None:
        """A line of the web servers' log, in UTC."""
        moment = self.universal.past(3, 85, LOG) if self.chance(0.9) else self.universal.past(95, 200, LOG)
        self.logs.add("access_log", self.people.ip(), self.random.choice(("/", "/send", "/help")), stamp(moment))
