"""What a token can do: its list of mechanisms, and where that does not tell, a trial.

A mechanism that is listed may still take no SHA-256 in OAEP (SoftHSM), and 0x210A means RFC 5649
on SoftHSM and PKCS#7 padding on NSS. So those are tried on values that are known outside.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from pkcs11 import exceptions as ckr
from pkcs11.constants import Attribute, MechanismFlag
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType as CkKeyType
from pkcs11.mechanisms import Mechanism

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm, algorithms_for
from keyhier.errors import UnsupportedError
from keyhier.secret import SecretBytes
from keyhier_pkcs11 import aes, rsa
from keyhier_pkcs11.binding import BoundKey, handle_of
from keyhier_pkcs11.errors import REJECTED, ambiguous, clearly_lost, translated
from keyhier_pkcs11.templates import rsa_private_key, rsa_public_key, secret_in_session

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    from keyhier_pkcs11.session import Connection

__all__ = ["Abilities", "KeyWrap"]

_INCAPABLE: Final = (
    ckr.AttributeValueInvalid,
    ckr.FunctionNotSupported,
    ckr.KeyNotWrappable,
    ckr.KeySizeRange,
    ckr.KeyTypeInconsistent,
    ckr.MechanismInvalid,
    ckr.MechanismParamInvalid,
    ckr.TemplateInconsistent,
)

# What is of use here, to be named when something is missing.
_OURS: Final = (
    Mechanism.RSA_PKCS_KEY_PAIR_GEN,
    Mechanism.RSA_PKCS_OAEP,
    Mechanism.RSA_PKCS,
    Mechanism.AES_KEY_GEN,
    Mechanism.AES_KEY_WRAP,
    Mechanism.AES_KEY_WRAP_PAD,
    Mechanism.AES_KEY_WRAP_KWP,
    Mechanism.AES_GCM,
)
_KEY_WRAP: Final = frozenset({WrapAlgorithm.A128KW, WrapAlgorithm.A192KW, WrapAlgorithm.A256KW})
_GCM: Final = frozenset({WrapAlgorithm.A256GCMKW, WrapAlgorithm.A256GCM})
_OAEP: Final = (WrapAlgorithm.RSA_OAEP_256, WrapAlgorithm.RSA_OAEP)


@attrs.frozen
class KeyWrap:
    """A mechanism for AES key wrap with padding, as far as it proved to be RFC 5649.

    Attributes:
        mechanism: the mechanism, which unwraps correctly.
        wraps_multiples: whether it wraps correctly what is a multiple of 8 bytes.
        wraps_all: whether it wraps every length correctly.
    """

    mechanism: Mechanism
    wraps_multiples: bool
    wraps_all: bool

    def wraps(self, length: int) -> bool:
        """Whether it wraps ``length`` bytes as the RFC says."""
        return self.wraps_all or (self.wraps_multiples and length % 8 == 0)


class Abilities:
    """What one token can do, found out when it is first needed and kept."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._listed: frozenset[int] | None = None
        self._rsa: tuple[WrapAlgorithm, ...] | None = None
        self._padded: KeyWrap | None = None
        self._padded_tried = False

    @property
    def listed(self) -> frozenset[int]:
        """The mechanisms that the token lists."""
        if self._listed is None:
            try:
                with self._connection.module.calls:
                    self._listed = frozenset(self._connection.token.slot.get_mechanisms())
            except PKCS11Error as error:
                raise translated(error, "C_GetMechanismList", "listing its mechanisms") from error
        return self._listed

    def require(self, mechanism: Mechanism) -> None:
        """Raise unless the token lists ``mechanism``.

        Raises:
            UnsupportedError: naming the useful mechanisms that it does list.
        """
        if mechanism not in self.listed:
            raise self.lacking(f"CKM_{mechanism.name}")

    def lacking(self, what: str) -> UnsupportedError:
        """Return the error for something that the token cannot do, listing what it can."""
        there = ", ".join(f"CKM_{each.name}" for each in _OURS if each in self.listed) or "none"
        return UnsupportedError(
            f"token {self._connection.token.label!r} lacks {what}; of those of use it has {there}"
        )

    @property
    def key_specs(self) -> frozenset[KeySpec]:
        """The key specs that the token can make keys of."""
        return frozenset(spec for spec in KeySpec if self._makes(spec))

    @property
    def algorithms(self) -> frozenset[WrapAlgorithm]:
        """The algorithms that the token can unwrap with; a trial may need an RSA key pair."""
        found = {each for each in WrapAlgorithm if self.supports(each)}
        if {Mechanism.RSA_PKCS_OAEP, Mechanism.RSA_PKCS} & self.listed:
            found.update(self.rsa_algorithms(None))
        return frozenset(found)

    def supports(self, algorithm: WrapAlgorithm) -> bool:
        """Whether an AES key for ``algorithm`` would be of use here."""
        if algorithm in _KEY_WRAP:
            return Mechanism.AES_KEY_WRAP in self.listed
        if algorithm in _GCM:
            return Mechanism.AES_GCM in self.listed
        return algorithm is WrapAlgorithm.A256KWP and self.padded_key_wrap() is not None

    def rsa_algorithms(self, key: tuple[int, RSAPublicKey] | None) -> tuple[WrapAlgorithm, ...]:
        """Return what the token unwraps with RSA keys, the safe default first.

        Args:
            key: the handle and the public half of a key that may decrypt, to try with; None
                makes a key pair that is gone when the trial is over.
        """
        with self._lock:
            if self._rsa is None:
                self._rsa = self._try_rsa(key)
            return self._rsa

    def padded_key_wrap(self) -> KeyWrap | None:
        """Return the token's mechanism for RFC 5649, or None where none proves to be that."""
        with self._lock:
            if not self._padded_tried:
                self._padded = self._find_padded_key_wrap()
                self._padded_tried = True
            return self._padded

    def _makes(self, spec: KeySpec) -> bool:
        if spec.key_type is KeyType.AES:
            return Mechanism.AES_KEY_GEN in self.listed and any(
                self.supports(algorithm) for algorithm in algorithms_for(spec)
            )
        generate = Mechanism.RSA_PKCS_KEY_PAIR_GEN
        if generate not in self.listed or not self.listed & {
            Mechanism.RSA_PKCS_OAEP,
            Mechanism.RSA_PKCS,
        }:
            return False
        with self._connection.module.calls:
            info = self._connection.token.slot.get_mechanism_info(generate)
        return (info.min_key_length or 0) <= spec.bits <= (info.max_key_length or spec.bits)

    def _try_rsa(self, key: tuple[int, RSAPublicKey] | None) -> tuple[WrapAlgorithm, ...]:
        found: list[WrapAlgorithm] = []
        if Mechanism.RSA_PKCS_OAEP in self.listed:
            found.extend(self._try_oaep(*key) if key else self._try_oaep_with_new_key())
        if found:
            found.append(WrapAlgorithm.RSA_AES_KWP)
        if Mechanism.RSA_PKCS in self.listed:
            with self._connection.module.calls:
                info = self._connection.token.slot.get_mechanism_info(Mechanism.RSA_PKCS)
            if MechanismFlag.DECRYPT in info.flags:
                found.append(WrapAlgorithm.RSA1_5)
        return tuple(found)

    def _try_oaep(self, handle: int, public_key: RSAPublicKey) -> list[WrapAlgorithm]:
        works: list[WrapAlgorithm] = []
        for algorithm in _OAEP:
            plaintext = os.urandom(32)
            wrapped = rsa.oaep_wrap(public_key, algorithm, plaintext)
            if (
                self._attempt(handle, partial(rsa.decrypt, algorithm=algorithm, wrapped=wrapped))
                == plaintext
            ):
                works.append(algorithm)
        return works

    def _try_oaep_with_new_key(self) -> list[WrapAlgorithm]:
        private = self._connection.logged_in
        public_template = rsa_public_key("", b"", KeySpec.RSA_2048.bits)
        private_template = rsa_private_key("", b"", extractable=False, private=private)
        private_template[Attribute.TOKEN] = False
        try:
            with self._connection.session() as session:
                public, secret = session.generate_keypair(
                    CkKeyType.RSA,
                    KeySpec.RSA_2048.bits,
                    capabilities=MechanismFlag(0),
                    public_template=public_template,
                    private_template=private_template,
                )
                numbers = public.get_attributes([Attribute.MODULUS, Attribute.PUBLIC_EXPONENT])
                public_key = rsa.public_key_of(
                    int.from_bytes(numbers[Attribute.MODULUS]),
                    int.from_bytes(numbers[Attribute.PUBLIC_EXPONENT]),
                )
                works = self._try_oaep(handle_of(secret), public_key)
                public.destroy()
                secret.destroy()
        except PKCS11Error as error:
            raise translated(error, "C_GenerateKeyPair", "making a key pair to try") from error
        return works

    def _find_padded_key_wrap(self) -> KeyWrap | None:
        for mechanism in (Mechanism.AES_KEY_WRAP_KWP, Mechanism.AES_KEY_WRAP_PAD):
            if mechanism in self.listed and (proved := self._prove(mechanism)):
                return proved
        return None

    def _prove(self, mechanism: Mechanism) -> KeyWrap | None:
        private = self._connection.logged_in
        value = os.urandom(KeySpec.AES_256.size)
        usages = (Attribute.WRAP, Attribute.UNWRAP)
        template = secret_in_session(CkKeyType.AES, private=private, usages=usages)
        vectors = [
            (plaintext, aes_key_wrap_with_padding(value, plaintext))
            for plaintext in (os.urandom(16), os.urandom(13))
        ]
        try:
            with self._connection.session() as session:
                held = session.create_object({**template, Attribute.VALUE: value})
                opens, seals = [], []
                for plaintext, wrapped in vectors:
                    unwrap = partial(
                        aes.unwrap, mechanism=mechanism, wrapped=wrapped, private=private
                    )
                    opens.append(self._attempt(handle_of(held), unwrap) == plaintext)
                    with SecretBytes(plaintext) as secret:
                        wrap = partial(
                            aes.wrap, mechanism=mechanism, plaintext=secret, private=private
                        )
                        seals.append(self._attempt(handle_of(held), wrap) == wrapped)
                held.destroy()
        except _INCAPABLE:
            return None
        except PKCS11Error as error:
            raise translated(error, "C_CreateObject", "making a key to try") from error
        return KeyWrap(mechanism, seals[0], all(seals)) if all(opens) else None

    def _attempt(
        self, handle: int, operation: Callable[[BoundKey], SecretBytes | bytes]
    ) -> SecretBytes | bytes | None:
        """Run a trial; None says that the token cannot, an error that it is not there."""
        try:
            with self._connection.session() as session:
                return operation(BoundKey(session, handle))
        except UnsupportedError:
            return None
        except PKCS11Error as error:
            if isinstance(error, (*_INCAPABLE, *REJECTED)):
                return None
            # A token that was lost for a moment may be able all the same.
            if ambiguous(error) and not clearly_lost(error) and self._connection.alive():
                return None
            raise translated(error, "C_Decrypt", "trying a mechanism") from error
