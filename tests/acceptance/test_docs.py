"""What the documents say, held against the program: policies, dates, masks, commands, settings, codes, links."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pytest

from retentiond.catalog import fault_codes
from retentiond.catalog.model import Family
from retentiond.cli.program import program
from retentiond.compiler.masks import MaskContext, mask_value
from retentiond.policy.cases import run_cases
from retentiond.policy.evaluator import Verdict, evaluate_row
from retentiond.policy.loader import load_policies
from retentiond.policy.model import Method, Policy
from retentiond.settings.environment import paths
from tests.acceptance.commands import command

PROJECT = Path(__file__).parents[2]
PAGES = (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))

_CODE = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language and its text."""

    page: Path
    language: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [Block(page, language, text) for language, text in found]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
POLICIES = [block for block in BLOCKS if block.language == "yaml" and block.text.startswith("version:")]
CASES = [block for block in BLOCKS if block.language == "yaml" and block.text.startswith("policy:")]


def section(page: str, title: str) -> str:
    """The text under a heading, up to the next heading of that level or above."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    level = next(line for line in text.splitlines() if re.fullmatch(rf"#+ {re.escape(title)}", line)).count("#")
    begun = text.split(f"{'#' * level} {title}\n", 1)[1]
    return re.split(rf"^#{{1,{level}}} ", begun, maxsplit=1, flags=re.MULTILINE)[0]


def rows_of(text: str, *head: str) -> Iterator[list[str]]:
    """The cells of each row of the tables that begin with these headings."""
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if not line.startswith("|"):
            inside = False
        elif cells[: len(head)] == list(head):
            inside = True
        elif inside and not set(line) <= set("|- "):
            yield cells


def bare(cell: str) -> str:
    """What stands in the cell's code span."""
    return cell.removeprefix("`").removesuffix("`")


def named(block: Block) -> str:
    found = re.search(r"^name: (\S+)$", block.text, re.MULTILINE)
    assert found
    return found[1]


def test_policies_and_cases_are_found() -> None:
    assert [named(block) for block in POLICIES] == ["example-shop", "garden-shop"]
    assert len(CASES) == 1


@pytest.mark.parametrize("block", POLICIES, ids=named)
def test_a_policy_of_the_documents_validates(block: Block, tmp_path: Path) -> None:
    file = tmp_path / f"{named(block)}.yaml"
    file.write_text(block.text, encoding="utf-8")
    done = command("validate", str(file), "--offline")
    assert done.code == 0, done.err


