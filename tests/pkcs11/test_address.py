"""Which token a URI means."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.errors import InvalidInputError
from keyhier.uri import VaultUri, quote_text
from keyhier_pkcs11.address import TokenAddress

MODULE = "module-path=/usr/lib/module.so"


def read(uri: str) -> TokenAddress:
    return TokenAddress.from_uri(VaultUri.parse(uri), None)


def test_a_uri_names_token_module_and_pin_source() -> None:
    address = read(
        f"pkcs11:token=two%20words;serial=12ab;model=m;manufacturer=x?{MODULE}&pin-source=env:P"
    )
    assert address.module_path == Path("/usr/lib/module.so")
    assert address.selection == {
        "token": "two words",
        "serial": "12ab",
        "model": "m",
        "manufacturer": "x",
    }
    assert address.pin.reference == "env:P"


def test_init_args_are_decoded_and_may_hold_what_a_uri_may_not() -> None:
    told = "configdir='sql:/a b' flags="
    assert read(f"pkcs11:token=a?{MODULE}&init-args={quote(told, safe='')}").init_args == told
    assert read(f"pkcs11:token=a?{MODULE}").init_args == ""


@given(st.text(min_size=1, max_size=32))
def test_every_label_survives_the_uri(label: str) -> None:
    try:
        uri = VaultUri.parse(f"pkcs11:token={quote_text(label)}?{MODULE}")
    except (InvalidInputError, UnicodeEncodeError):
        return
    assert TokenAddress.from_uri(uri, None).selection == {"token": label}


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (f"pkcs11:token=a;slot-id=1?{MODULE}", "slot-id is refused"),
        (f"pkcs11:slot-id=1?{MODULE}", "slot-id is refused"),
        (f"pkcs11:token=a;object=b?{MODULE}", "known are token, serial, manufacturer, model"),
        (f"pkcs11:token=a;library-version=1?{MODULE}", "known are token, serial"),
        (f"pkcs11:token=a?{MODULE}&timeout=1", "known are module-path, pin-source, init-args"),
        (f"pkcs11:token=a?{MODULE}&init-args=", "init-args of a pkcs11: URI is text, not empty"),
        (f"pkcs11:token=a?{MODULE}&init-args=a%00b", "without NUL"),
        (f"pkcs11:?{MODULE}", "by its label or serial number"),
        (f"pkcs11:model=m?{MODULE}", "by its label or serial number"),
        (f"pkcs11:token=?{MODULE}", "'token' of a pkcs11: URI is empty"),
        (f"pkcs11:token=%FF?{MODULE}", "not UTF-8"),
        (f"pkcs11:token=a;token=b?{MODULE}", "twice"),
        (f"pkcs11:token?{MODULE}", "name=value"),
        ("pkcs11:token=a", "names the module"),
        ("pkcs11:token=a?module-path=", "names the module"),
        ("pkcs11:token=a?module-path=module.so", "absolute"),
        (f"pkcs11:token=a?{MODULE}&pin-source=|cat", "commands are refused"),
    ],
)
def test_promise_9_what_is_unknown_or_missing_is_refused(uri: str, said: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(uri)
    assert said in str(caught.value)


def test_promise_7_a_pin_in_the_uri_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(f"pkcs11:token=a?{MODULE}&pin-value=123456")
    assert "123456" not in str(caught.value)
