"""The vault's file as bytes: a bounded header, then everything sealed under the passphrase.

========  =======  ==================================================================
offset    bytes    what
========  =======  ==================================================================
0         14       ``keyhier-vault`` and a line feed
14        1        the version of the format: 1, or 2 where there are secrets besides keys
15        3        the scrypt parameters: log2 of N, r, p (RFC 7914)
18        16       the salt, fresh at every write
34        12       the IV of AES-256-GCM (NIST SP 800-38D), fresh at every write
46        n        the ciphertext: a backup key (32 bytes), then the keys; in format 2 their
                   length goes before them (4 bytes, big-endian), and the secrets follow
46 + n    16       the tag; the bytes before the IV are additional data
========  =======  ==================================================================

A vault without secrets is written in format 1, which every release reads.

The parameters are bounded before anything is derived with them, so that a hostile file costs
neither memory nor time: at most 128 MiB, and about one second.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import attrs
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from keyhier.algorithms import GCM_IV_BYTES, GCM_TAG_BYTES
from keyhier.errors import AuthenticationError, IntegrityError, UnsupportedError
from keyhier.secret import SecretBytes
from keyhier_memory.content import BACKUP_KEY_BYTES, Content
from keyhier_memory.operations import open_gcm, seal_gcm
from keyhier_memory.secret_serialisation import decode_secrets, encode_secrets
from keyhier_memory.serialisation import decode_keys, encode_keys
from keyhier_memory.stored_secrets import KeptSecret

__all__ = ["Cost", "open_content", "seal_content"]

_MARK: Final = b"keyhier-vault\n"
_KEYS_ONLY: Final = 1
_WITH_SECRETS: Final = 2
_LENGTH_BYTES: Final = 4
_HEADER: Final = struct.Struct(f">{len(_MARK)}sBBBB16s")
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32


@attrs.frozen
class Cost:
    """What a guess at the passphrase costs: scrypt's parameters (RFC 7914, section 2).

    A new file gets the default: 32 MiB three times over, which is what OWASP's password storage
    cheat sheet asks for at least. A file that is there keeps what it was made with.

    Attributes:
        log2_n: the logarithm of N, 14 to 17.
        r: the block size, always 8; a derivation takes ``128 * r * N`` bytes of memory.
        p: how many such derivations; N times p is at most 2^17.
    """

    log2_n: int = 15
    r: int = 8
    p: int = 3

    @property
    def allowed(self) -> bool:
        """Whether a file may ask for this."""
        return 14 <= self.log2_n <= 17 and self.r == 8 and 1 <= self.p <= 1 << (17 - self.log2_n)

    def derive(self, passphrase: SecretBytes, salt: bytes) -> SecretBytes:
        """Return the key for this passphrase and salt; the caller wipes it."""
        key = bytearray(_KEY_BYTES)
        scrypt = Scrypt(salt=salt, length=_KEY_BYTES, n=1 << self.log2_n, r=self.r, p=self.p)
        scrypt.derive_into(passphrase.view(), key)
        return SecretBytes.adopt(key)


def seal_content(content: Content, passphrase: SecretBytes, cost: Cost) -> bytes:
    """Return ``content`` as the bytes of a file, with a fresh salt and IV."""
    salt = os.urandom(_SALT_BYTES)
    version = _WITH_SECRETS if content.secrets else _KEYS_ONLY
    header = _HEADER.pack(_MARK, version, cost.log2_n, cost.r, cost.p, salt)
    with (
        encode_keys(content.keys.values()) as keys,
        encode_secrets(content.secrets.values()) as secrets,
        cost.derive(passphrase, salt) as key,
    ):
        parts: list[bytes | memoryview] = [content.backup_key.view(), keys.view()]
        if version == _WITH_SECRETS:
            parts[1:1] = [len(keys).to_bytes(_LENGTH_BYTES)]
            parts.append(secrets.view())
        with _joined(parts) as plaintext:
            return header + seal_gcm(key, plaintext, header)


def _joined(parts: Sequence[bytes | memoryview]) -> SecretBytes:
    joined = SecretBytes.allocate(sum(map(len, parts)))
    at = 0
    for part in parts:
        joined.view()[at : at + len(part)] = part
        at += len(part)
    return joined


def open_content(data: bytes, passphrase: SecretBytes, path: Path) -> tuple[Content, Cost]:
    """Return what the bytes of the file at ``path`` hold, and what opening them costs.

    Raises:
        IntegrityError: this is no vault's file, it is cut short, or its header asks for a
            derivation that no vault asks for.
        UnsupportedError: a newer release wrote it.
        AuthenticationError: the passphrase is wrong or the file was altered; the two look alike.
    """
    header = _Header.read(data, path)
    with header.cost.derive(passphrase, header.salt) as key:
        opened = open_gcm(key, memoryview(data)[_HEADER.size :], data[: _HEADER.size])
    if opened is None:
        raise AuthenticationError(
            f"the passphrase is wrong or the file was altered: {path}",
            remedy=f"check the passphrase; the copy before the last change is {path}.previous",
        )
    with opened:
        return _read_content(opened.view(), header.version), header.cost


def _read_content(view: memoryview, version: int) -> Content:
    rest = view[BACKUP_KEY_BYTES:]
    secrets: list[KeptSecret] = []
    if version == _WITH_SECRETS:
        end = _LENGTH_BYTES + int.from_bytes(rest[:_LENGTH_BYTES])
        secrets = decode_secrets(rest[end:])
        rest = rest[_LENGTH_BYTES:end]
    return Content(
        SecretBytes(view[:BACKUP_KEY_BYTES]),
        {stored.name: stored for stored in decode_keys(rest)},
        {secret.name.lower(): secret for secret in secrets},
    )


@attrs.frozen
class _Header:
    version: int
    cost: Cost
    salt: bytes

    @classmethod
    def read(cls, data: bytes, path: Path) -> Self:
        if not data.startswith(_MARK):
            raise _damaged(path, "is no vault's file")
        version = data[len(_MARK) : len(_MARK) + 1]
        if version and version[0] > _WITH_SECRETS:
            raise UnsupportedError(
                f"{path} has format {version[0]}, and this release reads up to {_WITH_SECRETS}",
                remedy="use the release of keyhier that wrote it, or a newer one",
            )
        if len(data) < _HEADER.size + GCM_IV_BYTES + BACKUP_KEY_BYTES + GCM_TAG_BYTES:
            raise _damaged(path, "is cut short")
        _, number, log2_n, r, p, salt = _HEADER.unpack_from(data)
        cost = Cost(log2_n, r, p)
        if number < _KEYS_ONLY or not cost.allowed:
            raise _damaged(path, "has a header that no release writes")
        return cls(number, cost, salt)


def _damaged(path: Path, how: str) -> IntegrityError:
    return IntegrityError(
        f"{path} {how}", remedy=f"the copy before the last change is {path}.previous"
    )
