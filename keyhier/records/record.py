"""Record: a wrapped key as it is kept, with what it protects; never a plaintext key."""

from __future__ import annotations

import enum
import os
import re
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import attrs

from keyhier.errors import IntegrityError, InvalidInputError
from keyhier.header import CONTEXT_RECORD
from keyhier.identifiers import KeyId
from keyhier.records.checks import MAX_TEXT, check_document, is_text
from keyhier.wrapped import WrappedKey

__all__ = [
    "CONTEXT_RECORD",
    "CensusRow",
    "Previous",
    "Query",
    "Record",
    "RecordKind",
    "RecordState",
    "new_record_id",
]

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MAX_LABELS: Final = 64
_RESTORE: Final = "somebody changed it; restore the record from an export or a backup"


class RecordKind(enum.StrEnum):
    """What is wrapped in a record."""

    VOLUME_KEY = "volume-key"
    KEK = "kek"


class RecordState(enum.StrEnum):
    """Whether a record is in use, or kept for what was written under it."""

    ACTIVE = "active"
    RETIRED = "retired"


def new_record_id() -> str:
    """Return a new id, a UUIDv7 (RFC 9562, section 5.7): ids made later sort later."""
    value = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


@attrs.frozen
class Previous:
    """The envelope that a job replaced, kept until the job is finalised or rolled back.

    Attributes:
        envelope: the compact JWE.
        key: the key version that opens it.
        job: the id of the job.
    """

    envelope: str = attrs.field(repr=False)
    key: KeyId
    job: str


