"""Examining a vault by its URI: also one that does not open, which is when it is needed most."""

from __future__ import annotations

from keyhier.doctor import Diagnosis, Finding, Severity
from keyhier.driver import OpenOptions, SupportsPreliminaries
from keyhier.errors import AuthenticationError, InvalidInputError, KeyhierError
from keyhier.opening import open_vault
from keyhier.pin import PinCallback
from keyhier.pin_exposure import examine_pin_source
from keyhier.registry import backend_for
from keyhier.uri import VaultUri

__all__ = ["examine"]


def examine(uri: str, *, pin: PinCallback | None = None) -> Diagnosis:
    """Open the vault that ``uri`` names and examine it; see :meth:`Vault.doctor`.

    That it does not open is a finding, beside what can be seen without opening it. Where that
    shows an error, opening is not tried: a token that locks at the next wrong PIN gets none.

    Args:
        uri, pin: as for :func:`keyhier.open`.

    Raises:
        InvalidInputError: the URI is malformed, or has an unknown attribute.
        UnsupportedError: no backend serves the scheme, or what it needs is not installed, or this
            kind of vault cannot be examined.
        AmbiguousError: more than one backend serves the scheme.
    """
    parsed = VaultUri.parse(uri)
    backend = backend_for(parsed.scheme)
    seen: list[Finding] = [] if pin else list(examine_pin_source(parsed))
    if isinstance(backend, SupportsPreliminaries):
        seen.extend(backend.preliminaries(parsed, OpenOptions(pin)))
    found = Diagnosis(str(parsed), tuple(seen))
    if found.worst is Severity.ERROR:
        return found
    try:
        vault = open_vault(uri, pin=pin)
    except InvalidInputError:
        raise
    except KeyhierError as error:
        return Diagnosis(str(parsed), (*seen, Finding.of_error(_refused_at(error), error)))
    with vault:
        return vault.doctor()


def _refused_at(error: KeyhierError) -> str:
    return "login" if isinstance(error, AuthenticationError) else "opening"
