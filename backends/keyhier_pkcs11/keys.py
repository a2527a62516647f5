"""What the key objects of a token mean: keys, their versions, and what each is for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import attrs
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import KeyType as CkKeyType

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm
from keyhier.errors import (
    AmbiguousError,
    IntegrityError,
    InvalidStateError,
    NotFoundError,
    UnsupportedError,
)
from keyhier_pkcs11.templates import RSA_USAGES, usages_of

if TYPE_CHECKING:
    from keyhier_pkcs11.objects import KeyObject

__all__ = ["Purpose", "check_public_half", "latest_of_each", "purpose_of", "select", "versions_of"]

_KEY_WRAP: Final = {
    16: WrapAlgorithm.A128KW,
    24: WrapAlgorithm.A192KW,
    32: WrapAlgorithm.A256KW,
}
_SPECS: Final = {(spec.key_type, spec.bits): spec for spec in KeySpec}
_WRAPPING: Final = frozenset({Attribute.WRAP, Attribute.UNWRAP})
_SEALING: Final = frozenset({Attribute.ENCRYPT, Attribute.DECRYPT})


@attrs.frozen
class Purpose:
    """What a key object is for.

    Attributes:
        spec: its family and size.
        algorithm: an AES key's one algorithm, None for RSA.
        usages: the usages that make it of use; without them it is disabled.
    """

    spec: KeySpec
    algorithm: WrapAlgorithm | None
    usages: tuple[Attribute, ...]

    def enabled(self, key: KeyObject) -> bool:
        """Whether the token lets ``key`` be used."""
        return key.usages.issuperset(self.usages)


def purpose_of(key: KeyObject) -> Purpose:
    """Say what a key is for: by its CKA_ID where keyhier made it, else by its usages.

    Raises:
        UnsupportedError: its type or size is none that keyhier works with.
        IntegrityError: it may be used for what it is not for (promise 5), or anybody without a PIN
            could have put it there.
        InvalidStateError: it has no CKA_ID to tell it from others.
    """
    if not key.id:
        raise InvalidStateError(
            f"the {key} has no CKA_ID, so that nothing would name it for certain",
            remedy="give it one, for example with pkcs11-tool --set-id",
        )
    if key.unprotected:
        raise IntegrityError(
            f"the {key} is not private (CKA_PRIVATE false), so anybody could have put it there",
            remedy="find out who did, and delete it; or make it anew as a private object",
        )
    if key.object_class is ObjectClass.PRIVATE_KEY:
        return _rsa_purpose(key)
    if key.key_type != CkKeyType.AES:
        raise UnsupportedError(f"the {key} is no AES key")
    if key.usages & _WRAPPING and key.usages & _SEALING:
        raise IntegrityError(
            f"the {key} may both wrap and encrypt: a decrypt would open what it wrapped",
            remedy="take the usages away that it is not for, or use another key",
        )
    version = key.version
    if version is None or version.algorithm is None:
        return _foreign_aes_purpose(key)
    expected = usages_of(version.algorithm)
    if not key.usages.issubset(expected):
        raise IntegrityError(
            f"the {key} is for {version.algorithm} and allows other uses",
            remedy="find out who set them, and use another key",
        )
    bits = int(version.algorithm.value[1:4])
    return Purpose(_SPECS[KeyType.AES, bits], version.algorithm, expected)


def _rsa_purpose(key: KeyObject) -> Purpose:
    spec = _SPECS.get((KeyType.RSA, key.modulus.bit_length()))
    if key.key_type != CkKeyType.RSA or spec is None:
        raise UnsupportedError(
            f"the {key} is no RSA key of 2048, 3072 or 4096 bits whose modulus can be read"
        )
    if key.always_authenticate:
        raise UnsupportedError(
            f"the {key} wants the PIN again at every use (CKA_ALWAYS_AUTHENTICATE)",
            remedy="use a key that is not for signatures by a person",
        )
    if not key.exponent:
        raise UnsupportedError(f"the {key} does not show its public exponent")
    # A token, or the maker of the key, may know only one of the two usages.
    present = tuple(usage for usage in RSA_USAGES if usage in key.usages)
    absent = RSA_USAGES if key.version else (Attribute.DECRYPT,)
    return Purpose(spec, None, present or absent)


def _foreign_aes_purpose(key: KeyObject) -> Purpose:
    key_wrap = _KEY_WRAP.get(key.value_bytes)
    if key_wrap is None:
        raise UnsupportedError(f"the {key} does not say that it has 128, 192 or 256 bits")
    spec = _SPECS[KeyType.AES, key.value_bytes * 8]
    if key.usages & _WRAPPING:
        return Purpose(spec, key_wrap, (Attribute.UNWRAP,))
    if not key.usages & _SEALING:
        raise UnsupportedError(f"the {key} may neither wrap nor encrypt")
    if spec is not KeySpec.AES_256:
        raise UnsupportedError(f"the {key} is for AES-GCM, which takes a key of 256 bits here")
    return Purpose(spec, WrapAlgorithm.A256GCMKW, (Attribute.DECRYPT,))


def versions_of(found: Sequence[KeyObject], name: str) -> list[KeyObject]:
    """Return the versions of the one key among ``found``, which share a label; oldest first.

    Raises:
        NotFoundError: there is none.
        AmbiguousError: they are not versions of one key.
    """
    if not found:
        raise NotFoundError(f"there is no key {name!r} on the token")
    distinct = {key.identity for key in found}
    one_class = len({key.object_class for key in found}) == 1
    versions = one_class and all(key.version is not None for key in found)
    if len(found) > 1 and not (versions and len(distinct) == len(found)):
        raise AmbiguousError(
            f"more than one key of the token is called {name!r}",
            candidates=[str(key) for key in found],
            remedy="name the version, which is the CKA_ID",
        )
    return sorted(found, key=lambda key: key.id)


def select(found: Sequence[KeyObject], name: str, version: str) -> KeyObject:
    """Return the only one of ``found``, which share a CKA_ID.

    Raises:
        NotFoundError, AmbiguousError: there is none, or several.
    """
    if not found:
        raise NotFoundError(f"there is no key {name!r} with version {version} on the token")
    if len(found) > 1:
        raise AmbiguousError(
            f"more than one key of the token has the CKA_ID {version}",
            candidates=[str(key) for key in found],
            remedy="give each its own, for example with pkcs11-tool --set-id",
        )
    return found[0]


def latest_of_each(found: Sequence[KeyObject]) -> list[KeyObject]:
    """Return the latest version of every key; where a name is ambiguous, each candidate."""
    by_label: dict[str, list[KeyObject]] = {}
    for key in found:
        if key.label is not None:
            by_label.setdefault(key.label, []).append(key)
    listed: list[KeyObject] = []
    for label in sorted(by_label):
        try:
            listed.append(versions_of(by_label[label], label)[-1])
        except AmbiguousError:
            listed.extend(sorted(by_label[label], key=lambda key: key.id))
    return listed


def check_public_half(key: KeyObject, publics: Sequence[KeyObject]) -> None:
    """Compare a private key with the public keys of its CKA_ID (promise 5).

    A wrap under a planted public key would open for whoever planted it, and not here.

    Raises:
        IntegrityError: one of them is not its public half.
    """
    for public in publics:
        same = (public.modulus, public.exponent) == (key.modulus, key.exponent)
        if public.id == key.id and not same:
            raise IntegrityError(
                f"the token has a {public} that is not the public half of the private key",
                remedy="find out who put it there, and delete it",
            )
