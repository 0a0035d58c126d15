from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from retentiond.errors import UsageError
from retentiond.settings import Settings, Window, settings_in_force
from retentiond.settings import address as address_module
from retentiond.settings.file import parse
from retentiond.settings.load import load_settings, settings_from

FOLDER = Path("/srv/settings")
FILE = FOLDER / "retentiond.toml"

CRM = '[sources.crm]\nurl = "postgresql+psycopg://me@db/crm"\n'


def load(text: str = CRM, **environ: str) -> Settings:
    return settings_from(parse(text, "retentiond.toml"), environ, FOLDER, FILE)


def refused(text: str = CRM, **environ: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        load(text, **environ)
    return str(caught.value).splitlines()


def test_defaults_are_those_of_the_contract() -> None:
    settings = load(CRM)
    crm = settings.source("crm")
    assert settings.state.connection_url().database == "/var/lib/retentiond/state.db"
    assert settings.ledger.keys == Path("/var/lib/retentiond/keys")
    assert settings.ledger.checkpoint_copy == FOLDER / "checkpoints"
    assert settings.tokens_kept == timedelta(days=5 * 366)
    assert settings.policies == (FOLDER / "policies",)
    assert (settings.timezone.key, settings.approval.four_eyes) == ("UTC", False)
    assert (settings.metrics.host, settings.metrics.port) == ("127.0.0.1", 9464)
    assert (crm.chunk_seconds, crm.chunk_rows, crm.fence, crm.accept) == (0.5, 1000, "table", ())
    assert (crm.backups_kept, crm.window, crm.max_rows_per_second, crm.max_replica_lag_seconds) == (None,) * 4


def test_everything_in_the_contract_is_read() -> None:
    settings = load(
        """
policies = ["a.yaml", "/b/c.yaml"]
timezone = "Europe/Paris"
[state]
url = "sqlite:///data/state.db"
[ledger]
checkpoint_copy = "/srv/evidence"
[approval]
four_eyes = true
[metrics]
listen = "[::1]:0"
[sources.crm]
url = "mariadb://me@db/crm"
password_file = "secrets/crm"
accept = ["owner", "superuser"]
fence = "probe"
backups_kept = "35 days"
chunk_seconds = 1
chunk_rows = 7
max_rows_per_second = 20000
window = "22:00-06:00"
max_replica_lag_seconds = 5
"""
    )
    crm = settings.source("crm")
    assert settings.policies == (FOLDER / "a.yaml", Path("/b/c.yaml"))
    assert settings.ledger.keys == FOLDER / "data/keys"
    assert (settings.metrics.host, settings.metrics.port) == ("::1", 0)
    assert crm.password_file == FOLDER / "secrets/crm"
    assert crm.backups_kept == timedelta(days=35)
    assert crm.window == Window(time(22), time(6))
    assert (crm.accept, crm.fence, crm.chunk_seconds, crm.chunk_rows) == (("owner", "superuser"), "probe", 1.0, 7)


@pytest.mark.parametrize(
    ("written", "driver"),
    [
        ("postgresql://me@db/x", "postgresql+psycopg"),
        ("mysql://me@db/x", "mysql+pymysql"),
        ("mariadb://me@db/x", "mariadb+pymysql"),
        ("mariadb+pymysql://me@db/x", "mariadb+pymysql"),
        ("sqlite:///x.db", "sqlite"),
    ],
)
def test_the_driver_is_the_one_we_install(written: str, driver: str) -> None:
    settings = load(f'[sources.crm]\nurl = "{written}"')
    assert settings.source("crm").connection_url().drivername == driver


@pytest.mark.parametrize(
    ("keep", "backups", "days"),
    [("", "35 days", 1830), ("", "10 years", 3660), ("1 year", "35 days", 366), ("1 month", "35 days", 35)],
)
def test_tokens_are_kept_as_long_as_a_backup_could_bring_their_rows_back(keep: str, backups: str, days: int) -> None:
    said = f'[ledger]\nkeep_tokens = "{keep}"\n' if keep else ""
    settings = load(f'{said}{CRM}backups_kept = "{backups}"\n[sources.other]\nurl = "sqlite:///x.db"\n')
    assert settings.tokens_kept == timedelta(days=days)


def test_a_relative_sqlite_file_lies_beside_the_settings() -> None:
    url = load('[sources.crm]\nurl = "sqlite:///sparkcentral/crm.db"').source("crm").connection_url()
    assert url.database == "/srv/settings/sparkcentral/crm.db"


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_module, "find_spec", lambda name: None if name == "psycopg" else name)
    assert refused(CRM) == [
        (
            "retentiond.toml:2: driver-missing: `sources.crm.url`: the driver `psycopg` for `postgresql+psycopg` is "
            "not installed (pip install 'retentiond[postgresql]')"
        )
    ]


