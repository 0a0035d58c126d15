"""The commands that only look: validate, test, explain, status, settings, schema, demo, help and completion."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from retentiond.cli.program import COMMANDS, program
from tests.acceptance.commands import AT, COMMAND, Shop, command, make_shop

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return make_shop(tmp_path)


def test_help_lists_every_command_in_one_line_each() -> None:
    done = command("--help")
    assert done.code == 0
    for name, (_, summary) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", done.out, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_is_the_first_line_of_the_command(name: str) -> None:
    found = program.commands[name]
    assert (found.help or "").splitlines()[0] == COMMANDS[name][1]
    assert found.name == name


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom retentiond.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'sqlalchemy', 'pydantic', 'sqlglot', 'alembic', 'ruamel', 'rich', 'structlog', 'apscheduler'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.endswith("heavy: []\n"), done.stdout + done.stderr


def test_no_command_is_offered_that_does_not_exist_yet() -> None:
    assert {"init", "forecast", "daemon", "erase", "report", "coverage"} & set(COMMANDS) == set()
    assert command("daemon").code == 2


def test_every_command_that_the_readme_shows_exists() -> None:
    called = {name for line in shown_lines() for name in re.findall(r"^(?:\S*/)?retentiond ([a-z]+)", line)}
    assert {"validate", "plan", "run", "explain", "demo"} <= called
    assert called <= set(COMMANDS)


def shown_lines() -> list[str]:
    """The lines of the README that are code."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [*(line.strip() for block in blocks for line in block.splitlines()), *re.findall(r"`([^`\n]+)`", text)]


@pytest.mark.parametrize("place", ["before", "behind"])
def test_config_may_stand_before_and_behind_the_command(shop: Shop, place: str, tmp_path: Path) -> None:
    config = ("--config", str(shop.settings))
    arguments = (*config, "settings") if place == "before" else ("settings", *config)
    assert command(*arguments, folder=Path("/")).code == 0


def test_settings_come_from_the_environment_too(shop: Shop) -> None:
    assert command("status", folder=shop.folder).out == "nothing has run yet\n"
    assert command("status", folder=Path("/"), RETENTIOND_CONFIG=str(shop.settings)).code == 0
    done = command("plan", folder=Path("/"))
    assert (done.code, done.out) == (2, "")
    assert "no settings found" in done.err


def test_validate_says_how_much_is_fine(shop: Shop) -> None:
    done = shop("validate", "--offline")
    assert (done.code, done.out) == (0, "1 policy, 3 rules, 3 promises: fine\n")
    live = shop("validate")
    assert live.code == 0
    assert "may-never-start" in live.err
    assert command("validate", str(shop.policy), "--offline", folder=Path("/")).code == 0


def test_validate_needs_settings_for_live_schemas(shop: Shop) -> None:
    done = command("validate", "policies/shop.yaml", folder=Path("/"))
    assert (done.code, done.out) == (2, "")


def test_validate_points_at_every_line_as_the_file_was_named(shop: Shop) -> None:
    broken = shop.policy.read_text(encoding="utf-8").replace("10 years after last", "ten years after last")
    (shop.folder / "broken.yaml").write_text(broken.replace('clause: "2"', 'clause: "9"'), encoding="utf-8")
    done = command("validate", "broken.yaml", "--offline", folder=shop.folder)
    assert (done.code, done.out) == (2, "")
    assert re.search(r"^broken\.yaml:31:\d+: [a-z-]+: ", done.err, re.MULTILINE)
    assert re.search(r"^broken\.yaml:34:\d+: [a-z-]+: ", done.err, re.MULTILINE)


def test_validate_as_json_has_the_problems_on_stdout(shop: Shop) -> None:
    shop.policy.write_text("version: 1\nname: shop\n", encoding="utf-8")
    done = shop("validate", "--format", "json")
    assert (done.code, done.err) == (2, "")
    problem = done.document["problems"][0]
    assert sorted(problem) == ["code", "column", "file", "hint", "line", "message", "severity"]
    assert (problem["file"], problem["line"], problem["severity"]) == (str(shop.policy), 1, "error")


def test_validate_says_which_source_it_could_not_ask(shop: Shop) -> None:
    done = shop("validate", RETENTIOND_SOURCES__CRM__URL="postgresql+psycopg://nobody@127.0.0.1:1/crm")
    assert done.code == 1
    assert "1 source not checked" in done.out
    document = shop(
        *("validate", "--format", "json"), RETENTIOND_SOURCES__CRM__URL="postgresql+psycopg://nobody@127.0.0.1:1/crm"
    )
    assert document.document["problems"][0]["severity"] == "error"


def test_validate_against_the_live_schema_is_a_policy_error(shop: Shop) -> None:
    shop.change("ALTER TABLE contracts RENAME COLUMN ended_at TO ended_on")
    done = shop("validate")
    assert done.code == 2
    assert f"{shop.policy}:31:11: unknown-column: " in done.err
    assert "ended_on" in done.err


def test_the_cases_of_a_policy_pass_or_are_1(shop: Shop) -> None:
    assert shop("test").out == "1 file, 1 case, 2 answers: as expected\n"
    cases = shop.folder / "policies" / "tests" / "shop.yaml"
    text = cases.read_text(encoding="utf-8").replace("2026-03-01T00:00:00+01:00: delete", "2026-03-01: not yet")
    cases.write_text(text, encoding="utf-8")
    failed = shop("test", str(cases))
    assert failed.code == 1
    assert f"{cases}:3:5: shop/contract-data: leap day" in failed.out
    assert "expected not yet, got delete" in failed.out
    document = shop("test", "--format", "json")
    assert document.code == 1
    assert document.document["failed"] == 1
    cases.write_text(text.replace("rule: contract-data", "rule: contract-dat"), encoding="utf-8")
    assert shop("test").code == 2


def test_a_folder_without_cases_is_2(shop: Shop) -> None:
    assert shop("test", str(shop.folder)).code == 2


CLASSES = {
    ("customer", "1"): "due",
    ("customer", "3"): "not_yet",
    ("customer", "4"): "suspect",
    ("customer", "7"): "not_started",
    ("complaint", "2"): "outside",
    ("complaint", "3"): "held",
}


@pytest.mark.parametrize(("row", "expected"), CLASSES.items(), ids=["-".join(row) for row in CLASSES])
def test_explain_says_what_plan_counts(shop: Shop, row: tuple[str, str], expected: str) -> None:
    done = shop("explain", f"shop/{row[0]}", row[1], "--at", AT, "--format", "json")
    assert done.code == 0
    assert [rule["class"] for rule in done.document["rows"][0]["rules"]] == [expected]


def test_explain_names_clause_clock_and_law(shop: Shop) -> None:
    done = shop("explain", "shop/customer", "-", "--at", AT, stdin="5\n")
    assert done.code == 0
    assert "shop/contract-data (1): delete, 10 years after last contract.ended_at" in done.out
    assert "last contract.ended_at: 2014-03-31 10:00:00, over 2024-04-01 00:00 Europe/Brussels" in done.out
    assert "shop/invoices-by-law (3, Belgian VAT Code art. 60) keeps 1 row of crm.invoices until 2034-01-01" in done.out
    child = shop("explain", "shop/invoice", "2", "--at", AT)
    assert "goes too where a row that it belongs to goes by: shop/contract-data" in child.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("shop/customer", "4711"), "no row of crm.customers has this key"),
        (("shop/customer", "Xq7-canary-8842"), "holds whole numbers"),
        (("shop/customers", "1"), 'did you mean "customer"?'),
        (("shopp/customer", "1"), 'did you mean "shop"?'),
        (("customer", "1"), "POLICY/RECORD"),
    ],
)
def test_explain_of_what_is_not_there_is_2(shop: Shop, arguments: tuple[str, ...], words: str) -> None:
    done = shop("explain", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_status_tells_the_last_run_of_each_job(shop: Shop) -> None:
    nothing = {"jobs": [], "approvals": [], "stops": [], "holds": {"active": 0, "review_overdue": 0}}
    assert shop("status", "--format", "json").document == nothing
    assert not (shop.folder / "state.db").exists()
    shop("run", "--yes", "--at", AT)
    jobs = shop("status", "--format", "json").document["jobs"]
    assert [(job["rule"], job["last_run"]["outcome"], job["last_run"]["done"]) for job in jobs] == [
        ("complaint-data", "done", 1),
        ("contract-data", "done", 2),
    ]
    assert [(job["held"], job["suspect"], job["next_run"]) for job in jobs] == [(1, 0, None), (0, 1, None)]
    assert "contract-data" in shop("status").out


def test_settings_hide_secrets_and_say_where_they_are_from(shop: Shop) -> None:
    done = shop("settings", "--format", "json", RETENTIOND_SOURCES__CRM__URL="postgresql://u:hunter2@db/crm")
    assert "hunter2" not in done.out
    found = {entry["key"]: entry for entry in done.document["settings"]}
    assert found["sources.crm.url"]["origin"] == "RETENTIOND_SOURCES__CRM__URL"
    assert found["timezone"]["value"] == "Europe/Brussels"


def test_wrong_settings_are_2_line_by_line(shop: Shop) -> None:
    shop.settings.write_text('timezone = "Europe/Brussel"\nstaet = 1\n', encoding="utf-8")
    done = shop("plan")
    assert (done.code, done.out) == (2, "")
    assert len(re.findall(r"retentiond\.toml:[12]: ", done.err)) == 2


def test_the_schema_is_one_document() -> None:
    assert json.loads(command("schema").out)["title"] == "retentiond policy"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    done = command("completion", shell)
    assert done.code == 0
    assert "_RETENTIOND_COMPLETE" in done.out


def test_completion_knows_commands_and_options() -> None:
    done = command(_RETENTIOND_COMPLETE="bash_complete", COMP_WORDS="retentiond va", COMP_CWORD="1")
    assert done.out == "plain,validate\n"
    done = command(_RETENTIOND_COMPLETE="bash_complete", COMP_WORDS="retentiond plan --sa", COMP_CWORD="2")
    assert done.out == "plain,--sample\n"


def test_a_man_page_can_be_made_of_every_command(tmp_path: Path) -> None:
    maker = Path(sys.executable).parent / "click-man"
    subprocess.run([maker, "--target", tmp_path, "retentiond"], check=True, capture_output=True, timeout=60)
    pages = {path.name for path in tmp_path.iterdir()}
    inner = {f"{name}-{part}" for name in COMMANDS for part in getattr(program.commands[name], "commands", ())}
    assert "ledger-verify" in inner
    assert pages == {"retentiond.1", *(f"retentiond-{name}.1" for name in (*COMMANDS, *inner))}


def test_a_reader_who_has_enough_is_no_error(shop: Shop) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} schema | head -n 1"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_nothing_a_terminal_cannot_write_stops_a_command(shop: Shop) -> None:
    done = shop("plan", "--at", AT, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.code == 0
    assert json.loads(shop("schema", PYTHONIOENCODING="latin-1").out)


def test_the_demo_invites_and_its_tour_leaves_nothing_due(tmp_path: Path) -> None:
    done = command("demo", "--dir", str(tmp_path / "d"), "--rows", "60", "--tour")
    assert done.code == 0, done.out + done.err
    assert "0 rows due" in done.out
    settings = str(tmp_path / "d" / "retentiond.toml")
    assert command("--config", settings, "plan", "--exit-code").code == 0
    assert command("--config", settings, "test").code == 0
    again = command("demo", "--dir", str(tmp_path / "d"), "--rows", "20")
    assert f"retentiond --config {settings} validate" in again.out
    assert command("--config", settings, "plan", "--exit-code").code == 10


def test_the_demo_does_not_pretend_to_serve(tmp_path: Path) -> None:
    done = command("demo", "--dir", str(tmp_path / "d"), "--serve")
    assert done.code == 2
    assert "comes with the daemon" in done.err
    assert not (tmp_path / "d").exists()
