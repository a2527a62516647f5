"""KeyId: four forms, one spelling each, nothing that opens anything."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId, check_key_name

HEX32 = "0123456789abcdef0123456789abcdef"
names = st.from_regex(r"[0-9A-Za-z-]{1,40}", fullmatch=True)
versions = st.from_regex(r"([0-9A-Za-z]{1,64})?", fullmatch=True)
hosts = st.from_regex(
    r"([a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?\.example|\[[0-9a-f:]{2,39}\])", fullmatch=True
)
ports = st.integers(1, 65535).map(lambda port: "" if port == 443 else f":{port}")
labels = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

memory_ids = st.builds(KeyId, st.just("memory"), st.just(""), names, versions)
record_ids = st.builds(KeyId, st.just("record"), names, names, versions)
https_ids = st.builds(
    KeyId,
    st.just("https"),
    st.builds(str.__add__, hosts, ports),
    names.map(str.lower),
    st.sampled_from(["", HEX32]),
)
pkcs11_ids = st.builds(
    KeyId, st.just("pkcs11"), labels.filter(bool), labels, st.binary(max_size=20).map(bytes.hex)
).filter(lambda key_id: bool(key_id.name or key_id.version))
any_id = memory_ids | record_ids | https_ids | pkcs11_ids

# Text that comes near to an id, so that more than the first check is reached.
almost = st.one_of(
    st.text(),
    st.builds(
        "{}{}".format,
        st.sampled_from(
            ["memory:", "record:", "pkcs11:", "pkcs11:token=a;", "https://", "HTTPS://h/"]
        ),
        st.text(st.sampled_from("abAZ09-/;=%?#:@.[]\x00\n é\ud800\u212a")),
    ),
    st.builds(
        lambda key_id, at, put: str(key_id)[:at] + put + str(key_id)[at + 1 :],
        any_id,
        st.integers(0, 60),
        st.text(max_size=2),
    ),
)


@given(any_id)
def test_an_id_is_read_back_from_what_it_prints(key_id: KeyId) -> None:
    assert KeyId.parse(str(key_id)) == key_id


@given(almost)
def test_text_is_an_id_that_prints_back_or_invalid_input(text: str) -> None:
    try:
        key_id = KeyId.parse(text)
    except InvalidInputError:
        return
    assert KeyId.parse(str(key_id)) == key_id
    assert str(KeyId.parse(str(key_id))) == str(key_id)
    assert str(key_id).isascii()
    assert str(key_id).isprintable()


@given(any_id)
def test_promise_4_an_id_holds_no_query_and_no_fragment(key_id: KeyId) -> None:
    for extra in ("?", "?module-path=/tmp/evil.so", "?pin-source=file:/etc/shadow", "#x"):
        with pytest.raises(InvalidInputError, match="no query attributes"):
            KeyId.parse(str(key_id) + extra)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            f"https://contoso.vault.azure.net/keys/kek/{HEX32}",
            ("https", "contoso.vault.azure.net", "kek", HEX32),
        ),
        (
            "https://contoso.managedhsm.usgovcloudapi.net/keys/kek",
            ("https", "contoso.managedhsm.usgovcloudapi.net", "kek", ""),
        ),
        ("https://127.0.0.1:8443/keys/kek", ("https", "127.0.0.1:8443", "kek", "")),
        ("https://[::1]:8443/keys/kek", ("https", "[::1]:8443", "kek", "")),
        (
            "pkcs11:token=my%20disks;object=kek%2F1;id=%01%FF",
            ("pkcs11", "my disks", "kek/1", "01ff"),
        ),
        ("pkcs11:token=t;id=a", ("pkcs11", "t", "", "61")),
        ("pkcs11:token=t;object=schlüssel", ("pkcs11", "t", "schlüssel", "")),
        ("memory:kek/1", ("memory", "", "kek", "1")),
        ("record:prod/vm-kek/2", ("record", "prod", "vm-kek", "2")),
    ],
)
def test_each_form_is_read_into_its_parts(text: str, parts: tuple[str, str, str, str]) -> None:
    assert KeyId.parse(text) == KeyId(*parts)


@pytest.mark.parametrize(
    "spellings",
    [
        (
            f"https://contoso.vault.azure.net/keys/kek/{HEX32}",
            f"HTTPS://Contoso.Vault.Azure.NET/Keys/KEK/{HEX32.upper()}",
            f"https://contoso.vault.azure.net:443/keys/kek/{HEX32}",
            f"https://contoso.vault.azure.net:0443/keys/kek/{HEX32}",
        ),
        (
            "pkcs11:token=my%20disks;object=kek;id=%01%AB",
            "pkcs11:id=%01%ab;object=kek;token=my%20disks",
            "PKCS11:object=%6bek;token=my disks;id=%01%aB",
        ),
        ("memory:kek/1", "MEMORY:kek/1"),
    ],
)
def test_two_spellings_of_one_identity_are_equal(spellings: tuple[str, ...]) -> None:
    ids = {KeyId.parse(text) for text in spellings}
    assert len(ids) == 1
    assert str(ids.pop()) == spellings[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("memory:kek", "memory:KEK"),
        ("pkcs11:token=t;object=kek", "pkcs11:token=T;object=kek"),
        ("pkcs11:token=t;object=e\u0301", "pkcs11:token=t;object=\u00e9"),
        ("https://h/keys/kek", "https://h:8443/keys/kek"),
    ],
)
def test_what_differs_for_the_vault_is_another_id(one: str, other: str) -> None:
    assert KeyId.parse(one) != KeyId.parse(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kek",
        "kek/1",
        "file:/etc/passwd",
        "http://contoso.vault.azure.net/keys/kek",
        "https:contoso.vault.azure.net/keys/kek",
        "https://contoso.vault.azure.net",
        "https://contoso.vault.azure.net/keys/",
        "https://contoso.vault.azure.net/keys//1",
        "https://contoso.vault.azure.net/secrets/kek/" + HEX32,
        "https://contoso.vault.azure.net/keys/kek/" + HEX32[1:],
        "https://contoso.vault.azure.net/keys/kek/" + HEX32 + "/",
        "https://contoso.vault.azure.net/keys/../secrets",
        "https://contoso.vault.azure.net/keys/k%65k",
        "https://con--toso.vault.azure.net/keys/kek",
        "https://co.vault.azure.net/keys/kek",
        "https://evil.example.vault.azure.net/keys/kek",
        "https://user@contoso.vault.azure.net/keys/kek",
        "https://user:pw@contoso.vault.azure.net/keys/kek",
        "https://host:0/keys/kek",
        "https://host:65536/keys/kek",
        "https://host:/keys/kek",
        "https://-host/keys/kek",
        "https://\u212aontoso.vault.azure.net/keys/kek",
        "p\u212acs11:token=t;object=kek",
        "memory:",
        "memory:/1",
        "memory:kek/",
        "memory:kek/1/2",
        "memory:k_k",
        "memory:kek/" + "1" * 65,
        "memory:" + "k" * 128,
        "memory:kek\n",
        "record:prod",
        "record:prod/",
        "record:/kek",
        "record:prod/kek/",
        "record:prod/kek/1/2",
        "pkcs11:",
        "pkcs11:token=t",
        "pkcs11:object=kek",
        "pkcs11:token=;object=kek",
        "pkcs11:token=t;object=",
        "pkcs11:token=t;object=kek;",
        "pkcs11:token=t;object=kek;object=kek",
        "pkcs11:token=t;object=kek;slot-id=1",
        "pkcs11:token=t;object=kek;type=private",
        "pkcs11:token=t;object=%",
        "pkcs11:token=t;object=%2",
        "pkcs11:token=t;object=%G0",
        "pkcs11:token=t;object=%FF",
        "pkcs11:token=t;object=\ud800",
        "pkcs11:token=t;object=" + "é" * 200,
        "pkcs11:token=t;object=" + "k" * 600,
    ],
)
def test_promise_9_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        KeyId.parse(text)


@pytest.mark.parametrize("text", [None, 7, b"memory:kek", ["memory:kek"]])
def test_an_id_is_text(text: str) -> None:
    with pytest.raises(InvalidInputError, match="text of at most 512"):
        KeyId.parse(text)


def test_promise_7_a_pin_in_an_id_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInputError) as caught:
        KeyId.parse("pkcs11:token=t;object=kek;pin-value=4711")
    assert "4711" not in f"{caught.value!r} {caught.value}"


@given(any_id)
def test_ids_can_be_sorted_pickled_and_kept_in_sets(key_id: KeyId) -> None:
    assert pickle.loads(pickle.dumps(key_id)) == key_id
    assert {key_id, KeyId.parse(str(key_id))} == {key_id}
    assert sorted([key_id, key_id.versionless]) == [key_id.versionless, key_id]


@given(any_id)
def test_the_versionless_id_is_the_same_key_without_its_version(key_id: KeyId) -> None:
    bare = key_id.versionless
    assert (bare.scheme, bare.vault, bare.name) == (key_id.scheme, key_id.vault, key_id.name)
    assert not bare.version


@given(st.text(max_size=130) | names)
def test_a_key_name_is_what_every_vault_accepts(name: str) -> None:
    fits = 0 < len(name) <= 127 and all(c.isascii() and (c.isalnum() or c == "-") for c in name)
    if fits:
        assert check_key_name(name) == name
        return
    with pytest.raises(InvalidInputError, match="is no key name"):
        check_key_name(name)


@pytest.mark.parametrize("name", ["", "a" * 128, "a b", "a/b", "../a", "a\n", "ä", "a_b", None, 7])
def test_a_name_that_some_vault_refuses_is_refused_by_all(name: str) -> None:
    with pytest.raises(InvalidInputError, match="is no key name"):
        check_key_name(name)


def test_an_id_of_another_scheme_is_never_written_as_one_that_exists() -> None:
    with pytest.raises(InvalidInputError, match="no key's id has the scheme 'ftp'"):
        str(KeyId("ftp", "", "kek", "1"))
