"""What is said of a server's settings."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from retentiond.catalog.model import Dialect
from retentiond.engine.doctor_server import is_local, judge_encryption, judge_server

GOOD_POSTGRESQL = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "track_counts": "on",
    "session_replication_role": "origin",
    "log_statement": "ddl",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_transaction_sample_rate": "0",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "0",
    "in_recovery": "off",
    "encrypted": "off",
}
GOOD_MARIADB = {
    "innodb_flush_log_at_trx_commit": "1",
    "innodb_doublewrite": "on",
    "sync_binlog": "0",
    "log_bin": "off",
    "binlog_format": "mixed",
    "slow_query_log": "off",
    "general_log": "off",
    "read_only": "off",
    "encrypted": "off",
}
GOOD: dict[Dialect, dict[str, str]] = {
    "postgresql": GOOD_POSTGRESQL,
    "mariadb": GOOD_MARIADB,
    "sqlite": {"journal_mode": "wal", "secure_delete": "1"},
}


@pytest.mark.parametrize("dialect", GOOD)
def test_of_good_settings_nothing_is_said(dialect: Dialect) -> None:
    assert list(judge_server(GOOD[dialect], dialect, "source crm")) == []


@pytest.mark.parametrize(
    ("dialect", "changed", "code", "severity"),
    [
        ("postgresql", {"fsync": "off"}, "durability", "warning"),
        ("postgresql", {"full_page_writes": "off"}, "durability", "warning"),
        ("postgresql", {"synchronous_commit": "off"}, "durability", "info"),
        ("postgresql", {"track_counts": "off"}, "track-counts", "error"),
        ("postgresql", {"session_replication_role": "replica"}, "replication-role", "error"),
        ("postgresql", {"in_recovery": "on"}, "read-only", "error"),
        ("postgresql", {"log_statement": "mod"}, "server-log", "warning"),
        ("postgresql", {"log_min_duration_statement": "0"}, "server-log", "warning"),
        ("postgresql", {"log_min_duration_sample": "100"}, "server-log", "warning"),
        ("postgresql", {"log_transaction_sample_rate": "0.5"}, "server-log", "warning"),
        ("postgresql", {"log_parameter_max_length_on_error": "-1"}, "server-log", "warning"),
        ("mariadb", {"innodb_flush_log_at_trx_commit": "2"}, "durability", "warning"),
        ("mariadb", {"innodb_doublewrite": "off"}, "durability", "warning"),
        ("mariadb", {"general_log": "on"}, "server-log", "warning"),
        ("mariadb", {"slow_query_log": "on"}, "server-log", "warning"),
        ("mariadb", {"read_only": "on"}, "read-only", "warning"),
        ("sqlite", {"secure_delete": "0"}, "residue", "info"),
    ],
)
def test_each_bad_setting_is_said_once(dialect: Dialect, changed: dict[str, str], code: str, severity: str) -> None:
    (found,) = judge_server({**GOOD[dialect], **changed}, dialect, "source crm")
    assert (found.code, found.severity, found.where) == (code, severity, "source crm")


def test_statements_without_their_parameters_may_be_logged() -> None:
    found = {**GOOD_POSTGRESQL, "log_min_duration_statement": "0", "log_parameter_max_length": "0"}
    assert list(judge_server(found, "postgresql", "x")) == []


def test_a_binary_log_must_be_durable_and_able_to_say_what_changed() -> None:
    found = {**GOOD_MARIADB, "log_bin": "on", "sync_binlog": "0", "binlog_format": "statement"}
    severities = {(one.code, one.severity) for one in judge_server(found, "mariadb", "x")}
    assert severities == {("durability", "warning"), ("1665", "error"), ("residue", "info")}


def test_a_setting_that_the_server_does_not_tell_is_not_judged() -> None:
    for dialect in GOOD:
        assert list(judge_server({}, dialect, "x")) == [], dialect


@pytest.mark.parametrize(
    ("url", "encrypted", "said"),
    [
        ("postgresql+psycopg://me@db.internal/crm", "off", "not encrypted"),
        ("postgresql+psycopg://me@db.internal/crm", "on", "prove"),
        ("postgresql+psycopg://me@db.internal/crm?sslmode=require", "on", "prove"),
        ("postgresql+psycopg://me@db.internal/crm?sslmode=verify-ca", "on", "prove"),
        ("postgresql+psycopg://me@db.internal/crm?sslmode=verify-full", "on", ""),
        ("postgresql+psycopg://me@127.0.0.1/crm", "off", ""),
        ("postgresql+psycopg:///crm?host=/run/postgresql", "off", ""),
        ("mysql+pymysql://me@db.internal/crm", "off", "not encrypted"),
        ("mysql+pymysql://me@db.internal/crm?ssl_ca=/ca.pem", "on", ""),
        ("mysql+pymysql://me@db.internal/crm?ssl_ca=/ca.pem&ssl_check_hostname=false", "on", "prove"),
        ("mysql+pymysql://me@/crm?unix_socket=/run/mysqld.sock", "off", ""),
        ("sqlite:////srv/shop.db", "off", ""),
    ],
)
def test_a_server_over_a_network_must_prove_who_it_is(url: str, encrypted: str, said: str) -> None:
    found = list(judge_encryption({"encrypted": encrypted}, sa.make_url(url), "x"))
    assert [(one.code, one.severity) for one in found] == ([("no-tls", "warning")] if said else [])
    assert all(said in one.message for one in found)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("postgresql+psycopg://me@localhost/crm", True),
        ("postgresql+psycopg://me@[::1]/crm", True),
        ("postgresql+psycopg://me@127.8.8.8/crm", True),
        ("postgresql+psycopg:///crm?host=localhost&host=db.internal", False),
        ("postgresql+psycopg://me@10.0.0.1/crm", False),
        ("postgresql+psycopg://me@localhost.example.org/crm", False),
    ],
)
def test_what_is_local(url: str, local: bool) -> None:
    assert is_local(sa.make_url(url)) is local
