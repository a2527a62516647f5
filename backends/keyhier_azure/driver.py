"""The drivers: an open Key Vault, and an open Managed HSM."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self, cast

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm
from keyhier.base64url import encode
from keyhier.driver import CreateKey, ImportKey, KeyVersion
from keyhier.errors import (
    AlreadyExistsError,
    IntegrityError,
    NotFoundError,
    UnsupportedError,
    UnwrapError,
)
from keyhier.identifiers import check_key_name
from keyhier.rotation_policy import RotationPolicy
from keyhier.rsa_wrap import implicit_rejection
from keyhier.secret import SecretBytes
from keyhier_azure import rotation
from keyhier_azure.budget import KEY_CREATION
from keyhier_azure.connection import Answer, Calls, Connection, Request
from keyhier_azure.keys import (
    AES_ALGORITHMS,
    RSA_ALGORITHMS,
    KeyHandle,
    creation_body,
    describe,
    import_body,
)
from keyhier_azure.rights import Right
from keyhier_azure.secret_store import SecretStore
from keyhier_azure.soft_delete import (
    KEYS,
    SoftDelete,
    names_of,
    send_once_settled,
    versions_of,
)
from keyhier_azure.tagged_version import successor_body, version_tagged

if TYPE_CHECKING:
    from keyhier.doctor import Finding

__all__ = ["KeyVaultDriver", "ManagedHsmDriver"]

_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_VERSION: Final = re.compile(r"[0-9a-f]{32}")
_RSA_SPECS: Final = frozenset(spec for spec in KeySpec if spec.key_type is KeyType.RSA)
_RANDOM_AT_ONCE: Final = 128  # https://learn.microsoft.com/rest/api/keyvault/keys/get-random-bytes
_CLOCK_SECONDS: Final = 1.0


class AzureDriver:
    """What a Key Vault and a Managed HSM have in common: keys."""

    scheme: Final = "https"
    # What the published limits let through, where an answer takes 40 ms.
    at_once: Final = 16
    key_specs: frozenset[KeySpec]
    algorithms: frozenset[WrapAlgorithm]

    def __init__(self, connection: Connection, seconds: float | None = None) -> None:
        """See the vault over ``connection``; each operation has so many ``seconds``."""
        self._connection = connection
        self._seconds = connection.address.timeout if seconds is None else seconds

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.vault}>"

    @property
    def vault(self) -> str:
        """The host, with its port where that is not 443."""
        return self._connection.address.host

    def within(self, seconds: float) -> Self:
        """See :meth:`keyhier.driver.SupportsTimeout.within`."""
        return type(self)(self._connection, seconds)

    def close(self) -> None:
        """See :meth:`keyhier.driver.Driver.close`."""
        self._connection.close()

    def _calls(self) -> Calls:
        """Begin an operation."""
        return Calls(self._connection, self._seconds)

    def examine(self) -> Iterator[Finding]:
        """See :meth:`keyhier.driver.SupportsDoctor.examine`."""
        # Whoever does not ask for it need not wait for it.
        from keyhier_azure.doctor import examine  # noqa: PLC0415

        has_secrets = isinstance(self, SecretStore)
        return examine(self._connection.address, self._calls, has_secrets=has_secrets)

    # ------------------------------------------------------------------ finding keys

    def get_key(self, name: str, version: str | None = None) -> KeyVersion:
        """See :meth:`keyhier.driver.Driver.get_key`."""
        check_key_name(name)
        if version is not None and not _VERSION.fullmatch(version):
            raise NotFoundError(f"{version!r:.80} is no version of a key in such a vault")
        return self._read(self._calls(), name, version)

    def _read(self, calls: Calls, name: str, version: str | None = None) -> KeyVersion:
        path = f"/keys/{name}/{version}" if version else f"/keys/{name}"
        try:
            return describe(calls.get(path, Right.GET_KEY), self.vault, name, version)
        except NotFoundError as error:
            not_found = error
        raise SoftDelete(calls, KEYS).missing(name, not_found)

    def list_keys(self) -> Iterator[KeyVersion]:
        """See :meth:`keyhier.driver.Driver.list_keys`.

        Keys that wrap nothing, such as elliptic ones, are left out.
        """
        calls = self._calls()
        return self._each(calls, names_of(calls.pages("/keys", Right.LIST_KEYS), KEYS))

    def _each(self, calls: Calls, names: list[str]) -> Iterator[KeyVersion]:
        for name in names:
            try:
                yield describe(calls.get(f"/keys/{name}", Right.GET_KEY), self.vault, name)
            except (NotFoundError, UnsupportedError):
                # Deleted since the list was made, or of another kind.
                continue

    def list_versions(self, name: str) -> list[KeyVersion]:
        """See :meth:`keyhier.driver.Driver.list_versions`."""
        check_key_name(name)
        calls = self._calls()
        latest = self._read(calls, name)
        versions = versions_of(calls.pages(f"/keys/{name}/versions", Right.LIST_KEYS), KEYS)
        others = [self._read(calls, name, each) for each in versions if each != latest.id.version]
        # The service tells whole seconds. Which version is the latest it knows better.
        return [*sorted(others, key=_age), latest]

    # ------------------------------------------------------------------ making keys

    def create_key(self, request: CreateKey) -> KeyVersion:
        """See :meth:`keyhier.driver.Driver.create_key`."""
        self._check_purpose(request.spec, request.algorithm)
        if request.extractable:
            raise UnsupportedError(
                "keys of Azure leave the vault under a release policy only, which keyhier sets none"
            )
        hsm = self._connection.address.hsm
        body = creation_body(request.spec, hsm=hsm)
        return self._make(
            request.name, "POST", f"/keys/{request.name}/create", Right.CREATE_KEY, body
        )

    def import_key(self, request: ImportKey) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsImport.import_key`."""
        if request.spec not in self.key_specs:
            raise UnsupportedError(
                f"this vault takes over no {request.spec} keys; it takes "
                f"{', '.join(sorted(self.key_specs))}"
            )
        self._check_purpose(request.spec, request.algorithm)
        hsm = self._connection.address.hsm
        body = import_body(request.spec, request.material, hsm=hsm)
        return self._make(request.name, "PUT", f"/keys/{request.name}", Right.IMPORT_KEY, body)

    def _check_purpose(self, spec: KeySpec, algorithm: WrapAlgorithm | None) -> None:
        if algorithm is not None and AES_ALGORITHMS.get(spec) is not algorithm:
            able = ", ".join(sorted(self.algorithms))
            raise UnsupportedError(f"this vault has no {algorithm}; it has {able}")

    def _make(
        self, name: str, method: str, path: str, right: Right, body: Mapping[str, Any]
    ) -> KeyVersion:
        """Make a key of a new name; the service itself would make a version of the old key."""
        calls = self._calls()
        cost = KEY_CREATION[self._connection.address.hsm]
        with self._connection.here.shared.making:
            found = calls.send(Request("GET", f"/keys/{name}", Right.GET_KEY))
            if found.status != _NOT_FOUND:
                found.content()
                raise AlreadyExistsError(f"there is a key {name!r} already")
            request = Request(method, path, right, body, cost, repeatable=False)
            made = send_once_settled(calls, request)
        return describe(made.content(), self.vault, name)

    def rotate_key(self, name: str) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsRotation.rotate_key`."""
        check_key_name(name)
        calls = self._calls()
        self._pass_second_of(calls, self._read(calls, name))
        return self._make_version(calls, name, "rotate", Right.ROTATE_KEY)

    def rotate_key_for(self, name: str, tag: str) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsTaggedRotation.rotate_key_for`."""
        check_key_name(name)
        calls = self._calls()
        latest = self._read(calls, name)
        made = version_tagged(calls.pages(f"/keys/{name}/versions", Right.LIST_KEYS), tag)
        if made is not None:
            return self._read(calls, name, made)
        bundle = calls.get(f"/keys/{name}/{latest.id.version}", Right.GET_KEY)
        expires = rotation.expiry(self._rotation_policy(calls, name), datetime.now(UTC))
        body = successor_body(bundle, latest.spec, tag, expires)
        self._pass_second_of(calls, latest)
        return self._make_version(calls, name, "create", Right.CREATE_KEY, body)

    @staticmethod
    def _pass_second_of(calls: Calls, latest: KeyVersion) -> None:
        """Wait until the second is over in which the latest version was made.

        Two versions of one second would have no order, since the service tells no fractions.
        """
        if latest.created is not None:
            age = time.time() - latest.created.timestamp()
            if age < _CLOCK_SECONDS:
                calls.pause(min(_CLOCK_SECONDS, _CLOCK_SECONDS - age))

    def _make_version(
        self,
        calls: Calls,
        name: str,
        operation: str,
        right: Right,
        body: Mapping[str, Any] | None = None,
    ) -> KeyVersion:
        cost = KEY_CREATION[self._connection.address.hsm]
        request = Request("POST", f"/keys/{name}/{operation}", right, body, cost, repeatable=False)
        return describe(calls.send(request).content(), self.vault, name)

    def get_rotation_policy(self, name: str) -> RotationPolicy:
        """See :meth:`keyhier.driver.SupportsRotationPolicy.get_rotation_policy`."""
        return self._rotation_policy(self._calls(), check_key_name(name))

    @staticmethod
    def _rotation_policy(calls: Calls, name: str) -> RotationPolicy:
        path = f"/keys/{name}/rotationpolicy"
        return rotation.read(calls.get(path, Right.GET_ROTATION_POLICY))

    def set_rotation_policy(self, name: str, policy: RotationPolicy) -> RotationPolicy:
        """See :meth:`keyhier.driver.SupportsRotationPolicy.set_rotation_policy`."""
        path = f"/keys/{check_key_name(name)}/rotationpolicy"
        request = Request("PUT", path, Right.SET_ROTATION_POLICY, rotation.write(policy))
        return rotation.read(self._calls().send(request).content())

    # ------------------------------------------------------------------ using keys

    def wrap(
        self,
        key: KeyVersion,
        algorithm: WrapAlgorithm,
        plaintext: SecretBytes,
        aad: bytes = b"",  # noqa: ARG002  # None of the service's algorithms takes any.
    ) -> bytes:
        """See :meth:`keyhier.driver.Driver.wrap`."""
        answer = self._use(key, "wrapkey", Right.WRAP, algorithm, plaintext.reveal())
        if answer.status == _BAD_REQUEST:
            raise UnsupportedError(
                f"the vault does not wrap with {algorithm} under {key.id}",
                remedy="see whether the key has the size that the algorithm is for",
            )
        return self._value(answer, key)

    def unwrap(
        self,
        key: KeyVersion,
        algorithm: WrapAlgorithm,
        wrapped: bytes,
        aad: bytes = b"",  # noqa: ARG002  # None of the service's algorithms takes any.
    ) -> SecretBytes:
        """See :meth:`keyhier.driver.Driver.unwrap`."""
        answer = self._use(key, "unwrapkey", Right.UNWRAP, algorithm, wrapped)
        if answer.status != _BAD_REQUEST:
            return SecretBytes.adopt(bytearray(self._value(answer, key)))
        if algorithm is WrapAlgorithm.RSA1_5 and key.public_key is not None:
            return implicit_rejection(key.public_key, wrapped)
        raise UnwrapError

    def _use(
        self,
        key: KeyVersion,
        operation: str,
        right: Right,
        algorithm: WrapAlgorithm,
        value: bytes,
    ) -> Answer:
        handle = cast("KeyHandle", key.handle)
        body = {"alg": algorithm.value, "value": encode(value)}
        calls = self._calls()
        request = Request("POST", f"{handle.path}/{operation}", right, body, handle.cost)
        answer = calls.send(request)
        if answer.status == _NOT_FOUND:
            raise SoftDelete(calls, KEYS).missing(key.id.name, answer.error())
        return answer

    @staticmethod
    def _value(answer: Answer, key: KeyVersion) -> bytes:
        used = answer.content().get("kid")
        if not isinstance(used, str) or used.lower() != str(key.id):
            raise IntegrityError(f"the vault answered with another key than {key.id}")
        return answer.value()

    # ------------------------------------------------------------------ lifecycle

    def set_enabled(self, key: KeyVersion, *, enabled: bool) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsLifecycle.set_enabled`."""
        path = f"/keys/{key.id.name}/{key.id.version}"
        body = {"attributes": {"enabled": enabled}}
        request = Request("PATCH", path, Right.UPDATE_KEY, body)
        bundle = self._calls().send(request).content()
        version = describe(bundle, self.vault, key.id.name, key.id.version)
        if version.enabled is not enabled:
            raise UnsupportedError("the vault does not hold to what a version was set to")
        return version

    def delete_key(self, key: KeyVersion) -> None:
        """See :meth:`keyhier.driver.SupportsLifecycle.delete_key`."""
        SoftDelete(self._calls(), KEYS).delete(key.id.name)

    def list_deleted(self) -> Iterator[str]:
        """See :meth:`keyhier.driver.SupportsSoftDelete.list_deleted`."""
        return SoftDelete(self._calls(), KEYS).names()

    def recover_key(self, name: str) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsSoftDelete.recover_key`."""
        calls = self._calls()
        SoftDelete(calls, KEYS).recover(check_key_name(name))
        return self._read(calls, name)

    def purge_key(self, name: str) -> None:
        """See :meth:`keyhier.driver.SupportsSoftDelete.purge_key`."""
        SoftDelete(self._calls(), KEYS).purge(check_key_name(name))

    # ------------------------------------------------------------------ backup

    def backup_key(self, name: str) -> bytes:
        """See :meth:`keyhier.driver.SupportsBackup.backup_key`."""
        request = Request("POST", f"/keys/{check_key_name(name)}/backup", Right.BACK_KEY_UP)
        return self._calls().send(request).value()

    def restore_key(self, backup: bytes) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsBackup.restore_key`."""
        body = {"value": encode(backup)}
        request = Request("POST", "/keys/restore", Right.RESTORE_KEY, body, repeatable=False)
        answer = send_once_settled(self._calls(), request)
        if answer.status == _CONFLICT:
            taken = answer.error()
            raise AlreadyExistsError("a key of that name is there already", native=taken.native)
        return describe(answer.content(), self.vault)


def _age(version: KeyVersion) -> datetime:
    return version.created or datetime.min.replace(tzinfo=UTC)


class KeyVaultDriver(SecretStore, AzureDriver):
    """An open Key Vault: RSA keys and secrets."""

    key_specs = _RSA_SPECS
    algorithms = frozenset(RSA_ALGORITHMS)


class ManagedHsmDriver(AzureDriver):
    """An open Managed HSM: RSA and AES keys, random bytes, and no secrets."""

    key_specs = frozenset({*_RSA_SPECS, *AES_ALGORITHMS})
    algorithms = frozenset({*RSA_ALGORITHMS, *AES_ALGORITHMS.values()})

    def random_bytes(self, length: int) -> SecretBytes:
        """See :meth:`keyhier.driver.SupportsRandom.random_bytes`."""
        calls = self._calls()
        buffer = SecretBytes.allocate(length)
        for start in range(0, length, _RANDOM_AT_ONCE):
            count = min(_RANDOM_AT_ONCE, length - start)
            request = Request("POST", "/rng", Right.GET_RANDOM, {"count": count})
            drawn = calls.send(request).value()
            if len(drawn) != count:
                raise IntegrityError(f"the vault gave {len(drawn)} random bytes for {count}")
            buffer.view()[start : start + count] = drawn
        return buffer
