"""A small company in real databases, its policy, and retentiond's settings for it: where victims work."""

from __future__ import annotations

import itertools
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from tests.fault.journal import Entry, Journal
from tests.fault.victims import Nursery, Victim

LONG_AGO = "2013-02-01 10:00:00"
LATELY = "2026-02-01 10:00:00"
MASKED = "gone"

PARENTS = {
    "customers": "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(80))",
    "contracts": "CREATE TABLE contracts (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL{contract}, ended_at"
    " TIMESTAMP NULL)",
    "visits": "CREATE TABLE visits (id INTEGER PRIMARY KEY, seen_at TIMESTAMP NULL, name VARCHAR(80))",
    "letters": "CREATE TABLE letters (id INTEGER PRIMARY KEY, sent_at TIMESTAMP NULL, name VARCHAR(80))",
}
CHILDREN = {
    "documents": "CREATE TABLE documents (id INTEGER PRIMARY KEY, contract_id INTEGER NOT NULL{document}, body"
    " VARCHAR(80))",
}
TABLES = (*PARENTS, *CHILDREN)
OWN = ("visits", "letters")  # tables whose rows stand alone

POLICY = """\
version: 1
name: shop
title: A shop's privacy policy
records:
  customer: {{source: crm, table: customers, subject: id, cascade: [contract]}}
  contract: {{source: crm, table: contracts, belongs_to: {{customer: customer_id}}, cascade: [document]}}
  document: {{source: {far}, table: documents, belongs_to: {{contract: contract_id}}}}
  visit: {{source: crm, table: visits, subject: id}}
  letter: {{source: crm, table: letters}}
rules:
  - {{name: customers, record: customer, clause: "1", keep: 10 years after last contract.ended_at, then: delete}}
  - {{name: visits, record: visit, clause: "2", keep: 10 years after seen_at, then: delete}}
  - name: letters
    record: letter
    clause: "3"
    keep: 10 years after sent_at
    then: {{pseudonymise: {{name: {{constant: gone}}}}}}
"""


