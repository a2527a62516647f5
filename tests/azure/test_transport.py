"""Which way requests go: proxies of the environment, certificates, redirections."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import keyhier
from keyhier.errors import InvalidInputError, UnavailableError, UnsupportedError
from keyhier.testing.keyvault import KeyVault
from tests.azure.conftest import OpenVault, uri_of


class Proxy:
    """A proxy on loopback that lets through what it is asked, and remembers how."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client:
                    self._tunnel(client)

    def _tunnel(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        self.asked.append(head.decode())
        host, port = head.split()[1].decode().split(":")
        with socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_pump, args=(server, client))
            back.start()
            _pump(client, server)
            back.join()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy that no other test uses."""
    made = Proxy()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_environments_proxy_is_used_and_sees_no_token(
    keyvault: KeyVault, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass%40word@{proxy.address}")
    with keyhier.open(uri_of(keyvault), credential=keyvault.credential()) as vault:
        vault.create_key("kek", "RSA-2048")
    (head,) = proxy.asked
    assert head.startswith(f"CONNECT {keyvault.url.removeprefix('https://')} ")
    assert b64encode(b"user:pass@word").decode() in head
    assert "Bearer" not in head


def test_a_host_without_a_proxy_is_asked_directly(
    keyvault: KeyVault, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy.address)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with keyhier.open(uri_of(keyvault), credential=keyvault.credential()) as vault:
        assert list(vault.keys()) == []
    assert proxy.asked == []


def test_promise_7_a_proxys_password_does_not_show(
    keyvault: KeyVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:passphrase@127.0.0.1:1")
    with pytest.raises(UnsupportedError, match="proxy") as caught:
        keyhier.open(uri_of(keyvault), credential=keyvault.credential())
    assert "passphrase" not in str(caught.value)
    monkeypatch.setenv("HTTPS_PROXY", "http://user:passphrase@127.0.0.1:1")
    with (
        keyhier.open(uri_of(keyvault, timeout="1"), credential=keyvault.credential()) as vault,
        pytest.raises(UnavailableError) as lost,
    ):
        vault.key("kek")
    assert "passphrase" not in str(lost.value) + repr(lost.value.__cause__)


def test_a_redirection_is_told_and_not_followed(keyvault: KeyVault, open_vault: OpenVault) -> None:
    with KeyVault() as elsewhere:
        vault = open_vault(keyvault)
        headers = {"Location": f"{elsewhere.url}/keys/kek"}
        keyvault.faults.add("get_key", status=307, headers=headers)
        with pytest.raises(UnavailableError, match="redirection"):
            vault.key("kek")
        assert elsewhere.requests.count() == 0


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_the_environment_names_may_vouch(
    keyvault: KeyVault, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, keyvault.ca_file)
    with keyhier.open(keyvault.url, credential=keyvault.credential()) as vault:
        assert list(vault.keys()) == []


def test_a_folder_of_certificates_is_taken(keyvault: KeyVault, tmp_path: Path) -> None:
    with (
        keyhier.open(uri_of(keyvault, ca_file=str(tmp_path))) as vault,
        pytest.raises(UnavailableError, match="certificate cannot be verified"),
    ):
        vault.key("kek")


def test_a_file_that_holds_no_certificates_is_told(keyvault: KeyVault, tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing")
    with pytest.raises(InvalidInputError, match="holds no certificates"):
        keyhier.open(uri_of(keyvault, ca_file=str(empty)))
