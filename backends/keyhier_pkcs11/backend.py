"""What the entry point ``pkcs11`` refers to; python-pkcs11 is loaded when a vault is opened."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import attrs

from keyhier.errors import UnsupportedError
from keyhier_pkcs11.address import TokenAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyhier.doctor import Finding
    from keyhier.driver import OpenOptions
    from keyhier.uri import VaultUri
    from keyhier_pkcs11.driver import Pkcs11Driver

__all__ = ["Pkcs11Backend"]

_MISSING: Final = "the package python-pkcs11 is not installed: pip install 'keyhier[pkcs11]'"


@attrs.frozen
class Pkcs11Backend:
    """Opens PKCS#11 tokens by URI (RFC 7512)."""

    description: str = "any PKCS#11 module: SoftHSM, Luna, nShield, CloudHSM, ..."
    uri_forms: tuple[str, ...] = (
        "pkcs11:token=LABEL?module-path=/path/module.so&pin-source=file:/path/pin",
        "pkcs11:serial=SERIAL?module-path=/path/module.so&pin-source=env:NAME",
    )

    def unavailable(self) -> str | None:
        """Say why the backend cannot be used here, or None if it can."""
        return None if find_spec("pkcs11") else _MISSING

    def open(self, uri: VaultUri, options: OpenOptions) -> Pkcs11Driver:
        """Open the token that the URI names and log in.

        Raises:
            InvalidInputError: the URI has an unknown attribute or lacks one, or
                ``module-path`` is no PKCS#11 module, or there is a credential.
            NotFoundError: there is no such module file or token.
            AmbiguousError: several tokens answer to the URI.
            AuthenticationError: the PIN is wrong, or there is none.
            UnsupportedError: python-pkcs11 is not installed, or the module cannot be used
                from several threads.
        """
        address = self._address(uri, options)
        # Loading python-pkcs11 takes time that only those who open a token should pay.
        from keyhier_pkcs11.driver import Pkcs11Driver  # noqa: PLC0415

        return Pkcs11Driver.open(address)

    def preliminaries(self, uri: VaultUri, options: OpenOptions) -> Iterator[Finding]:
        """See :meth:`SupportsPreliminaries.preliminaries`."""
        address = self._address(uri, options)
        from keyhier_pkcs11 import doctor  # noqa: PLC0415  # As in `open`.

        return doctor.preliminaries(address)

    @staticmethod
    def _address(uri: VaultUri, options: OpenOptions) -> TokenAddress:
        options.refuse_credential()
        address = TokenAddress.from_uri(uri, options.pin)
        if find_spec("pkcs11") is None:
            raise UnsupportedError(_MISSING)
        return address
