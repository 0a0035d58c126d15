"""Sparkcentral's databases: a CRM with contracts and invoices, a support desk, a newsletter base."""

from __future__ import annotations

from datetime import datetime

from retentiond.demo.database import Database
from retentiond.demo.dates import Term, day, stamp
from retentiond.demo.drawing import Drawer
from retentiond.demo.people import fingerprint

ZONE = "Europe/Brussels"
CONTRACT = Term(months=120)
INVOICE = Term(months=120, end_of="year")
MAILING = Term(months=18)
DECADE = 3653  # days, the longest ten years

CRM = """
CREATE TABLE customers (
  id INTEGER PRIMARY KEY, company TEXT NOT NULL, contact_name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, phone TEXT,
  created_at DATETIME NOT NULL);
CREATE TABLE addresses (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
  kind TEXT NOT NULL, street TEXT NOT NULL, town TEXT NOT NULL);
CREATE INDEX addresses_customer ON addresses (customer_id);
CREATE TABLE contracts (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
  product TEXT NOT NULL, signed_on DATE NOT NULL, ended_at DATETIME);
CREATE INDEX contracts_customer_ended ON contracts (customer_id, ended_at);
CREATE INDEX contracts_ended ON contracts (ended_at);
CREATE TABLE contract_documents (
  id INTEGER PRIMARY KEY, contract_id INTEGER NOT NULL REFERENCES contracts (id) ON DELETE CASCADE,
  title TEXT NOT NULL, content TEXT NOT NULL);
CREATE INDEX contract_documents_contract ON contract_documents (contract_id);
CREATE TABLE invoices (
  id INTEGER PRIMARY KEY, contract_id INTEGER NOT NULL REFERENCES contracts (id),
  number TEXT NOT NULL UNIQUE, issued_on DATE NOT NULL, amount_cents INTEGER NOT NULL);
CREATE INDEX invoices_contract ON invoices (contract_id);
CREATE INDEX invoices_issued ON invoices (issued_on);
CREATE TABLE invoice_lines (
  invoice_id INTEGER NOT NULL REFERENCES invoices (id) ON DELETE CASCADE, line INTEGER NOT NULL,
  text TEXT NOT NULL, amount_cents INTEGER NOT NULL, PRIMARY KEY (invoice_id, line));
CREATE TABLE disputes (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
  court TEXT NOT NULL, reference TEXT NOT NULL, opened_on DATE NOT NULL, ended_on DATE);
CREATE INDEX disputes_customer ON disputes (customer_id);
CREATE INDEX disputes_ended ON disputes (ended_on);
"""

SUPPORT = """
CREATE TABLE complaints (
  id INTEGER PRIMARY KEY, customer_ref INTEGER, complainant_name TEXT, email TEXT NOT NULL, phone TEXT,
  topic TEXT NOT NULL, body TEXT, ip TEXT, status TEXT NOT NULL CHECK (status IN ('open', 'closed')),
  opened_at DATETIME NOT NULL, closed_at DATETIME, legal_hold BOOLEAN NOT NULL DEFAULT 0, anonymised_at DATETIME);
CREATE INDEX complaints_customer ON complaints (customer_ref);
CREATE INDEX complaints_closed ON complaints (closed_at);
CREATE TABLE tickets (
  id INTEGER PRIMARY KEY, customer_ref INTEGER NOT NULL, subject TEXT NOT NULL, asked_at DATETIME NOT NULL);
CREATE INDEX tickets_customer ON tickets (customer_ref);
CREATE TABLE ticket_messages (
  id INTEGER PRIMARY KEY, ticket_id INTEGER NOT NULL REFERENCES tickets (id),
  author TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX ticket_messages_ticket ON ticket_messages (ticket_id);
"""

MARKETING = """
CREATE TABLE contacts (
  id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, full_name TEXT, language TEXT NOT NULL,
  subscribed_at DATETIME NOT NULL, renewed INTEGER NOT NULL DEFAULT 0 CHECK (renewed IN (0, 1)),
  last_mailed_at DATETIME, unsubscribed_at DATETIME, bounced_at DATETIME, found_invalid_at DATETIME);
CREATE INDEX contacts_mailed ON contacts (last_mailed_at);
CREATE INDEX contacts_unsubscribed ON contacts (unsubscribed_at);
CREATE INDEX contacts_bounced ON contacts (bounced_at);
CREATE INDEX contacts_invalid ON contacts (found_invalid_at);
CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY, contact_id INTEGER NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
  mailing TEXT NOT NULL, clicked BOOLEAN NOT NULL DEFAULT 0);
CREATE INDEX deliveries_contact ON deliveries (contact_id);
CREATE TABLE suppressions (address_hash TEXT PRIMARY KEY, since DATE NOT NULL);
"""