@dataclass
class Arena:
    """
    The databases of one company by source: `crm`, and `far` where the documents lie in another one. `reach` are the
    URLs that retentiond uses, where they differ.
    """

    folder: Path
    urls: dict[str, str]
    chunk_rows: int = 4
    chunk_seconds: float = 0.25
    reach: Mapping[str, str] = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal)
    contracts: dict[int, int] = field(default_factory=dict)  # to whom each of them belonged, as we made them
    documents: dict[int, int] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _engines: dict[str, sa.Engine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.urls = {name: plain_url(url) for name, url in self.urls.items()}
        self.state = self.folder / "state" / "state.db"
        self._make_tables()
        policies = self.folder / "policies"
        policies.mkdir(mode=0o700)
        (policies / "shop.yaml").write_text(POLICY.format(far=self.far), encoding="utf-8")
        (policies / "shop.yaml").chmod(0o600)
        self.configure()

    @property
    def far(self) -> str:
        """The source of the documents."""
        return "far" if "far" in self.urls else "crm"

    @property
    def settings(self) -> Path:
        return self.folder / "retentiond.toml"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    def configure(self, *lines: str, **reach: str) -> None:
        """Writes retentiond's settings; `reach` sends it elsewhere than where the databases are."""
        self.reach = dict(self.reach) | {name: plain_url(url) for name, url in reach.items()}
        text = [
            f'policies = "{self.folder}/policies"',
            "[state]",
            f'url = "sqlite:///{self.state}"',
            "[ledger]",
            f'keys = "{self.keys}"',
            f'checkpoint_copy = "{self.folder}/checkpoints"',
        ]
        for name, url in (self.urls | self.reach).items():
            text += [f"[sources.{name}]", f'url = "{url}"', 'accept = ["owner", "superuser"]']
            text += [f"chunk_rows = {self.chunk_rows}", f"chunk_seconds = {self.chunk_seconds}", *lines]
        self.settings.write_text("\n".join(text) + "\n", encoding="utf-8")
        self.settings.chmod(stat.S_IRUSR | stat.S_IWUSR)

    def command(self, *words: str) -> list[str]:
        """A command of retentiond with these settings."""
        return ["--config", str(self.settings), *words]

    @property
    def run(self) -> list[str]:
        return self.command("run", "--yes", "--format", "json", "--log-level", "debug")

    def prepare(self, nursery: Nursery) -> None:
        """What an administrator does once for sources on a server."""
        for name, url in self.urls.items():
            if not url.startswith("sqlite"):
                admin = self.folder / f"admin-{name}"
                admin.write_text(url + "\n", encoding="utf-8")
                admin.chmod(0o600)
                self.do(nursery, "prepare", name, "--admin-url-file", str(admin))

    def do(self, nursery: Nursery, *words: str, code: int = 0, stdin: str = "") -> Victim:
        """A command that has come to its end with that exit code."""
        victim = nursery.start(self.folder, self.command(*words), stdin=stdin)
        assert victim.wait() == code, victim.story()
        return victim

    def engine(self, source: str) -> sa.Engine:
        """The company's own way into a database."""
        if source not in self._engines:
            self._engines[source] = own_engine(self.urls[source])
        return self._engines[source]

    @contextmanager
    def company(self, source: str) -> Iterator[sa.Connection]:
        """A transaction of the company's own."""
        with self.engine(source).begin() as connection:
            yield connection

    def source_of(self, table: str) -> str:
        return self.far if table == "documents" else "crm"

    def ids(self, table: str, where: str = "") -> set[int]:
        """The rows of a table that are there now."""
        query = f"SELECT id FROM {table}" + (f" WHERE {where}" if where else "")
        # Somebody frozen may have a SQLite file for itself, and we only read.
        engine = self.engine(self.source_of(table)).execution_options(reads=True)
        with engine.begin() as connection:
            return {int(row[0]) for row in connection.exec_driver_sql(query)}

    def new_ids(self, count: int) -> list[int]:
        return list(itertools.islice(self._ids, count))

    def add_due(self, customers: int = 12, visits: int = 12, letters: int = 8) -> None:
        """More rows that are due: each customer with two contracts, each contract with a document."""
        people = self.new_ids(customers)
        contracts = [(number, people[at // 2]) for at, number in enumerate(self.new_ids(2 * customers))]
        documents = [(number, contracts[at][0]) for at, number in enumerate(self.new_ids(2 * customers))]
        self.contracts |= dict(contracts)
        self.documents |= dict(documents)
        values = {
            "customers": {number: f"({number}, 'c')" for number in people},
            "contracts": {number: f"({number}, {parent}, '{LONG_AGO}')" for number, parent in contracts},
            "documents": {number: f"({number}, {parent}, 'd')" for number, parent in documents},
            "visits": {number: f"({number}, '{LONG_AGO}', 'n')" for number in self.new_ids(visits)},
            "letters": {number: f"({number}, '{LONG_AGO}', 'n')" for number in self.new_ids(letters)},
        }
        for source in self.urls:
            with self.company(source) as connection:
                for table in TABLES:
                    if values[table] and self.source_of(table) == source:
                        connection.exec_driver_sql(f"INSERT INTO {table} VALUES {', '.join(values[table].values())}")
        self.journal.tell(Entry("made due", table, frozenset(rows)) for table, rows in values.items())

    def add_live(self, rows: int = 40) -> None:
        """Rows that are far from due, so that a run takes but a part of each table."""
        ids = self.new_ids(2 * rows)
        with self.company("crm") as connection:
            for table, numbers in (("visits", ids[:rows]), ("letters", ids[rows:])):
                values = ", ".join(f"({number}, '{LATELY}', 'n')" for number in numbers)
                connection.exec_driver_sql(f"INSERT INTO {table} VALUES {values}")
                self.journal.tell([Entry("made live", table, frozenset(numbers))])

    def state_rows(self, query: str) -> list[tuple[object, ...]]:
        """What the state store holds, read without retentiond."""
        connection = sqlite3.connect(f"file:{self.state}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def close(self) -> None:
        for engine in self._engines.values():
            engine.dispose()

    def _make_tables(self) -> None:
        near = self.far == "crm"
        for source in self.urls:
            with self.company(source) as connection:
                for table, statement in (PARENTS | CHILDREN).items():
                    if self.source_of(table) == source:
                        contract = " REFERENCES customers (id)"
                        document = " REFERENCES contracts (id)" if near else ""
                        connection.exec_driver_sql(statement.format(contract=contract, document=document))
                        if table == "contracts":
                            connection.exec_driver_sql("CREATE INDEX by_customer ON contracts (customer_id)")
                        if table == "documents":
                            connection.exec_driver_sql("CREATE INDEX by_contract ON documents (contract_id)")


def plain_url(url: str) -> str:
    """Without TLS, which a relay could not read and which takes PyMySQL a fifth of a second."""
    if url.startswith("mysql") and "ssl_disabled" not in url:
        return url + ("&" if "?" in url else "?") + "ssl_disabled=true"
    if url.startswith("postgresql") and "sslmode" not in url:
        return url + ("&" if "?" in url else "?") + "sslmode=disable&gssencmode=disable"
    return url


def own_engine(url: str) -> sa.Engine:
    """An engine of the company's own application."""
    if url.startswith("sqlite"):
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": 20, "isolation_level": None})
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
        sa.event.listen(engine, "begin", _begin)
        return engine
    return sa.create_engine(url, pool_size=1, max_overflow=20, pool_pre_ping=True)


def _begin(connection: sa.Connection) -> None:
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
