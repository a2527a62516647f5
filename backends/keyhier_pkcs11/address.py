"""Which token a URI means: PKCS#11 URIs (RFC 7512) for vaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from keyhier.errors import InvalidInputError
from keyhier.pin import PinSource
from keyhier.uri import parse_path_attributes
from keyhier_pkcs11.pool import LEAST_SESSIONS, USUAL_SESSIONS

if TYPE_CHECKING:
    from keyhier.pin import PinCallback
    from keyhier.uri import VaultUri

__all__ = ["TokenAddress"]

_COUNT: Final = re.compile(r"[0-9]{1,4}", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", re.ASCII)
_KNOWN: Final = ("token", "serial", "manufacturer", "model")


@attrs.frozen
class TokenAddress:
    """A token as a URI names it, and where its PIN comes from.

    Attributes:
        module_path: the PKCS#11 module, an absolute path.
        selection: attribute names of RFC 7512, section 2.3, to the values that the token must
            have; ``token`` or ``serial`` or both are among them.
        pin: how to get the PIN.
        uri: the URI itself, by which another process can open the token.
        init_args: what the module wants to be told when it is initialised, or nothing.
        profile: the profile that the URI names, or None where the module's own is used.
        max_sessions: how many sessions may be at work at once, besides the one that logs in.
        timeout: how many seconds an operation may take, or None for no limit.
    """

    module_path: Path
    selection: dict[str, str]
    pin: PinSource
    uri: str
    init_args: str = ""
    profile: str | None = None
    max_sessions: int = USUAL_SESSIONS
    timeout: float | None = None

    @classmethod
    def from_uri(cls, uri: VaultUri, callback: PinCallback | None) -> TokenAddress:
        """Read a vault's URI.

        Raises:
            InvalidInputError: an attribute is unknown, malformed or missing.
        """
        uri.only("module-path", "pin-source", "init-args", "max-sessions", "timeout", "profile")
        selection: dict[str, str] = {}
        for name, value in parse_path_attributes(uri.path).items():
            if name == "slot-id":
                raise InvalidInputError(
                    "slot-id is refused: slot numbers change when tokens come and go",
                    remedy="name the token by token= or serial=",
                )
            if name not in _KNOWN:
                raise InvalidInputError(
                    f"unknown attribute {name!r:.60} in a pkcs11: URI of a vault; "
                    f"known are {', '.join(_KNOWN)}"
                )
            selection[name] = _text(name, value)
        if not selection.keys() & {"token", "serial"}:
            raise InvalidInputError(
                "a pkcs11: URI names the token by its label or serial number",
                remedy="for example pkcs11:token=LABEL?module-path=/usr/lib/…/module.so",
            )
        module_path = uri.query.get("module-path")
        if not module_path:
            raise InvalidInputError(
                "a pkcs11: URI names the module",
                remedy="add ?module-path=/usr/lib/softhsm/libsofthsm2.so or your HSM's module",
            )
        # A bare file name would be looked for along the loader's path (promise 4).
        if not Path(module_path).is_absolute():
            raise InvalidInputError("module-path is an absolute path")
        return cls(
            module_path=Path(module_path),
            selection=selection,
            pin=PinSource(uri.query.get("pin-source"), callback),
            uri=uri.text,
            init_args=_init_args(uri),
            max_sessions=_max_sessions(uri.query.get("max-sessions")),
            timeout=_timeout(uri.query.get("timeout")),
            profile=uri.query.get("profile"),
        )

    def __str__(self) -> str:
        return ", ".join(f"{name} {value!r}" for name, value in self.selection.items())


def _init_args(uri: VaultUri) -> str:
    init_args = uri.query.get("init-args")
    # It is handed over as a C string, which a NUL would end.
    if init_args is not None and (not init_args or "\0" in init_args):
        raise InvalidInputError("init-args of a pkcs11: URI is text, not empty and without NUL")
    return init_args or ""


def _max_sessions(text: str | None) -> int:
    if text is None:
        return USUAL_SESSIONS
    if not _COUNT.fullmatch(text) or int(text) < LEAST_SESSIONS:
        raise InvalidInputError(f"max-sessions is a number from {LEAST_SESSIONS} to 9999")
    return int(text)


def _timeout(text: str | None) -> float | None:
    if text is None:
        return None
    if not _SECONDS.fullmatch(text) or not float(text):
        raise InvalidInputError("timeout is a number of seconds above 0, such as 2.5")
    return float(text)


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise InvalidInputError(f"the attribute {name!r} of a pkcs11: URI is not UTF-8") from None
    if not text:
        raise InvalidInputError(f"the attribute {name!r} of a pkcs11: URI is empty")
    return text