# The first customers, complaints and contacts are one of each kind; the others are drawn with these weights.
CUSTOMERS = {
    "gone": 8, "gone, last invoice too young": 4, "gone, claim pending": 1, "gone, claim settled": 1,
    "ended of late": 16, "open": 40, "one ended, one open": 24, "prospect": 4, "end unknown": 2,
}  # fmt: skip
COMPLAINTS = {"closed": 8, "open": 40, "opened again": 14, "anonymised": 32, "closed, on hold": 3, "date unknown": 2}
CONTACTS = {
    "reader": 60, "lapsed": 6, "never mailed": 6, "unsubscribed": 2, "bounced": 2, "invalid": 1, "renewed": 10,
    "renewed and lapsed": 1, "date unknown": 1,
}  # fmt: skip


def make(rows: int, now: datetime) -> dict[str, Database]:
    """The three databases by name, about `rows` rows in all."""
    drawer = _Sparkcentral(now)
    for kind in drawer.kinds(CUSTOMERS, lambda: drawer.crm.size + drawer.support.size < rows * 0.6):
        drawer.customer(kind)
    for kind in drawer.kinds(COMPLAINTS, lambda: drawer.crm.size + drawer.support.size < rows * 0.75):
        drawer.complaint(kind)
    for kind in drawer.kinds(CONTACTS, lambda: drawer.size < rows):
        drawer.contact(kind)
    return {"crm": drawer.crm, "support": drawer.support, "marketing": drawer.marketing}


