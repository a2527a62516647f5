"""NSS in FIPS mode, which takes in and lets out no key in the clear.

A process has NSS in one mode only, so each test is a child process.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable

import attrs
import pytest

from keyhier.testing.nss import find_nss_module, make_nss_token

pytestmark = pytest.mark.requires_tool("certutil", "gcc")

# softokn has a second function list, for FIPS mode, under another name.
SHIM = """
unsigned long FC_GetFunctionList(void **list);
unsigned long C_GetFunctionList(void **list) { return FC_GetFunctionList(list); }
"""
BEGINNING = """
import os
import keyhier
from keyhier.errors import *
from keyhier.algorithms import WrapAlgorithm
from keyhier.header import finish_header, start_header
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag
from pkcs11.mechanisms import GCMParams
from keyhier_pkcs11.binding import BoundKey

def refused(operation, said):
    try:
        operation()
    except UnsupportedError as error:
        assert said in str(error), error
        return error
    raise AssertionError("not refused")

vault = keyhier.open(os.environ["URI"])
driver = vault._opened.driver

def sealed_inside(kek, secret):
    '''What a program makes that leaves the content key in the token, as FIPS mode has it.'''
    protected = finish_header(start_header("A256KW", kek.id, None), "octet-stream", {"vm": "web"})
    login = driver.connection.login()
    with login.session() as session:
        content_key = session.generate_key(
            KeyType.AES, 256, store=False, capabilities=MechanismFlag(0), template={
                Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True,
                Attribute.ENCRYPT: True, Attribute.DECRYPT: True,
            }
        )
        iv = os.urandom(12)
        sealed = BoundKey(session, content_key.handle, driver.connection.module).encrypt(
            secret, mechanism=Mechanism.AES_GCM,
            mechanism_param=GCMParams(iv, protected.encode(), 128),
        )
        number = driver._objects.handle(login, driver.get_key(kek.name).handle)
        encrypted_key = BoundKey(session, number, driver.connection.module).wrap_key(
            content_key, mechanism=Mechanism.AES_KEY_WRAP
        )
        content_key.destroy()
    return keyhier.WrappedKey(protected, encrypted_key, iv, sealed[:-16], sealed[-16:])
"""
InFipsMode = Callable[[str], None]


@pytest.fixture(scope="module")
def in_fips_mode(tmp_path_factory: pytest.TempPathFactory) -> InFipsMode:
    """Run a script in a child that has a vault open on NSS in FIPS mode."""
    folder = tmp_path_factory.mktemp("fips")
    # FIPS mode wants PINs of three kinds of characters.
    token = make_nss_token(folder, f"Fips-{secrets.token_hex(8)}")
    found = find_nss_module()
    assert found is not None
    module = folder / "fips.so"
    compile_shim = ["gcc", "-shared", "-fPIC", "-x", "c", "-o", str(module), "-"]
    link = [f"-L{found.parent}", f"-l:{found.name}"]
    subprocess.run([*compile_shim, *link], input=SHIM, text=True, check=True)
    uri = attrs.evolve(token, label="NSS FIPS 140-2 Certificate DB", module_path=module).uri

    def run(script: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", BEGINNING + script + "\nvault.close()\n"],
            env={**os.environ, "URI": uri, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    return run


def test_the_token_shows_no_key_and_takes_none(in_fips_mode: InFipsMode) -> None:
    in_fips_mode("""
refused(lambda: vault.import_key("in", bytes(32)), "CKR_ATTRIBUTE_VALUE_INVALID")
free = vault.create_key("free", "AES-256", extractable=True)
refused(lambda: free.export(), "AES key wrap with padding")
kek = vault.create_key("shown", "AES-256")
refused(lambda: kek.wrap(b"secret"), "takes no content key in the clear")
refused(lambda: kek.wrap_raw(bytes(32)), "takes no content key in the clear")
error = refused(lambda: kek.unwrap_raw(bytes(40)), "does not let out what it unwrapped")
assert "A256GCMKW" in error.remedy
""")


def test_an_envelope_under_a_key_wrap_is_opened_inside(in_fips_mode: InFipsMode) -> None:
    in_fips_mode("""
kek = vault.create_key("kw", "AES-256")
envelope = sealed_inside(kek, b"secret")
for text in (envelope, str(envelope)):
    with vault.unwrap(text, context={"vm": "web"}) as secret:
        assert secret == b"secret"
with vault.unwrap(envelope, context={"vm": "web"}, timeout=60) as secret:
    assert secret == b"secret"
