"""Which vault an ``https:`` URI means, and how it is spoken to."""

from __future__ import annotations

import ipaddress
import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from keyhier.errors import InvalidInputError

if TYPE_CHECKING:
    from keyhier.uri import VaultUri

__all__ = [
    "CHINA_AUTHORITY",
    "PUBLIC_AUTHORITY",
    "US_GOVERNMENT_AUTHORITY",
    "VaultAddress",
    "VaultKind",
    "is_loopback",
]


class VaultKind(Enum):
    """What answers at the address."""

    KEY_VAULT = "vault"
    MANAGED_HSM = "managedhsm"


# https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates names each
# cloud's domains; https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud
# names where its tokens come from.
PUBLIC_AUTHORITY: Final = "login.microsoftonline.com"
CHINA_AUTHORITY: Final = "login.chinacloudapi.cn"
US_GOVERNMENT_AUTHORITY: Final = "login.microsoftonline.us"
_DOMAINS: Final = {
    "vault.azure.net": (VaultKind.KEY_VAULT, PUBLIC_AUTHORITY),
    "managedhsm.azure.net": (VaultKind.MANAGED_HSM, PUBLIC_AUTHORITY),
    "vault.azure.cn": (VaultKind.KEY_VAULT, CHINA_AUTHORITY),
    "managedhsm.azure.cn": (VaultKind.MANAGED_HSM, CHINA_AUTHORITY),
    "vault.usgovcloudapi.net": (VaultKind.KEY_VAULT, US_GOVERNMENT_AUTHORITY),
    "managedhsm.usgovcloudapi.net": (VaultKind.MANAGED_HSM, US_GOVERNMENT_AUTHORITY),
}
_NAME: Final = re.compile(r"(?!.*--)[a-z][0-9a-z-]{1,22}[0-9a-z]")
_AUTHORITY: Final = re.compile(r"//(?P<host>[^/:\[\]]+|\[[^\[\]/]+\])(?::(?P<port>[0-9]{1,5}))?/?")
_HTTPS_PORT: Final = 443

_API_VERSION: Final = re.compile(r"[0-9]\.[0-9]|20[0-9]{2}-[0-9]{2}-[0-9]{2}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", re.ASCII)
_BOOLEANS: Final = {"hsm": True, "software": False}

USUAL_SHARE: Final = 0.9
"""How much of a vault's published limits is used unless the URI says otherwise."""

_ATTRIBUTES: Final = ("api-version", "budget", "ca-file", "kind", "protection", "timeout")


@attrs.frozen
class VaultAddress:
    """A vault as a URI names it.

    Attributes:
        host: in lower case, with its port where that is not 443: :attr:`KeyId.vault` of its keys.
        kind: a Key Vault or a Managed HSM.
        authority: the host that issues tokens for it, or None for an emulator on loopback.
        hsm: whether keys are made in an HSM.
        ca_file: the certificates that may vouch for the vault, or None for the public ones.
        api_version: the service's API version, or None for the package's own.
        share: which part of the published limits may be used, or None for no budget.
        timeout: how many seconds an operation may take, or None for no limit.
    """

    host: str
    kind: VaultKind
    authority: str | None
    hsm: bool
    ca_file: Path | None = None
    api_version: str | None = None
    share: float | None = USUAL_SHARE
    timeout: float | None = None

    @property
    def url(self) -> str:
        """The vault's URL."""
        return f"https://{self.host}"

    def path_of(self, link: str) -> str | None:
        """Return what of a link comes behind the vault's URL, or None where it leads elsewhere."""
        # The service names the port, too, where that is the usual one.
        for base in (self.url, f"{self.url}:{_HTTPS_PORT}"):
            if link.lower().startswith(f"{base}/"):
                return link[len(base) :]
        return None

    @property
    def loopback(self) -> bool:
        """Whether it is an emulator on this machine."""
        return self.authority is None

    @classmethod
    def from_uri(cls, uri: VaultUri) -> VaultAddress:
        """Read a vault's URI.

        Raises:
            InvalidInputError: the host is no vault's, or an attribute is unknown or malformed.
        """
        uri.only(*_ATTRIBUTES)
        matched = _AUTHORITY.fullmatch(uri.path)
        if not matched or not uri.path.isascii():
            raise InvalidInputError(
                "a vault's URI is https://NAME.vault.azure.net, with no path",
                remedy="a key or secret is named once the vault is open",
            )
        name, port = matched["host"].lower(), int(matched["port"] or _HTTPS_PORT)
        if not 0 < port < 65536:
            raise InvalidInputError("a port is a number from 1 to 65535")
        kind, authority = _kind(name, port, uri.query.get("kind"))
        return cls(
            host=name if port == _HTTPS_PORT else f"{name}:{port}",
            kind=kind,
            authority=authority,
            hsm=_protection(uri.query.get("protection"), kind),
            ca_file=_ca_file(uri.query.get("ca-file")),
            api_version=_api_version(uri.query.get("api-version")),
            share=_share(uri.query.get("budget")),
            timeout=_timeout(uri.query.get("timeout")),
        )


def _kind(host: str, port: int, told: str | None) -> tuple[VaultKind, str | None]:
    if is_loopback(host):
        try:
            return VaultKind(told or VaultKind.KEY_VAULT.value), None
        except ValueError:
            known = " or ".join(kind.value for kind in VaultKind)
            raise InvalidInputError(f"kind is {known}") from None
    name, _, domain = host.partition(".")
    if domain not in _DOMAINS:
        # Whatever answers there would be sent a token, so a host is not taken on trust.
        raise InvalidInputError(
            f"{host:.140} is no host of a Key Vault or a Managed HSM",
            remedy=f"vaults are at NAME.{', NAME.'.join(_DOMAINS)}, and emulators on loopback",
        )
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"{name:.80} is no vault's name: 3 to 24 letters, digits and hyphens, which begins "
            "with a letter, ends with no hyphen and has no two of them in a row"
        )
    if port != _HTTPS_PORT:
        raise InvalidInputError("a vault of Azure is at port 443; only an emulator has another")
    if told is not None:
        raise InvalidInputError("kind is for emulators; a vault's host says which kind it is")
    return _DOMAINS[domain]


def is_loopback(host: str) -> bool:
    """Whether a host, without its port, is an address of this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _protection(text: str | None, kind: VaultKind) -> bool:
    managed = kind is VaultKind.MANAGED_HSM
    if text is None:
        return managed
    if text not in _BOOLEANS or (managed and not _BOOLEANS[text]):
        raise InvalidInputError(
            "protection is hsm or software, and every key of a Managed HSM is in an HSM"
        )
    return _BOOLEANS[text]


def _ca_file(text: str | None) -> Path | None:
    if text is None:
        return None
    if "\0" in text or not Path(text).is_absolute():
        raise InvalidInputError("ca-file is an absolute path")
    return Path(text)


def _api_version(text: str | None) -> str | None:
    if text is not None and not _API_VERSION.fullmatch(text):
        raise InvalidInputError("api-version is a version of Key Vault's REST API, such as 7.6")
    return text


def _share(text: str | None) -> float | None:
    if text is None:
        return USUAL_SHARE
    if text == "off":
        return None
    if not _NUMBER.fullmatch(text) or not 0 < float(text) <= 1:
        raise InvalidInputError(
            "budget is the part of the published limits to use, above 0 and at most 1, or off"
        )
    return float(text)


def _timeout(text: str | None) -> float | None:
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or not float(text):
        raise InvalidInputError("timeout is a number of seconds above 0, such as 2.5")
    return float(text)
