"""`keyhier keyvault serve`, as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.identity import ClientSecretCredential
from azure.keyvault.keys import KeyClient

from keyhier.testing.keyvault import KeyVault
from keyhier.uri import VaultUri
from keyhier_azure.address import VaultAddress, VaultKind
from tests.cli.conftest import COMMAND


@contextmanager
def _serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command, and yield it with its first line."""
    command = [str(COMMAND), "keyvault", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            # Not killed: its folder goes with it.
            process.terminate()


def _key_type(ready: dict[str, Any]) -> str | None:
    with (
        ClientSecretCredential(
            ready["tenant_id"],
            ready["client_id"],
            ready["client_secret"],
            authority=ready["authority"],
            disable_instance_discovery=True,
            connection_verify=ready["ca_file"],
        ) as credential,
        KeyClient(ready["url"], credential, connection_verify=ready["ca_file"]) as client,
    ):
        return client.create_ec_key("signer", hardware_protected=True).key_type


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_json_is_one_line_with_all_that_a_client_needs_and_a_signal_ends_it(
    end: signal.Signals,
) -> None:
    with _serving("--json", "--managed-hsm") as (process, line):
        ready = json.loads(line)
        assert set(ready) == {
            "url",
            "ca_file",
            "authority",
            "tenant_id",
            "client_id",
            "client_secret",
            "token",
            "keyhier_vault",
        }
        uri = VaultUri.parse(ready["keyhier_vault"])
        assert VaultAddress.from_uri(uri).kind is VaultKind.MANAGED_HSM
        assert uri.query["ca-file"] == ready["ca_file"]
        assert _key_type(ready) == "EC-HSM"
        process.send_signal(end)
        assert process.wait(timeout=30) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert not Path(ready["ca_file"]).exists()


@pytest.mark.requires_tool("curl")
def test_the_token_is_good_and_the_options_are_heeded() -> None:
    options = ("--recoverable-days", "7", "--purge-protection", "--region", "chinaeast2")
    with _serving("--json", "--throttle", *options) as (_, line):
        ready = json.loads(line)
        curl = ["curl", "--silent", "--include", "--cacert", ready["ca_file"]]
        asked = subprocess.run(
            [
                *curl,
                *("--header", f"Authorization: Bearer {ready['token']}"),
                *("--header", "Content-Type: application/json"),
                *("--data", '{"kty": "EC"}'),
                f"{ready['url']}/keys/kek/create?api-version=7.6",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "x-ms-keyvault-region: chinaeast2" in asked
        assert '"recoveryLevel":"CustomizedRecoverable","recoverableDays":7' in asked


def test_the_human_form_says_when_it_is_ready() -> None:
    with _serving() as (process, line):
        assert line.startswith("url")
        assert process.stdout is not None
        lines = [line]
        while not lines[-1].startswith("The vault is ready"):
            lines.append(process.stdout.readline())
        assert {each.split()[0] for each in lines} >= {"url", "ca_file", "token"}
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def test_a_port_in_use_is_one_line_and_an_exit_code(keyvault: KeyVault) -> None:
    port = keyvault.url.rpartition(":")[2]
    done = subprocess.run(
        [str(COMMAND), "keyvault", "serve", "--port", port],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 16
    assert f"port {port} of 127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr
