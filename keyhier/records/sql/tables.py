"""The tables, as the code uses them; the migrations make them.

Times are milliseconds since 1970 in UTC, by the database's clock. Documents are JSON where no
query needs a column. Names begin with ``keyhier_``, so that a database may hold other things too.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

__all__ = [
    "VERSION_TABLE",
    "job_items",
    "job_keys",
    "jobs",
    "key_marks",
    "labels",
    "metadata",
    "records",
    "sets",
]

VERSION_TABLE: Final = "keyhier_schema"

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite compares text by bytes; PostgreSQL does with this collation, whatever the database's is.
_Text: Final = Text().with_variant(Text(collation="C"), "postgresql")
_Document: Final = JSON().with_variant(JSONB(), "postgresql")
_Word: Final = String(32)


def _history() -> tuple[Column[int], ...]:
    """Return the columns of what changes by optimistic locking."""
    names = ("generation", "created", "updated")
    return tuple(Column(name, BigInteger, nullable=False) for name in names)


def _index_where(
    condition: ColumnElement[bool],
    *columns: Column[Any],
    name: str | None = None,
    unique: bool = False,
) -> None:
    """Make an index of the rows that meet a condition."""
    Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _part_of(name: str, owner: Column[str]) -> Column[str]:
    """Return the column that names what a row belongs to, and goes with."""
    return Column(name, _Text, ForeignKey(owner, ondelete="CASCADE"), nullable=False)


records: Final = Table(
    "keyhier_records",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("kind", _Word, nullable=False),
    # A KEK's id with and without its version; empty for other kinds.
    Column("names", _Text),
    Column("names_key", _Text),
    Column("vm", _Text),
    Column("volume", _Text),
    Column("encryption_set", _Text),
    # What labels says too, which is there for searches.
    Column("labels", _Document, nullable=False),
    Column("details", _Document, nullable=False),
    Column("envelope", Text, nullable=False),
    # The envelope's kid, with and without its version.
    Column("key_id", _Text, nullable=False),
    Column("key_name", _Text, nullable=False),
    Column("recovery", Text),
    Column("previous_envelope", Text),
    Column("previous_key_id", _Text),
    Column("previous_key_name", _Text),
    Column("previous_job", _Text),
    Column("state", _Word, nullable=False),
    *_history(),
    UniqueConstraint("names"),
)
Index(None, records.c.names_key, records.c.id)
# The KEKs, which are few among many volume keys.
_index_where(records.c.names.is_not(None), records.c.id, name="ix_keyhier_records_keks")
# One for all versions of a key and one for each, so that either comes in the order of the ids.
Index(None, records.c.key_name, records.c.id)
Index(None, records.c.key_id, records.c.id)
Index(None, records.c.vm, records.c.id)
Index(None, records.c.encryption_set, records.c.id)
for _column in (records.c.previous_key_name, records.c.previous_key_id, records.c.previous_job):
    _index_where(_column.is_not(None), _column, records.c.id)

labels: Final = Table(
    "keyhier_labels",
    metadata,
    _part_of("record", records.c.id),
    Column("name", _Text, nullable=False),
    Column("value", _Text, nullable=False),
    PrimaryKeyConstraint("record", "name"),
)
Index(None, labels.c.name, labels.c.value, labels.c.record)

jobs: Final = Table(
    "keyhier_jobs",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("kind", _Word, nullable=False),
    Column("intent", _Document, nullable=False),
    Column("target", _Text),
    Column("options", _Document, nullable=False),
    Column("state", _Word, nullable=False),
    *_history(),
)

job_keys: Final = Table(
    "keyhier_job_keys",
    metadata,
    _part_of("job", jobs.c.id),
    Column("key", _Text, nullable=False),
    # Only one job may hold a key; those that have ended hold none.
    Column("held", Boolean, nullable=False),
    PrimaryKeyConstraint("job", "key"),
)
_index_where(job_keys.c.held, job_keys.c.key, name="uq_keyhier_job_keys_held", unique=True)

job_items: Final = Table(
    "keyhier_job_items",
    metadata,
    _part_of("job", jobs.c.id),
    _part_of("record", records.c.id),
    Column("state", _Word, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker", _Text),
    Column("lease", _Text),
    Column("leased_until", BigInteger),
    Column("error", Text),
    Column("error_text", Text),
    Column("updated", BigInteger, nullable=False),
    PrimaryKeyConstraint("job", "record"),
)
Index(None, job_items.c.job, job_items.c.state, job_items.c.record)
Index(None, job_items.c.record)

key_marks: Final = Table(
    "keyhier_key_marks",
    metadata,
    Column("key", _Text, primary_key=True),
    Column("state", _Word, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("details", _Document, nullable=False),
)

sets: Final = Table(
    "keyhier_sets",
    metadata,
    Column("name", _Text, primary_key=True),
    Column("key_id", _Text, nullable=False),
    Column("key_name", _Text, nullable=False),
    Column("document", _Document, nullable=False),
    *_history(),
)
Index(None, sets.c.key_name, sets.c.name)
