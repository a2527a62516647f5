"""Which Azure Resource Manager is asked, and where its tokens come from."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs

from keyhier.errors import InvalidInputError
from keyhier.uri import VaultUri
from keyhier_azure.address import (
    CHINA_AUTHORITY,
    PUBLIC_AUTHORITY,
    US_GOVERNMENT_AUTHORITY,
    is_loopback,
)

__all__ = ["ArmAddress"]

_USUAL: Final = "https://management.azure.com"
# https://learn.microsoft.com/azure/azure-government/documentation-government-developer-guide and
# https://learn.microsoft.com/azure/china/resources-developer-guide
_AUTHORITIES: Final = {
    "management.azure.com": PUBLIC_AUTHORITY,
    "management.chinacloudapi.cn": CHINA_AUTHORITY,
    "management.usgovcloudapi.net": US_GOVERNMENT_AUTHORITY,
}


@attrs.frozen
class ArmAddress:
    """An Azure Resource Manager.

    Attributes:
        host: with its port where that is not 443.
        authority: the host that issues tokens for it, or None for an emulator on loopback.
        ca_file: the certificates that may vouch for it, or None for the public ones.
    """

    host: str
    authority: str | None
    ca_file: Path | None = None

    @property
    def url(self) -> str:
        """Its URL, without a slash at its end."""
        return f"https://{self.host}"

    @property
    def loopback(self) -> bool:
        """Whether it is an emulator on this machine."""
        return self.authority is None

    @property
    def resource(self) -> str:
        """Whom tokens are for."""
        return _USUAL if self.loopback else self.url

    @classmethod
    def parse(cls, text: str | None) -> ArmAddress:
        """Read a URL; None is Azure's own.

        Raises:
            InvalidInputError: it is no Azure Resource Manager's, so that it is sent no token.
        """
        uri = VaultUri.parse(text or _USUAL)
        uri.only("ca-file")
        host = uri.path.removeprefix("//").removesuffix("/").lower()
        if uri.scheme != "https" or "/" in host:
            raise InvalidInputError(f"the endpoint is one like {_USUAL}")
        ca_file = uri.query.get("ca-file")
        if ca_file is not None and not Path(ca_file).is_absolute():
            raise InvalidInputError("ca-file is an absolute path")
        given = None if ca_file is None else Path(ca_file)
        if host in _AUTHORITIES:
            return cls(host, _AUTHORITIES[host], given)
        if is_loopback(host.rpartition(":")[0]):
            return cls(host, None, given)
        raise InvalidInputError(
            f"{host!r:.140} is no Azure Resource Manager",
            remedy=f"there are {', '.join(_AUTHORITIES)}, and emulators on loopback",
        )
