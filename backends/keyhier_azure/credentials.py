"""Where tokens come from: a credential that was handed in, or the environment's."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from keyhier.errors import AuthenticationError, InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from keyhier_azure.address import VaultAddress
    from keyhier_azure.arm_address import ArmAddress

__all__ = ["credential_source"]

_AUTHORITY: Final = "AZURE_AUTHORITY_HOST"


def credential_source(
    given: object | None, address: VaultAddress | ArmAddress
) -> Callable[[], TokenCredential]:
    """Return what gives each process its credential.

    One that was handed in is its maker's business, also after a fork. The default one is made anew:
    azure-identity's chain of environment, workload and managed identity and developer tools.

    Raises:
        InvalidInputError: what was handed in is no credential.
        UnsupportedError: there is none, and azure-identity is not installed.
    """
    if given is not None:
        if not callable(getattr(given, "get_token", None)):
            raise InvalidInputError("a credential is an object with a get_token method")
        return lambda: cast("TokenCredential", given)
    try:
        # Loading it takes longer than all the rest, which those who hand one in do not need.
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415
    except ImportError:
        raise UnsupportedError(
            "no credential was given, and the package azure-identity is not installed",
            remedy="pip install 'keyhier[azure]'",
        ) from None
    options: dict[str, Any] = {}
    if address.loopback:
        # Microsoft's list of authorities does not know an emulator's, which is on loopback too.
        options["disable_instance_discovery"] = True
        if address.ca_file is not None:
            options["connection_verify"] = str(address.ca_file)
    elif _AUTHORITY not in os.environ:
        options["authority"] = address.authority

    def make() -> TokenCredential:
        try:
            return DefaultAzureCredential(**options)
        except ValueError as error:
            # So it is with a variable of the environment that is there and empty.
            raise AuthenticationError(
                "azure-identity cannot use what the environment says of the credential",
                native=type(error).__name__,
                remedy="see whether a variable AZURE_… is empty or misspelt",
            ) from error

    return make