def _check_text(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and not is_text(value):
        raise InvalidInputError(
            f"a record's {attribute.name} has 1 to {MAX_TEXT} characters without NUL"
        )


def _check_id(_: object, __: attrs.Attribute[Any], value: str) -> None:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidInputError(f"{value!r:.60} is no record's id: a UUID in lower case")


def _check_labels(_: object, __: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    if len(value) > _MAX_LABELS or not all(map(is_text, (*value, *value.values()))):
        raise InvalidInputError(
            f"a record has at most {_MAX_LABELS} labels, names and values of 1 to {MAX_TEXT} "
            "characters"
        )


def _check_names(_: object, __: attrs.Attribute[Any], value: KeyId | None) -> None:
    if value is not None and (value.scheme != "record" or not value.version):
        raise InvalidInputError(
            "a KEK in a record is named record:HIERARCHY/NAME/VERSION, with its version"
        )


@attrs.frozen(kw_only=True)
class Record:
    """A wrapped key, what it protects, and how it is kept. Frozen; change it with attrs.evolve.

    What a store returns may have been altered by whoever can write the database: nothing in it is
    believed before :meth:`checked` and the unwrap have said so.

    Attributes:
        id: a UUID in lower case, see :func:`new_record_id`.
        envelope: the compact JWE; its context holds the id as :data:`CONTEXT_RECORD`.
        key: the key version that the envelope needs, as its ``kid`` says; for searches.
        kind: what is wrapped.
        names: for a KEK the id that envelopes under it name, ``record:HIERARCHY/NAME/VERSION``.
        vm: the virtual machine that it protects, or None.
        volume: which of the machine's volumes, or None.
        set: the encryption set that the disk is in, or None.
        labels: free names and values, which can be searched for.
        details: a JSON object of what no search needs, such as a KEK's algorithm and what
            authenticates it.
        recovery: a second envelope, to an offline recovery public key, or None.
        previous: the envelope before, while the job that replaced it is not finalised.
        state: whether it is in use.
        generation: 0 for one that is not kept yet; grows by one with every change.
        created: when it was first kept, in UTC by the store's clock.
        updated: when it was changed last.
    """

    id: str = attrs.field(factory=new_record_id, validator=_check_id)
    envelope: str = attrs.field(repr=False)
    key: KeyId
    kind: RecordKind = attrs.field(default=RecordKind.VOLUME_KEY, converter=RecordKind)
    names: KeyId | None = attrs.field(default=None, validator=_check_names)
    vm: str | None = attrs.field(default=None, validator=_check_text)
    volume: str | None = attrs.field(default=None, validator=_check_text)
    set: str | None = attrs.field(default=None, validator=_check_text)
    labels: Mapping[str, str] = attrs.field(factory=dict, validator=_check_labels, hash=False)
    details: Mapping[str, Any] = attrs.field(
        factory=dict, validator=check_document, hash=False, repr=False
    )
    recovery: str | None = attrs.field(default=None, repr=False)
    previous: Previous | None = None
    state: RecordState = attrs.field(default=RecordState.ACTIVE, converter=RecordState)
    generation: int = 0
    created: datetime | None = None
    updated: datetime | None = None

    def __attrs_post_init__(self) -> None:
        if (self.kind is RecordKind.KEK) != (self.names is not None):
            raise InvalidInputError("a KEK's record says what names it, and no other record does")

    @classmethod
    def of(cls, wrapped: WrappedKey | str, **attributes: Any) -> Record:
        """Make a record of an envelope; its id and key are taken from the envelope.

        Args:
            wrapped: the envelope.
            attributes: the attributes of the record.

        Raises:
            InvalidInputError: the envelope is malformed or names no record, or an attribute is
                malformed.
        """
        envelope = wrapped if isinstance(wrapped, WrappedKey) else WrappedKey.parse(wrapped)
        record_id = envelope.context.get(CONTEXT_RECORD)
        if record_id is None:
            raise InvalidInputError(
                "an envelope that is kept in a record names it in its context",
                remedy=f"wrap with context={{'{CONTEXT_RECORD}': new_record_id(), …}}",
            )
        given = {"id": record_id, **attributes}
        return cls(envelope=str(envelope), key=envelope.kid, **given).checked()

    def with_envelope(self, wrapped: WrappedKey | str) -> Record:
        """Return the record with another envelope and the key that this one needs.

        Raises:
            InvalidInputError, IntegrityError: as :meth:`checked`.
        """
        envelope = wrapped if isinstance(wrapped, WrappedKey) else WrappedKey.parse(wrapped)
        return attrs.evolve(self, envelope=str(envelope), key=envelope.kid).checked()

    @cached_property
    def wrapped(self) -> WrappedKey:
        """The envelope, parsed.

        Raises:
            InvalidInputError: it is malformed by its public bytes.
        """
        return WrappedKey.parse(self.envelope)

    def checked(self) -> Record:
        """Return the record itself if its envelope is this record's, by what is public of it.

        Raises:
            InvalidInputError: an envelope is malformed by its public bytes.
            IntegrityError: the envelope is another record's, or needs another key than is noted.
        """
        for envelope in (self.wrapped, self.recovery and WrappedKey.parse(self.recovery)):
            if envelope and envelope.context.get(CONTEXT_RECORD) != self.id:
                raise IntegrityError(
                    f"the envelope in record {self.id} is not this record's", remedy=_RESTORE
                )
        if self.wrapped.kid != self.key:
            raise IntegrityError(
                f"record {self.id} says that it needs {self.key}, and its envelope names "
                f"{self.wrapped.kid}",
                remedy=_RESTORE,
            )
        return self


@attrs.frozen(kw_only=True)
class Query:
    """Which records are meant: those that match everything that is given.

    ``volume``, ``state`` and the kind of volume keys narrow a search; all else is in an index.

    Attributes:
        key: those that need this key version; without a version those that need any of the key.
        except_key: not those that need this key version.
        kept_under: as ``key``, for the envelope before that a job has left.
        kind: of this kind.
        names: the record of this KEK; without a version the records of all its versions.
        vm, volume, set: of this machine, volume, set.
        labels: with all these labels.
        state: in this state.
        job: those that hold an envelope which this job replaced.
    """

    key: KeyId | None = None
    except_key: KeyId | None = None
    kept_under: KeyId | None = None
    kind: RecordKind | None = None
    names: KeyId | None = None
    vm: str | None = None
    volume: str | None = None
    set: str | None = None
    labels: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    state: RecordState | None = None
    job: str | None = None


@attrs.frozen
class CensusRow:
    """How many records of one set and machine need one key version.

    Attributes:
        key: the key version.
        set, vm: where the records are, or None.
        kept: whether it is the envelope *before* that needs it, while a job is not finalised.
        count: how many.
    """

    key: KeyId
    set: str | None
    vm: str | None
    kept: bool
    count: int
