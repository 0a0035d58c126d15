"""Settings where files are: which one is taken, secrets, credentials, the folder of policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from retentiond.errors import UsageError
from retentiond.settings import load_settings, settings_in_force

CRM = '[sources.crm]\nurl = "postgresql://me@db/crm"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("retentiond.settings.file.PLACES", (Path("retentiond.toml"), tmp_path / "etc.toml"))
    return tmp_path


def write(path: Path, text: str = CRM) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_the_four_places_count_in_their_order(here: Path) -> None:
    last = write(here / "etc.toml")
    assert load_settings(None, {}).file == last
    write(here / "retentiond.toml")
    assert load_settings(None, {}).file == Path("retentiond.toml")
    named = write(here / "named.toml")
    assert load_settings(None, {"RETENTIOND_CONFIG": str(named)}).file == named
    given = write(here / "given.toml")
    assert load_settings(given, {"RETENTIOND_CONFIG": str(named)}).file == given


def test_a_named_file_that_is_missing_is_an_error(here: Path) -> None:
    write(here / "retentiond.toml")
    with pytest.raises(UsageError, match="--config"):
        load_settings(here / "none.toml", {})
    with pytest.raises(UsageError, match="RETENTIOND_CONFIG"):
        load_settings(None, {"RETENTIOND_CONFIG": str(here / "none.toml")})


def test_what_is_no_text_is_refused(here: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load_settings(here, {})
    (here / "x.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(UsageError, match=r"x\.toml:2: not-utf-8"):
        load_settings(here / "x.toml", {})


def test_paths_start_at_the_folder_of_the_settings(here: Path) -> None:
    settings = load_settings(write(here / "a/b.toml", 'policies = "p"\n[state]\nurl = "sqlite:///s.db"\n' + CRM), {})
    assert settings.policies == (here / "a/p",)
    assert settings.state.connection_url().database == str(here / "a/s.db")
    assert settings.ledger.keys == here / "a/keys"


def test_a_password_comes_from_its_file_each_time(here: Path) -> None:
    secret = write(here / "crm.secret", "tiger\n")
    source = load_settings(write(here / "a.toml", CRM + 'password_file = "crm.secret"'), {}).source("crm")
    assert source.connection_url().password == "tiger"
    secret.write_text("lion")
    assert source.connection_url().password == "lion"
    secret.write_text("\n")
    with pytest.raises(UsageError, match=r"crm\.secret: is empty"):
        source.connection_url()
    secret.unlink()
    with pytest.raises(UsageError, match=r"crm\.secret: no such file"):
        source.connection_url()


@pytest.mark.parametrize(("mode", "why"), [(0o640, "its group"), (0o604, "everybody"), (0o644, "everybody")])
def test_a_secret_that_others_may_read_is_refused(here: Path, mode: int, why: str) -> None:
    for key, text in (("password_file", CRM), ("url_file", "[sources.crm]\n")):
        secret = write(here / "crm.secret", "tiger" if key == "password_file" else "mysql://me:tiger@db/x")
        settings = load_settings(write(here / "a.toml", f'{text}{key} = "crm.secret"'), {})
        assert settings.source("crm").connection_url().password == "tiger"
        secret.chmod(mode)
        with pytest.raises(UsageError, match=why) as caught:
            settings.source("crm").connection_url()
        assert caught.value.code == "secret-readable"
        assert "tiger" not in str(caught.value)


def test_a_credential_that_systemd_hands_over_may_show_a_group(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here / "cred/crm", "tiger").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(here / "cred"))
    settings = load_settings(write(here / "a.toml"), {"CREDENTIALS_DIRECTORY": str(here / "cred")})
    assert settings.source("crm").connection_url().password == "tiger"
    (here / "cred/crm").chmod(0o444)
    with pytest.raises(UsageError, match="everybody"):
        settings.source("crm").connection_url()


def test_a_whole_url_may_come_from_a_file(here: Path) -> None:
    write(here / "crm.url", "mysql://me:tiger@db/crm\n")
    settings = load_settings(write(here / "a.toml", '[sources.crm]\nurl_file = "crm.url"'), {})
    assert settings.source("crm").connection_url().password == "tiger"
    assert "tiger" not in str(settings_in_force(settings))
    write(here / "crm.url", "oracle://me:tiger@db/crm\n")
    with pytest.raises(UsageError, match=r"crm\.url: databases of the kind `oracle`") as caught:
        settings.source("crm").connection_url()
    assert "tiger" not in str(caught.value)


def test_a_systemd_credential_is_a_password_or_a_url(here: Path) -> None:
    write(here / "cred/crm", "tiger")
    write(here / "cred/shop", "mysql://me:lion@db/shop")
    write(here / "cred/own", "never read")
    text = CRM + '[sources.shop]\nfence = "probe"\n[sources.own]\nurl = "mysql://me:own@db/x"\n[sources.bare]\n'
    text += 'url = "postgresql://me@db/bare"'
    settings = load_settings(write(here / "a.toml", text), {"CREDENTIALS_DIRECTORY": str(here / "cred")})
    passwords = {name: source.connection_url().password for name, source in settings.sources.items()}
    assert passwords == {"crm": "tiger", "shop": "lion", "own": "own", "bare": None}
    assert settings.origin("sources.crm.password_file") == "credential crm"
    assert settings.origin("sources.shop.url_file") == "credential shop"


def test_a_folder_of_policies_is_read_without_its_sub_folders(here: Path) -> None:
    for name in ("p/b.yaml", "p/a.yml", "p/.hidden.yaml", "p/notes.txt", "p/tests/c.yaml", "one.yaml"):
        write(here / name, "")
    settings = load_settings(write(here / "a.toml", f'policies = ["p", "one.yaml"]\n{CRM}'), {})
    assert settings.policy_files() == (here / "p/a.yml", here / "p/b.yaml", here / "one.yaml")
    missing = load_settings(write(here / "b.toml", f'policies = "q"\n{CRM}'), {})
    with pytest.raises(UsageError, match=r"b\.toml:1: no policy file or folder"):
        missing.policy_files()
