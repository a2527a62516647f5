"""A PostgreSQL server on another machine proves who it is, unless somebody says otherwise."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from keyhier.errors import UnavailableError
from keyhier.records import open_records
from keyhier.records.sql.server_trust import with_trust
from keyhier.records.url import RecordsUrl

SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@pytest.mark.parametrize(
    ("text", "environment", "sslmode"),
    [
        ("postgresql://db.example/keys", {}, "verify-full"),
        ("postgresql://192.0.2.1/keys", {}, "verify-full"),
        ("postgresql:///keys?host=db.example", {}, "verify-full"),
        ("postgresql:///keys?host=localhost,db.example", {}, "verify-full"),
        ("postgresql://localhost/keys?hostaddr=192.0.2.1", {}, "verify-full"),
        ("postgresql://db.example/keys?hostaddr=127.0.0.1", {}, "verify-full"),
        ("postgresql:///keys", {"PGHOST": "db.example"}, "verify-full"),
        ("postgresql://localhost/keys", {"PGHOSTADDR": "192.0.2.1"}, "verify-full"),
        ("postgresql:///?service=keys", {}, "verify-full"),
        ("postgresql://localhost/keys", {"PGSERVICE": "keys"}, "verify-full"),
        ("postgresql://db.example/keys?sslmode=require", {}, "require"),
        ("postgresql://db.example/keys", {"PGSSLMODE": "require"}, None),
        ("postgresql:///keys", {}, None),
        ("postgresql:///keys?host=/run/postgresql", {"PGHOST": "db.example"}, None),
        ("postgresql:///keys?host=%40keys", {}, None),
        ("postgresql://localhost/keys", {}, None),
        ("postgresql://127.0.0.1:5433/keys", {}, None),
        ("postgresql://[::1]/keys", {}, None),
    ],
)
def test_a_server_elsewhere_is_verified(
    text: str, environment: dict[str, str], sslmode: str | None
) -> None:
    url = RecordsUrl.parse(text)
    found = with_trust(url.parameters, environment)
    assert found == {**url.parameters, **({"sslmode": sslmode} if sslmode else {})}


def test_nothing_is_told_to_a_server_that_proves_nothing() -> None:
    received: list[bytes] = []

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            received.append(connection.recv(1024))
            connection.sendall(b"N")
            received.append(connection.recv(1024))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer, args=(listener,))
        server.start()
        port = listener.getsockname()[1]
        with pytest.raises(UnavailableError, match="does not prove who it is") as caught:
            open_records(
                f"postgresql://me@db.example:{port}/keys?hostaddr=127.0.0.1&gssencmode=disable"
            )
        server.join()
    assert received == [SSL_REQUEST, b""]
    assert "sslrootcert" in (caught.value.remedy or "")
