"""A Key Vault on loopback against the SDK with its defaults, on the same vault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, cast

import attrs
from azure.core.credentials import AccessToken, TokenCredential
from azure.core.rest import HttpRequest
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm

import keyhier
from benchmarks.pairs import Pair
from keyhier.base64url import encode

COMMAND = "import sys; from keyhier.cli.main import main; sys.exit(main())"
SERVE = (sys.executable, "-c", COMMAND, "keyvault", "serve", "--json")
SDK: Final = "azure-keyvault-keys with its defaults"

WRAPS: Final = 10_000
REMOTE_WRAPS: Final = 100
"""So many are enough to know the rate of those that go over the network."""

# What both programs of the comparison begin with: the credential is handed in.
BEGIN: Final = """
import os, time
from azure.core.credentials import AccessToken
class Credential:
    def get_token(self, *scopes, **options):
        return AccessToken(os.environ["TOKEN"], int(time.time()) + 3600)
"""
OURS: Final = (
    BEGIN
    + """
import keyhier
uri = os.environ["VAULT"] + "?ca-file=" + os.environ["CA_FILE"]
with keyhier.open(uri, credential=Credential()) as vault:
    with vault.unwrap(os.environ["WRAPPED"]) as secret:
        assert secret == bytes(32)
"""
)
THEIRS: Final = (
    BEGIN
    + """
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm
options = {"credential": Credential(), "connection_verify": os.environ["CA_FILE"]}
with KeyClient(os.environ["VAULT"], **options) as client:
    key = client.get_key(*os.environ["KEY"].split("/"))
    with CryptographyClient(key, **options) as crypto:
        encrypted = bytes.fromhex(os.environ["ENCRYPTED"])
        opened = crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, encrypted)
        assert opened.key == bytes(32)
"""
)


@attrs.frozen
class Service:
    """A vault in a process of its own, whose work is not counted; it is its own credential."""

    url: str
    ca_file: str
    token: str = attrs.field(repr=False)

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        """Return the one token that the vault was started with."""
        return AccessToken(self.token, int(time.time()) + 3600)


@contextmanager
def service() -> Iterator[Service]:
    """Run a vault."""
    with subprocess.Popen(SERVE, stdout=subprocess.PIPE, text=True) as process:
        try:
            told = json.loads(process.stdout.readline() if process.stdout else "")
            yield Service(told["url"], told["ca_file"], told["token"])
        finally:
            process.terminate()


def pairs() -> Iterator[Pair]:
    """Yield the comparisons."""
    with service() as running:
        uri = f"{running.url}?ca-file={running.ca_file}&budget=off"
        with keyhier.open(uri, credential=running) as vault:
            kek = vault.create_key("rsa-2048", "RSA-2048")
            yield _first_unwrap(running, kek)
            yield from _with_clients(running, kek)


def _first_unwrap(running: Service, kek: keyhier.Key) -> Pair:
    environment = {
        # A package that is installed has its bytecode; so have both sides from the second run on.
        **{name: os.environ[name] for name in os.environ if name != "PYTHONDONTWRITEBYTECODE"},
        "VAULT": running.url,
        "CA_FILE": running.ca_file,
        "TOKEN": running.token,
        "KEY": f"{kek.name}/{kek.version}",
        "WRAPPED": str(kek.wrap(bytes(32))),
        "ENCRYPTED": kek.wrap_raw(bytes(32), "RSA-OAEP-256").hex(),
    }

    def run(program: str) -> None:
        subprocess.run([sys.executable, "-c", program], check=True, env=environment)

    return Pair(
        "Azure: a program that unwraps once",
        partial(run, OURS),
        partial(run, THEIRS),
        SDK,
        1.0,
    )


def _with_clients(running: Service, kek: keyhier.Key) -> Iterator[Pair]:
    wrapped = kek.wrap_raw(bytes(32), "RSA-OAEP-256")
    body = {"alg": "RSA-OAEP-256", "value": encode(bytes(32))}

    def unwrap() -> None:
        kek.unwrap_raw(wrapped, "RSA-OAEP-256").wipe()

    def wrap_to_jwes() -> None:
        for _ in range(WRAPS):
            kek.wrap(bytes(32))

    def wrap_remotely() -> None:
        path = f"/keys/{kek.name}/{kek.version}/wrapkey"
        for _ in range(REMOTE_WRAPS):
            client.send_request(HttpRequest("POST", path, json=body)).raise_for_status()

    credential, trusted = cast("TokenCredential", running), running.ca_file
    with KeyClient(running.url, credential, connection_verify=trusted) as client:
        key = client.get_key(kek.name)
        with CryptographyClient(key, credential, connection_verify=trusted) as crypto:
            yield Pair(
                "Azure: raw unwrap, RSA-2048",
                unwrap,
                lambda: crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped),
                SDK,
                1 / 0.8,
            )
        yield Pair(
            f"Azure: {WRAPS:,} wraps to JWEs, elapsed time",
            wrap_to_jwes,
            wrap_remotely,
            f"the rate of {REMOTE_WRAPS} wraps by the vault, through the SDK",
            50.0,
            time.perf_counter,
            ours_count=WRAPS,
            raw_count=REMOTE_WRAPS,
        )