def test_the_cases_of_the_documents_come_out_as_they_say(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    for block in POLICIES:
        (tmp_path / f"{named(block)}.yaml").write_text(block.text, encoding="utf-8")
    file = tmp_path / "tests" / "cases.yaml"
    file.write_text(CASES[0].text, encoding="utf-8")
    results = run_cases([file])
    assert [str(failure) for result in results for failure in result.failures] == []
    assert {answer.expected for result in results for answer in result.answers} >= {
        *("not yet", "not started", "suspect", "held", "floored", "delete", "anonymise")
    }


DUE = [
    tuple(bare(cell) for cell in cells)
    for cells in rows_of(
        section("docs/writing-policies.md", "Keep: when the time is over"),
        *("keep", "the clock holds", "time zone", "due from"),
    )
]


def policy_of(then: str, tmp_path: Path, *, zone: str = "UTC", keep: str = "until ended_at") -> Policy:
    """A policy of one rule."""
    file = tmp_path / "one.yaml"
    file.write_text(
        f"version: 1\nname: one\ntitle: one\ntimezone: {zone}\n"
        "records:\n  thing: {source: shop, table: things, marker: done_at}\n"
        f"rules:\n  - {{name: one, clause: one, record: thing, keep: {keep}, then: {then}}}\n",
        encoding="utf-8",
    )
    return load_policies((file,))[0]


def test_the_table_of_due_dates_is_found() -> None:
    assert len(DUE) > 20
    assert {cells[2] for cells in DUE} == {"UTC", "Europe/Brussels"}


@pytest.mark.parametrize(("keep", "shown", "zone", "due"), DUE)
def test_a_row_of_the_table_falls_due_when_it_says(keep: str, shown: str, zone: str, due: str, tmp_path: Path) -> None:
    policy = policy_of("delete", tmp_path, zone=zone, keep=keep)
    rule = policy.rules[0]
    value = date.fromisoformat(shown) if len(shown) == 10 else datetime.fromisoformat(shown)

    def at(instant: datetime) -> Verdict | None:
        return evaluate_row(policy, rule, {rule.keep.terms[0].clock.moment.column: value}, {}, instant)

    if due == "never":
        assert at(datetime(9000, 12, 31, tzinfo=UTC)) is Verdict.NOT_YET
        return
    instant = datetime.fromisoformat(due)
    assert instant.astimezone(ZoneInfo(zone)).isoformat() == due, "written on the clock of its time zone"
    assert at(instant - timedelta(seconds=1)) is Verdict.NOT_YET
    assert at(instant) is Verdict.DUE


MASKS = [
    tuple(bare(cell) for cell in cells)
    for cells in rows_of(
        section("docs/writing-policies.md", "Masks: the row stays"),
        *("method", "a column holds", "and then", "in `anonymise`"),
    )
]


def typed(text: str, method: Method) -> tuple[object, Family]:
    match method.name:
        case "truncate":
            return date.fromisoformat(text), Family.DATE
        case "round":
            return int(text), Family.INTEGER
        case _:
            return text, Family.TEXT


def test_the_table_of_methods_shows_them_all() -> None:
    known = {"empty", "random", "constant", "truncate", "round", "prefix", "network", "mask", "domain", "token"}
    assert {re.split(r"\W", method.lstrip("{"))[0] for method, *_ in MASKS} == known | {"redact", "json"}


@pytest.mark.parametrize(("method", "held", "shown", "anonymous"), MASKS)
def test_a_method_makes_what_the_table_shows(
    method: str, held: str, shown: str, anonymous: str, tmp_path: Path
) -> None:
    ((_, known),) = policy_of(f"{{pseudonymise: {{value: {method}}}}}", tmp_path).rules[0].action.methods
    value, family = typed(held, known)
    context = MaskContext(family, None, b"docs" * 8, "example", lambda count: bytes(range(1, count + 1)))
    made = mask_value(known, value, context)
    assert ("NULL" if made is None else str(made)) == shown
    assert mask_value(known, made, context) == made
    if anonymous in ("yes", "no"):
        anonymise = f"{{anonymise: {{value: {method}}}}}"
        if anonymous == "yes":
            policy_of(anonymise, tmp_path)
        else:
            with pytest.raises(Exception, match="way-back"):
                policy_of(anonymise, tmp_path)


def shown_commands() -> list[tuple[str, str]]:
    """Every command line of the pages: of shell blocks, and code spans in the text and in tables."""
    found: list[tuple[str, str]] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in blocks_of(page) if block.language == "sh" for line in block.text.splitlines()]
        lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))
        for line in lines:
            called = re.findall(r"(?:^|[\s/])retentiond( [a-z-][^|;&>]*)", re.split(r"\s+#", line)[0])
            found += [(page.name, words.strip()) for words in called]
    return sorted(set(found))


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_a_command_line_of_the_documents_is_one(page: str, line: str) -> None:
    words = shlex.split(line)
    group: click.Command = program
    while words and words[0].startswith("-"):
        assert_option(group, words.pop(0), page)
    if not words:
        return
    assert isinstance(group, click.Group)
    assert words[0] in group.commands, f"{page}: no command {words[0]}"
    chosen = group.commands[words.pop(0)]
    while isinstance(chosen, click.Group) and words:
        assert words[0] in chosen.commands, f"{page}: no command {chosen.name} {words[0]}"
        chosen = chosen.commands[words.pop(0)]
    for word in words:
        if word.startswith("-") and word != "-":
            assert_option(chosen, word, page)
    if not any(isinstance(parameter, click.Argument) for parameter in chosen.params):
        plain = [word for word in words if not word.startswith("-")]
        assert len(plain) <= sum(word.startswith("--") for word in words), f"{page}: {line} takes no arguments"


def assert_option(chosen: click.Command, word: str, page: str) -> None:
    known = {name for parameter in chosen.params for name in parameter.opts} | {"--help", "-h"}
    assert word.partition("=")[0] in known, f"{page}: {chosen.name} has no option {word}"


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_inside_the_project_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{page.name}: {target}"


