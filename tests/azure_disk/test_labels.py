"""Content types and tags: what they say, and where they contradict themselves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.algorithms import WrapAlgorithm
from keyhier.azure_disk import DiskSecret, KekReference, is_disk_secret
from keyhier.azure_disk.disk_secret import same_volume
from keyhier.errors import InvalidInputError
from keyhier.placement.model import System
from keyhier.stored_secret import SecretId, StoredSecret
from tests.azure_disk.forms import GUID, KEK_URL, VERSION, linux_tags, stored, windows_tags

KEK_TAG = "DiskEncryptionKeyEncryptionKeyURL"
ALGORITHM_TAG = "DiskEncryptionKeyEncryptionAlgorithm"


def test_a_windows_secret_without_a_kek() -> None:
    read = DiskSecret.read(stored(content_type="BEK", tags=windows_tags()))
    assert (read.system, read.wrapped, read.kek) == (System.WINDOWS, False, None)
    assert (read.file_name, read.machine, read.volume) == (f"{GUID}.BEK", "web-01", "C:\\")


@pytest.mark.parametrize("algorithm", ["RSA-OAEP", "RSA-OAEP-256", "RSA1_5"])
@pytest.mark.parametrize("url", [KEK_URL, KEK_URL.replace(":443", ""), f"{KEK_URL}/"])
def test_a_kek_is_named_by_its_version_and_algorithm(url: str, algorithm: str) -> None:
    tags = windows_tags(**{KEK_TAG: url, ALGORITHM_TAG: algorithm})
    read = DiskSecret.read(stored(content_type="Wrapped BEK", tags=tags))
    assert read.wrapped
    assert read.kek is not None
    assert str(read.kek.id) == f"https://contoso.vault.azure.net/keys/kek/{VERSION}"
    assert read.kek.algorithm is WrapAlgorithm(algorithm)


def test_the_algorithm_proves_no_kek() -> None:
    read = DiskSecret.read(stored(content_type="BEK", tags=windows_tags()))
    assert ALGORITHM_TAG in windows_tags()
    assert read.wrapped is False


def test_a_url_proves_a_kek_where_there_is_no_content_type() -> None:
    assert DiskSecret.read(stored(tags=windows_tags(**{KEK_TAG: KEK_URL}))).wrapped


@pytest.mark.parametrize("file", ["LinuxPassPhraseFileName", "LinuxPassPhraseFileName_1_0"])
def test_a_linux_secret_tells_its_disk_by_the_file(file: str) -> None:
    tags = linux_tags(DiskEncryptionKeyFileName=file)
    read = DiskSecret.read(stored(content_type="BEK", tags=tags))
    assert (read.system, read.volume, read.machine) == (System.LINUX, file, "db-01")


def test_a_dual_pass_secret_does_not_say_whether_a_kek_wraps_it() -> None:
    tags = linux_tags()
    del tags["MachineName"]
    read = DiskSecret.read(stored(tags=tags))
    assert (read.system, read.wrapped, read.kek) == (System.LINUX, None, None)
    assert read.machine is None


def test_a_file_name_without_its_ending_is_windows_too() -> None:
    tags = windows_tags(DiskEncryptionKeyFileName=GUID)
    assert DiskSecret.read(stored(tags=tags)).system is System.WINDOWS


def test_tags_of_others_change_nothing() -> None:
    tags = windows_tags()
    assert DiskSecret.read(stored(content_type="BEK", tags=tags)) == DiskSecret.read(
        stored(content_type="BEK", tags={**tags, "cost-centre": "7"})
    )


def test_nothing_is_required_to_describe_a_secret() -> None:
    read = DiskSecret.read(stored(content_type="Wrapped BEK"))
    assert (read.system, read.wrapped, read.kek) == (None, True, None)


def test_content_type_and_tags_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="contradict"):
        DiskSecret.read(stored(content_type="BEK", tags=windows_tags(**{KEK_TAG: KEK_URL})))


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({KEK_TAG: KEK_URL.rpartition("/")[0]}, "without its version"),
        ({KEK_TAG: KEK_URL.replace("https", "http")}, "a key's id starts with"),
        ({KEK_TAG: f"{KEK_URL}?api-version=7.4"}, "query"),
        ({KEK_TAG: KEK_URL.replace("keys", "secrets")}, "form https"),
        ({KEK_TAG: "kek"}, "a key's id"),
        ({KEK_TAG: KEK_URL, ALGORITHM_TAG: "RSA_OAEP"}, "'RSA_OAEP'"),
        ({KEK_TAG: KEK_URL, ALGORITHM_TAG: "rsa-oaep"}, "'rsa-oaep'"),
        ({KEK_TAG: KEK_URL, ALGORITHM_TAG: "RSA-AES-KWP"}, "RSA-AES-KWP"),
        ({KEK_TAG: KEK_URL, ALGORITHM_TAG: ""}, "''"),
    ],
)
def test_a_kek_that_is_none_is_refused(tags: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        DiskSecret.read(stored(content_type="Wrapped BEK", tags=windows_tags(**tags)))


def test_a_kek_without_an_algorithm_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no algorithm is named"):
        KekReference.parse(KEK_URL, None)


texts = st.text(max_size=40)


@given(
    content_type=st.none() | st.sampled_from(["BEK", "Wrapped BEK"]) | texts,
    tags=st.dictionaries(
        st.sampled_from([*windows_tags(), KEK_TAG]) | texts, texts | st.just(KEK_URL)
    ),
)
def test_any_labels_are_read_or_refused(content_type: str | None, tags: dict[str, str]) -> None:
    secret = stored(content_type=content_type, tags=tags)
    try:
        assert DiskSecret.read(secret).id == secret.id
    except InvalidInputError:
        assert tags.get(KEK_TAG)


@pytest.mark.parametrize(
    ("secret", "is_one"),
    [
        (stored(content_type="BEK"), True),
        (stored(content_type="Wrapped BEK"), True),
        (stored(tags={"DiskEncryptionKeyFileName": "LinuxPassPhraseFileName"}), True),
        (stored(content_type="application/x-pkcs12"), False),
        (stored(tags={"MachineName": "web-01"}), False),
    ],
)
def test_disk_secrets_are_told_from_others(secret: StoredSecret, is_one: bool) -> None:
    assert is_disk_secret(secret) is is_one


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("C:\\", "C:", True),
        ("C:\\", "c", True),
        ("C:\\", "D:", False),
        ("LinuxPassPhraseFileName", "os", True),
        ("LinuxPassPhraseFileName", "OS", True),
        ("LinuxPassPhraseFileName_1_0", "1_0", True),
        ("LinuxPassPhraseFileName_1_0", "LinuxPassPhraseFileName_1_0", True),
        ("LinuxPassPhraseFileName_1_0", "1_1", False),
        ("LinuxPassPhraseFileName", "1_0", False),
        (None, "C:", False),
    ],
)
def test_a_volume_is_named_as_people_write_it(one: str | None, other: str, same: bool) -> None:
    assert same_volume(one, other) is same


def recorded_secret_urls(material: Path) -> list[str]:
    recording = json.loads(
        (material / "azure" / "ade-recordings" / "net-CanEncrypt.json").read_text("utf-8-sig")
    )
    bodies: list[Any] = [entry.get("ResponseBody") or "" for entry in recording["Entries"]]
    pattern = re.compile(r'"secretUrl":\s*"([^"]+)"')
    return sorted({url for body in bodies for url in pattern.findall(str(body))})


def test_the_secrets_of_a_recorded_enablement_are_read(material: Path) -> None:
    linux, windows = (SecretId.parse(url) for url in recorded_secret_urls(material))
    assert windows.vault == linux.vault == "vlt3387.vault.azure.net"
    assert windows.name == "CD4623DA-6E6D-4193-9971-F5957CB4A20D"
    assert windows.version == "e65125c5b90144ab969fea781d107994"
    assert linux.name == "009e08dd-de20-4153-ab86-3bdc73839a0b"
    for secret_id, tags in (
        (windows, windows_tags(DiskEncryptionKeyFileName=f"{windows.name}.BEK")),
        (linux, linux_tags()),
    ):
        read = DiskSecret.read(StoredSecret(secret_id, None, "BEK", tags))
        assert (read.id, read.wrapped) == (secret_id, False)
