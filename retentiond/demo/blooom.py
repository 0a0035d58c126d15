"""Blooom's databases: a shop, and an analytics store that should hold nothing that names anybody."""

from __future__ import annotations

from datetime import datetime

from retentiond.demo.database import Database
from retentiond.demo.dates import Term, day, stamp
from retentiond.demo.drawing import Drawer
from retentiond.demo.people import fingerprint

ZONE = "Europe/Paris"
RELATIONSHIP = Term(months=36)

SHOP = """
CREATE TABLE customers (
  id INTEGER PRIMARY KEY, full_name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, phone TEXT, birth_date DATE,
  last_login_at DATETIME, legal_hold BOOLEAN NOT NULL DEFAULT 0);
CREATE INDEX customers_login ON customers (last_login_at);
CREATE TABLE addresses (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
  street TEXT NOT NULL, town TEXT NOT NULL, postcode TEXT NOT NULL);
CREATE INDEX addresses_customer ON addresses (customer_id);
CREATE TABLE contracts (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
  flowers TEXT NOT NULL, ended_at DATETIME);
CREATE INDEX contracts_customer_ended ON contracts (customer_id, ended_at);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
  ordered_at DATETIME NOT NULL, greeting TEXT);
CREATE INDEX orders_customer_ordered ON orders (customer_id, ordered_at);
CREATE TABLE order_items (
  order_id INTEGER NOT NULL REFERENCES orders (id), line INTEGER NOT NULL, article TEXT NOT NULL,
  price_cents INTEGER NOT NULL, PRIMARY KEY (order_id, line));
CREATE TABLE prospects (
  id INTEGER PRIMARY KEY, full_name TEXT, email TEXT NOT NULL, phone TEXT, postcode TEXT, campaign TEXT NOT NULL,
  met_on DATE NOT NULL, objected_at DATETIME, anonymised_at DATETIME);
CREATE INDEX prospects_objected ON prospects (objected_at);
CREATE TABLE opt_outs (address_hash TEXT PRIMARY KEY, since DATE NOT NULL);
"""

ANALYTICS = """
CREATE TABLE events (
  id INTEGER PRIMARY KEY, customer_ref INTEGER, email TEXT, ip TEXT, user_agent TEXT, postcode TEXT, birth_date DATE,
  basket_cents INTEGER, page TEXT NOT NULL, recorded_at DATETIME NOT NULL);
CREATE INDEX events_customer ON events (customer_ref);
CREATE INDEX events_recorded ON events (recorded_at);
CREATE TABLE survey_answers (
  id INTEGER PRIMARY KEY, customer_ref INTEGER, nickname TEXT, question TEXT NOT NULL, score INTEGER NOT NULL,
  comment TEXT, answered_at DATETIME NOT NULL, anonymised_at DATETIME);
CREATE INDEX survey_answers_customer ON survey_answers (customer_ref);
CREATE INDEX survey_answers_answered ON survey_answers (answered_at);
"""

CUSTOMERS = {
    "all over": 8, "all over, on hold": 1, "contract runs": 30, "ordered of late": 20, "logged in of late": 20,
    "never logged in, over": 2, "only looked round": 3, "login unknown": 1,
}  # fmt: skip
PROSPECTS = {"silent": 80, "objected": 8, "anonymised": 12}
EVENTS = {"anonymous": 90, "identified": 8, "date unknown": 1}
ANSWERS = {"anonymous": 85, "identified": 15}


def make(rows: int, now: datetime) -> dict[str, Database]:
    """The two databases by name, about `rows` rows in all."""
    drawer = _Blooom(now)
    for kind in drawer.kinds(CUSTOMERS, lambda: drawer.size < rows * 0.6):
        drawer.customer(kind)
    for kind in drawer.kinds(PROSPECTS, lambda: drawer.size < rows * 0.68):
        drawer.prospect(kind)
    for kind in drawer.kinds(ANSWERS, lambda: drawer.size < rows * 0.74):
        drawer.answer(kind)
    for kind in drawer.kinds(EVENTS, lambda: drawer.size < rows):
        drawer.event(kind)
    return {"shop": drawer.shop, "analytics": drawer.analytics}


