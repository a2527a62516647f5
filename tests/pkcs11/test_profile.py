"""Profiles of modules: strictly read, sourced line by line, and never more than narrowing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey
from keyhier.errors import (
    AmbiguousError,
    AuthenticationError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    UnsupportedError,
)
from keyhier_pkcs11.profile import (
    GENERIC,
    Evidence,
    LibraryInfo,
    Profile,
    Way,
    choose_profile,
    read_profile,
    shipped_profiles,
)

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsmToken
    from tests.pkcs11.conftest import OpenDriver

ALL = sorted(set(shipped_profiles()) - {"generic"})
MEASURED = {
    "softhsm": LibraryInfo("SoftHSM", "Implementation of PKCS11", (2, 6)),
    "nss-softokn": LibraryInfo("Mozilla Foundation", "NSS Internal Crypto Services", (3, 87)),
    "opencryptoki": LibraryInfo("IBM", "Meta PKCS11 LIBRARY", (3, 8)),
    "tpm2-pkcs11": LibraryInfo("tpm2-software.github.io", "TPM2.0 Cryptoki", (1, 9)),
    "p11-kit-proxy": LibraryInfo("PKCS#11 Kit", "PKCS#11 Kit Proxy Module", (1, 1)),
}
DOCUMENTED = {
    "luna": LibraryInfo("SafeNet", "Chrystoki", (10, 9)),
    "nshield": LibraryInfo("nCipher Corp. Ltd", "whatever it says", (13, 6)),
    "aws-cloudhsm": LibraryInfo("CloudHSM", "CloudHSM PKCS#11", (5, 2)),
    "utimaco": LibraryInfo("Utimaco IS GmbH", "CryptoServer PKCS#11 Library R3", (1, 28)),
    "yubihsm2": LibraryInfo("Yubico (www.yubico.com)", "YubiHSM PKCS#11 Library", (2, 60)),
}
GOOD = """
title = "A token"
evidence = "measured"
[match]
manufacturer = { is = "ACME", source = "measured with ACME 1" }
[facts]
oaep = { is = ["SHA-1", "SHA-384"], source = "https://example.org/oaep" }
"""


def read(folder: Path, text: str) -> Profile:
    path = folder / "acme.toml"
    path.write_text(text)
    return read_profile(path)


def with_profile(uri: str, name: str) -> str:
    return f"{uri}&profile={name}"


@pytest.mark.parametrize("name", ALL)
def test_every_line_says_where_it_comes_from(name: str) -> None:
    profile = shipped_profiles()[name]
    assert profile.sources
    for source in profile.sources.values():
        assert source.startswith(("https://", "measured with "))


@pytest.mark.parametrize("name", ALL)
def test_what_was_not_measured_does_not_say_so(name: str) -> None:
    profile = shipped_profiles()[name]
    measured = any(source.startswith("measured") for source in profile.sources.values())
    assert measured == (profile.evidence is Evidence.MEASURED)


@pytest.mark.parametrize(("name", "info"), {**MEASURED, **DOCUMENTED}.items())
def test_a_profile_is_chosen_by_what_the_module_says_of_itself(
    name: str, info: LibraryInfo
) -> None:
    assert choose_profile(info).name == name


@pytest.mark.parametrize(
    "info",
    [
        LibraryInfo("nobody", "nothing", (1, 0)),
        LibraryInfo("SoftHSM", "another library", (2, 6)),
        LibraryInfo("Yubico (www.yubico.com)", "PKCS#11 PIV Library (SP-800-73)", (2, 3)),
        LibraryInfo("CloudHSM", "CloudHSM PKCS#11", (3, 4)),
    ],
    ids=lambda info: f"{info.manufacturer} {info.library}",
)
def test_an_unknown_module_is_not_narrowed(info: LibraryInfo) -> None:
    assert choose_profile(info) is GENERIC


def test_a_profile_can_be_named_for_any_module() -> None:
    assert choose_profile(MEASURED["softhsm"], "utimaco").title.startswith("Utimaco")
    assert choose_profile(MEASURED["softhsm"], "generic") is GENERIC
    with pytest.raises(InvalidInputError, match=r"there are .*softhsm"):
        choose_profile(MEASURED["softhsm"], "sofhtsm")


def test_promise_9_two_profiles_for_a_module_are_refused(tmp_path: Path) -> None:
    profile = read(tmp_path, GOOD)
    both = {"one": attrs.evolve(profile, name="one"), "two": attrs.evolve(profile, name="two")}
    with pytest.raises(AmbiguousError) as caught:
        choose_profile(LibraryInfo("ACME", "", (1, 0)), among=both)
    assert caught.value.candidates == ("one", "two")


def test_a_profile_is_read_as_it_is_written(tmp_path: Path) -> None:
    profile = read(tmp_path, GOOD)
    assert (profile.name, profile.title) == ("acme", "A token")
    # No algorithm here uses SHA-384.
    assert profile.oaep == (WrapAlgorithm.RSA_OAEP,)
    assert (profile.rsa, profile.key_wrap, profile.gcm) == (None, None, None)
    assert profile.sources["oaep"] == "https://example.org/oaep"


MALFORMED = {
    "no TOML": ("title", "=", "TOML"),
    "an unknown table": ("[facts]", "[fact]", "'fact' is unknown"),
    "an unknown fact": ("oaep =", "oeap =", "'oeap' is unknown"),
    "an unknown way to match": ("manufacturer =", "maker =", "'maker' is unknown"),
    "no title": ('"A token"', '" "', "title is text"),
    "no evidence": ('"measured"', '"hearsay"', "evidence is one of measured, documentation"),
    "a line without a source": (', source = "measured with ACME 1"', "", "has the form"),
    "a bare value": ('{ is = "ACME", source = "measured with ACME 1" }', '"ACME"', "has the form"),
    "hearsay as a source": ("https://example.org/oaep", "somebody said", "is an address"),
    "a measurement from documentation": ('"measured"', '"documentation"', "was measured"),
    "an unknown hash": ("SHA-384", "MD5", "knows no 'MD5'"),
    "a text for a list": ('["SHA-1", "SHA-384"]', '"SHA-1"', "is a list"),
    "a number for a text": ('is = "ACME"', "is = 5", "is text"),
    "nothing to match by": (
        'manufacturer = { is = "ACME"',
        'library = { is = "ACME"',
        "names the manufacturer",
    ),
}


@pytest.mark.parametrize(("old", "new", "said"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_profile_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(InvalidInputError, match=re.escape(said)):
        read(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rsa = { is = ['C_Sign'], source = 'https://x.org' }", "C_Decrypt and C_UnwrapKey"),
        ("gcm = { is = 'no', source = 'https://x.org' }", "true or false"),
        ("label-bytes = { is = 0, source = 'https://x.org' }", "above 0"),
        ("key-wrap = { is = [true], source = 'https://x.org' }", "above 0"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        read(tmp_path, f"{GOOD}{line}\n")


def test_a_version_is_two_numbers(tmp_path: Path) -> None:
    since = "[match]\nsince = { is = '5', source = 'https://x.org' }"
    with pytest.raises(InvalidInputError, match=r"such as 5\.0"):
        read(tmp_path, GOOD.replace("[match]", since))


def test_tables_are_tables(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="are tables"):
        read(tmp_path, "title = 'x'\nevidence = 'measured'\nfacts = 5\n")


# ------------------------------------------------------------------ on a token


def test_softhsm_is_recognised_and_loses_nothing(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    driver = open_driver(softhsm_token.uri)
    assert driver._shared.abilities.profile.name == "softhsm"
    narrowed = driver.algorithms
    driver.close()
    assert open_driver(with_profile(softhsm_token.uri, "generic")).algorithms == narrowed


def test_a_profile_narrows_what_trials_find(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    driver = open_driver(with_profile(softhsm_token.uri, "tpm2-pkcs11"))
    assert driver.key_specs == frozenset()
    # There is no key to try with, and none is made.
    assert driver.algorithms == frozenset()
    assert driver._shared.abilities.rsa_ways == (Way.DECRYPT,)
    with pytest.raises(UnsupportedError, match="CKM_AES_CBC_PAD"):
        driver._shared.abilities.key_wrap(WrapAlgorithm.A256KW)


def test_a_profile_never_adds_what_a_trial_does_not_find(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    # It names SHA-256 and mechanisms of a vendor, none of which SoftHSM has.
    driver = open_driver(with_profile(softhsm_token.uri, "aws-cloudhsm"))
    found = driver.algorithms
    assert WrapAlgorithm.RSA_OAEP_256 not in found
    assert not {each for each in found if each.startswith("A")}
    assert WrapAlgorithm.RSA_OAEP in found


def test_a_token_is_open_with_one_profile(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    first = open_driver(softhsm_token.uri)
    open_driver(with_profile(softhsm_token.uri, "softhsm")).close()
    with pytest.raises(InvalidStateError, match="profile softhsm, not generic"):
        open_driver(with_profile(softhsm_token.uri, "generic"))
    first.close()
    assert open_driver(with_profile(softhsm_token.uri, "generic"))


def test_an_unknown_profile_is_refused(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    with pytest.raises(InvalidInputError, match="no profile 'acme'"):
        open_driver(with_profile(softhsm_token.uri, "acme"))


def test_what_a_profile_knows_is_told_when_it_helps(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    uri = softhsm_token.uri.replace(softhsm_token.label, "nobody")
    with pytest.raises(NotFoundError, match="SOFTHSM2_CONF"):
        open_driver(uri)
    with pytest.raises(AuthenticationError, match="user:password"):
        open_driver(with_profile(softhsm_token.uri, "aws-cloudhsm"), lambda _: "wrong-pin")


def test_a_name_that_does_not_fit_a_label_is_refused(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    driver = open_driver(with_profile(softhsm_token.uri, "yubihsm2"))
    request = CreateKey("x" * 41, KeySpec.AES_256, WrapAlgorithm.A256KW)
    with pytest.raises(UnsupportedError, match="labels of 40 bytes"):
        driver.create_key(request)
    assert driver.create_key(CreateKey("x" * 40, KeySpec.AES_256, WrapAlgorithm.A256KW))


def test_the_table_of_the_documentation_lists_every_profile() -> None:
    page = Path(__file__).parents[2] / "docs" / "howto" / "pkcs11.md"
    row = re.compile(r"^\| `([\w-]+)` \| (.+) \| (.+) \| (yes|no) \|$", re.MULTILINE)
    rows = row.findall(page.read_text(encoding="utf-8"))
    said = {Evidence.MEASURED: "measured", Evidence.DOCUMENTATION: "from documentation"}
    expected = [
        (name, profile.title, said[profile.evidence], "yes" if profile.match else "no")
        for name, profile in shipped_profiles().items()
        if profile is not GENERIC
    ]
    assert rows == expected
