"""Mechanisms, tried: whether what is listed does what the standard says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap, aes_key_wrap_with_padding
from pkcs11.constants import Attribute
from pkcs11.mechanisms import KeyType, Mechanism

from keyhier.algorithms import GCM_IV_BYTES, KeySpec, WrapAlgorithm
from keyhier.doctor import Finding, Severity, guarded
from keyhier.errors import KeyhierError
from keyhier.rsa_wrap import wrap as wrap_locally
from keyhier.secret import SecretBytes
from keyhier_pkcs11 import aes, rsa
from keyhier_pkcs11.doctor.unwrapping import unwrap_oaep

if TYPE_CHECKING:
    from pkcs11.types import Session

    from keyhier_pkcs11.binding import BoundKey
    from keyhier_pkcs11.doctor.unwrapping import Unwrap
    from keyhier_pkcs11.doctor.workbench import AesKey, RsaKey, Workbench
    from keyhier_pkcs11.templates import Template

__all__ = ["examine_mechanisms"]

_WRAPPING: Final = (Attribute.WRAP, Attribute.UNWRAP)
_SEALING: Final = (Attribute.ENCRYPT, Attribute.DECRYPT)
_HASHES: Final = {WrapAlgorithm.RSA_OAEP_256: "SHA-256", WrapAlgorithm.RSA_OAEP: "SHA-1"}
_REPORT: Final = "leave the mechanism alone, and report it to the vendor"
_UNLISTED: Final = "go by the algorithms under abilities, or see what the HSM's policy allows"
_ONLY: Final = "RSA keys here are for {}"
_CHOSEN: Final = "nothing, since keyhier takes it by itself; programs of others have to be told"
_ENVELOPES: Final = "put secrets of other lengths into envelopes"
_WITHOUT_PADDING: Final = "use envelopes, which need no A256KWP"


@attrs.frozen
class _Trial:
    """One mechanism, what it is needed for, and how it is tried."""

    mechanism: Mechanism
    needed_for: str
    run: Callable[[Workbench], Iterator[Finding]]


def examine_mechanisms(bench: Workbench) -> Iterator[Finding]:
    """Try each mechanism that keyhier has a use for, on objects of the session."""
    yield from guarded("random", lambda: _random(bench))
    for trial in _TRIALS:
        if trial.mechanism in bench.listed:
            yield from _tried(trial, bench)
        else:
            found = f"the token does not list it, which {trial.needed_for} would need"
            yield Finding(_check(trial.mechanism), Severity.NOTE, found, _UNLISTED)


def _tried(trial: _Trial, bench: Workbench) -> Iterator[Finding]:
    try:
        yield from trial.run(bench)
    except KeyhierError as error:
        yield _refused(trial.mechanism, "the trial", error)


def _check(mechanism: Mechanism) -> str:
    return f"mechanism.CKM_{mechanism.name}"


def _fine(mechanism: Mechanism, found: str) -> Finding:
    return Finding(_check(mechanism), Severity.OK, found)


def _wrong(mechanism: Mechanism, found: str) -> Finding:
    return Finding(_check(mechanism), Severity.ERROR, found, _REPORT)


def _refused(mechanism: Mechanism, what: str, error: KeyhierError) -> Finding:
    found = f"it is listed, but the token refuses {what}"
    return Finding(_check(mechanism), Severity.WARNING, found, _REPORT, error.native)


# ------------------------------------------------------------------ random


def _random(bench: Workbench) -> Iterator[Finding]:
    def draw(key: BoundKey) -> bytes:
        session: Session = key.session
        return session.generate_random(256)  # Bits.

    # A generator belongs to no key.
    first, second = (bench.attempt("C_GenerateRandom", 0, draw) for _ in range(2))
    if first == second or len(set(first)) == 1:
        yield Finding(
            "random",
            Severity.ERROR,
            "the token's generator gave the same bytes again",
            "make no keys with this token",
        )
    else:
        yield Finding(
            "random", Severity.OK, "C_GenerateRandom gives bytes, and other ones each time"
        )


# ------------------------------------------------------------------ RSA


def _generate_rsa(bench: Workbench) -> Iterator[Finding]:
    bench.rsa_key()
    mechanism = Mechanism.RSA_PKCS_KEY_PAIR_GEN
    info = bench.connection.token.slot.get_mechanism_info(mechanism)
    bits = f"{info.min_key_length} to {info.max_key_length} bits"
    yield _fine(mechanism, f"an RSA key of 2048 bits was made; the token lists {bits}")


def _oaep(bench: Workbench) -> Iterator[Finding]:
    key = bench.rsa_key()
    decrypts = {name: _tried_oaep(bench, key, name, _decrypt) for name in _HASHES}
    unwraps = {name: _tried_oaep(bench, key, name, _unwrap) for name in _HASHES}
    found = f"C_Decrypt: {_listed(decrypts)}; C_UnwrapKey: {_listed(unwraps)}"
    check = _check(Mechanism.RSA_PKCS_OAEP)
    if all(each is None for each in decrypts.values()):
        yield Finding(check, Severity.OK, found)
    elif decrypts[WrapAlgorithm.RSA_OAEP] is None:
        yield Finding(check, Severity.NOTE, f"{found}; {_ONLY.format('RSA-OAEP')}", _CHOSEN)
    elif decrypts[WrapAlgorithm.RSA_OAEP_256] is None:
        yield Finding(check, Severity.NOTE, f"{found}; {_ONLY.format('RSA-OAEP-256')}", _CHOSEN)
    else:
        yield Finding(check, Severity.WARNING, f"it is listed, but: {found}", _REPORT)


def _listed(outcomes: dict[WrapAlgorithm, str | None]) -> str:
    return ", ".join(f"{_HASHES[name]} {problem or 'works'}" for name, problem in outcomes.items())


def _tried_oaep(
    bench: Workbench,
    key: RsaKey,
    algorithm: WrapAlgorithm,
    way: Callable[[Workbench, RsaKey, WrapAlgorithm, bytes], SecretBytes | None],
) -> str | None:
    """Return what is wrong with one way to open OAEP, or None where it works."""
    secret = SecretBytes.random(32)
    wrapped = wrap_locally(key.public_key, algorithm, secret)
    try:
        opened = way(bench, key, algorithm, wrapped)
    except KeyhierError as error:
        return f"fails ({error.native})" if error.native else f"fails ({error.message})"
    return None if opened is None or opened == secret else "gives wrong bytes"


def _decrypt(
    bench: Workbench, key: RsaKey, algorithm: WrapAlgorithm, wrapped: bytes
) -> SecretBytes:
    operation = partial(rsa.decrypt, algorithm=algorithm, wrapped=wrapped)
    return bench.attempt("C_Decrypt", key.handle, operation)


def _unwrap(
    bench: Workbench, key: RsaKey, algorithm: WrapAlgorithm, wrapped: bytes
) -> SecretBytes | None:
    unwrap = partial(unwrap_oaep, algorithm=algorithm, wrapped=wrapped)
    try:
        return _unwrap_as(bench.secret(KeyType.AES), bench, key, unwrap)
    except KeyhierError:
        # Some tokens unwrap nothing that could be read, and then there is nothing to compare.
        return _unwrap_as(bench.kept(WrapAlgorithm.A256KW), bench, key, unwrap)


def _unwrap_as(
    template: Template, bench: Workbench, key: RsaKey, unwrap: Unwrap
) -> SecretBytes | None:
    def read(bound: BoundKey) -> SecretBytes | None:
        held = unwrap(bound, template)
        # What cannot be read is left out of the answer, as long as it is not asked for alone.
        value = held.get_attributes([Attribute.TOKEN, Attribute.VALUE]).get(Attribute.VALUE)
        held.destroy()
        return SecretBytes.adopt(bytearray(value)) if value else None

    return bench.attempt("C_UnwrapKey", key.handle, read)


def _pkcs1(bench: Workbench) -> Iterator[Finding]:
    key, secret = bench.rsa_key(), os.urandom(32)
    wrapped = key.public_key.encrypt(secret, padding.PKCS1v15())
    operation = partial(rsa.decrypt, algorithm=WrapAlgorithm.RSA1_5, wrapped=wrapped)
    mechanism = Mechanism.RSA_PKCS
    try:
        with bench.attempt("C_Decrypt", key.handle, operation) as opened:
            right = opened == secret
    except KeyhierError as error:
        # Many tokens have turned it off on purpose, and only one old format wants it.
        found = "the token does not decrypt with it, so there is no RSA1_5 here"
        remedy = "open what only RSA1_5 opens, such as some ADE secrets, in another vault"
        yield Finding(_check(mechanism), Severity.NOTE, found, remedy, error.native)
    else:
        done = "C_Decrypt works" if right else "C_Decrypt gives wrong bytes"
        yield (_fine if right else _wrong)(mechanism, done)


# ------------------------------------------------------------------ AES


def _generate_aes(bench: Workbench) -> Iterator[Finding]:
    mechanism, refused = Mechanism.AES_KEY_GEN, []
    sizes = (KeySpec.AES_128, KeySpec.AES_192, KeySpec.AES_256)
    for spec in sizes:
        try:
            bench.generate_aes_key(spec, bench.kept(WrapAlgorithm.A256KW))
        except KeyhierError as error:
            refused.append((spec, error))
    if refused:
        specs = ", ".join(spec for spec, _ in refused)
        yield _refused(mechanism, f"to make keys of {specs}", refused[0][1])
    else:
        yield _fine(mechanism, "keys of 128, 192 and 256 bits were made")


def _key_wrap(bench: Workbench) -> Iterator[Finding]:
    mechanism = Mechanism.AES_KEY_WRAP
    key = bench.known_aes_key(*_WRAPPING)
    wrong, error = _tried_key_wrap(bench, key, mechanism, aes_key_wrap, (16, 24, 32))
    if error is not None and key.value is None:
        inside = partial(aes.wrap_inside, mechanism=mechanism, private=bench.private)
        bench.attempt("C_WrapKey", key.handle, inside)
        yield Finding(
            _check(mechanism),
            Severity.NOTE,
            "it wraps and unwraps keys of the token's own; the token takes or shows no others, so "
            "envelopes are opened with it and none are made",
            "wrap under an RSA key, or an AES key for A256GCMKW",
            error.native,
        )
    elif error is not None:
        yield _refused(mechanism, "to wrap or unwrap with it", error)
    elif wrong:
        yield _wrong(mechanism, f"it is not RFC 3394: {'; '.join(wrong)}")
    else:
        yield _fine(mechanism, f"C_WrapKey and C_UnwrapKey are RFC 3394{_proof(key)}")


def _padded_key_wrap(mechanism: Mechanism, bench: Workbench) -> Iterator[Finding]:
    key = bench.known_aes_key(*_WRAPPING)
    if key.value is None:
        yield Finding(
            _check(mechanism),
            Severity.NOTE,
            "the token takes no key from outside, so nothing shows whether this is RFC 5649",
            _WITHOUT_PADDING,
        )
        return
    multiples, error = _tried_key_wrap(bench, key, mechanism, aes_key_wrap_with_padding, (16, 32))
    if error is not None or multiples:
        reason = "; ".join(multiples) or "the token rejects what RFC 5649 gives"
        yield Finding(
            _check(mechanism),
            Severity.NOTE,
            f"it is not RFC 5649 here ({reason}), and is not used",
            _WITHOUT_PADDING,
            error.native if error else None,
        )
        return
    others, error = _tried_key_wrap(bench, key, mechanism, aes_key_wrap_with_padding, (13, 31))
    if others or error is not None:
        reason = "; ".join(others) or "the token refuses others"
        yield Finding(
            _check(mechanism),
            Severity.NOTE,
            f"it is RFC 5649 at multiples of 8 bytes only ({reason}); other lengths are refused",
            _ENVELOPES,
            error.native if error else None,
        )
        return
    yield _fine(mechanism, "C_WrapKey and C_UnwrapKey are RFC 5649, at every length that was tried")


def _tried_key_wrap(
    bench: Workbench,
    key: AesKey,
    mechanism: Mechanism,
    in_software: Callable[[bytes, bytes], bytes],
    lengths: tuple[int, ...],
) -> tuple[list[str], KeyhierError | None]:
    """Return what is wrong with a mechanism for key wrap, and what the token refuses."""
    wrong: list[str] = []
    try:
        for length in lengths:
            secret = os.urandom(length)
            with SecretBytes(secret) as plaintext:
                wrap = partial(
                    aes.wrap, mechanism=mechanism, plaintext=plaintext, private=bench.private
                )
                wrapped = bench.attempt("C_WrapKey", key.handle, wrap)
            if key.value is not None:
                expected = in_software(key.value, secret)
                if wrapped != expected:
                    wrong.append(f"{length} bytes are wrapped wrongly")
                wrapped = expected
            unwrap = partial(
                aes.unwrap, mechanism=mechanism, wrapped=wrapped, private=bench.private
            )
            with bench.attempt("C_UnwrapKey", key.handle, unwrap) as opened:
                if opened != secret:
                    wrong.append(f"{length} bytes are unwrapped wrongly")
    except KeyhierError as error:
        return wrong, error
    return wrong, None


def _gcm(bench: Workbench) -> Iterator[Finding]:
    mechanism = Mechanism.AES_GCM
    key, secret, aad = bench.known_aes_key(*_SEALING), os.urandom(32), b"additional data"
    try:
        with SecretBytes(secret) as plaintext:
            seal = partial(aes.gcm_seal, plaintext=plaintext, aad=aad)
            sealed = bench.attempt("C_Encrypt", key.handle, seal)
        unseal = partial(aes.gcm_open, wrapped=sealed, aad=aad)
        with bench.attempt("C_Decrypt", key.handle, unseal) as opened:
            right = opened == secret
    except KeyhierError as error:
        yield _refused(mechanism, "to encrypt or decrypt with it", error)
        return
    if key.value is not None:
        iv, rest = sealed[:GCM_IV_BYTES], sealed[GCM_IV_BYTES:]
        right = right and AESGCM(key.value).encrypt(iv, secret, aad) == rest
    if not right:
        yield _wrong(mechanism, "it is not GCM as NIST SP 800-38D has it")
    elif _opens(bench, key, sealed, b"other data"):
        yield _wrong(mechanism, "it opens what was sealed with other additional data")
    else:
        yield _fine(mechanism, f"C_Encrypt and C_Decrypt are GCM and check its tag{_proof(key)}")


def _opens(bench: Workbench, key: AesKey, sealed: bytes, aad: bytes) -> bool:
    unseal = partial(aes.gcm_open, wrapped=sealed, aad=aad)
    try:
        bench.attempt("C_Decrypt", key.handle, unseal).wipe()
    except KeyhierError:
        return False
    return True


def _proof(key: AesKey) -> str:
    return "" if key.value else " as far as a round trip shows: the token takes no known key"


_TRIALS: Final = (
    _Trial(Mechanism.RSA_PKCS_KEY_PAIR_GEN, "making RSA keys", _generate_rsa),
    _Trial(Mechanism.RSA_PKCS_OAEP, "RSA-OAEP, RSA-OAEP-256 and RSA-AES-KWP", _oaep),
    _Trial(Mechanism.RSA_PKCS, "RSA1_5", _pkcs1),
    _Trial(Mechanism.AES_KEY_GEN, "making AES keys", _generate_aes),
    _Trial(Mechanism.AES_KEY_WRAP, "A128KW, A192KW and A256KW", _key_wrap),
    _Trial(
        Mechanism.AES_KEY_WRAP_KWP,
        "A256KWP in this way",
        partial(_padded_key_wrap, Mechanism.AES_KEY_WRAP_KWP),
    ),
    _Trial(
        Mechanism.AES_KEY_WRAP_PAD,
        "A256KWP in this way",
        partial(_padded_key_wrap, Mechanism.AES_KEY_WRAP_PAD),
    ),
    _Trial(Mechanism.AES_GCM, "A256GCMKW and A256GCM", _gcm),
)
