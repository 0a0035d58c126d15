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
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
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

ledger = Table(
    "ledger",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary, nullable=False),  # canonical JSON, byte for byte what the tree was made of
    Column("hash", LargeBinary, nullable=False),  # its hash in the tree: tells which leaf is not what it was
)

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("last_time", Instant),
    Column("clock", Instant),  # the latest that the host's clock said; a person may set it back
    CheckConstraint("id = 1", name="one"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
    Column("frontier", LargeBinary, nullable=False),  # of the tree it is about: from here its growth can be followed
    Column("written_at", Instant, nullable=False),
)

token_lists = Table(
    "token_lists",
    metadata,
    Column("batch", String(36), primary_key=True),
    Column("table", String(400), primary_key=True),  # the ledger's label: source.schema.table
    Column("scheme", String(2), nullable=False),
    Column("key", String(64), nullable=False),  # which key made them
    Column("tokens", LargeBinary, nullable=False),  # 16 bytes each, sorted
    Column("made_at", Instant, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("destroyed_at", Instant),
)

intents = Table(
    "intents",
    metadata,
    Column("batch", String(36), primary_key=True),
    Column("run_id", String(36), nullable=False),
    Column("job", String(500), nullable=False),
    Column("seq", BigInteger, nullable=False),  # of its leaf
    Column("action", Text, nullable=False),
    Column("mode", String(8), nullable=False),
    Column("fences", JSON, nullable=False),  # [{"source": …, "seq": …}] before the step
    Column("tables", JSON, nullable=False),
    Column("probe", LargeBinary),  # sealed keys, where no fence can tell; gone with the outcome
    Column("opened_at", Instant, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("born", Text, nullable=False),
    Column("outcome", String(16)),
    Column("settled_at", Instant),
)
Index(
    "ix_intents_open",
    intents.c.job,
    unique=True,
    sqlite_where=text("outcome IS NULL"),
    postgresql_where=text("outcome IS NULL"),
)

fences = Table(
    "fences",
    metadata,
    Column("job", String(500), primary_key=True),
    Column("source", String(200), primary_key=True),
    Column("seq", BigInteger, nullable=False),  # the highest that an outcome told of
)

control = Table(
    "control",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),  # raised by whatever takes a permission back
    Column("clock_wall", Instant),
    Column("clock_uptime", Float),
    Column("clock_boot", String(64)),
    CheckConstraint("id = 1", name="one"),
)

holds = Table(
    "holds",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("scope", String(10), nullable=False),  # subject, record, source
    Column("policy", Text),
    Column("subject_type", Text),
    Column("record", Text),
    Column("source", Text),
    Column("matter", Text, nullable=False),
    Column("review", String(10), nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("leaf", BigInteger, nullable=False),  # the seq of the leaf that vouches for it
    Column("release_asked_at", Instant),
    Column("release_asked_by", Text),
    Column("release_asked_uid", BigInteger),
    Column("released_at", Instant),
    Column("released_by", Text),
    Column("released_leaf", BigInteger),  # the seq of the leaf that vouches for the release
)

hold_ids = Table(
    "hold_ids",
    metadata,
    Column("hold_id", String(36), ForeignKey("holds.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("job", String(500), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("tables", JSON, nullable=False),  # the fingerprint of each; together they are the one above
    Column("guards", JSON, nullable=False),  # the names it releases, for one run
    Column("given_at", Instant, nullable=False),
    Column("given_by", Text, nullable=False),
    Column("login_uid", BigInteger),
    Column("second_by", Text),
    Column("second_uid", BigInteger),
    Column("in_force", Integer, nullable=False),  # 0: waits for a second person
    Column("leaf", BigInteger, nullable=False),  # the seq of the leaf that vouches for it
    Column("used_by_run", String(36)),
    Column("withdrawn_at", Instant),
    Column("withdrawn_by", Text),
    Index("ix_approvals_job", "job", "seq"),
)

stops = Table(
    "stops",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("pattern", Text, nullable=False),
    Column("stopped_at", Instant, nullable=False),
    Column("stopped_by", Text, nullable=False),
    Column("resumed_at", Instant),
    Column("resumed_by", Text),
)

pins = Table(
    "pins",
    metadata,
    Column("source", String(200), primary_key=True),
    Column("identity", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("pinned_at", Instant, nullable=False),
)

manifests = Table(
    "manifests",
    metadata,
    Column("source", String(200), primary_key=True),
    Column("document", JSON, nullable=False),  # foreign keys that an administrator saw
    Column("made_at", Instant, nullable=False),
    Column("made_by", Text, nullable=False),
)
