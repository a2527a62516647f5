"""Opening a vault by its URI: the one place where a URI leads to a driver."""

from __future__ import annotations

from collections.abc import Mapping

from keyhier.audit import AuditHook
from keyhier.driver import OpenOptions
from keyhier.errors import AmbiguousError, InvalidInputError
from keyhier.identifiers import KeyId
from keyhier.opened import is_of
from keyhier.pin import PinCallback
from keyhier.registry import backend_for
from keyhier.uri import VaultUri
from keyhier.vault import Vault

__all__ = ["open_vault"]


def open_vault(
    uri: str,
    *,
    pin: PinCallback | None = None,
    credential: object | None = None,
    aliases: Mapping[str, str] | None = None,
    audit: AuditHook | None = None,
) -> Vault:
    """Open the vault that ``uri`` names; this is ``keyhier.open``.

    Args:
        uri: ``memory:``, ``pkcs11:token=…?module-path=…&pin-source=…``,
            ``https://NAME.vault.azure.net``, ….
        pin: asked for the PIN or passphrase, in place of ``pin-source``.
        credential: for a vault in a cloud, what its identity library made, such as one of
            azure-identity's credentials; by default what that library finds by itself.
        aliases: for keys that moved, such as a token restored elsewhere: the old id that stands in
            envelopes, and the id in this vault, both with their versions.
        audit: told about every operation on a key.

    Raises:
        InvalidInputError: the URI or an alias is malformed, or the URI has an unknown attribute.
        AmbiguousError: more than one token answers to the URI, or one id has two aliases.
        UnsupportedError: no backend serves the scheme, or what it needs is not installed.
        NotFoundError: no such module, token or file.
        AuthenticationError: the PIN is wrong, or there is none.
        UnavailableError: the vault cannot be reached.
    """
    parsed = VaultUri.parse(uri)
    moved = _read_aliases(aliases)
    driver = backend_for(parsed.scheme).open(parsed, OpenOptions(pin, credential))
    for new in moved.values():
        if not is_of(new, driver):
            driver.close()
            raise InvalidInputError(
                f"an alias leads to {new}, which is not a key of this vault",
                remedy="an alias goes from an id of old to a key of the vault that is opened",
            )
    return Vault(driver, uri=str(parsed), aliases=moved, audit=audit)


def _read_aliases(aliases: Mapping[str, str] | None) -> dict[KeyId, KeyId]:
    moved: dict[KeyId, KeyId] = {}
    for old, new in (aliases or {}).items():
        old_id, new_id = KeyId.parse(old), KeyId.parse(new)
        if not old_id.version or not new_id.version:
            raise InvalidInputError("an alias goes from one exact key version to another")
        if moved.get(old_id, new_id) != new_id:
            raise AmbiguousError(
                f"{old_id} has two aliases", candidates=[str(moved[old_id]), str(new_id)]
            )
        moved[old_id] = new_id
    return moved
