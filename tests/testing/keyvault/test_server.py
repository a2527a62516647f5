"""The server: its certificate, its connections, its beginning and its end."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509

from keyhier.testing.keyvault import KeyVault
from tests.testing.keyvault.raw_client import RawClient


def test_it_starts_in_a_fraction_of_a_second() -> None:
    began = time.process_time()
    with KeyVault() as vault:
        assert time.process_time() - began < 1
        assert vault.url.startswith("https://127.0.0.1:")


def test_the_certificate_is_for_loopback_and_of_an_authority_made_for_it(
    keyvault: KeyVault,
) -> None:
    port = int(keyvault.url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=keyvault.ca_file)
    for name in ("127.0.0.1", "localhost"):
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            assert secured.version() in {"TLSv1.2", "TLSv1.3"}
    authority = x509.load_pem_x509_certificate(Path(keyvault.ca_file).read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.ca


def test_a_client_that_does_not_trust_the_authority_gets_nothing(keyvault: KeyVault) -> None:
    port = int(keyvault.url.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(plain, server_hostname="127.0.0.1")
    assert keyvault.requests.count() == 0


def test_a_client_that_never_begins_the_handshake_stops_nobody(keyvault: KeyVault) -> None:
    port = int(keyvault.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)), RawClient(keyvault) as other:
        assert other.get("/keys").status == 200


def test_a_connection_is_kept_for_the_next_request(raw: RawClient) -> None:
    raw.get("/keys")
    first = raw.connection.sock
    raw.get("/keys")
    assert raw.connection.sock is first


def test_an_answer_comes_in_one_piece(keyvault: KeyVault) -> None:
    port = int(keyvault.url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=keyvault.ca_file)
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        secured.sendall(b"GET /keys HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        # One record of TLS, so one write: a second would come in a second read.
        answer = secured.recv(16_384)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert body.endswith(b"}")


def test_when_it_stops_no_thread_is_left_and_the_port_is_free_again() -> None:
    before = set(threading.enumerate())
    vault = KeyVault()
    with RawClient(vault) as client:
        client.get("/keys")
        # The connection is still open, and its thread waits for the next request.
        vault.close()
    assert set(threading.enumerate()) <= before
    assert not Path(vault.ca_file).exists()
    port = int(vault.url.rpartition(":")[2])
    with KeyVault(port=port) as again:
        assert again.url == vault.url


def test_it_stops_at_once_whatever_its_clients_wait_for() -> None:
    vault = KeyVault()
    vault.faults.add("list_keys", delay=60)
    port = int(vault.url.rpartition(":")[2])

    def ask() -> None:
        with RawClient(vault) as client, suppress(OSError, http.client.HTTPException):
            client.get("/keys")

    slow = threading.Thread(target=ask)
    slow.start()
    # This one never begins its handshake.
    with socket.create_connection(("127.0.0.1", port)):
        time.sleep(0.2)
        began = time.monotonic()
        vault.close()
        assert time.monotonic() - began < 10
    slow.join()


def test_it_can_be_stopped_again(keyvault: KeyVault) -> None:
    for _ in range(2):
        keyvault.close()


@pytest.mark.parametrize(
    "header", ["Content-Length: x", "Content-Length: -1", "Transfer-Encoding: chunked"]
)
def test_a_request_of_unknown_length_is_refused(keyvault: KeyVault, header: str) -> None:
    port = int(keyvault.url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=keyvault.ca_file)
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        secured.sendall(f"POST /keys HTTP/1.1\r\n{header}\r\n\r\n".encode())
        assert secured.recv(100).startswith(b"HTTP/1.1 411 ")


def test_a_port_in_use_is_told_and_nothing_is_left(keyvault: KeyVault) -> None:
    port = int(keyvault.url.rpartition(":")[2])
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="in use"):
        KeyVault(port=port)
    assert set(threading.enumerate()) == before


def test_ids_are_made_of_the_name_that_the_client_uses(raw: RawClient) -> None:
    raw.create("kek")
    port = raw.vault.url.rpartition(":")[2]
    shown = raw.get("/keys/kek", headers={"Host": f"localhost:{port}"}).document
    assert shown["key"]["kid"].startswith(f"https://localhost:{port}/keys/kek/")


def test_many_clients_are_served_at_once(keyvault: KeyVault) -> None:
    with RawClient(keyvault) as client:
        client.create("kek", "RSA")
    statuses: list[int] = []

    def work() -> None:
        with RawClient(keyvault) as client:
            statuses.extend(client.get("/keys/kek").status for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 40