with driver.connection.session() as session:
    left = list(session.get_objects({Attribute.TOKEN: False}))
assert not left, left
""")


def test_promise_3_what_does_not_open_inside_is_one_opaque_failure(
    in_fips_mode: InFipsMode,
) -> None:
    in_fips_mode("""
import attrs
kek, other = vault.create_key("one", "AES-256"), vault.create_key("two", "AES-256")
envelope = sealed_inside(kek, b"secret")
flipped = bytes([envelope.ciphertext[0] ^ 1]) + envelope.ciphertext[1:]
for changed in (
    attrs.evolve(envelope, ciphertext=flipped),
    attrs.evolve(envelope, tag=bytes(16)),
    attrs.evolve(envelope, iv=bytes(12)),
    attrs.evolve(envelope, encrypted_key=bytes(40)),
    attrs.evolve(envelope, encrypted_key=sealed_inside(other, b"secret").encrypted_key),
):
    try:
        vault.unwrap(changed, context={"vm": "web"})
    except UnwrapError as error:
        assert (error.__cause__, error.__context__) == (None, None), error.__context__
        assert (error.message, error.native) == (UnwrapError().message, None)
    else:
        raise AssertionError("it opened")
""")


def test_an_examination_tells_what_works_inside(in_fips_mode: InFipsMode) -> None:
    in_fips_mode("""
findings = {finding.check: finding for finding in vault.doctor()}
key_wrap = findings["mechanism.CKM_AES_KEY_WRAP"]
assert key_wrap.severity.value == "note", key_wrap
assert "keys of the token's own" in key_wrap.found
assert findings["mechanism.CKM_AES_GCM"].severity.value == "ok"
assert "nothing shows whether this is RFC 5649" in findings["mechanism.CKM_AES_KEY_WRAP_KWP"].found
""")


def test_keys_that_need_no_key_shown_work_as_elsewhere(in_fips_mode: InFipsMode) -> None:
    in_fips_mode("""
for name, spec, algorithm in (("rsa", "RSA-2048", None), ("gcm", "AES-256", "A256GCMKW")):
    kek = vault.create_key(name, spec, algorithm=algorithm)
    envelope = kek.wrap(b"secret", context={"vm": "web"})
    with vault.unwrap(envelope, context={"vm": "web"}) as secret:
        assert secret == b"secret"
""")


def test_an_rsa_key_that_may_only_unwrap_opens_envelopes_inside(in_fips_mode: InFipsMode) -> None:
    in_fips_mode("""
with driver.connection.session() as session:
    session.generate_keypair(
        KeyType.RSA, 2048, store=True, capabilities=MechanismFlag(0),
        public_template={Attribute.WRAP: True, Attribute.ENCRYPT: False, Attribute.TOKEN: False},
        private_template={
            Attribute.LABEL: "narrow", Attribute.ID: b"narrow", Attribute.TOKEN: True,
            Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False,
            Attribute.UNWRAP: True, Attribute.DECRYPT: False, Attribute.SIGN: False,
        },
    )
kek = vault.key("narrow")
envelope = kek.wrap(b"secret")
with vault.unwrap(envelope) as secret:
    assert secret == b"secret"
refused(lambda: kek.unwrap_raw(kek.wrap_raw(b"raw")), "does not let out what it unwrapped")
""")


def test_a_kek_that_was_unwrapped_into_the_token_opens_inside_too(
    in_fips_mode: InFipsMode,
) -> None:
    in_fips_mode("""
root = vault.create_key("root", "RSA-2048")
wrapped = root.wrap_raw(bytes(range(32)))
with root.unwrap_into(wrapped, key_id="record:fleet/web/1", purpose="A256KW") as kek:
    refused(lambda: kek.wrap(b"secret"), "takes no content key in the clear")
    content_key = os.urandom(32)
    with keyhier.open("memory:") as memory:
        outside = memory.import_key("kek", bytes(range(32)), algorithm="A256KW")
        encrypted_key = outside.wrap_raw(content_key)
    protected = finish_header(start_header("A256KW", kek.id, None), "octet-stream", None)
    envelope = keyhier.WrappedKey.seal(protected, encrypted_key, content_key, b"secret")
    with kek.unwrap(envelope) as secret:
        assert secret == b"secret"
try:
    kek.unwrap(envelope)
except InvalidStateError as error:
    assert "closed" in str(error)
else:
    raise AssertionError("it is open")
""")
