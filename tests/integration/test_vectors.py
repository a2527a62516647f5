"""Published vectors, run through whole backends: the key is imported, the vault wraps and unwraps.

In memory every vector runs. On a token each key that is imported is a file that is written, so of
NIST's key wraps only the first eight of each length run there; of all others every one does.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from keyhier import Key, Vault
from keyhier.errors import InvalidInputError, UnsupportedError, UnwrapError
from tests.integration.vectors import (
    Vector,
    read_key_wrap,
    read_rsa,
    read_wycheproof_key_wrap,
    read_wycheproof_oaep,
)

ON_A_TOKEN: Final = 8


@pytest.fixture(params=["memory", "softhsm"])
def backend(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def vault(backend: str, request: pytest.FixtureRequest) -> Vault:
    found = request.getfixturevalue(f"{backend}_vault")
    assert isinstance(found, Vault)
    return found


class _Runner:
    """Runs vectors, one imported key at a time, and counts what came of them."""

    def __init__(self, vault: Vault, algorithm: str) -> None:
        self.vault = vault
        self.algorithm = algorithm
        self.counts: Counter[str] = Counter()
        self._material = b""
        self._key: Key | None = None

    def key(self, vector: Vector) -> Key:
        if self._key is None or vector.material != self._material:
            if self._key is not None:
                self._key.delete(confirm=self._key.name)
            fixed = None if self.algorithm.startswith("RSA") else self.algorithm
            name = f"vector-{self.counts.total()}"
            self._material = vector.material
            self._key = self.vault.import_key(name, vector.material, algorithm=fixed)
        return self._key

    def unwrap(self, vector: Vector) -> None:
        key = self.key(vector)
        if vector.plaintext is None:
            with pytest.raises((UnwrapError, InvalidInputError)) as caught:
                key.unwrap_raw(vector.wrapped, self.algorithm)
            self.counts[caught.type.__name__] += 1
            return
        with key.unwrap_raw(vector.wrapped, self.algorithm) as secret:
            assert secret == vector.plaintext, vector.name
        self.counts["unwrapped"] += 1

    def wrap(self, vector: Vector) -> None:
        key = self.key(vector)
        assert vector.plaintext is not None
        try:
            wrapped = key.wrap_raw(vector.plaintext, self.algorithm)
        except UnsupportedError:
            self.counts["UnsupportedError"] += 1
            return
        assert wrapped == vector.wrapped, vector.name
        self.counts["wrapped"] += 1


def _sample(vectors: list[Vector], backend: str) -> list[Vector]:
    return vectors if backend == "memory" else [one for one in vectors if one.count < ON_A_TOKEN]


KEY_WRAPS: Final = [("A128KW", "KW", 128), ("A192KW", "KW", 192), ("A256KW", "KW", 256)]


@pytest.mark.parametrize(
    ("algorithm", "kind", "bits"),
    [*KEY_WRAPS, ("A256KWP", "KWP", 256)],
    ids=str,
)
def test_nist_key_wraps_are_opened_and_false_ones_refused(
    algorithm: str, kind: str, bits: int, backend: str, vault: Vault
) -> None:
    runner = _Runner(vault, algorithm)
    vectors = _sample(read_key_wrap(f"{kind}_AD_{bits}.txt"), backend)
    for vector in vectors:
        runner.unwrap(vector)
    failing = sum(vector.plaintext is None for vector in vectors)
    assert runner.counts == {"unwrapped": len(vectors) - failing, "UnwrapError": failing}
    assert len(vectors) == (500 if backend == "memory" else 40)
    assert failing == 100 if backend == "memory" else failing > 3


@pytest.mark.parametrize(("algorithm", "kind", "bits"), KEY_WRAPS)
def test_nist_key_wraps_are_made_bit_for_bit(
    algorithm: str, kind: str, bits: int, backend: str, vault: Vault
) -> None:
    runner = _Runner(vault, algorithm)
    for vector in _sample(read_key_wrap(f"{kind}_AE_{bits}.txt"), backend):
        runner.wrap(vector)
    assert runner.counts == {"wrapped": 500 if backend == "memory" else 40}


def test_nist_padded_key_wraps_are_made_bit_for_bit_or_not_at_all(
    backend: str, vault: Vault
) -> None:
    runner = _Runner(vault, "A256KWP")
    vectors = _sample(read_key_wrap("KWP_AE_256.txt"), backend)
    for vector in vectors:
        runner.wrap(vector)
    if backend == "memory":
        assert runner.counts == {"wrapped": 500}
        return
    # SoftHSM pads otherwise than RFC 5649, so a length that needs padding is refused there.
    whole = sum(len(vector.plaintext or b"") % 8 == 0 for vector in vectors)
    assert whole == 16
    assert runner.counts == {"wrapped": whole, "UnsupportedError": len(vectors) - whole}


@pytest.mark.parametrize(
    ("algorithm", "file", "count"),
    [
        # Only the tenth key of this file has 2048 bits, and six messages.
        ("RSA-OAEP", "pkcs-1v2-1d2-vec/oaep-vect.txt", 6),
        # This one has ten keys, derived from the file above.
        ("RSA-OAEP-256", "oaep-custom/oaep-sha256-sha256.txt", 60),
        ("RSA1_5", "pkcs1v15crypt-vectors.txt", 20),
    ],
)
def test_rsa_vectors_are_opened(
    algorithm: str, file: str, count: int, backend: str, vault: Vault
) -> None:
    vectors = read_rsa(file)
    if _is_refused(vault, algorithm, backend, vectors[0]):
        return
    runner = _Runner(vault, algorithm)
    for vector in vectors:
        runner.unwrap(vector)
    assert runner.counts == {"unwrapped": count}


def _is_refused(vault: Vault, algorithm: str, backend: str, vector: Vector) -> bool:
    """Return whether the vault lacks the algorithm, which only SoftHSM does, and says so."""
    if algorithm in vault.capabilities.algorithms:
        return False
    assert (backend, algorithm) == ("softhsm", "RSA-OAEP-256")
    key = vault.import_key("kek", vector.material)
    with pytest.raises(UnsupportedError, match="cannot be used with RSA-OAEP-256"):
        key.unwrap_raw(vector.wrapped, algorithm)
    return True


@pytest.mark.parametrize(
    ("algorithm", "file", "bits", "counts"),
    [
        (
            "A128KW",
            "aes_wrap_test.json",
            128,
            {"unwrapped": 11, "wrapped": 11, "refused": 30, "ShortKey": 1},
        ),
        (
            "A192KW",
            "aes_wrap_test.json",
            192,
            {"unwrapped": 12, "wrapped": 12, "refused": 42, "ShortKey": 1},
        ),
        (
            "A256KW",
            "aes_wrap_test.json",
            256,
            {"unwrapped": 13, "wrapped": 13, "refused": 54, "ShortKey": 1},
        ),
        ("A256KWP", "aes_kwp_test.json", 256, {"unwrapped": 25, "wrapped": 25, "refused": 69}),
    ],
)
def test_wycheproof_key_wraps(
    algorithm: str,
    file: str,
    bits: int,
    counts: dict[str, int],
    backend: str,
    vault: Vault,
    material: Path,
) -> None:
    runner = _Runner(vault, algorithm)
    short = 0
    for vector in read_wycheproof_key_wrap(material / "wycheproof" / file, bits):
        if "acceptable" in vector.flags:
            # RFC 3394 asks for at least 16 bytes, which all such vectors are short of.
            assert "ShortKey" in vector.flags
            with pytest.raises(InvalidInputError):
                runner.key(vector).unwrap_raw(vector.wrapped, algorithm)
            short += 1
            continue
        runner.unwrap(vector)
        if vector.plaintext is not None:
            runner.wrap(vector)
    done = runner.counts
    found = {
        "unwrapped": done["unwrapped"],
        "wrapped": done["wrapped"] + done["UnsupportedError"],
        "refused": done["UnwrapError"] + done["InvalidInputError"],
        **({"ShortKey": short} if short else {}),
    }
    assert found == counts
    assert not done["UnsupportedError"] or (backend, algorithm) == ("softhsm", "A256KWP")


@pytest.mark.parametrize(
    ("algorithm", "file", "counts"),
    [
        ("RSA-OAEP", "rsa_oaep_2048_sha1_mgf1sha1_test.json", (10, 19)),
        ("RSA-OAEP-256", "rsa_oaep_2048_sha256_mgf1sha256_test.json", (10, 19)),
    ],
)
def test_wycheproof_oaep(
    algorithm: str,
    file: str,
    counts: tuple[int, int],
    backend: str,
    vault: Vault,
    material: Path,
) -> None:
    vectors = read_wycheproof_oaep(material / "wycheproof" / file)
    if _is_refused(vault, algorithm, backend, vectors[0]):
        return
    runner = _Runner(vault, algorithm)
    for vector in vectors:
        runner.unwrap(vector)
    done = runner.counts
    assert (done["unwrapped"], done["UnwrapError"] + done["InvalidInputError"]) == counts
