"""KEKs of the middle tier: AES keys that are kept in records, under a KEK of the tier above.

Such a record holds a JWE whose secret is the 32 bytes of the key, bound to the record's id and to
the name and version that envelopes under the key use. Whoever can write the database could put a
record there whose key they know, since anybody can wrap under an RSA public key. So a KEK wraps
only if something outside of the database says that it is the one that was made:

* it lies under one of the vault's symmetric keys that are for this (:attr:`Policy.parents`), or
  under a KEK of the middle tier that is itself authenticated;
* or its thumbprint is pinned in the configuration (:attr:`Policy.pins`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any, Final

import attrs

from keyhier import base64url
from keyhier.algorithms import KeyType
from keyhier.audit import AuditHook
from keyhier.errors import (
    IntegrityError,
    InvalidInputError,
    UnsupportedError,
    UnwrapError,
)
from keyhier.hierarchy.context import context_for, context_of
from keyhier.hierarchy.kek_cache import OpenKek
from keyhier.hierarchy.kek_use import KekUse
from keyhier.hierarchy.local_kek import KEK_ALGORITHM, KEK_BYTES, LocalKek
from keyhier.hierarchy.policy import Policy
from keyhier.identifiers import KeyId
from keyhier.key import Key
from keyhier.records.record import Record, RecordKind, new_record_id
from keyhier.secret import SecretBytes
from keyhier.session_key import SessionKey

__all__ = ["KEK_CONTENT_TYPE", "MiddleKek", "MiddleKeks", "thumbprint"]

KEK_CONTENT_TYPE: Final = "vnd.keyhier.kek"
_SESSION: Final = "session"
_CHECK: Final = b"keyhier"


@attrs.frozen
class MiddleKek:
    """A KEK of the middle tier that was just made.

    Attributes:
        id: its name and version.
        thumbprint: what is pinned in the configuration; it tells nothing of the key.
        record: where it is kept.
        believed: whether it wraps as things are; else it does once its thumbprint is pinned.
    """

    id: KeyId
    thumbprint: str
    record: Record
    believed: bool = False


def thumbprint(names: KeyId, material: SecretBytes) -> str:
    """Return what is pinned: the SHA-256 of the KEK's name and its 256 random bits, base64url."""
    digest = hashlib.sha256(f"keyhier kek\0{names}\0".encode())
    digest.update(material.view())
    return base64url.encode(digest.digest())


class MiddleKeks:
    """Makes the records of KEKs, and opens them."""

    def __init__(self, policy: Policy, audit: AuditHook | None) -> None:
        self._policy = policy
        self._audit = audit

    def make(
        self, names: KeyId, parent: KekUse, labels: Mapping[str, str] | None = None
    ) -> MiddleKek:
        """Make a KEK under another one; its record is not kept yet."""
        context = context_for(new_record_id(), names=names)
        with SecretBytes.random(KEK_BYTES) as material:
            wrapped = parent.wrap(material, context=context, content_type=KEK_CONTENT_TYPE)
            recovery = None
            if self._policy.recovery_key is not None:
                recovery = str(
                    self._policy.recovery_key.wrap(
                        material, context=context, content_type=KEK_CONTENT_TYPE
                    )
                )
            record = Record.of(
                wrapped,
                kind=RecordKind.KEK,
                names=names,
                labels=dict(labels or {}),
                recovery=recovery,
                details=self._for_sessions(names, parent, material, context),
            )
            return MiddleKek(names, thumbprint(names, material), record)

    def _for_sessions(
        self, names: KeyId, parent: KekUse, material: SecretBytes, context: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return what a vault needs to unwrap the KEK into itself, or nothing.

        A raw wrap binds no context, so it comes with an envelope that only this KEK opens.
        """
        if not (
            self._policy.session_keks
            and isinstance(parent, Key)
            and parent.spec.key_type is KeyType.AES
        ):
            return {}
        kek = LocalKek(names, material, None)
        try:
            check = kek.wrap(_CHECK, context=context)
        finally:
            kek.close()
        return {
            _SESSION: {
                "key": str(parent.id),
                "wrapped": base64url.encode(parent.wrap_raw(material)),
                "check": str(check),
            }
        }

    def open(self, record: Record, parent: KekUse, *, is_authentic: Callable[[], bool]) -> OpenKek:
        """Unwrap the KEK in a record.

        Args:
            record: as the store returned it; nothing in it is believed.
            parent: the KEK that its envelope names.
            is_authentic: says whether only those who may make KEKs can wrap under the parent.

        Raises:
            IntegrityError: the record contradicts itself, or the KEK is not the one that is pinned.
            UnwrapError: it does not open.
        """
        names = record.names
        if record.kind is not RecordKind.KEK or names is None:
            raise IntegrityError(f"the record {record.id} holds no KEK")
        pinned = self._policy.pins.get(names)
        authenticated = pinned is not None or is_authentic()
        if pinned is None and self._policy.session_keks:
            session = self._open_in_vault(record, parent)
            if session is not None:
                return OpenKek(session, authenticated)
        context = context_of(record)
        with parent.unwrap(record.wrapped, context=context) as material:
            if record.wrapped.content_type != KEK_CONTENT_TYPE or len(material) != KEK_BYTES:
                raise IntegrityError(f"what the record {record.id} holds is no KEK")
            if pinned is not None and pinned != thumbprint(names, material):
                raise IntegrityError(
                    f"{names} is not the KEK that is pinned in the configuration",
                    remedy="somebody may have put another one into the records; restore the record",
                )
            return OpenKek(LocalKek(names, material, self._audit), authenticated)

    def _open_in_vault(self, record: Record, parent: KekUse) -> SessionKey | None:
        """Unwrap the KEK into its parent's vault, or return None where that cannot be done."""
        names, session = record.names, record.details.get(_SESSION)
        if (
            names is None
            or not isinstance(session, dict)
            or not isinstance(parent, Key)
            or parent.spec.key_type is not KeyType.AES
            # After a rotation it is the envelope that counts, and this is of the version before.
            or session.get("key") != str(parent.id)
        ):
            return None
        try:
            opened = parent.unwrap_into(
                base64url.decode(str(session.get("wrapped"))), key_id=names, purpose=KEK_ALGORITHM
            )
        except (UnsupportedError, InvalidInputError):
            return None
        with ExitStack() as unless_checked:
            unless_checked.callback(opened.close)
            with suppress(UnwrapError, InvalidInputError):
                opened.unwrap(str(session.get("check")), context=context_of(record)).wipe()
                unless_checked.pop_all()
                return opened
        raise IntegrityError(f"the record {record.id} holds another KEK for sessions than {names}")