def test_every_mistake_is_found_at_its_line() -> None:
    text = """\
polices = "x"          # a typo
timezone = "Europe/Pariss"
[metrics]
listen = "9464"
[sources.crm]
url = "postgresql://me@db/crm"
accept = [
  "owner",
  "root",
]
chunk_secs = 3
window = "25:00-06:00"
backups_kept = "P35D"
fence = "table "
[sources.Shop]
url = "oracle://me@db/shop"
[sources.other]
[sourcs.crm]
"""
    assert refused(text) == [
        "retentiond.toml:1: unknown-key: unknown key `polices` (did you mean `policies`?)",
        "retentiond.toml:2: unknown-timezone: `timezone`: no time zone `Europe/Pariss` (did you mean `Europe/Paris`?)",
        "retentiond.toml:4: bad-address: `metrics.listen`: write host and port: `127.0.0.1:9464`, `[::1]:9464`",
        (
            "retentiond.toml:7: unknown-guard: `sources.crm.accept`: no guard `root` can be silenced "
            "(known: blind-role, owner, superuser)"
        ),
        "retentiond.toml:11: unknown-key: unknown key `chunk_secs` (did you mean `chunk_seconds`?)",
        "retentiond.toml:12: bad-window: `sources.crm.window`: write the hours as `22:00-06:00`",
        (
            "retentiond.toml:13: bad-duration: `sources.crm.backups_kept`: write a number and days, weeks, months or "
            "years: `35 days`"
        ),
        "retentiond.toml:14: wrong-value: `sources.crm.fence`: Input should be 'table' or 'probe'",
        (
            "retentiond.toml:15: bad-source-name: `sources.Shop`: a source name is a-z, 0-9 and hyphens, and starts "
            "with a letter"
        ),
        (
            "retentiond.toml:16: unknown-dialect: `sources.Shop.url`: databases of the kind `oracle` are not supported "
            "(supported: postgresql, postgresql+psycopg, mysql, mysql+pymysql, mariadb, mariadb+pymysql, sqlite)"
        ),
        "retentiond.toml:17: missing-key: `sources.other`: no `url` and no `url_file`",
        "retentiond.toml:18: unknown-key: unknown key `sourcs` (did you mean `sources`?)",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a =\nb = 1", "retentiond.toml:1:4: syntax:"),
        ('x = 1\n[sources.crm\nurl = "x"', "retentiond.toml:2:13: syntax:"),
        ("x = [1,\n", "retentiond.toml:1:1: syntax:"),
        ("x = 1\nx = 2", "retentiond.toml:2:1: syntax:"),
    ],
)
def test_a_syntax_error_has_line_and_column(text: str, place: str) -> None:
    (line,) = refused(text)
    assert line.startswith(place)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('sources.crm.url = "sqlite:///x"\n\nsources.crm.chunk_rows = 0', 3),
        ('[sources]\ncrm = { url = "sqlite:///x", chunk_rows = 0 }', 2),
        ('# [no.header]\n["sources".\'crm\']\n"url" = "sqlite:///x"\n"chunk_rows" = 0', 4),
        ('note = """\n[sources.crm]\nchunk_rows = 0\n"""\n[sources.crm]\nurl="sqlite:///x"\nchunk_rows = 0', 7),
        ("[sources.crm]\r\nurl = 'sqlite:///x'\r\naccept = [ # [x]\r\n\r\n]\r\nchunk_rows = 0", 6),
    ],
)
def test_lines_are_found_however_toml_is_written(text: str, line: int) -> None:
    assert any(found.startswith(f"retentiond.toml:{line}: wrong-value") for found in refused(text))


