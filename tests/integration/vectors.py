"""Reading published vectors: NIST's key wrap files, RSA's OAEP and PKCS #1 files, Wycheproof's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import cryptography_vectors
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

FOLDER = Path(cryptography_vectors.__file__).parent


@attrs.frozen
class Vector:
    """One wrapped key, and what it is.

    Attributes:
        name: where it stands.
        material: the key that wrapped it, as it is imported.
        wrapped: the output of the wrap.
        plaintext: what is inside, or None where it must be refused.
        count: its number among those of one kind in the file.
        flags: what Wycheproof says about it.
    """

    name: str
    material: bytes
    wrapped: bytes
    plaintext: bytes | None
    count: int = 0
    flags: tuple[str, ...] = ()


def read_key_wrap(name: str) -> list[Vector]:
    """Read a file of ``keywrap/kwtestvectors`` (NIST's CAVS)."""
    text = (FOLDER / "keywrap" / "kwtestvectors" / name).read_text()
    vectors = []
    for block in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^(\w+) = ?(\w*)$", block, re.MULTILINE))
        if "K" in fields:
            failing = re.search(r"^FAIL$", block, re.MULTILINE)
            vectors.append(
                Vector(
                    f"{name} {fields['COUNT']}",
                    bytes.fromhex(fields["K"]),
                    bytes.fromhex(fields["C"]),
                    None if failing else bytes.fromhex(fields["P"]),
                    int(fields["COUNT"]),
                )
            )
    return vectors


def _labelled(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield each label of RSA's vector files with the bytes beneath it."""
    for label, digits in re.findall(
        r"^# ([A-Z][a-z0-9 ]+?): *\n((?:[0-9a-f ]+\n)+)", text, re.MULTILINE
    ):
        joined = "".join(digits.split())
        yield label, bytes.fromhex(joined.zfill(len(joined) + len(joined) % 2))


def _private_key(numbers: dict[str, int]) -> rsa.RSAPrivateKey:
    return rsa.RSAPrivateNumbers(
        p=numbers["Prime 1"],
        q=numbers["Prime 2"],
        d=numbers["Exponent"],
        dmp1=numbers["Prime exponent 1"],
        dmq1=numbers["Prime exponent 2"],
        iqmp=numbers["Coefficient"],
        public_numbers=rsa.RSAPublicNumbers(numbers["Public exponent"], numbers["Modulus"]),
    ).private_key()


def read_rsa(name: str) -> list[Vector]:
    """Read a file of ``asymmetric/RSA``: its keys of 2048 bits, since no others are imported."""
    numbers: dict[str, int] = {}
    vectors: list[Vector] = []
    message = b""
    for label, data in _labelled((FOLDER / "asymmetric" / "RSA" / name).read_text()):
        if label == "Message":
            message = data
        elif label == "Encryption":
            if numbers["Modulus"].bit_length() == 2048:
                key = _private_key(numbers).private_bytes(
                    Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
                )
                count = len(vectors)
                vectors.append(Vector(f"{name} {count}", key, data, message, count))
        else:
            numbers[label] = int.from_bytes(data, "big")
    return vectors


def _wycheproof(path: Path) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = json.loads(path.read_text())["testGroups"]
    return groups


def read_wycheproof_key_wrap(path: Path, bits: int) -> list[Vector]:
    """Read a file of key wraps, with keys of this size; "acceptable" ones carry their flag."""
    vectors: list[Vector] = []
    for group in _wycheproof(path):
        for test in group["tests"]:
            if len(test["key"]) * 4 == bits:
                valid = test["result"] != "invalid"
                vectors.append(
                    Vector(
                        f"{path.name} {test['tcId']}",
                        bytes.fromhex(test["key"]),
                        bytes.fromhex(test["ct"]),
                        bytes.fromhex(test["msg"]) if valid else None,
                        len(vectors),
                        (*test["flags"], test["result"]),
                    )
                )
    return vectors


def read_wycheproof_oaep(path: Path) -> list[Vector]:
    """Read a file of OAEP decryptions, without those that have a label."""
    return [
        Vector(
            f"{path.name} {test['tcId']}",
            bytes.fromhex(group["privateKeyPkcs8"]),
            bytes.fromhex(test["ct"]),
            bytes.fromhex(test["msg"]) if test["result"] == "valid" else None,
            number,
            tuple(test["flags"]),
        )
        for group in _wycheproof(path)
        for number, test in enumerate(group["tests"])
        if not test["label"]
    ]
