"""bsoft's databases: a CRM, the training product with its customers' trainees, and the web servers' store."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from retentiond.demo.database import Database
from retentiond.demo.dates import Term, stamp
from retentiond.demo.drawing import Drawer

ZONE = "Europe/Paris"
CONTRACT = Term(months=36)
COOKIE = Term(months=13)

CRM = """
CREATE TABLE customers (
  id INTEGER PRIMARY KEY, company TEXT NOT NULL, contact_name TEXT NOT NULL, email TEXT NOT NULL UNIQUE,
  since DATETIME NOT NULL);
CREATE TABLE contracts (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
  plan TEXT NOT NULL, ended_at DATETIME);
CREATE INDEX contracts_customer_ended ON contracts (customer_id, ended_at);
CREATE INDEX contracts_ended ON contracts (ended_at);
CREATE TABLE accounts (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
  full_name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL, deleted_by_customer_at DATETIME);
CREATE INDEX accounts_customer ON accounts (customer_id);
CREATE INDEX accounts_deleted ON accounts (deleted_by_customer_at);
"""

TRAINING = """
CREATE TABLE sessions (
  id INTEGER PRIMARY KEY, customer_number INTEGER NOT NULL, title TEXT NOT NULL, held_at DATETIME NOT NULL,
  deleted_by_customer_at DATETIME);
CREATE INDEX sessions_customer ON sessions (customer_number);
CREATE INDEX sessions_deleted ON sessions (deleted_by_customer_at);
CREATE TABLE participants (
  id INTEGER PRIMARY KEY, session_id INTEGER NOT NULL REFERENCES sessions (id),
  full_name TEXT NOT NULL, email TEXT, employer TEXT, deleted_by_customer_at DATETIME);
CREATE INDEX participants_session ON participants (session_id);
CREATE INDEX participants_deleted ON participants (deleted_by_customer_at);
CREATE TABLE results (
  participant_id INTEGER NOT NULL REFERENCES participants (id) ON DELETE CASCADE, module TEXT NOT NULL,
  score INTEGER NOT NULL, PRIMARY KEY (participant_id, module));
"""

WEB = """
CREATE TABLE access_log (
  id INTEGER PRIMARY KEY, customer_number INTEGER NOT NULL, ip TEXT NOT NULL, path TEXT NOT NULL,
  requested_at DATETIME NOT NULL);
CREATE INDEX access_log_customer ON access_log (customer_number);
CREATE TABLE identifiers (
  id INTEGER PRIMARY KEY, value TEXT NOT NULL, kind TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE INDEX identifiers_created ON identifiers (created_at);
"""

CUSTOMERS = {"gone": 10, "ended of late": 20, "open": 45, "one ended, one open": 20, "end unknown": 2, "no contract": 3}
COOKIES = {"young": 70, "old": 8, "consent proof": 20, "date unknown": 2}


def make(rows: int, now: datetime) -> dict[str, Database]:
    """The three databases by name, about `rows` rows in all."""
    drawer = _Bsoft(now)
    for kind in drawer.kinds(CUSTOMERS, lambda: drawer.size < rows * 0.85):
        drawer.customer(kind)
    for kind in drawer.kinds(COOKIES, lambda: drawer.size < rows):
        drawer.cookie(kind)
    return {"crm": drawer.crm, "training": drawer.training, "web": drawer.web}


class _Bsoft(Drawer):
    """Draws customers with contracts, logins, trainings and trainees, and visitors' identifiers."""

    def __init__(self, now: datetime) -> None:
        super().__init__("bsoft", now, ZONE)
        self.crm, self.training, self.web = Database(CRM), Database(TRAINING), Database(WEB)

    @property
    def size(self) -> int:
        """Rows drawn so far."""
        return self.crm.size + self.training.size + self.web.size

    def customer(self, kind: str) -> None:
        """A customer of that kind with all that is theirs in the three databases."""
        dates, people = self.dates, self.people
        name = people.name()
        since = stamp(dates.past(2600, 4000), "T")
        customer = self.crm.add("customers", people.company(), name, people.email(name), since)
        old = [stamp(dates.past(1120, 2500, CONTRACT), "T") for _ in self.some(1, 2)]
        ends: dict[str, list[str | None]] = {
            "gone": [*old],
            "ended of late": [old[0], stamp(dates.past(20, 1080, CONTRACT), "T")],
            "open": [None],
            "one ended, one open": [*old, None],
            "end unknown": [dates.sentinel()],
            "no contract": [],
        }
        for ended in ends[kind]:
            self.crm.add("contracts", customer, self.random.choice(("team", "school", "group")), ended)
        if kind == "no contract":
            return
        for _ in self.some(1, 3):
            self._account(customer)
        for _ in self.some(1, 3):
            self._session(customer)
        for _ in self.some(2, 8):
            path = self.random.choice(("/", "/course", "/login"))
            self.web.add("access_log", customer, people.ip(), path, stamp(dates.past(3, 1000), "T"))

    def _deleted(self, share: float) -> str | None:
        return stamp(self.dates.past(3, 10), "T") if self.chance(share) else None

    def _account(self, customer: int) -> None:
        name = self.people.name()
        secret = f"scrypt:{self.random.getrandbits(128):032x}"
        self.crm.add("accounts", customer, name, self.people.email(name), secret, self._deleted(0.04))

    def _session(self, customer: int) -> None:
        held = stamp(self.dates.past(3, 1500), "T")
        title = self.random.choice(("First aid", "Fire safety", "Spreadsheets", "Data protection"))
        session = self.training.add("sessions", customer, title, held, self._deleted(0.03))
        for _ in self.some(1, 6):
            name = self.people.name()
            email = self.people.email(name) if self.chance(0.8) else None
            employer = self.people.company()
            participant = self.training.add("participants", session, name, email, employer, self._deleted(0.03))
            for module in ("quiz", "practice")[: self.random.randrange(3)]:
                self.training.put("results", participant, module, self.random.randrange(101))

    def cookie(self, kind: str) -> None:
        """A stored identifier of that kind; its clock counts seconds since 1970."""
        moment = self.dates.past(3, 380, COOKIE) if kind == "young" else self.dates.past(420, 900, COOKIE)
        created = int(moment.replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC).timestamp())
        word = "consent-proof" if kind == "consent proof" else self.random.choice(("audience", "preference"))
        value = f"{self.random.getrandbits(96):024x}"
        self.web.add("identifiers", value, word, 0 if kind == "date unknown" else created)