def test_the_environment_reaches_every_value_and_counts_more() -> None:
    settings = load(
        "timezone = 'Europe/Paris'\n[sources.sparkcentral-crm]\nurl = 'sqlite:///x.db'\nchunk_rows = 5",
        RETENTIOND_SOURCES__SPARKCENTRAL_CRM__URL="sqlite:///y.db",
        RETENTIOND_SOURCES__SPARKCENTRAL_CRM__ACCEPT="owner, superuser",
        RETENTIOND_SOURCES__NEW_ONE__URL="sqlite:////z.db",
        RETENTIOND_POLICIES="a:b",
        RETENTIOND_APPROVAL__FOUR_EYES="true",
        RETENTIOND_SOURCES__SPARKCENTRAL_CRM__CHUNK_SECONDS="0.25",
        RETENTIOND_CONFIG="",
        RETENTIOND_DEBUG="1",
        RETENTIOND_SERVICE_HOST="10.0.0.1",
        RETENTIOND_PORT_9464_TCP_ADDR="10.0.0.1",
        _RETENTIOND_COMPLETE="bash_source",
        HOME="/root",
    )
    crm = settings.source("sparkcentral-crm")
    assert crm.connection_url().database == "/srv/settings/y.db"
    assert (crm.accept, crm.chunk_rows, crm.chunk_seconds) == (("owner", "superuser"), 5, 0.25)
    assert settings.source("new-one").connection_url().database == "/z.db"
    assert settings.policies == (FOLDER / "a", FOLDER / "b")
    assert settings.approval.four_eyes is True
    assert settings.origin("sources.sparkcentral-crm.url") == "RETENTIOND_SOURCES__SPARKCENTRAL_CRM__URL"
    assert settings.origin("sources.sparkcentral-crm.chunk_rows") == "retentiond.toml:4"
    assert settings.origin("timezone") == "retentiond.toml:1"
    assert settings.origin("metrics.listen") == "default"


def test_stray_variables_are_errors_with_the_nearest_name() -> None:
    assert refused(
        CRM, RETENTIOND_SOURCES__CRM__ULR="x", RETENTIOND_TIMEZON="UTC", RETENTIOND_SOURCES__CRN__WINDOW="22:00-06:00"
    ) == [
        (
            "RETENTIOND_SOURCES__CRM__ULR: unknown-variable: no setting has this name "
            "(did you mean `RETENTIOND_SOURCES__CRM__URL`?)"
        ),
        "RETENTIOND_TIMEZON: unknown-variable: no setting has this name (did you mean `RETENTIOND_TIMEZONE`?)",
        "RETENTIOND_SOURCES__CRN__WINDOW: missing-key: `sources.crn`: no `url` and no `url_file`",
    ]


def test_a_wrong_value_in_the_environment_names_the_variable() -> None:
    (line,) = refused(CRM, RETENTIOND_SOURCES__CRM__CHUNK_ROWS="many")
    assert line.startswith("RETENTIOND_SOURCES__CRM__CHUNK_ROWS: wrong-value: `sources.crm.chunk_rows`:")


def test_the_environment_alone_can_be_enough() -> None:
    environ = {"RETENTIOND_SOURCES__CRM__URL": "sqlite:////x.db"}
    settings = settings_from(parse("", ""), environ, FOLDER, None)
    assert settings.file is None
    assert list(settings.sources) == ["crm"]


def test_nothing_found_names_the_four_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retentiond.settings.file.PLACES", ())
    with pytest.raises(UsageError) as caught:
        load_settings(None, {"RETENTIOND_TIMEZONE": "UTC"})
    for place in ("--config", "RETENTIOND_CONFIG", "./retentiond.toml", "/etc/retentiond/retentiond.toml"):
        assert place in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:tiger@db/crm",
        "postgresql://me@db/crm?password=tiger",
        "mysql+pymysql://me:tiger@db:port/crm",
        "tiger",
        "tiger://x",
        "postgresql://me:tiger@db:5432:5/crm",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    text = f'[sources.crm]\nurl = "{url}"'
    try:
        settings = load(text)
    except UsageError as error:
        shown = str(error) + repr(error) + repr(error.__cause__)
        assert ":tiger" not in shown
        assert "=tiger" not in shown
    else:
        shown = repr(settings) + str(settings) + str(settings_in_force(settings)) + str(settings.source("crm"))
        assert "tiger" not in shown
        assert "***" in shown


