"""
Policies that read well and do not fit the schema. A line ends with `# <- code` where its mistake must be reported;
nothing else may be.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from retentiond.catalog.model import Catalog, Trigger
from retentiond.compiler.compile import compile_plan
from retentiond.errors import PolicyError
from retentiond.policy.loader import load_policy_text
from tests.unit.compiler.catalogs import catalog, table

PERSON = (
    "id integer, code text(10) not null, name text(40), email text(60) not null, born date, left_on date, epoch integer"
    ", said text(40), level integer, hold boolean, flag text(5), done_nn timestamp not null"
    ", changed timestamp on update"
    ", full text generated, company_id integer, photo bytea, span interval, key uuid, short text(4)"
)


def catalogs() -> dict[str, Catalog]:
    people = table(
        "people",
        PERSON,
        refers=("company_id > companies.id",),
        unique=("code", "email"),
    )
    moved = Trigger("touch", "trigger", "BEFORE", ("UPDATE",), "x", touches=(), removes=(), sets=("seen_on",))
    copies = Trigger("copy", "trigger", "AFTER", ("UPDATE",), "x", touches=("log",), removes=(), sets=())
    purges = Trigger("purge", "trigger", "AFTER", ("DELETE",), "x", touches=("log",), removes=("log",), sets=())
    blind = Trigger("blind", "trigger", "AFTER", ("DELETE", "UPDATE"), "x")
    cleans = Trigger("clean", "trigger", "AFTER", ("DELETE",), "x", touches=("cleaned",), removes=("cleaned",), sets=())
    crm = catalog(
        "crm",
        people,
        table("companies", "id integer, name text(40), closed_on date"),
        table("orders", "id integer, person_id integer, ordered_on date", refers=("person_id > people.id",)),
        table("visits", "a integer, b integer, left_on date", key=("a", "b")),
        table("guests", "id integer, visit integer, company text(10), left_on date"),
        table("keyless", "code integer, left_on date", key=()),
        table("keyed", "code integer not null, left_on date", key=(), unique=("code",)),
        table("half_keyed", "code integer, left_on date", key=(), unique=("code",)),
        table("parents", "id integer, left_on date"),
        table("children", "id integer, parent_id integer", refers=("parent_id > parents.id CASCADE",)),
        table("grandchildren", "id integer, child_id integer", refers=("child_id > children.id SET NULL",)),
        table("tree", "id integer, above integer, left_on date", refers=("above > tree.id",)),
        table("a_view", "id integer, left_on date", kind="view"),
        table("isam", "id integer, left_on date", engine="MyISAM"),
        table("versioned", "id integer, left_on date", system_versioned=True),
        table("inherited", "id integer, left_on date", inherited_by=("heir",)),
        table("log", "id integer, left_on date"),
        table("touched", "id integer, note text(9), seen_on timestamp, left_on date", triggers=(moved,)),
        table("copied", "id integer, note text(9), left_on date", triggers=(copies,)),
        table("purged", "id integer, note text(9), left_on date", triggers=(purges,)),
        table("blinded", "id integer, note text(9), left_on date", triggers=(blind,)),
        table("cleaned", "id integer, note text(9), left_on date", triggers=(cleans,)),
        table("switched", "id integer, left_on date", triggers=(replace(blind, enabled=False),)),
    )
    support = catalog(
        "support",
        table("tickets", "id integer, customer integer, code text(10), opened_on date, mark uuid"),
        table("notes", "id integer, ticket integer, noted_on date", refers=("ticket > tickets.id",)),
    )
    users = table("users", "id integer, left_on date")
    tenants = {name: catalog(name, users) for name in ("tenant-a", "tenant-x")}
    return {"crm": crm, "support": support, **tenants}


def delete(record: str, keep: str = "1 year after left_on", more: str = "") -> str:
    return f"  - {{name: {record.replace('_', '-')}, clause: '1', record: {record}, {more}keep: {keep}, then: delete}}"


P = "  person: {source: crm, table: people, cascade: [orders], subject: id}"
ORDERS = "  order: {source: crm, table: orders, belongs_to: {person: person_id}}"
OK_RULE = delete("person")


def one(record: str, rule: str) -> str:
    return f"records:\n{record}\nrules:\n{rule}\n"


def masked(then: str, more: str = "", verb: str = "pseudonymise", keep: str = "1 year after left_on") -> str:
    """A rule that masks people, the mask on a line of its own."""
    record = f"  person: {{source: crm, table: people{more}}}"
    rule = f"  - name: mask\n    clause: '1'\n    record: person\n    keep: {keep}\n    then:\n      {verb}:\n{then}"
    return one(record, rule)


def clocked(keep: str, more: str = "") -> str:
    record = f"  person: {{source: crm, table: people, cascade: [orders]{more}}}"
    rule = f"  - name: rule\n    clause: '1'\n    record: person\n    keep: {keep}\n    then: delete"
    return one(record, rule)


def conditioned(where: str) -> str:
    record = "  person: {source: crm, table: people, cascade: [orders]}"
    rule = f"  - name: rule\n    clause: '1'\n    record: person\n    where: {where}\n    keep: 1 day after left_on\n"
    return one(record, f"{rule}    then: delete")


def bound(said: str, rule: str = "") -> str:
    return one(f"  thing: {said}", rule or delete("thing"))


def cleared(table: str, clock: str, code: str = "") -> str:
    rule = f"  - {{name: r, clause: '1', record: thing, keep: 1 year after {clock}, then: {{clear: [note]}}}}"
    return one(f"  thing: {{source: crm, table: {table}}}", f"{rule} # <- {code}" if code else rule)


def line(said: str, code: str) -> str:
    return f"        {said} # <- {code}"


CASES = {
    "unknown table": bound("{source: crm, table: peopel} # <- unknown-table"),
    "unknown source": bound("{source: cmr, table: people} # <- unknown-source"),
    "glob without match": bound("{source: shop-*, table: users} # <- unknown-source"),
    "unknown clock": clocked("1 year after lefton # <- unknown-column"),
    "unknown column of a condition": conditioned("statsu = 'x' # <- unknown-column"),
    "unknown held": clocked("1 year after left_on", ", held: holds").replace("holds}", "holds} # <- unknown-column"),
    "unknown marker": bound("{source: crm, table: log, marker: gone} # <- unknown-column"),
    "unknown subject": bound("{source: crm, table: log, subject: person} # <- unknown-column"),
    "unknown never-happened": bound("{source: crm, table: log, empty: {x: never happened}} # <- unknown-column"),
    "unknown formatted": bound("{source: crm, table: log, format: {x: iso}} # <- unknown-column"),
    "unknown link": one(
        f"{P}\n  order: {{source: crm, table: orders, belongs_to: {{person: person}}}} # <- unknown-column",
        OK_RULE,
    ),
    "unknown key": bound("{source: crm, table: keyless, key: [cod]} # <- unknown-column"),
    "unknown masked": masked(line("nam: empty", "unknown-column")),
    "unknown left": one(
        "  thing: {source: crm, table: companies}",
        "  - {name: r, clause: '1', record: thing, keep: 1 year after closed_on, then: {anonymise:"
        " {name: empty, closed_on: empty, leave: [nothing]}}} # <- unknown-column, clock-changed",
    ),
    "epoch without format": clocked("1 year after epoch # <- not-a-clock"),
    "text without format": clocked("1 year after said # <- not-a-clock"),
    "boolean as clock": clocked("1 year after hold # <- not-a-clock"),
    "interval as clock": clocked("until span # <- not-a-clock"),
    "uuid as clock": clocked("1 year after key # <- not-a-clock"),
    "format on a date": clocked("1 year after left_on # <- not-a-clock", ", format: {left_on: iso}"),
    "epoch format on text": clocked("1 year after said # <- not-a-clock", ", format: {said: epoch s}"),
    "text format on a number": clocked("1 year after epoch # <- not-a-clock", ", format: {epoch: '%d.%m.%Y'}"),
    "clock of another record": one(
        f"{P}\n{ORDERS}", delete("person", "1 year after last order.orderd_on") + " # <- unknown-column"
    ),
    "text compared with a number": conditioned("name > 5 # <- unlike-types"),
    "number compared with text": conditioned("level = 'high' # <- unlike-types"),
    "integer division": conditioned("level / 2 = 1 # <- unlike-types"),
    "boolean compared with text": conditioned("hold = 'yes' # <- unlike-types"),
    "date compared with a number": conditioned("born > 20200101 # <- unlike-types"),
    "bytes in a condition": conditioned("photo = 'x' # <- unlike-types"),
    "held is text": clocked("1 year after left_on", ", held: flag").replace("flag}", "flag} # <- held-not-boolean"),
    "held is a date": clocked("1 year after left_on", ", held: born").replace("born}", "born} # <- held-not-boolean"),
    "marker not null": masked("        name: empty", ", marker: done_nn} # <- bad-marker #"),
    "marker is text": masked("        name: empty", ", marker: flag} # <- bad-marker #"),
    "marker moves by itself": masked("        name: empty", ", marker: changed} # <- bad-marker #"),
    "link to a composite key": one(
        "  visit: {source: crm, table: visits}\n"
        "  guest: {source: crm, table: guests, belongs_to: {visit: visit}} # <- no-single-key",
        delete("guest", "1 year after visit.left_on"),
    ),
    "link to what is not unique": one(
        "  company: {source: crm, table: companies}\n"
        "  guest: {source: crm, table: guests, belongs_to: {company: {name: company}}} # <- not-unique",
        delete("guest", "1 year after company.closed_on"),
    ),
    "unlike keys": one(
        "  company: {source: crm, table: companies}\n"
        "  guest: {source: crm, table: guests, belongs_to: {company: company}}",
        delete("guest", "1 year after company.closed_on") + " # <- unlike-keys",
    ),
    "unlike keys over sources": one(
        f"{P}\n  ticket: {{source: support, table: tickets, belongs_to: {{person: mark}}}}",
        delete("person", "1 year after last ticket.opened_on") + " # <- unlike-keys",
    ),
    "unlike keys in a cascade": one(
        "  company: {source: crm, table: log, cascade: [guest]}\n"
        "  guest: {source: crm, table: guests, belongs_to: {company: company}} # <- unlike-keys",
        delete("company"),
    ),
    "link to a composite key in a cascade": one(
        "  visit: {source: crm, table: visits, cascade: [guest]}\n"
        "  guest: {source: crm, table: guests, belongs_to: {visit: visit}} # <- no-single-key",
        delete("visit"),
    ),
    "no key": bound("{source: crm, table: keyless} # <- no-key"),
    "a key that is not unique": bound("{source: crm, table: keyless, key: [code]} # <- key-not-unique, key-nullable"),
    "a key that may be null": bound("{source: crm, table: half_keyed, key: [code]} # <- key-nullable"),
    "a view": bound("{source: crm, table: a_view} # <- not-a-table"),
    "an engine that cannot roll back": bound("{source: crm, table: isam} # <- not-transactional"),
    "a table that keeps history": bound("{source: crm, table: versioned} # <- keeps-history"),
    "an inherited table": bound("{source: crm, table: inherited} # <- inherited"),
    "an undeclared child": bound("{source: crm, table: parents} # <- undeclared-reach"),
    "an undeclared grandchild": bound("{source: crm, table: parents, cascade: [children]} # <- undeclared-reach"),
    "an undeclared self-reference": bound("{source: crm, table: tree} # <- undeclared-reach"),
    "a cascade to nowhere": bound("{source: crm, table: log, cascade: [parents]} # <- no-join, undeclared-reach"),
    "a cascade of an unknown name": bound("{source: crm, table: log, cascade: [nobody]} # <- unknown-table"),
    "a cascade to a view": bound("{source: crm, table: log, cascade: [a_view]} # <- no-join, not-a-table"),
    "a trigger deletes elsewhere": bound("{source: crm, table: purged} # <- trigger-reach"),
    "a trigger deletes from its own table": bound("{source: crm, table: cleaned} # <- trigger-reach"),
    "a trigger nobody can read": bound("{source: crm, table: blinded} # <- trigger-reach"),
    "a mask that a trigger copies": cleared("copied", "left_on", "trigger-reach"),
    "a mask under a trigger nobody can read": cleared("blinded", "left_on", "trigger-reach"),
    "a mask that moves its clock by a trigger": cleared("touched", "seen_on", "clock-changed"),
    "a mask that moves its clock": masked(
        "        name: empty", verb="pseudonymise: # <- clock-changed #", keep="1 year after changed"
    ),
    "two globs that meet on one table": one(
        "  a: {source: tenant-*, table: users}\n  b: {source: tenant-x, table: users}",
        delete("a") + "\n" + delete("b") + " # <- overlap",
    ),
    "anonymise says nothing of a column": one(
        "  thing: {source: crm, table: companies}",
        "  - {name: r, clause: '1', record: thing, keep: 1 year after closed_on, then: {anonymise:"
        " {name: empty}}} # <- column-undecided",
    ),
    "null into not null": masked(line("email: empty", "null-into-not-null")),
    "a constant into unique": masked(line("email: {constant: x}", "not-unique")),
    "a constant too long": masked(line("short: {constant: abcde}", "too-long")),
    "random too long": masked(line("short: random", "too-long")),
    "a mask on the key": masked(line("id: empty", "key-changed, null-into-not-null")),
    "a mask on a foreign key": masked(line("company_id: {constant: 3}", "foreign-key-changed")),
    "a mask on a generated column": masked(line("full: empty", "generated-changed")),
    "a mask on the clock": masked(line("left_on: {truncate: year}", "clock-changed")),
    "a mask on a held column": masked(line("hold: empty", "hold-changed"), ", held: hold"),
    "a mask of the wrong type": masked(line("level: random", "wrong-type")),
    "a number that is none": masked(line("level: {constant: high}", "wrong-type")),
    "no way to see that it is done": masked(line("name: redact", "marker-needed")),
    "the clock goes first, in another source": one(
        f"{P.replace('[orders]', '[orders, ticket]')}\n"
        "  ticket: {source: support, table: tickets, belongs_to: {person: customer}, cascade: [notes]}",
        delete("person", "1 year after last ticket.opened_on") + " # <- cascade-holds-clock",
    ),
}
FINE = {
    "a disabled trigger": bound("{source: crm, table: switched}"),
    "a trigger that sets what is no clock": cleared("touched", "left_on"),
    "a trigger that deletes what goes anyway": bound(
        "{source: crm, table: cleaned, belongs_to: {thing: id}, cascade: [thing]}"
    ),
    "a key by name": bound("{source: crm, table: keyed, key: [code]}"),
    "epochs with a format": clocked("1 year after epoch", ", format: {epoch: epoch s}"),
    "grandchildren by name": bound("{source: crm, table: parents, cascade: [grandchildren, children]}"),
    "a link to a unique column": one(
        f"{P.replace('[orders]', '[orders, ticket]')}\n"
        "  ticket: {source: support, table: tickets, belongs_to: {person: {code: code}}, cascade: [notes]}",
        OK_RULE,
    ),
}


def expected(text: str) -> list[str]:
    return sorted(
        f"{number}: {code}"
        for number, said in enumerate(text.splitlines(), 1)
        if (mark := re.search(r"# <- ([a-z, -]+)", said))
        for code in mark[1].strip().split(", ")
    )


def found(text: str) -> tuple[list[str], str]:
    try:
        compile_plan((load_policy_text(text, "p.yaml"),), catalogs())
    except PolicyError as error:
        return sorted(f"{p.position.line}: {p.code}" for p in error.problems), str(error)
    return [], ""


@pytest.mark.parametrize("name", CASES)
def test_what_does_not_fit_is_refused_at_its_line(name: str) -> None:
    text = f"version: 1\nname: p\ntitle: P\n{CASES[name]}"
    assert expected(text), "a case without an expectation"
    problems, said = found(text)
    assert problems == expected(text), f"{text}\n{said}"


@pytest.mark.parametrize("name", FINE)
def test_what_fits_compiles(name: str) -> None:
    text = f"version: 1\nname: p\ntitle: P\n{FINE[name]}"
    assert found(text) == ([], "")


def test_there_are_many() -> None:
    assert len(CASES) >= 60