def test_every_page_is_in_the_index() -> None:
    index = (PROJECT / "docs/README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name != "README.md" and f"]({page.name}" not in index] == []
    assert "docs/README.md" in (PROJECT / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_explained() -> None:
    spans = re.findall(r"`([^`\n]+)`", (PROJECT / "docs/running.md").read_text(encoding="utf-8"))
    explained = {word for span in spans for word in re.findall(r"\w+", span)}
    assert sorted({path[-1] for path in paths(["any"])} - explained) == []


def test_the_document_of_a_job_is_explained() -> None:
    from retentiond.cli.job_views import CSV_FIELDS

    explained = set(re.findall(r"`(\w+)`", section("docs/running.md", "JSON documents")))
    assert set(CSV_FIELDS) <= explained


# Calls that take a code among their first three arguments; the first text that looks like one is it.
_TAKERS = frozenset(
    {
        *("report", "error", "warning", "_warning", "wrong", "word", "Problem", "Complaint", "Failure", "_Fault"),
        *("_Words", "NotUnderstoodError", "NoPathError", "PydanticCustomError"),
    }
)
# In messages of several lines, or put together: `place: code: message` and `f"unknown-{what}"`.
_WRITTEN_OUT = {"unknown-key", "unknown-variable", "two-passwords", "wrong-value", "unknown-rule", "unknown-record"}


def codes_of(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and file.name == "fault_codes.py":
            yield from (str(part.value) for part in node.value.elts[:1] if isinstance(part, ast.Constant))
        if not isinstance(node, ast.Call):
            continue
        given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        texts = [part.value for part in (given or node.args[:3]) if isinstance(part, ast.Constant)]
        codes = [text for text in texts if isinstance(text, str) and _CODE.fullmatch(text)]
        if given or name in _TAKERS:
            yield from codes[:1]


def test_every_code_is_in_the_troubleshooting_table() -> None:
    """A code that is new needs a line under `Troubleshooting` in docs/running.md; one that is gone, none."""
    files = sorted((PROJECT / "retentiond").rglob("*.py"))
    used = {code for file in files for code in codes_of(file)} | _WRITTEN_OUT | {"failed"}
    cells = rows_of(section("docs/running.md", "Troubleshooting"), "code", "what it means", "what to do")
    listed = [code for row in cells for code in re.findall(r"`([^`]+)`", row[0])]
    assert len(used) > 120
    assert sorted(used - set(listed)) == [], "not in docs/running.md"
    texts = "\n".join(file.read_text(encoding="utf-8") for file in files)
    gone = [code for code in listed if code not in used and f'"{code}"' not in texts]
    assert gone == [], "not in the program any more"


def test_every_finding_of_doctor_is_in_its_table() -> None:
    found = set()
    for file in (PROJECT / "retentiond/engine").glob("doctor*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "id", "")
            if isinstance(node, ast.Call) and name in ("Finding", "_Rule"):
                texts = [part.value if isinstance(part, ast.Constant) else None for part in node.args]
                severity, code = texts[:2] if name == "Finding" else texts[2:4]
                found |= {code} if isinstance(code, str) and _CODE.fullmatch(code) and severity != "ok" else set()
    listed = rows_of(section("docs/running.md", "Troubleshooting"), "code", "what it means", "what to do")
    told = {code for row in listed for code in re.findall(r"`([^`]+)`", row[0])}
    assert len(found) > 25
    assert sorted(found - told) == []


def test_every_kind_of_database_error_is_in_the_troubleshooting_table() -> None:
    meanings = {value for value in vars(fault_codes).values() if isinstance(value, fault_codes.Meaning)}
    meanings |= {*fault_codes.POSTGRESQL.values(), *fault_codes.MYSQL.values(), *fault_codes.SQLITE.values()}
    told = {row[0] for row in rows_of(section("docs/running.md", "Errors of the databases"), "what it says", "codes")}
    assert sorted({meaning.message for meaning in meanings} - told) == []
    shown = set(re.findall(r"SQLITE_\w+", section("docs/running.md", "Errors of the databases")))
    assert sorted(shown - set(fault_codes.SQLITE)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_no_folder_of_somebodys_machine(page: Path) -> None:
    assert re.findall(r"/(?:home|work|root|Users|tmp)/\S*", page.read_text(encoding="utf-8")) == []
