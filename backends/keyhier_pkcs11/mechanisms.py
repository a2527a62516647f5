"""What a token can do: its list of mechanisms, a trial where that does not tell, and its profile.

The profile narrows what is tried and never replaces a trial: see :mod:`keyhier_pkcs11.profile`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.keywrap import aes_key_wrap, aes_key_wrap_with_padding
from pkcs11.constants import Attribute, MechanismFlag
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import Mechanism

from keyhier.algorithms import (
    GCM_ALGORITHMS,
    KEY_WRAP_ALGORITHMS,
    KeySpec,
    KeyType,
    WrapAlgorithm,
    algorithms_for,
)
from keyhier.errors import InvalidStateError, UnsupportedError
from keyhier_pkcs11.errors import translated
from keyhier_pkcs11.profile import GENERIC, Profile, Way
from keyhier_pkcs11.templates import RSA_USAGES
from keyhier_pkcs11.trials import (
    CannotTryError,
    KeyWrap,
    try_gcm,
    try_key_wrap,
    try_oaep,
    try_oaep_with_any_key,
    try_oaep_with_new_key,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from pkcs11.types import MechanismInfo

    from keyhier_pkcs11.session import Connection

__all__ = ["Abilities", "KeyWrap"]

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
_OAEP: Final = (WrapAlgorithm.RSA_OAEP_256, WrapAlgorithm.RSA_OAEP)
# The standard's numbers; those of vendors are tried only where a profile names them.
_STANDARD_KEY_WRAP: Final = (int(Mechanism.AES_KEY_WRAP),)
_STANDARD_PADDED: Final = (int(Mechanism.AES_KEY_WRAP_KWP), int(Mechanism.AES_KEY_WRAP_PAD))
_USAGES: Final = {Way.DECRYPT: Attribute.DECRYPT, Way.UNWRAP: Attribute.UNWRAP}
_FLAGS: Final = {Way.DECRYPT: MechanismFlag.DECRYPT, Way.UNWRAP: MechanismFlag.UNWRAP}


class Abilities:
    """What one token can do, found out when it is first needed and kept."""

    def __init__(self, connection: Connection, profile: Profile = GENERIC) -> None:
        self._connection = connection
        self._lock = threading.RLock()
        self._narrow(profile)

    def _narrow(self, profile: Profile) -> None:
        self._profile = profile
        self._listed: frozenset[int] | None = None
        self._ways: tuple[Way, ...] | None = None
        self._rsa: dict[Way, tuple[WrapAlgorithm, ...]] = {}
        self._key_wraps: dict[str, KeyWrap | None] = {}
        self._gcm: bool | None = None

    @property
    def profile(self) -> Profile:
        """What is known of the module."""
        return self._profile

    def adopt(self, profile: Profile) -> None:
        """Narrow what is tried to what ``profile`` says.

        Raises:
            InvalidStateError: the token is open with another one.
        """
        with self._lock:
            if profile == self._profile:
                return
            if self._connection.in_use:
                raise InvalidStateError(
                    f"token {self._connection.token.label!r} is open in this process with the "
                    f"profile {self._profile.name}, not {profile.name}",
                    remedy="close the other vault first, or name the same profile",
                )
            self._narrow(profile)

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

    def _info(self, mechanism: Mechanism) -> MechanismInfo:
        """Return what the token says of a mechanism that it lists."""
        try:
            with self._connection.module.calls:
                return self._connection.token.slot.get_mechanism_info(mechanism)
        except PKCS11Error as error:
            raise translated(error, "C_GetMechanismInfo", "describing a mechanism") from error

    def lacking(self, what: str, algorithm: WrapAlgorithm | None = None) -> UnsupportedError:
        """Return the error for something that the token cannot do, listing what it can.

        Args:
            algorithm: what it would be needed for.
        """
        there = ", ".join(f"CKM_{each.name}" for each in _OURS if each in self.listed) or "none"
        return UnsupportedError(
            f"token {self._connection.token.label!r} lacks {what}; of those of use it has {there}",
            remedy=self._no_substitute(algorithm),
        )

    def _no_substitute(self, algorithm: WrapAlgorithm | None) -> str | None:
        key_wrap = algorithm in KEY_WRAP_ALGORITHMS or algorithm is WrapAlgorithm.A256KWP
        if not key_wrap or Mechanism.AES_CBC_PAD not in self.listed:
            return None
        return (
            "CKM_AES_CBC_PAD, which it has, is no substitute for a key wrap: it opens what was "
            "altered, and tells by its padding"
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
        if algorithm in GCM_ALGORITHMS:
            return self.gcm()
        if algorithm.key_type is KeyType.RSA:
            return False
        return self.find_key_wrap(algorithm) is not None

    # ------------------------------------------------------------------ RSA

    @property
    def rsa_ways(self) -> tuple[Way, ...]:
        """How the token opens what was wrapped under an RSA key, the better way first."""
        if self._ways is None:
            self._ways = self._find_ways()
        return self._ways

    def _find_ways(self) -> tuple[Way, ...]:
        wanted = self._profile.rsa or tuple(Way)
        if Mechanism.RSA_PKCS_OAEP not in self.listed:
            return wanted
        flags = self._info(Mechanism.RSA_PKCS_OAEP).flags
        if not any(flag in flags for flag in _FLAGS.values()):
            # A token that says neither is asked, as one that says both.
            return wanted
        return tuple(way for way in wanted if _FLAGS[way] in flags)

    @property
    def rsa_usages(self) -> tuple[Attribute, ...]:
        """What an RSA private key is made for here."""
        return tuple(_USAGES[way] for way in Way if way in self.rsa_ways) or RSA_USAGES

    def way_for(self, usages: Iterable[Attribute]) -> Way | None:
        """Return how the token opens what was wrapped under an RSA key with these usages."""
        return next((way for way in self.rsa_ways if _USAGES[way] in usages), None)

    def rsa_algorithms(
        self, key: tuple[int, RSAPublicKey] | None, way: Way | None = None
    ) -> tuple[WrapAlgorithm, ...]:
        """Return what the token unwraps with RSA keys, the safe default first.

        Args:
            key: the handle and the public half of a key that may be used, to try with; None
                makes a key pair that is gone when the trial is over.
            way: how the key is used; by default in the better way.
        """
        way = way or next(iter(self.rsa_ways), None)
        if way is None:
            return ()
        with self._connection.turn, self._lock:
            if way not in self._rsa:
                try:
                    self._rsa[way] = self._try_rsa(key, way)
                except CannotTryError:
                    # Found out with the first key that is opened.
                    return ()
            return self._rsa[way]

    def _try_rsa(self, key: tuple[int, RSAPublicKey] | None, way: Way) -> tuple[WrapAlgorithm, ...]:
        found: list[WrapAlgorithm] = []
        known = self._profile.oaep
        tried = [each for each in _OAEP if known is None or each in known]
        if Mechanism.RSA_PKCS_OAEP in self.listed:
            if key:
                found = try_oaep(self._connection, *key, tried, way)
            elif self._profile.generates is False:
                found = try_oaep_with_any_key(self._connection, tried, way, _USAGES[way])
            else:
                found = try_oaep_with_new_key(self._connection, tried, way, self.rsa_usages)
        if WrapAlgorithm.RSA_OAEP in found:
            # It is composed of RSA-OAEP and a key wrap outside: CKM_RSA_AES_KEY_WRAP is rare.
            found.append(WrapAlgorithm.RSA_AES_KWP)
        pkcs1 = Mechanism.RSA_PKCS in self.listed and way is Way.DECRYPT
        if pkcs1 and MechanismFlag.DECRYPT in self._info(Mechanism.RSA_PKCS).flags:
            found.append(WrapAlgorithm.RSA1_5)
        return tuple(found)

    # ------------------------------------------------------------------ AES

    def gcm(self) -> bool:
        """Whether AES-GCM here is what it is elsewhere."""
        with self._connection.turn, self._lock:
            if self._gcm is None:
                self._gcm = self._find_gcm()
            return self._gcm

    def _find_gcm(self) -> bool:
        if Mechanism.AES_GCM not in self.listed or self._profile.gcm is False:
            return False
        try:
            return try_gcm(self._connection)
        except CannotTryError:
            # The list is believed, and what a key wraps is opened before it is handed out.
            return True

    def key_wrap(self, algorithm: WrapAlgorithm) -> KeyWrap:
        """Return the token's mechanism for AES key wrap, with padding for ``A256KWP``.

        Raises:
            UnsupportedError: none proves to be what the RFC says.
        """
        found = self.find_key_wrap(algorithm)
        if found is None:
            what = f"a mechanism that proves to be AES key wrap for {algorithm}"
            raise self.lacking(what, algorithm)
        return found

    def find_key_wrap(self, algorithm: WrapAlgorithm) -> KeyWrap | None:
        """Return the same, or None where there is none."""
        return (
            self.padded_key_wrap()
            if algorithm not in KEY_WRAP_ALGORITHMS
            else self._plain_key_wrap()
        )

    def padded_key_wrap(self) -> KeyWrap | None:
        """Return the token's mechanism for RFC 5649, or None where none proves to be that."""
        return self._once("padded", self._find_padded_key_wrap)

    def _plain_key_wrap(self) -> KeyWrap | None:
        return self._once("plain", self._find_key_wrap)

    def _once(self, kind: str, find: Callable[[], KeyWrap | None]) -> KeyWrap | None:
        try:
            return self._key_wraps[kind]
        except KeyError:
            pass
        with self._connection.turn, self._lock:
            if kind not in self._key_wraps:
                self._key_wraps[kind] = find()
            return self._key_wraps[kind]

    def _find_key_wrap(self) -> KeyWrap | None:
        numbers = _or_standard(self._profile.key_wrap, _STANDARD_KEY_WRAP)
        return self._first_proved(numbers, aes_key_wrap, (16, 24), believed=_STANDARD_KEY_WRAP)

    def _find_padded_key_wrap(self) -> KeyWrap | None:
        numbers = _or_standard(self._profile.padded_key_wrap, _STANDARD_PADDED)
        return self._first_proved(numbers, aes_key_wrap_with_padding, (16, 13), believed=())

    def _first_proved(
        self,
        numbers: Sequence[int],
        outside: Callable[[bytes, bytes], bytes],
        lengths: Sequence[int],
        *,
        believed: Sequence[int],
    ) -> KeyWrap | None:
        """Return the first mechanism that proves to be the RFC's.

        Args:
            believed: those that mean the RFC's also where nothing can be tried.
        """
        tell_length = bool(self._profile.value_len) and outside is aes_key_wrap
        for number in numbers:
            if number not in self.listed:
                continue
            mechanism = _mechanism(number)
            try:
                found = try_key_wrap(
                    self._connection, mechanism, outside, lengths, tell_length=tell_length
                )
            except CannotTryError:
                found = KeyWrap(mechanism, True, False) if number in believed else None  # noqa: FBT003  # They are fields.
            if found is not None:
                return found
        return None

    def _makes(self, spec: KeySpec) -> bool:
        if self._profile.generates is False:
            return False
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
        info = self._info(generate)
        return (info.min_key_length or 0) <= spec.bits <= (info.max_key_length or spec.bits)


def _or_standard(named: tuple[int, ...] | None, standard: tuple[int, ...]) -> tuple[int, ...]:
    return standard if named is None else named


def _mechanism(number: int) -> Mechanism:
    """Return the mechanism with a number, which may be a vendor's."""
    try:
        return Mechanism(number)
    except ValueError:
        # python-pkcs11 takes members of its enumeration only, and knows no vendor's.
        made = int.__new__(Mechanism, number)
        made._name_ = f"VENDOR_{number:X}"
        made._value_ = number
        return made
