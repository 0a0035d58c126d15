"""The ledger, intents and fences, holds, approvals, stops, and what is pinned of each source."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

INSTANT = sa.String(27)
WIDE = sa.BigInteger()
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _ledger()
    _protocol()
    _people()
    _sources()
    _only_grows()
    op.execute("INSERT INTO control (id, epoch) VALUES (1, 0)")


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("seq", KEY, autoincrement=False, nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger")),
    )
    op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", WIDE, nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("last_time", INSTANT),
        sa.Column("clock", INSTANT),
        sa.CheckConstraint("id = 1", name=op.f("ck_ledger_head_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_head")),
    )
    op.create_table(
        "checkpoints",
        sa.Column("size", WIDE, autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("written_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "token_lists",
        sa.Column("batch", sa.String(36), nullable=False),
        sa.Column("table", sa.String(400), nullable=False),
        sa.Column("scheme", sa.String(2), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("tokens", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("batch", "table", name=op.f("pk_token_lists")),
    )
    op.create_table(
        "keys",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("destroyed_at", INSTANT),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_keys")),
    )


def _only_grows() -> None:
    """The head of an empty ledger; on SQLite no leaf can be changed, removed or put elsewhere than at the end."""
    head = sa.table(
        "ledger_head", sa.column("id", sa.Integer), sa.column("size", WIDE), sa.column("frontier", sa.LargeBinary)
    )
    op.bulk_insert(head, [{"id": 1, "size": 0, "frontier": b""}])
    if op.get_bind().dialect.name != "sqlite":
        return
    for what in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER ledger_no_{what.lower()} BEFORE {what} ON ledger "
            "BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END"
        )
    op.execute(
        "CREATE TRIGGER ledger_at_the_end BEFORE INSERT ON ledger "
        "WHEN NEW.seq <> (SELECT COALESCE(MAX(seq) + 1, 0) FROM ledger) "
        "BEGIN SELECT RAISE(ABORT, 'the ledger only grows at its end'); END"
    )


def _protocol() -> None:
    op.create_table(
        "intents",
        sa.Column("batch", sa.String(36), nullable=False),
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("job", sa.String(500), nullable=False),
        sa.Column("seq", WIDE, nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(8), nullable=False),
        sa.Column("fences", sa.JSON(), nullable=False),
        sa.Column("tables", sa.JSON(), nullable=False),
        sa.Column("probe", sa.LargeBinary()),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("born", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.Column("settled_at", INSTANT),
        sa.PrimaryKeyConstraint("batch", name=op.f("pk_intents")),
    )
    open_ones = sa.text("outcome IS NULL")
    op.create_index(
        "ix_intents_open", "intents", ["job"], unique=True, sqlite_where=open_ones, postgresql_where=open_ones
    )
    op.create_table(
        "fences",
        sa.Column("job", sa.String(500), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("seq", WIDE, nullable=False),
        sa.PrimaryKeyConstraint("job", "source", name=op.f("pk_fences")),
    )
    op.create_table(
        "control",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", WIDE, nullable=False),
        sa.Column("clock_wall", INSTANT),
        sa.Column("clock_uptime", sa.Float()),
        sa.Column("clock_boot", sa.String(64)),
        sa.CheckConstraint("id = 1", name=op.f("ck_control_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_control")),
    )


def _people() -> None:
    op.create_table(
        "holds",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("scope", sa.String(10), nullable=False),
        sa.Column("policy", sa.Text()),
        sa.Column("subject_type", sa.Text()),
        sa.Column("record", sa.Text()),
        sa.Column("source", sa.Text()),
        sa.Column("matter", sa.Text(), nullable=False),
        sa.Column("review", sa.String(10), nullable=False),
        sa.Column("added_at", INSTANT, nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("leaf", WIDE, nullable=False),
        sa.Column("release_asked_at", INSTANT),
        sa.Column("release_asked_by", sa.Text()),
        sa.Column("release_asked_uid", WIDE),
        sa.Column("released_at", INSTANT),
        sa.Column("released_by", sa.Text()),
        sa.Column("released_leaf", WIDE),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    op.create_table(
        "hold_ids",
        sa.Column("hold_id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["hold_id"], ["holds.id"], name=op.f("fk_hold_ids_hold_id")),
        sa.PrimaryKeyConstraint("hold_id", "number", name=op.f("pk_hold_ids")),
    )
    op.create_table(
        "approvals",
        sa.Column("seq", KEY, autoincrement=True, nullable=False),
        sa.Column("job", sa.String(500), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("rows", WIDE, nullable=False),
        sa.Column("tables", sa.JSON(), nullable=False),
        sa.Column("guards", sa.JSON(), nullable=False),
        sa.Column("given_at", INSTANT, nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("login_uid", WIDE),
        sa.Column("second_by", sa.Text()),
        sa.Column("second_uid", WIDE),
        sa.Column("in_force", sa.Integer(), nullable=False),
        sa.Column("leaf", WIDE, nullable=False),
        sa.Column("used_by_run", sa.String(36)),
        sa.Column("withdrawn_at", INSTANT),
        sa.Column("withdrawn_by", sa.Text()),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_approvals")),
    )
    op.create_index("ix_approvals_job", "approvals", ["job", "seq"])
    op.create_table(
        "stops",
        sa.Column("seq", KEY, autoincrement=True, nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("stopped_at", INSTANT, nullable=False),
        sa.Column("stopped_by", sa.Text(), nullable=False),
        sa.Column("resumed_at", INSTANT),
        sa.Column("resumed_by", sa.Text()),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_stops")),
    )


def _sources() -> None:
    op.create_table(
        "pins",
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("pinned_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_pins")),
    )
    op.create_table(
        "manifests",
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_manifests")),
    )
