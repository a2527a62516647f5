"""Attributes, tried: whether the token holds to what a template says.

Known tokens do not: opencryptoki ignores CKA_SENSITIVE and CKA_EXTRACTABLE when it unwraps a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pkcs11.constants import Attribute
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import Mechanism

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.doctor import Finding, Severity, guarded
from keyhier.errors import KeyhierError
from keyhier.secret import SecretBytes
from keyhier_pkcs11 import aes
from keyhier_pkcs11.binding import handle_of
from keyhier_pkcs11.doctor.unwrapping import ways_in
from keyhier_pkcs11.doctor.workbench import trying
from keyhier_pkcs11.errors import native

if TYPE_CHECKING:
    from pkcs11.types import Object

    from keyhier_pkcs11.binding import BoundKey
    from keyhier_pkcs11.doctor.unwrapping import Unwrap
    from keyhier_pkcs11.doctor.workbench import Workbench

__all__ = ["examine_attributes"]

_MADE: Final = "attributes.made"
_ONE_WAY: Final = "attributes.one-way"
_USAGES: Final = "attributes.usages"
_CHANGEABLE: Final = "attributes.changeable"
_UNWRAPPED: Final = "attributes.unwrapped"
_DO_NOT_TRUST: Final = "do not keep keys in this token before the vendor has explained it"


def examine_attributes(bench: Workbench) -> Iterator[Finding]:
    """Make keys of the session with keyhier's templates, and see what the token made of them."""
    if Mechanism.AES_KEY_GEN in bench.listed:
        yield from guarded(_MADE, lambda: _made(bench))
        yield from guarded(_ONE_WAY, lambda: _one_way(bench))
        yield from guarded(_USAGES, lambda: _usages(bench))
        yield from guarded(_CHANGEABLE, lambda: _changeable(bench))
    if bench.listed & {Mechanism.AES_KEY_WRAP, Mechanism.RSA_PKCS_OAEP}:
        yield from guarded(_UNWRAPPED, lambda: _unwrapped(bench))


def _kept_key(bench: Workbench) -> Object:
    return bench.generate_aes_key(KeySpec.AES_256, bench.kept(WrapAlgorithm.A256KW))


def _ignored(made: Object, template: Mapping[Attribute, Any]) -> list[str]:
    """Return the attributes that are not as the template says, and CKA_VALUE if it can be read."""
    wanted = {name: value for name, value in template.items() if isinstance(value, bool)}
    with trying("C_GetAttributeValue"):
        # What cannot be read is left out of the answer, as long as it is not asked for alone.
        found = made.get_attributes([*wanted, Attribute.VALUE])
    wrong = [f"CKA_{name.name}" for name, told in wanted.items() if found.get(name) is not told]
    return [*wrong, "CKA_VALUE, which can be read"] if found.get(Attribute.VALUE) else wrong


def _made(bench: Workbench) -> Iterator[Finding]:
    template = bench.kept(WrapAlgorithm.A256KW)
    ignored = _ignored(bench.generate_aes_key(KeySpec.AES_256, template), template)
    if ignored:
        found = f"a generated key did not get what its template says: {', '.join(ignored)}"
        yield Finding(_MADE, Severity.ERROR, found, _DO_NOT_TRUST)
    else:
        found = "a generated key gets every attribute of its template, and cannot be read"
        yield Finding(_MADE, Severity.OK, found)


def _one_way(bench: Workbench) -> Iterator[Finding]:
    key, undone = _kept_key(bench), []
    for name, safe in ((Attribute.SENSITIVE, True), (Attribute.EXTRACTABLE, False)):
        try:
            key[name] = not safe
        except PKCS11Error:
            # As it should be.
            continue
        with trying("C_GetAttributeValue"):
            if key[name] is not safe:
                undone.append(f"CKA_{name.name}")
    if undone:
        found = f"what protects a key can be taken back: {', '.join(undone)}"
        yield Finding(_ONE_WAY, Severity.ERROR, found, _DO_NOT_TRUST)
    else:
        found = "CKA_SENSITIVE stays true and CKA_EXTRACTABLE false, once they are"
        yield Finding(_ONE_WAY, Severity.OK, found)


