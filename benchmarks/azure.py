"""A Key Vault on loopback against the SDK with its defaults, on the same vault."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import attrs
from azure.core.credentials import AccessToken, TokenCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm

import keyhier
from benchmarks.pairs import Pair

COMMAND = "import sys; from keyhier.cli.main import main; sys.exit(main())"
SERVE = (sys.executable, "-c", COMMAND, "keyvault", "serve", "--json")


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
        yield from _unwraps(running)


def _unwraps(running: Service) -> Iterator[Pair]:
    uri = f"{running.url}?ca-file={running.ca_file}&budget=off"
    credential, trusted = cast("TokenCredential", running), running.ca_file
    with (
        keyhier.open(uri, credential=running) as vault,
        KeyClient(running.url, credential, connection_verify=trusted) as client,
    ):
        kek = vault.create_key("rsa-2048", "RSA-2048")
        wrapped = kek.wrap_raw(bytes(32), "RSA-OAEP-256")

        def ours() -> None:
            kek.unwrap_raw(wrapped, "RSA-OAEP-256").wipe()

        key = client.get_key("rsa-2048")
        with CryptographyClient(key, credential, connection_verify=trusted) as crypto:
            yield Pair(
                "Azure: raw unwrap, RSA-2048",
                ours,
                lambda: crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped),
                "azure-keyvault-keys with its defaults",
                1 / 0.8,
            )