class _Sparkcentral(Drawer):
    """Draws customers with all that is theirs, complaints, and contacts of the newsletter."""

    def __init__(self, now: datetime) -> None:
        super().__init__("sparkcentral", now, ZONE)
        self.crm, self.support, self.marketing = Database(CRM), Database(SUPPORT), Database(MARKETING)
        self.staying: list[int] = []  # customers whose contract data nothing takes yet

    @property
    def size(self) -> int:
        """Rows drawn so far."""
        return self.crm.size + self.support.size + self.marketing.size

    def customer(self, kind: str) -> None:
        """A customer of that kind with contracts, documents, invoices, disputes and tickets."""
        name, created = self.people.name(), self.dates.past(DECADE + 1900, DECADE + 4000)
        email, phone = self.people.email(name), self.people.phone()
        customer = self.crm.add("customers", self.people.company(), name, email, phone, stamp(created))
        for kind_of_address in self.random.choice((("billing",), ("billing", "delivery"))):
            self.crm.add("addresses", customer, kind_of_address, self.people.street(), self.people.town())
        if not kind.startswith("gone"):
            self.staying.append(customer)
        for ended in self._ends(kind):
            self._contract(customer, kind, ended)
        if kind.startswith("gone, claim"):
            opened = self.dates.past(1500, 3000)
            ended = day(self.dates.past(30, 1400)) if kind.endswith("settled") else None
            self.crm.add("disputes", customer, "commercial court", f"D-{customer:05}", day(opened), ended)
        if kind != "prospect":
            for _ in self.some(0, 2):
                self._ticket(customer)

    def _ends(self, kind: str) -> list[datetime | str | None]:
        """When the contracts of such a customer ended; None for an open one."""
        past = self.dates.past
        gone: list[datetime | str | None] = [past(DECADE + 450, DECADE + 1800, CONTRACT) for _ in self.some(1, 3)]
        if kind == "prospect":
            return []
        if kind == "gone, last invoice too young":
            return [past(DECADE + 10, DECADE + 150, CONTRACT)]
        if kind.startswith("gone"):
            return gone
        before = gone[:1] if self.chance(0.3) else []
        if kind == "ended of late":
            return [*before, past(30, DECADE - 10, CONTRACT)]
        if kind == "end unknown":
            return [*before, self.dates.sentinel()]
        return [None] if kind == "open" else [*before, past(30, DECADE - 10, CONTRACT), None]

    def _contract(self, customer: int, kind: str, ended: datetime | str | None) -> None:
        """A contract with its documents and invoices; some were brought over from an older system that wrote a T."""
        dates, text = self.dates, None
        last_day = 3 if ended is None else DECADE + 450  # days ago
        if isinstance(ended, datetime):
            last_day, text = (dates.now - ended).days, stamp(ended, "T" if self.chance(0.2) else " ")
        if isinstance(ended, str):
            text = ended
        first_day = last_day + self.random.randint(100, 1500)
        product = self.random.choice(("Messaging", "Voice", "Analytics"))
        contract = self.crm.add("contracts", customer, product, day(dates.past(first_day, first_day)), text)
        for number in self.some(0, 2):
            self.crm.add("contract_documents", contract, f"annex {number + 1}", self.people.remark())
        for _ in self.some(1, 3):
            self._invoice(contract, day(dates.past(last_day + 3, first_day, INVOICE)))
        if kind == "gone, last invoice too young":
            self._invoice(contract, day(dates.past(DECADE - 250, DECADE - 60, INVOICE)))
        if isinstance(ended, str):
            self._invoice(contract, dates.sentinel()[:10])

    def _invoice(self, contract: int, issued: str) -> None:
        number = len(self.crm.tables.get("invoices", ())) + 1
        amounts = [self.random.randrange(1000, 90000) for _ in self.some(1, 3)]
        invoice = self.crm.add("invoices", contract, f"SC-{number:06}", issued, sum(amounts))
        for line, amount in enumerate(amounts, start=1):
            self.crm.put("invoice_lines", invoice, line, self.random.choice(("licence", "support", "traffic")), amount)

    def _ticket(self, customer: int) -> None:
        ticket = self.support.add("tickets", customer, self.people.topic(), stamp(self.dates.past(30, 4000)))
        for author in ("customer", "agent"):
            self.support.add("ticket_messages", ticket, author, self.people.remark())

    def complaint(self, kind: str) -> None:
        """A complaint of that kind, by a customer who stays."""
        dates, people = self.dates, self.people
        opened = dates.past(40, 900)
        closed: str | None = stamp(dates.past(3, 30)) if kind != "open" else None
        if kind == "date unknown":
            closed = dates.sentinel()
        status = "open" if kind in ("open", "opened again") else "closed"
        topic, hold = people.topic(), int(kind.endswith("on hold"))
        if kind == "anonymised":
            email = f"anon-{self.random.getrandbits(64):016x}@mail.invalid"
            self.support.add("complaints", None, None, email, None, topic, None, None, status, stamp(opened), closed,
                             hold, closed)  # fmt: skip
            return
        name = people.name()
        customer, email, phone = self.random.choice(self.staying), people.email(name), people.phone()
        self.support.add("complaints", customer, name, email, phone, topic, people.remark(), people.ip(), status,
                         stamp(opened), closed, hold, None)  # fmt: skip

    def contact(self, kind: str) -> None:
        """A contact of the newsletter of that kind, what was sent to it, and the memory of an objection."""
        dates = self.dates
        name = self.people.name()
        email = self.people.email(name)
        lapsed = "lapsed" in kind
        mailed: str | None = stamp(dates.past(560, 1500, MAILING) if lapsed else dates.past(3, 530, MAILING))
        if kind == "never mailed":
            mailed = None
        if kind == "date unknown":
            mailed = dates.sentinel()
        gone: dict[str, str] = {}
        if kind in ("unsubscribed", "bounced", "invalid") or kind.startswith("renewed"):
            word = "unsubscribed" if kind.startswith("renewed") else kind
            gone[word] = stamp(dates.past(550, 1500) if kind.startswith("renewed") else dates.past(3, 20))
        contact = self.marketing.add(
            "contacts", email, name, self.random.choice(("nl", "fr", "en")), stamp(dates.past(1501, 2500)),
            int(kind.startswith("renewed")), mailed, gone.get("unsubscribed"), gone.get("bounced"), gone.get("invalid"),
        )  # fmt: skip
        for _ in self.some(0, 3) if mailed else ():
            mailing = f"letter {self.random.randrange(1, 40)}"
            self.marketing.add("deliveries", contact, mailing, int(self.chance(0.2)))
        if kind == "unsubscribed":
            self.marketing.put("suppressions", fingerprint(email), gone["unsubscribed"][:10])
