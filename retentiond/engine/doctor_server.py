"""What is to be said of a server's settings: could it forget a commit, and do its logs keep what we delete."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from sqlalchemy.engine import URL

from retentiond.catalog.model import Dialect
from retentiond.engine.finding import Finding, Severity

_FORGETS = "a crash of the machine may take back a commit that was recorded; retentiond notices and stops"
_LOGGED = (
    "statements, and values of rows in them, go into the server's log: see to who reads it and how long it is kept"
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """`bad` says of a setting's value whether something is to be said."""

    name: str
    bad: Callable[[str], bool]
    severity: Severity
    code: str
    message: str
    remedy: str


def _is(*values: str) -> Callable[[str], bool]:
    return lambda value: value.lower() in values


def _is_not(*values: str) -> Callable[[str], bool]:
    return lambda value: value.lower() not in values


_OFF, _ON = _is("off", "0"), _is("on", "1")
_POSTGRESQL = (
    _Rule("fsync", _OFF, "warning", "durability", _FORGETS, "fsync = on"),
    _Rule("full_page_writes", _OFF, "warning", "durability", _FORGETS, "full_page_writes = on"),
    _Rule(
        "synchronous_commit",
        _OFF,
        "info",
        "durability",
        "other sessions may lose a commit in a crash; those of retentiond wait for theirs",
        "",
    ),
    _Rule(
        "track_counts",
        _OFF,
        "error",
        "track-counts",
        "nobody can tell what a transaction has changed: no row goes",
        "track_counts = on",
    ),
    _Rule(
        "session_replication_role",
        _is_not("origin"),
        "error",
        "replication-role",
        "triggers and foreign keys do not act in this role's sessions",
        "ALTER ROLE … RESET session_replication_role",
    ),
    _Rule(
        "in_recovery",
        _ON,
        "error",
        "read-only",
        "this server is a replica and takes no changes",
        "name the primary server in the URL",
    ),
)
_MYSQL = (
    _Rule(
        "innodb_flush_log_at_trx_commit",
        _is_not("1"),
        "warning",
        "durability",
        _FORGETS,
        "innodb_flush_log_at_trx_commit = 1",
    ),
    _Rule("innodb_doublewrite", _OFF, "warning", "durability", _FORGETS, "innodb_doublewrite = ON"),
    _Rule(
        "slow_query_log", _ON, "warning", "server-log", _LOGGED, "slow_query_log = OFF, or a short life for the file"
    ),
    _Rule("general_log", _ON, "warning", "server-log", _LOGGED, "general_log = OFF"),
    _Rule("read_only", _is_not("off", "0"), "warning", "read-only", "this server may be a replica", "name the primary"),
)
_SQLITE = (
    _Rule(
        "secure_delete",
        _is("0"),
        "info",
        "residue",
        "deleted rows stay in free pages of the file until these are used again",
        "PRAGMA secure_delete in the application, or VACUUM now and then",
    ),
)
_RULES: Mapping[Dialect, tuple[_Rule, ...]] = {
    "postgresql": _POSTGRESQL,
    "mariadb": _MYSQL,
    "mysql": _MYSQL,
    "sqlite": _SQLITE,
}


def judge_server(found: Mapping[str, str], dialect: Dialect, where: str) -> Iterator[Finding]:
    """Findings on these settings."""
    for rule in _RULES[dialect]:
        value = found.get(rule.name)
        if value is not None and rule.bad(value):
            message = f"{rule.name} is {value}: {rule.message}"
            yield Finding(rule.severity, rule.code, where, message, rule.remedy)
    if dialect == "postgresql" and _logs_statements(found):
        remedy = "log_parameter_max_length = 0 for this role, and no log_statement"
        yield Finding("warning", "server-log", where, _LOGGED, remedy)
    if dialect in ("mariadb", "mysql") and found.get("log_bin") == "on":
        yield from _judge_binary_log(found, where)


def judge_encryption(found: Mapping[str, str], url: URL, where: str) -> Iterator[Finding]:
    """What is to be said of the way to the server: over a network it has to prove who it is."""
    if url.get_backend_name() == "sqlite" or is_local(url):
        return
    postgresql = url.get_backend_name() == "postgresql"
    remedy = "sslmode=verify-full and sslrootcert in the URL" if postgresql else "ssl_ca in the URL"
    if found.get("encrypted") != "on":
        message = "what goes over the network to this server is not encrypted"
    elif not _verifies(url):
        message = "the server does not have to prove who it is: somebody in between could read and change everything"
    else:
        return
    yield Finding("warning", "no-tls", where, message, remedy)


def is_local(url: URL) -> bool:
    """True where the server is reached over a socket or the loopback device."""
    named = url.host or url.query.get("host", "")
    hosts = (named if isinstance(named, str) else ",".join(named)).split(",")
    return "unix_socket" in url.query or all(_is_loopback(host) for host in hosts)


def _is_loopback(host: str) -> bool:
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _verifies(url: URL) -> bool:
    if url.get_backend_name() == "postgresql":
        return url.query.get("sslmode") == "verify-full"
    return "ssl_ca" in url.query and url.query.get("ssl_check_hostname", "true") != "false"


def _logs_statements(found: Mapping[str, str]) -> bool:
    """True where the log gets statements together with their parameters."""
    timed = any(int(found.get(name, "-1")) >= 0 for name in ("log_min_duration_statement", "log_min_duration_sample"))
    sampled = float(found.get("log_transaction_sample_rate", "0")) > 0
    said = timed or sampled or found.get("log_statement") in ("mod", "all")
    parameters = found.get("log_parameter_max_length", "-1") != "0"
    return (said and parameters) or found.get("log_parameter_max_length_on_error", "0") != "0"


def _judge_binary_log(found: Mapping[str, str], where: str) -> Iterator[Finding]:
    if found.get("sync_binlog") != "1":
        yield Finding("warning", "durability", where, f"sync_binlog is not 1: {_FORGETS}", "sync_binlog = 1")
    if found.get("binlog_format") == "statement":
        message = "binlog_format is STATEMENT: this server refuses our changes under READ COMMITTED"
        yield Finding("error", "1665", where, message, "binlog_format = MIXED or ROW")
    message = "the binary log keeps what rows were before they went, as long as it is kept"
    yield Finding("info", "residue", where, message, "see binlog_expire_logs_seconds")
