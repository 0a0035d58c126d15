"""`retentiond ledger`, called the way the owner of the ledger and an auditor call it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.acceptance.commands import AT, CANARY, Shop, command, make_shop


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop in which a run destroyed something, to be copied."""
    shop = make_shop(tmp_path_factory.mktemp("shop"))
    done = shop("run", "--yes", "--at", AT)
    assert done.code == 0, done.err
    return shop


@pytest.fixture
def shop(made: Shop, tmp_path: Path) -> Shop:
    shutil.copytree(made.folder, tmp_path / "shop")
    return Shop(tmp_path / "shop")


def exported(shop: Shop) -> Path:
    done = shop("ledger", "export")
    assert done.code == 0, done.err
    file = shop.folder.parent / "export.jsonl"
    file.write_text(done.out, encoding="utf-8")
    return file


def audit(export: Path, shop: Shop, *more: str, stdin: str | None = None) -> tuple[int, str, str]:
    """What an auditor sees, who has no settings and no state store."""
    public = export.parent / "public"
    public.write_text((shop.folder / "keys" / "ledger.pub").read_text())
    elsewhere = export.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    name = "-" if stdin is not None else str(export)
    done = command("ledger", "verify", name, "--public-key", str(public), *more, stdin=stdin, folder=elsewhere)
    assert list(elsewhere.iterdir()) == []
    return done.code, done.out, done.err


def test_what_a_run_did_verifies(shop: Shop) -> None:
    done = shop("ledger", "verify")
    assert done.code == 0, done.err
    first, second = done.out.splitlines()
    assert first.endswith(" entries, nothing changed, removed, added or reordered")
    assert second.startswith(f"checkpoint of {first.split()[0]} entries, signed ")
    document = shop("ledger", "verify", "--format", "json").document
    assert document["entries"] == document["checkpoint"]["size"] == int(first.split()[0])
    assert (document["unsigned"], document["open"]) == (0, 0)
    assert document["checkpoint"]["signed_by"][0].startswith("ledger-")


def test_an_export_is_what_the_contract_says(shop: Shop) -> None:
    lines = exported(shop).read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines[:-1]]
    assert [entry["seq"] for entry in entries] == list(range(len(entries)))
    kinds = {"intent", "outcome", "hold", "approval", "request", "stop", "restore", "key", "prune"}
    assert {entry["kind"] for entry in entries} <= kinds
    assert set(json.loads(lines[-1])) == {"checkpoint", "kind"}
    gone: dict[str, int] = {}
    for entry in entries:
        if entry["kind"] == "outcome":
            assert {"run", "batch", "job", "status", "action", "tables", "evidence", "time"} <= set(entry)
            for table, count in entry["tables"].items() if entry["status"] == "destroyed" else ():
                gone[table] = gone.get(table, 0) + count
    assert gone == {"crm.customers": 2, "crm.contracts": 2, "crm.invoices": 2}
    assert not any(CANARY in line for line in lines)


def test_an_auditor_needs_the_export_and_the_public_key_alone(shop: Shop) -> None:
    export = exported(shop)
    code, out, err = audit(export, shop)
    assert (code, err) == (0, "")
    assert out == shop("ledger", "verify").out
    code, piped, _ = audit(export, shop, stdin=export.read_text(encoding="utf-8"))
    assert (code, piped) == (0, out)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"crm.customers":2', '"crm.customers":1', "entry 4 of the ledger is wrong"),
        ('"by":"', '"by":"x', "at least one of them was changed"),
        ('"seq":3', '"seq": 3', "entry 3 of the ledger is wrong"),
        ('"kind":"checkpoint"', '"kind":"checkpoins"', "does not end with a checkpoint"),
    ],
)
def test_an_auditor_sees_what_was_changed(shop: Shop, before: str, after: str, said: str) -> None:
    export = exported(shop)
    text = export.read_text(encoding="utf-8")
    assert before in text
    export.write_text(text.replace(before, after, 1), encoding="utf-8")
    code, out, err = audit(export, shop)
    assert (code, out) == (4, "")
    assert said in err


def test_an_auditor_sees_what_was_cut_off(shop: Shop) -> None:
    export = exported(shop)
    lines = export.read_text(encoding="utf-8").splitlines(keepends=True)
    for text in ("", "".join(lines[:-1]), "".join(lines)[:-1], "".join(lines[:2] + lines[3:])):
        export.write_text(text, encoding="utf-8")
        assert audit(export, shop)[0] == 4