def test_what_is_in_force_is_listed_with_its_origin() -> None:
    rows = load(
        '[sources.crm]\nurl = "mysql://me:tiger@db/crm"\nwindow = "22:00-06:00"\nbackups_kept = "5 weeks"',
        RETENTIOND_APPROVAL__FOUR_EYES="yes",
    )
    listed = settings_in_force(rows)
    assert ("sources.crm.url", "mysql+pymysql://me:***@db/crm", "retentiond.toml:2") in listed
    assert ("sources.crm.window", "22:00-06:00", "retentiond.toml:3") in listed
    assert ("sources.crm.backups_kept", "35 days", "retentiond.toml:4") in listed
    assert ("sources.crm.accept", "none", "default") in listed
    assert ("approval.four_eyes", "true", "RETENTIOND_APPROVAL__FOUR_EYES") in listed
    assert ("timezone", "UTC", "default") in listed
    assert ("state.url", "sqlite:////var/lib/retentiond/state.db", "default") in listed
    assert len({key for key, _, _ in listed}) == len(listed)


def test_settings_cannot_be_changed() -> None:
    settings = load()
    with pytest.raises(ValidationError):
        settings.source("crm").chunk_rows = 3
    with pytest.raises(TypeError):
        settings.sources["x"] = settings.source("crm")  # type: ignore[index]


def test_two_urls_or_two_passwords_in_one_place_are_refused() -> None:
    assert refused('[sources.crm]\nurl = "sqlite:///x"\nurl_file = "y"') == [
        "retentiond.toml:1: two-urls: `sources.crm`: `url` and `url_file` exclude each other"
    ]
    assert refused('[sources.crm]\nurl = "mysql://me:tiger@db/x"\npassword_file = "y"') == [
        "retentiond.toml:3: two-passwords: `url` holds a password already; keep one of the two"
    ]


def test_the_environment_displaces_what_it_excludes() -> None:
    crm = load(
        '[sources.crm]\nurl_file = "y"\npassword_file = "z"',
        RETENTIOND_SOURCES__CRM__URL="mysql://me:tiger@db/x",
    ).source("crm")
    assert crm.url_file is None
    assert crm.password_file is None
    assert crm.connection_url().password == "tiger"


def test_an_unknown_source_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no source `crn`.*did you mean `crm`"):
        load().source("crn")


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        ("22:00-06:00", ("22:00", "23:59", "00:00", "05:59"), ("06:00", "21:59")),
        ("01:00-02:00", ("01:00",), ("02:00",)),
    ],
)
def test_a_window_may_pass_midnight(hours: str, inside: tuple[str, ...], outside: tuple[str, ...]) -> None:
    window = load(f'{CRM}window = "{hours}"').source("crm").window
    assert window is not None
    assert all(window.contains(time.fromisoformat(hour)) for hour in inside)
    assert not any(window.contains(time.fromisoformat(hour)) for hour in outside)


def test_a_back_up_is_never_said_to_be_gone_too_early() -> None:
    assert load(f'{CRM}backups_kept = "1 month"').source("crm").backups_kept == timedelta(days=31)


def test_the_environment_of_the_process_is_not_read_besides_the_one_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TIMEZONE", "RETENTIOND_TIMEZONE", "timezone"):
        monkeypatch.setenv(name, "Europe/Paris")
    monkeypatch.setenv("SOURCES", '{"crm": {"fence": "probe"}}')
    settings = load()
    assert (settings.timezone.key, settings.source("crm").fence) == ("UTC", "table")


def test_the_library_cannot_be_made_to_log_a_password(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    caplog.set_level("DEBUG")
    load('[sources.crm]\nurl = "mysql://me:tiger@db/crm"', RETENTIOND_STATE__URL="mysql://me:tiger@db/state")
    assert "FileSource" in caplog.text
    assert "tiger" not in caplog.text


def test_no_variable_hides_a_value_that_should_be_a_table() -> None:
    assert refused("sources = 3", RETENTIOND_SOURCES__CRM__URL="sqlite:///x.db") == [
        "retentiond.toml:1: wrong-value: `sources`: must be a table"
    ]


def test_sources_keep_the_order_of_the_file_whatever_layer_completes_them(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    settings = load(
        '[sources.c]\nurl = "sqlite:///c"\n[sources.b]\n[sources.a]\n',
        RETENTIOND_SOURCES__A__URL="sqlite:///a",
        CREDENTIALS_DIRECTORY=str(tmp_path),
    )
    assert list(settings.sources) == ["c", "b", "a"]