class _Blooom(Drawer):
    """Draws customers with contracts and orders, prospects, and what the analytics store recorded."""

    def __init__(self, now: datetime) -> None:
        super().__init__("blooom", now, ZONE)
        self.shop, self.analytics = Database(SHOP), Database(ANALYTICS)
        self.customers: list[tuple[int, str]] = []

    @property
    def size(self) -> int:
        """Rows drawn so far."""
        return self.shop.size + self.analytics.size

    def customer(self, kind: str) -> None:
        """A customer of that kind: what ended when is what the kinds differ in."""
        people, name = self.people, self.people.name()
        email, hold = people.email(name), int(kind.endswith("on hold"))
        birth = day(self.dates.past(7000, 29000)) if self.chance(0.6) else None
        customer = self.shop.add("customers", name, email, people.phone(), birth, self._login(kind), hold)
        self.customers.append((customer, email))
        for _ in self.some(1, 2):
            self.shop.add("addresses", customer, people.street(), people.town(), people.postcode())
        if kind == "only looked round":
            return
        contracts: list[str | None] = [self._old() for _ in self.some(0, 2)]
        for ended in [*contracts, None] if kind == "contract runs" else contracts:
            self.shop.add("contracts", customer, self.random.choice(("weekly", "monthly")), ended)
        recent = [self._recent()] if kind == "ordered of late" else []
        for ordered in [*(self._old() for _ in self.some(1, 3)), *recent]:
            order = self.shop.add("orders", customer, ordered, people.remark() if self.chance(0.3) else None)
            for line in self.some(1, 2):
                article = self.random.choice(("tulips", "roses", "vase"))
                self.shop.put("order_items", order, line + 1, article, self.random.randrange(500, 9000))

    def _login(self, kind: str) -> str | None:
        if kind.startswith("never") or kind == "only looked round":
            return None
        if kind == "login unknown":
            return self.dates.sentinel()
        return self._recent() if kind == "logged in of late" else self._old()

    def _old(self) -> str:
        return stamp(self.dates.past(1110, 2600, RELATIONSHIP))

    def _recent(self) -> str:
        return stamp(self.dates.past(3, 1000, RELATIONSHIP))

    def prospect(self, kind: str) -> None:
        """Somebody met at a fair; whoever objected stays only as a hash of the address."""
        people, name = self.people, self.people.name()
        email, campaign = people.email(name), self.random.choice(("spring fair", "town market"))
        met = day(self.dates.past(60, 1500))
        objected = stamp(self.dates.past(3, 50)) if kind != "silent" else None
        if objected:
            self.shop.put("opt_outs", fingerprint(email), objected[:10])
        if kind == "anonymised":
            email = f"anon-{self.random.getrandbits(64):016x}@mail.invalid"
            self.shop.add("prospects", None, email, None, people.postcode()[:2], campaign, met, objected, objected)
            return
        self.shop.add("prospects", name, email, people.phone(), people.postcode(), campaign, met, objected, None)

    def answer(self, kind: str) -> None:
        """An answer of a survey, anonymous as promised or still with the customer's number."""
        answered = stamp(self.dates.past(3, 400))
        question, score = self.random.choice(("freshness", "delivery", "price")), self.random.randint(1, 5)
        if kind == "anonymous":
            self.analytics.add("survey_answers", None, None, question, score, "(removed)", answered, answered)
            return
        customer, email = self.random.choice(self.customers)
        nickname, comment = email.split("@", maxsplit=1)[0], self.people.remark()
        self.analytics.add("survey_answers", customer, nickname, question, score, comment, answered, None)

    def event(self, kind: str) -> None:
        """A page view, anonymous as promised or as somebody forgot to make it; fractions of a second are kept."""
        recorded = f"{stamp(self.dates.past(3, 700))}.{self.random.randrange(1_000_000):06}"
        page, basket = self.random.choice(("/", "/roses", "/basket")), self.random.randrange(0, 9999)
        if kind == "anonymous":
            network = f"{self.people.ip().rsplit('.', 1)[0]}.0" if self.chance(0.5) else None
            network = None if network and ":" in network else network
            year = f"{self.random.randrange(1945, 2006)}-01-01" if self.chance(0.3) else None
            area = self.people.postcode()[:2] if self.chance(0.5) else None
            self.analytics.add("events", None, None, network, None, area, year, basket // 1000 * 1000, page, recorded)
            return
        customer, email = self.random.choice(self.customers)
        birth = day(self.dates.past(7000, 29000)) if self.chance(0.3) else None
        when = self.dates.sentinel() if kind == "date unknown" else recorded
        ip, browser, postcode = self.people.ip(), self.people.browser(), self.people.postcode()
        self.analytics.add("events", customer, email, ip, browser, postcode, birth, basket, page, when)