def _usages(bench: Workbench) -> Iterator[Finding]:
    misuses = _misuses(bench)
    if not misuses:
        found = "the token lists no AES cipher that a key for wrapping could be misused with"
        yield Finding(_USAGES, Severity.OK, found)
        return
    key, allowed, codes = _kept_key(bench), [], []
    for function, operation in misuses.items():
        try:
            bench.attempt(function, handle_of(key), operation)
        except KeyhierError as error:
            codes.append(error.native or error.message)
        else:
            allowed.append(function)
    if allowed:
        found = f"a key that may only wrap and unwrap is let into {' and '.join(allowed)}"
        yield Finding(
            _USAGES,
            Severity.ERROR,
            f"{found}, which opens what it wrapped",
            "use RSA keys here, or A256GCMKW",
        )
    else:
        found = "a key that may only wrap and unwrap is kept from ciphering"
        yield Finding(_USAGES, Severity.OK, f"{found} ({'; '.join(codes)})")


def _misuses(bench: Workbench) -> dict[str, Callable[[BoundKey], object]]:
    """Return what a key for wrapping must not do, by the function that does it."""
    misuses: dict[str, Callable[[BoundKey], object]] = {}
    if Mechanism.AES_ECB in bench.listed:
        # This is what opens a wrapped key, block by block.
        misuses["C_Decrypt"] = lambda key: key.decrypt(bytes(32), mechanism=Mechanism.AES_ECB)
    if Mechanism.AES_GCM in bench.listed:
        misuses["C_Encrypt"] = lambda key: aes.gcm_seal(key, SecretBytes(bytes(32)), b"")
    return misuses


def _changeable(bench: Workbench) -> Iterator[Finding]:
    key = _kept_key(bench)
    remedy = "to stop a key from being used, delete it or take the PIN away"
    try:
        key[Attribute.UNWRAP] = False
    except PKCS11Error as error:
        found = "usages cannot be changed, so keys here cannot be disabled"
        code = native("C_SetAttributeValue", error)
        yield Finding(_CHANGEABLE, Severity.NOTE, found, remedy, code)
        return
    with trying("C_GetAttributeValue"):
        cleared = key[Attribute.UNWRAP] is False
    if cleared:
        yield Finding(_CHANGEABLE, Severity.OK, "usages can be cleared, so keys can be disabled")
    else:
        found = "the token takes a change of usages and does not make it; keys cannot be disabled"
        yield Finding(_CHANGEABLE, Severity.NOTE, found, remedy)


def _unwrapped(bench: Workbench) -> Iterator[Finding]:
    refused: list[str] = []
    for way, prepare in ways_in(bench).items():
        try:
            handle, unwrap = prepare(bench)
            ignored, after = bench.attempt(
                "C_UnwrapKey", handle, partial(_inspected, unwrap, bench)
            )
        except KeyhierError as error:
            refused.append(f"{way}: {error.native or error.message}")
        else:
            yield _told(way, ignored, after)
            return
    found = f"not tried: the token unwraps no key into itself ({'; '.join(refused)})"
    remedy = "open keys in memory here; Key.unwrap_into has no way into this token"
    yield Finding(_UNWRAPPED, Severity.NOTE, found, remedy)


def _inspected(unwrap: Unwrap, bench: Workbench, key: BoundKey) -> tuple[list[str], list[str]]:
    """Return what an unwrapped key ignores of its template: at first, and when told again."""
    template = bench.kept(WrapAlgorithm.A256KW)
    held = unwrap(key, template)
    ignored = after = _ignored(held, template)
    if ignored:
        for name, safe in ((Attribute.SENSITIVE, True), (Attribute.EXTRACTABLE, False)):
            # What the token refuses is found by reading again.
            with suppress(PKCS11Error):
                held[name] = safe
        after = _ignored(held, template)
    held.destroy()
    return ignored, after


def _told(way: str, ignored: list[str], after: list[str]) -> Finding:
    subject = f"a key that is unwrapped into the token ({way})"
    if not ignored:
        found = f"{subject} gets every attribute of its template"
        return Finding(_UNWRAPPED, Severity.OK, found)
    found = f"{subject} does not get what its template says: {', '.join(ignored)}"
    remedy = "unwrap no key into this token"
    if not after:
        found += "; set afterwards, it does"
        remedy = "let no program unwrap keys into this token that does not set and check them then"
    return Finding(_UNWRAPPED, Severity.WARNING, found, remedy)
