"""The tables of the state store, in terms every engine understands. Each change here is a migration as well."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An instant as ISO text in UTC, always as long as the next, so that texts sort as the instants do."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """The text; a time without a zone is refused, for nobody could say when it was."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """The instant, in UTC."""
        return None if value is None else datetime.fromisoformat(value)


OUTCOMES = ("running", "done", "failed", "interrupted")

identity = Table(
    "identity",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("state_id", String(36), nullable=False),
    CheckConstraint("id = 1", name="one"),
)

runs = Table(
    "runs",
    metadata,
    # A wide integer is no row id on SQLite, and would not count by itself.
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("policy", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("table", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("plan_digest", Text, nullable=False),
    Column("as_of", Instant, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("outcome", String(16), nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("cascade", JSON, nullable=False),
    Column("due", BigInteger),
    Column("held", BigInteger),
    Column("floored", BigInteger),
    Column("not_started", BigInteger),
    Column("suspect", BigInteger),
    Column("total", BigInteger),
    Column("oldest_due", Instant),
    Column("counted_at", Instant),
    Column("failed_code", Text),
    Column("failed_message", Text),
    Column("requested_by", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("born", Text, nullable=False),  # tells the process from a later one with the same number
    CheckConstraint(f"outcome IN {OUTCOMES}", name="outcome"),
    Index("ix_runs_job", "policy", "rule", "source", "seq"),
)

chunks = Table(
    "chunks",
    metadata,
    Column("run_id", String(36), ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("committed_at", Instant, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("tables", JSON, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("retries", Integer, nullable=False),
)
