"""Secrets of a Key Vault; a Managed HSM holds none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import attrs

from keyhier.errors import (
    AlreadyExistsError,
    CapacityError,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from keyhier.identifiers import check_key_name
from keyhier.secret import SecretBytes
from keyhier.stored_secret import SecretId, SetSecret, StoredSecret
from keyhier_azure.connection import Calls, Request
from keyhier_azure.keys import UNREADABLE, is_asked, moment
from keyhier_azure.rights import Right
from keyhier_azure.soft_delete import SECRETS, SoftDelete, names_of, send_once_settled

__all__ = ["SecretStore"]

# https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
_VALUE_BYTES: Final = 25 * 1024
_CONTENT_TYPE_CHARACTERS: Final = 255
_TAGS: Final = 15
_TAG_CHARACTERS: Final = 512

_VERSION: Final = re.compile(r"[0-9a-f]{32}")


class _HasCalls(Protocol):
    def _calls(self) -> Calls: ...

    @property
    def vault(self) -> str: ...


class SecretStore:
    """The methods of :class:`keyhier.driver.SupportsSecrets`, for a driver."""

    def get_secret(self: _HasCalls, name: str, version: str | None = None) -> StoredSecret:
        """See :meth:`keyhier.driver.SupportsSecrets.get_secret`."""
        check_key_name(name)
        if version is not None and not _VERSION.fullmatch(version):
            raise NotFoundError(f"{version!r:.80} is no version of a secret in such a vault")
        calls = self._calls()
        path = f"/secrets/{name}/{version}" if version else f"/secrets/{name}"
        try:
            return _read(calls.get(path, Right.GET_SECRET), self.vault, name, version)
        except NotFoundError as error:
            not_found = error
        raise SoftDelete(calls, SECRETS).missing(name, not_found)

    def set_secret(self: _HasCalls, request: SetSecret) -> StoredSecret:
        """See :meth:`keyhier.driver.SupportsSecrets.set_secret`."""
        _check_size(request)
        body: dict[str, Any] = {
            "value": request.value.reveal().decode(),
            "tags": dict(request.tags),
        }
        if request.content_type is not None:
            body["contentType"] = request.content_type
        path = f"/secrets/{check_key_name(request.name)}"
        put = Request("PUT", path, Right.SET_SECRET, body, repeatable=False)
        try:
            content = send_once_settled(self._calls(), put).content()
        except AlreadyExistsError as error:
            raise InvalidStateError(
                f"the secret {request.name!r} is soft-deleted",
                native=error.native,
                remedy=error.remedy,
            ) from error
        return _described(content, self.vault, request.name)

    def list_secrets(self: _HasCalls) -> Iterator[StoredSecret]:
        """See :meth:`keyhier.driver.SupportsSecrets.list_secrets`."""
        calls = self._calls()
        names = names_of(calls.pages("/secrets", Right.LIST_SECRETS), SECRETS)
        return _latest_of_each(calls, names, self.vault)

    def list_secret_versions(self: _HasCalls, name: str) -> list[StoredSecret]:
        """See :meth:`keyhier.driver.SupportsSecrets.list_secret_versions`."""
        calls = self._calls()
        try:
            return _versions(calls, check_key_name(name), self.vault)
        except NotFoundError as error:
            not_found = error
        raise SoftDelete(calls, SECRETS).missing(name, not_found)

    def delete_secret(self: _HasCalls, name: str) -> None:
        """See :meth:`keyhier.driver.SupportsSecrets.delete_secret`."""
        SoftDelete(self._calls(), SECRETS).delete(check_key_name(name))

    def list_deleted_secrets(self: _HasCalls) -> Iterator[str]:
        """See :meth:`keyhier.driver.SupportsSecrets.list_deleted_secrets`."""
        return SoftDelete(self._calls(), SECRETS).names()

    def recover_secret(self: _HasCalls, name: str) -> StoredSecret:
        """See :meth:`keyhier.driver.SupportsSecrets.recover_secret`."""
        calls = self._calls()
        SoftDelete(calls, SECRETS).recover(check_key_name(name))
        return _versions(calls, name, self.vault)[-1]

    def purge_secret(self: _HasCalls, name: str) -> None:
        """See :meth:`keyhier.driver.SupportsSecrets.purge_secret`."""
        SoftDelete(self._calls(), SECRETS).purge(check_key_name(name))


def _check_size(request: SetSecret) -> None:
    """Refuse what the service would, before a secret is sent.

    Raises:
        CapacityError: something is too long, or there are too many tags.
    """
    if len(request.value) > _VALUE_BYTES:
        raise CapacityError(
            f"a secret of {len(request.value)} bytes does not fit; a vault takes {_VALUE_BYTES}"
        )
    if len(request.content_type or "") > _CONTENT_TYPE_CHARACTERS:
        raise CapacityError(f"a content type has at most {_CONTENT_TYPE_CHARACTERS} characters")
    if len(request.tags) > _TAGS:
        raise CapacityError(f"{len(request.tags)} tags do not fit; a vault takes {_TAGS}")
    if any(len(text) > _TAG_CHARACTERS for pair in request.tags.items() for text in pair):
        raise CapacityError(f"a tag's name and value have at most {_TAG_CHARACTERS} characters")


def _latest_of_each(calls: Calls, names: list[str], vault: str) -> Iterator[StoredSecret]:
    for name in names:
        # A list of secrets names no versions. What was deleted since is left out.
        with suppress(NotFoundError):
            yield _versions(calls, name, vault)[-1]


def _versions(calls: Calls, name: str, vault: str) -> list[StoredSecret]:
    items = calls.pages(f"/secrets/{name}/versions", Right.LIST_SECRETS)
    found = sorted((_described(item, vault, name) for item in items), key=_age)
    if not found:
        raise NotFoundError(f"there is no secret {name!r}")
    if len(found) > 1 and _age(found[-1]) == _age(found[-2]):
        # The service tells whole seconds. Which one is the latest it says when it is asked for it.
        latest = _read(calls.get(f"/secrets/{name}", Right.GET_SECRET), vault, name)
        found.sort(key=lambda version: (_age(version), version.id == latest.id))
    return found


def _age(version: StoredSecret) -> datetime:
    return version.created or datetime.min.replace(tzinfo=UTC)


def _read(
    content: Mapping[str, Any], vault: str, name: str, version: str | None = None
) -> StoredSecret:
    value = content.get("value")
    if not isinstance(value, str):
        raise IntegrityError("the vault answered without the secret's value")
    described = _described(content, vault, name, version)
    return attrs.evolve(described, value=SecretBytes(value.encode()))


def _described(
    content: Mapping[str, Any], vault: str, name: str, version: str | None = None
) -> StoredSecret:
    """Return what the service says of a secret, without its value.

    Raises:
        IntegrityError: the answer is of another vault or secret, or no secret's.
    """
    try:
        secret_id = SecretId.parse(content["id"])
        attributes = content["attributes"]
        described = StoredSecret(
            secret_id,
            None,
            content.get("contentType"),
            content.get("tags") or {},
            enabled=attributes.get("enabled", True),
            created=moment(attributes.get("created")),
            updated=moment(attributes.get("updated")),
            not_before=moment(attributes.get("nbf")),
            expires=moment(attributes.get("exp")),
        )
    except (*UNREADABLE, InvalidInputError) as error:
        raise IntegrityError("what the vault says of a secret cannot be read") from error
    if not is_asked(secret_id, vault, name, version):
        raise IntegrityError(f"the vault says {secret_id} of a secret that it was asked for")
    return described