def test_a_checkpoint_put_away_shows_an_older_export(shop: Shop) -> None:
    old = exported(shop).rename(shop.folder.parent / "old.jsonl")
    checkpoint = next((shop.folder / "checkpoints").glob("*.checkpoint"))
    early = shop.folder.parent / "early.checkpoint"
    shutil.copy(checkpoint, early)
    assert shop("stop").code == 0
    new = exported(shop)
    assert audit(new, shop, "--checkpoint", str(early))[0] == 0
    assert audit(new, shop, "--checkpoint", str(checkpoint))[0] == 0
    code, _, err = audit(old, shop, "--checkpoint", str(checkpoint))
    assert code == 4
    assert "was taken back" in err


def test_another_public_key_does_not_do(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make_shop(tmp_path / "other" / "shop")
    assert other("run", "--yes", "--at", AT).code == 0
    code, _, err = audit(exported(shop), other)
    assert code == 4
    assert "a key that was not given" in err


def test_a_state_store_put_back_to_an_older_state_is_seen(shop: Shop) -> None:
    old = shop.folder.parent / "old.db"
    shutil.copy(shop.folder / "state.db", old)
    assert shop("stop").code == 0
    exported(shop)
    for file in shop.folder.glob("state.db-*"):
        file.unlink()
    shutil.copy(old, shop.folder / "state.db")
    done = shop("ledger", "verify")
    assert done.code == 4
    assert "the ledger was taken back" in done.err
    assert shop("ledger", "rotate").code == 4
    (shop.folder / "state.db").unlink()
    gone = shop("ledger", "verify")
    assert gone.code == 4
    assert "gone" in gone.err


def test_what_is_not_signed_yet_is_said_and_signed_by_an_export(shop: Shop) -> None:
    before = shop("ledger", "verify", "--format", "json").document["entries"]
    assert shop("stop").code == 0
    assert shop("resume").code == 0
    document = shop("ledger", "verify", "--format", "json").document
    assert (document["entries"], document["unsigned"]) == (before + 2, 2)
    assert "2 entries not signed yet" in shop("ledger", "verify").out
    exported(shop)
    assert shop("ledger", "verify", "--format", "json").document["unsigned"] == 0


def test_a_new_key_signs_with_the_old_one_and_then_alone(shop: Shop) -> None:
    (old,) = shop("ledger", "verify", "--format", "json").document["checkpoint"]["signed_by"]
    done = shop("ledger", "rotate")
    assert done.code == 0, done.err
    new = done.out.strip()
    assert shop("ledger", "verify", "--format", "json").document["checkpoint"]["signed_by"] == [new, old]
    assert audit(exported(shop), shop)[0] == 0
    assert shop("stop").code == 0
    assert audit(exported(shop), shop)[0] == 0
    assert shop("ledger", "verify", "--format", "json").document["checkpoint"]["signed_by"] == [new]


def test_nothing_is_there_before_the_first_command_that_writes(tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "new")
    assert shop("plan").code == 0
    verified = shop("ledger", "verify")
    assert (verified.code, verified.out) == (0, "0 entries, nothing changed, removed, added or reordered\n")
    export = shop("ledger", "export")
    assert (export.code, export.out) == (2, "")
    assert sorted(path.name for path in shop.folder.iterdir()) == ["crm.db", "policies", "retentiond.toml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ledger", "verify", "nowhere.jsonl", "--public-key", "keys/ledger.pub"), "cannot be read"),
        (("ledger", "verify", "--public-key", "nowhere.pub"), "cannot be read"),
        (("ledger", "verify", "--public-key", "retentiond.toml"), "no public key"),
        (("ledger", "verify", "--checkpoint", "nowhere"), "cannot be read"),
    ],
)
def test_a_file_that_is_not_there_is_the_callers_mistake(shop: Shop, arguments: tuple[str, ...], said: str) -> None:
    done = shop(*arguments)
    assert done.code == 2
    assert said in done.err


def test_a_lost_key_is_not_made_anew(shop: Shop) -> None:
    (shop.folder / "keys" / "ledger.key").unlink()
    done = shop("run", "--yes", "--at", AT)
    assert done.code in (3, 4)
    assert not (shop.folder / "keys" / "ledger.key").exists()
    assert shop("ledger", "rotate").code == 3
