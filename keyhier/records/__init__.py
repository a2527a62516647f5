"""Where wrapped keys are kept: records, the journal of jobs, encryption sets, states of keys.

One protocol (:mod:`keyhier.records.protocol`), kept in SQLite, in PostgreSQL, or in memory::

    with keyhier.records.open_records("sqlite:/var/lib/keyhier/records.db") as records:
        record_id = new_record_id()
        wrapped = kek.wrap(bek, context={"record": record_id, "vm": "web-01"})
        records.add(Record.of(wrapped, vm="web-01", volume="C:"))
"""

from __future__ import annotations

from keyhier.records.jobs import Claim, ItemState, Job, JobItem, JobState, Swap, new_job_id
from keyhier.records.opening import open_records
from keyhier.records.protocol import (
    Journal,
    KeyMarks,
    Records,
    Sets,
    SupportsJournal,
    SupportsKeyMarks,
    SupportsSets,
)
from keyhier.records.record import (
    CONTEXT_RECORD,
    CensusRow,
    Previous,
    Query,
    Record,
    RecordKind,
    RecordState,
    new_record_id,
)
from keyhier.records.stored import KeyMark, KeyState, StoredSet

__all__ = [
    "CONTEXT_RECORD",
    "CensusRow",
    "Claim",
    "ItemState",
    "Job",
    "JobItem",
    "JobState",
    "Journal",
    "KeyMark",
    "KeyMarks",
    "KeyState",
    "Previous",
    "Query",
    "Record",
    "RecordKind",
    "RecordState",
    "Records",
    "Sets",
    "StoredSet",
    "SupportsJournal",
    "SupportsKeyMarks",
    "SupportsSets",
    "Swap",
    "new_job_id",
    "new_record_id",
    "open_records",
]
