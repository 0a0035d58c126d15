"""Identity of the store, runs and their chunks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Types as they were in this revision: a migration may not follow what the program does later.
INSTANT = sa.String(27)
WIDE = sa.BigInteger()
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "identity",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state_id", sa.String(36), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_identity_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
    )
    op.create_table(
        "runs",
        sa.Column("seq", KEY, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("table", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("plan_digest", sa.Text(), nullable=False),
        sa.Column("as_of", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("done", WIDE, nullable=False),
        sa.Column("cascade", sa.JSON(), nullable=False),
        sa.Column("due", WIDE),
        sa.Column("held", WIDE),
        sa.Column("floored", WIDE),
        sa.Column("not_started", WIDE),
        sa.Column("suspect", WIDE),
        sa.Column("total", WIDE),
        sa.Column("oldest_due", INSTANT),
        sa.Column("counted_at", INSTANT),
        sa.Column("failed_code", sa.Text()),
        sa.Column("failed_message", sa.Text()),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("born", sa.Text(), nullable=False),
        sa.CheckConstraint("outcome IN ('running', 'done', 'failed', 'interrupted')", name=op.f("ck_runs_outcome")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_runs")),
        sa.UniqueConstraint("id", name=op.f("uq_runs_id")),
    )
    op.create_index("ix_runs_job", "runs", ["policy", "rule", "source", "seq"])
    op.create_table(
        "chunks",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("committed_at", INSTANT, nullable=False),
        sa.Column("rows", WIDE, nullable=False),
        sa.Column("tables", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_chunks_run_id")),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("pk_chunks")),
    )
