"""
A value of a row is seen nowhere but in its own database (D01–D03): every command at DEBUG, on every engine, with errors
whose own words would have told it.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.fault.arena import LONG_AGO, own_engine, plain_url
from tests.fault.canary import CANARY, Sighting, search, search_files, written
from tests.fault.orders import Fault
from tests.fault.trials import ENGINES
from tests.fault.victims import Nursery, Victim

NewDatabase = Callable[[str], str]

# Each of these tables has a rule of its own, which meets an error whose text holds a value of the row; `fine` goes.
TABLES = ("fine", "raised", "doubled", "checked", "cast", "document")
COLUMNS = "(code VARCHAR(80) PRIMARY KEY, ended_at TIMESTAMP NULL, name VARCHAR(80), email VARCHAR(80))"

EXTRAS: dict[str, list[str]] = {
    "postgresql": [
        (
            "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'not %, %', OLD.code, OLD.email; END $$"
        ),
        "CREATE TRIGGER tells BEFORE DELETE ON raised FOR EACH ROW EXECUTE FUNCTION tell()",
        "CREATE UNIQUE INDEX once ON doubled (substr(name, 20), email)",
        "ALTER TABLE checked ADD CONSTRAINT long_enough CHECK (name ~ '[0-9]+$')",
        'CREATE INDEX later ON "cast" ((CASE WHEN length(name) < 9 THEN email::integer ELSE 0 END))',
    ],
    "mysql": [
        (
            "CREATE TRIGGER tells BEFORE DELETE ON raised FOR EACH ROW"
            " BEGIN DECLARE told VARCHAR(120); SET told = CONCAT('not ', OLD.email);"
            " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = told; END"
        ),
        "ALTER TABLE doubled ADD COLUMN ends VARCHAR(60) AS (SUBSTR(name, 20)) STORED, ADD UNIQUE once (ends, email)",
        "ALTER TABLE checked ADD CONSTRAINT long_enough CHECK (name RLIKE '[0-9]+$')",
        "ALTER TABLE `cast` ADD COLUMN later INTEGER AS (CASE WHEN CHAR_LENGTH(name) < 9 THEN email ELSE 0 END) STORED",
    ],
    "sqlite": [
        "CREATE TRIGGER tells BEFORE DELETE ON raised BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        "CREATE UNIQUE INDEX once ON doubled (substr(name, 20), email)",
    ],
}
FAILED: dict[str, dict[str, set[str]]] = {
    "postgresql": {
        "raised": {"P0001"},
        "doubled": {"23505"},
        "checked": {"23514"},
        "cast": {"22P02"},
        "document": {"mask-failed", "mask"},
    },
    "mysql": {
        "raised": {"1644"},
        "doubled": {"1062"},
        "checked": {"4025"},
        "cast": {"1366", "1292"},
        "document": {"mask-failed", "mask"},
    },
    "sqlite": {
        "raised": {"SQLITE_CONSTRAINT_TRIGGER"},
        "doubled": {"SQLITE_CONSTRAINT_UNIQUE"},
        "document": {"mask-failed", "mask"},
    },
}

POLICY = """\
version: 1
name: birds
title: A policy on birds
records:
{records}
rules:
{rules}
"""
THEN = {
    "fine": "delete",
    "raised": "delete",
    "doubled": "{pseudonymise: {name: {prefix: 3}}}",
    "checked": "{pseudonymise: {name: {prefix: 3}}}",
    "cast": "{pseudonymise: {name: {prefix: 3}}}",
    "document": "{pseudonymise: {name: {json: {a.b: empty}}}}",
}


@dataclass
class Aviary:
    """A database full of canaries, settings for it, and all that retentiond said and wrote."""

    folder: Path
    url: str
    fence: str
    nursery: Nursery
    victims: list[Victim] = field(default_factory=list)

    @property
    def dialect(self) -> str:
        return sa.make_url(self.url).get_backend_name()

    @contextmanager
    def administrator(self) -> Iterator[sa.Connection]:
        engine = own_engine(self.url)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def build(self) -> None:
        records, rules = [], []
        for table in TABLES:
            more = {"fine": ", subject: code", "document": ", marker: done_at"}.get(table, "")
            records.append(f"  {table}: {{source: cage, table: {table}{more}}}")
            keep = "clause: '1', keep: 10 years after ended_at"
            rules.append(f"  - {{name: {table}, record: {table}, {keep}, then: {THEN[table]}}}")
        (self.folder / "policies").mkdir(mode=0o700)
        policy = self.folder / "policies" / "birds.yaml"
        policy.write_text(POLICY.format(records="\n".join(records), rules="\n".join(rules)), encoding="utf-8")
        policy.chmod(0o600)
        settings = self.folder / "retentiond.toml"
        settings.write_text(
            f'policies = "{self.folder}/policies"\n[state]\nurl = "sqlite:///{self.folder}/state/state.db"\n'
            f'[ledger]\nkeys = "{self.folder}/keys"\ncheckpoint_copy = "{self.folder}/checkpoints"\n'
            f'[sources.cage]\nurl = "{self.url}"\naccept = ["owner", "superuser"]\nfence = "{self.fence}"\n'
            "chunk_rows = 3\n",
            encoding="utf-8",
        )
        settings.chmod(0o600)
        with self.administrator() as connection:
            for table in TABLES:
                quote = connection.dialect.identifier_preparer.quote
                connection.exec_driver_sql(f"CREATE TABLE {quote(table)} {_columns(table)}")
                for number in range(1, 8):
                    values = [f"{CANARY}{number}", LONG_AGO, f"{CANARY} {number}", f"{CANARY}@example.org"]
                    names = "code, ended_at, name, email"
                    connection.execute(
                        sa.text(f"INSERT INTO {quote(table)} ({names}) VALUES (:a, :b, :c, :d)"),
                        dict(zip("abcd", values, strict=True)),
                    )
            for statement in EXTRAS[self.dialect]:
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})

    def do(self, *words: str, stdin: str = "", faults: tuple[Fault, ...] = (), ends: tuple[int, ...] = (0,)) -> Victim:
        """A command at the most talkative level; what it says is searched in the end."""
        command = ["--config", str(self.folder / "retentiond.toml"), *words, "--log-level", "debug"]
        victim = self.nursery.start(self.folder, command, stdin=stdin, faults=faults)
        self.victims.append(victim)
        assert victim.wait() in ends, victim.story()
        return victim

    def seen(self) -> list[Sighting]:
        """Every place where the canary was seen: what was said, and every file but the database and what we fed in."""
        found = []
        for victim in self.victims:
            for stream, file in (("stdout", victim.order.out), ("stderr", victim.order.err)):
                found += search(f"{stream} of {victim.order.commands[0][2:5]}", file.read_bytes())
        fed = {self.folder / "ids", *(victim.order.folder for victim in self.victims)}
        return found + search_files([self.folder], but=fed)


def _columns(table: str) -> str:
    return COLUMNS[:-1] + ", done_at TIMESTAMP NULL)" if table == "document" else COLUMNS


@pytest.mark.parametrize("fence", ["table", pytest.param("probe", marks=pytest.mark.long)])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_canary_is_seen_nowhere(
    engine: str, fence: str, new_database: NewDatabase, nursery: Nursery, tmp_path: Path
) -> None:
    folder = tmp_path / "aviary"
    folder.mkdir(mode=0o700)
    aviary = Aviary(folder, plain_url(new_database(engine)), fence, nursery)
    aviary.build()
    (folder / "ids").write_text(f"{CANARY}6\n{CANARY}7\n", encoding="utf-8")
    (folder / "ids").chmod(0o600)
    _prepare(aviary)
    aviary.do("validate", ends=(0, 2))
    aviary.do("doctor", ends=(0, 1, 2, 3))
    aviary.do("doctor", "--format", "json", "--grants", ends=(0, 1, 2, 3))
    for form in ("table", "json", "csv"):
        aviary.do("plan", "--format", form)
    aviary.do("plan", "--sql")
    killed = aviary.do(
        "run", "birds/fine", "--yes", faults=(Fault("kill", "commit.after", 1),), ends=(-signal.SIGKILL,)
    )
    assert killed.fired()
    _hold(aviary)
    ran = aviary.do("run", "--yes", "--format", "json", ends=(1,))
    jobs = {job["rule"]: job for job in json.loads(ran.out)["jobs"]}
    for rule, codes in FAILED[aviary.dialect].items():
        assert jobs[rule]["failed"], f"{rule} did not fail\n{ran.story()}"
        assert jobs[rule]["failed"]["code"] in codes, jobs[rule]["failed"]
    assert jobs["fine"]["failed"] is None, ran.story()
    aviary.do("run", "--yes", ends=(1,))
    _look(aviary)
    assert _alive(aviary, "fine") == 2, "the two that are held"
    seen = aviary.seen()
    assert not seen, "\n".join(map(str, seen[:20]))
    assert _in_the_database(aviary), "there was no canary to be seen"


def _prepare(aviary: Aviary) -> None:
    if aviary.dialect != "sqlite":
        admin = aviary.folder / "admin"
        admin.write_text(aviary.url + "\n", encoding="utf-8")
        admin.chmod(0o600)
        aviary.do("prepare", "cage", "--admin-url-file", str(admin))
    aviary.do("prepare", "cage", "--print")


def _hold(aviary: Aviary) -> None:
    why = ["--kind", "proceedings", "--matter", "M-1", "--review", "2099-01-01"]
    ids = str(aviary.folder / "ids")
    aviary.do("hold", "add", "--policy", "birds", "--subject", "fine", "--id-file", ids, *why)
    aviary.do("hold", "add", "--record", "birds/raised", "--keys-file", "-", *why, stdin=f"{CANARY}7\n")
    aviary.do("hold", "list", "--format", "json")
    aviary.do("hold", "list")


def _look(aviary: Aviary) -> None:
    """Every command that tells what was done."""
    for form in ("json", "table"):
        aviary.do("status", "--format", form, ends=(0, 1))
    run = next(row for row in _state(aviary, "SELECT id FROM runs WHERE done > 0 ORDER BY seq DESC LIMIT 1"))[0]
    for form in ("json", "html"):
        made = aviary.folder / f"certificate.{form}"
        aviary.do("ledger", "certificate", str(run), "--format", form, "--output", str(made))
        told = ["--subject", "fine", "--policy", "birds", "--id-file", str(aviary.folder / "ids")]
        aviary.do("ledger", "certificate", *told, "--format", form)
    exported = aviary.do("ledger", "export")
    (aviary.folder / "export.jsonl").write_bytes(exported.order.out.read_bytes())
    aviary.do("ledger", "verify")
    aviary.do("settings")
    aviary.do("test", ends=(0, 2))
    aviary.do("stop")
    aviary.do("run", "--yes", ends=(1, 3))
    aviary.do("resume")
    aviary.do("replay", "cage", ends=(0, 1, 2, 3))


def _state(aviary: Aviary, query: str) -> Iterator[tuple[object, ...]]:
    connection = sqlite3.connect(f"file:{aviary.folder}/state/state.db?mode=ro", uri=True)
    try:
        yield from connection.execute(query).fetchall()
    finally:
        connection.close()


def _alive(aviary: Aviary, table: str) -> int:
    with aviary.administrator() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def _in_the_database(aviary: Aviary) -> bool:
    with aviary.administrator() as connection:
        names = connection.exec_driver_sql("SELECT email FROM raised").scalars().all()
    return all(CANARY in name for name in names) and len(names) > 0


@pytest.mark.parametrize("how", written())
def test_a_canary_is_seen_however_it_is_written(how: str) -> None:
    for text in written()[how]:
        assert search("here", b"before it " + text + b" behind it"), text


@pytest.mark.parametrize(
    "text",
    [
        *(base64.b64encode(b"x" * shift + CANARY.encode() + b"yz") for shift in range(4)),
        *(base64.urlsafe_b64encode(b"x" * shift + CANARY.encode("utf-16-le") + b"yz") for shift in range(4)),
        *(base64.b32encode(b"x" * shift + CANARY.encode() + b"yzabc") for shift in range(6)),
        base64.encodebytes(b"x" * 50 + CANARY.encode() * 2),
        urllib.parse.urlencode({"name": f"x {CANARY}"}).encode(),
        json.dumps({"name": f"x\n{CANARY}"}).encode(),
        json.dumps({"name": CANARY}, ensure_ascii=False).encode(),
        repr({"name": CANARY.encode()}).encode(),
        (b"x" + CANARY.encode()).hex("-").replace("-", "").encode(),
    ],
)
def test_a_canary_is_seen_inside_what_others_wrote(text: bytes) -> None:
    assert search("here", text)


def test_there_are_no_canaries_where_there_are_none() -> None:
    assert not search("here", b"nothing of this kind" * 100 + os.urandom(20000))
