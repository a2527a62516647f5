"""The first tables: records, labels, jobs with keys and items, key marks, sets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_WORD = sa.String(32)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "keyhier_jobs",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("intent", _DOCUMENT, nullable=False),
        sa.Column("target", _TEXT),
        sa.Column("options", _DOCUMENT, nullable=False),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_keyhier_jobs"),
    )
    op.create_table(
        "keyhier_key_marks",
        sa.Column("key", _TEXT, nullable=False),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("details", _DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_keyhier_key_marks"),
    )
    op.create_table(
        "keyhier_records",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("names", _TEXT),
        sa.Column("names_key", _TEXT),
        sa.Column("vm", _TEXT),
        sa.Column("volume", _TEXT),
        sa.Column("encryption_set", _TEXT),
        sa.Column("labels", _DOCUMENT, nullable=False),
        sa.Column("details", _DOCUMENT, nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("key_id", _TEXT, nullable=False),
        sa.Column("key_name", _TEXT, nullable=False),
        sa.Column("recovery", sa.Text()),
        sa.Column("previous_envelope", sa.Text()),
        sa.Column("previous_key_id", _TEXT),
        sa.Column("previous_key_name", _TEXT),
        sa.Column("previous_job", _TEXT),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_keyhier_records"),
        sa.UniqueConstraint("names", name="uq_keyhier_records_names"),
    )
    op.create_index(
        "ix_keyhier_records_encryption_set_id", "keyhier_records", ["encryption_set", "id"]
    )
    op.create_index(
        "ix_keyhier_records_keks",
        "keyhier_records",
        ["id"],
        sqlite_where=sa.text("names IS NOT NULL"),
        postgresql_where=sa.text("names IS NOT NULL"),
    )
    op.create_index("ix_keyhier_records_key_id_id", "keyhier_records", ["key_id", "id"])
    op.create_index("ix_keyhier_records_key_name_id", "keyhier_records", ["key_name", "id"])
    op.create_index("ix_keyhier_records_names_key_id", "keyhier_records", ["names_key", "id"])
    op.create_index(
        "ix_keyhier_records_previous_job_id",
        "keyhier_records",
        ["previous_job", "id"],
        sqlite_where=sa.text("previous_job IS NOT NULL"),
        postgresql_where=sa.text("previous_job IS NOT NULL"),
    )
    op.create_index(
        "ix_keyhier_records_previous_key_id_id",
        "keyhier_records",
        ["previous_key_id", "id"],
        sqlite_where=sa.text("previous_key_id IS NOT NULL"),
        postgresql_where=sa.text("previous_key_id IS NOT NULL"),
    )
    op.create_index(
        "ix_keyhier_records_previous_key_name_id",
        "keyhier_records",
        ["previous_key_name", "id"],
        sqlite_where=sa.text("previous_key_name IS NOT NULL"),
        postgresql_where=sa.text("previous_key_name IS NOT NULL"),
    )
    op.create_index("ix_keyhier_records_vm_id", "keyhier_records", ["vm", "id"])
    op.create_table(
        "keyhier_sets",
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("key_id", _TEXT, nullable=False),
        sa.Column("key_name", _TEXT, nullable=False),
        sa.Column("document", _DOCUMENT, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_keyhier_sets"),
    )
    op.create_index("ix_keyhier_sets_key_name_name", "keyhier_sets", ["key_name", "name"])
    op.create_table(
        "keyhier_job_items",
        sa.Column("job", _TEXT, nullable=False),
        sa.Column("record", _TEXT, nullable=False),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("worker", _TEXT),
        sa.Column("lease", _TEXT),
        sa.Column("leased_until", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.Column("error_text", sa.Text()),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job"], ["keyhier_jobs.id"], name="fk_keyhier_job_items_job", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["record"],
            ["keyhier_records.id"],
            name="fk_keyhier_job_items_record",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job", "record", name="pk_keyhier_job_items"),
    )
    op.create_index(
        "ix_keyhier_job_items_job_state_record", "keyhier_job_items", ["job", "state", "record"]
    )
    op.create_index("ix_keyhier_job_items_record", "keyhier_job_items", ["record"])
    op.create_table(
        "keyhier_job_keys",
        sa.Column("job", _TEXT, nullable=False),
        sa.Column("key", _TEXT, nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job"], ["keyhier_jobs.id"], name="fk_keyhier_job_keys_job", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job", "key", name="pk_keyhier_job_keys"),
    )
    op.create_index(
        "uq_keyhier_job_keys_held",
        "keyhier_job_keys",
        ["key"],
        unique=True,
        sqlite_where=sa.text("held"),
        postgresql_where=sa.text("held"),
    )
    op.create_table(
        "keyhier_labels",
        sa.Column("record", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("value", _TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["record"], ["keyhier_records.id"], name="fk_keyhier_labels_record", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("record", "name", name="pk_keyhier_labels"),
    )
    op.create_index(
        "ix_keyhier_labels_name_value_record", "keyhier_labels", ["name", "value", "record"]
    )
