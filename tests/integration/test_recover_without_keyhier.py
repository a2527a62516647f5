"""docs/recover-without-keyhier.md, run word for word where keyhier cannot be imported."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import keyhier
from tests import pages

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "recover-without-keyhier.md"
SECTIONS: Final = re.split(r"^##+ ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
SECRET: Final = b"what opens the disk"
CONTEXT: Final = {"vm": "web-01", "volume": "C: café"}

PIN: Final = "4711-disks"
# Run where SoftHSM has the configuration of the page's reader, which this process must not load.
MAKE_TOKEN_ENVELOPE: Final = """
import sys, keyhier
spec, algorithm, context, secret = sys.argv[1], sys.argv[2], eval(sys.argv[3]), eval(sys.argv[4])
uri = "pkcs11:token=disks?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=env:DISKS_PIN"
with keyhier.open(uri) as vault:
    print(vault.create_key("vm-kek", spec).wrap(secret, context=context, algorithm=algorithm))
"""


def _section(title: str) -> str:
    (found,) = (section for section in SECTIONS if section.startswith(f"{title}\n"))
    return found


def _recover(folder: Path, titles: list[str], environment: dict[str, str]) -> bytes:
    """Run these sections of the page in the folder and return the secret that they found."""
    page = folder / "page.md"
    page.write_text("".join(_section(title) for title in titles), encoding="utf-8")
    assert list(pages.blocks(page.read_text(encoding="utf-8")))
    pages.run_in_child(page, folder, environment, forbidden=["keyhier"])
    return (folder / "secret.bin").read_bytes()


def _by_hand(step: str) -> list[str]:
    return ["Take the envelope apart", step, "Open the seal"]


@pytest.fixture
def reader(tmp_path: Path) -> dict[str, str]:
    return pages.reader_environment(tmp_path) | {"DISKS_PIN": PIN}


@pytest.mark.parametrize(
    ("algorithm", "sections"),
    [
        ("RSA-OAEP", ["jwcrypto"]),
        ("RSA-OAEP-256", ["jwcrypto"]),
        ("RSA-OAEP", ["joserfc"]),
        ("RSA-OAEP-256", ["joserfc"]),
        pytest.param(
            "RSA-OAEP",
            _by_hand("RSA-OAEP with openssl"),
            marks=pytest.mark.requires_tool("openssl"),
        ),
        pytest.param(
            "RSA-OAEP-256",
            _by_hand("RSA-OAEP-256 with openssl"),
            marks=pytest.mark.requires_tool("openssl"),
        ),
    ],
)
def test_promise_1_an_envelope_opens_with_the_rsa_key_in_a_file(
    algorithm: str, sections: list[str], tmp_path: Path, reader: dict[str, str]
) -> None:
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "kek.pem").write_bytes(pem)
    with keyhier.open("memory:") as vault:
        kek = vault.import_key("vm-kek", pem)
        wrapped = kek.wrap(SECRET, context=CONTEXT, algorithm=algorithm)
    (tmp_path / "envelope.jwe").write_text(f"{wrapped}\n")
    assert _recover(tmp_path, sections, reader) == SECRET


@pytest.mark.parametrize(
    ("algorithm", "section"),
    [
        ("A256KW", "AES key wrap with Python's cryptography"),
        ("A256GCMKW", "A256GCMKW with Python's cryptography"),
    ],
)
def test_promise_1_an_envelope_opens_with_the_aes_key_in_a_file(
    algorithm: str, section: str, tmp_path: Path, reader: dict[str, str]
) -> None:
    material = bytes(range(32))
    (tmp_path / "kek.bin").write_bytes(material)
    with keyhier.open("memory:") as vault:
        kek = vault.import_key("vm-kek", material, algorithm=algorithm)
        (tmp_path / "envelope.jwe").write_text(str(kek.wrap(SECRET, context=CONTEXT)))
    assert _recover(tmp_path, _by_hand(section), reader) == SECRET


@pytest.mark.requires_tool("pkcs11-tool", "softhsm2-util")
@pytest.mark.parametrize(
    ("spec", "algorithm", "section"),
    [
        ("RSA-2048", "RSA-OAEP", "RSA-OAEP in a token"),
        ("AES-128", "A128KW", "AES key wrap in a token"),
        ("AES-256", "A256KW", "AES key wrap in a token"),
    ],
)
def test_promise_1_an_envelope_opens_with_the_key_in_a_token(
    spec: str, algorithm: str, section: str, tmp_path: Path, reader: dict[str, str]
) -> None:
    token = ["softhsm2-util", "--init-token", "--free", "--label", "disks"]
    subprocess.run([*token, "--pin", PIN, "--so-pin", "4712"], env=reader, check=True)
    made = subprocess.run(
        [sys.executable, "-c", MAKE_TOKEN_ENVELOPE, spec, algorithm, repr(CONTEXT), repr(SECRET)],
        env=reader,
        stdout=subprocess.PIPE,
        check=True,
    )
    (tmp_path / "envelope.jwe").write_bytes(made.stdout)
    assert _recover(tmp_path, _by_hand(section), reader) == SECRET


def test_the_page_is_all_tested() -> None:
    tested = {"jwcrypto", "joserfc", "Take the envelope apart", "Open the seal"} | {
        section.partition("\n")[0]
        for section in SECTIONS
        if re.match(r".* (in a token|with openssl|with Python's cryptography)\n", section)
    }
    for section in SECTIONS:
        if list(pages.blocks(section)):
            assert section.partition("\n")[0] in tested


def test_the_page_uses_no_keyhier() -> None:
    for block in pages.blocks(PAGE.read_text(encoding="utf-8")):
        assert "keyhier" not in block.code
