"""HTTPS on loopback: a thread for each connection, and one write for each answer.

Where an answer is sent in two writes, or small packets wait for one another (Nagle), a client
waits 40 ms; where the accepting thread does the TLS handshakes, one slow client stops all.
"""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from keyhier.testing.keyvault.messages import Answer, Request
from keyhier.testing.keyvault.service import ConnectionDropped

__all__ = ["Server"]


class Server(socketserver.ThreadingTCPServer):
    """A server on 127.0.0.1."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        port: int,
        context: ssl.SSLContext,
        *,
        sort_keys: bool,
    ) -> None:
        """Bind the port, or a free one where it is 0, and serve nothing yet.

        Args:
            port: of TCP.
            context: of TLS.
            sort_keys: whether the members of JSON objects are sorted.
        """
        self.context = context
        self.sort_keys = sort_keys
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Connection)

    @property
    def port(self) -> int:
        """The port that it has."""
        return int(self.server_address[1])

    def start(self, answer: Callable[[Request], Answer]) -> None:
        """Serve, on a thread of its own, what ``answer`` says."""
        self.answer = answer
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.05}, name="keyvault"
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop serving: connections are closed, and no thread is left."""
        self.shutdown()
        self._thread.join()
        with self._lock:
            for connection in self._open:
                _shut(connection)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread; what :meth:`stop` has to close is known before."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection, on the thread that the connection has."""
        connection = request
        try:
            with self._lock:
                connection = self.context.wrap_socket(
                    request, server_side=True, do_handshake_on_connect=False
                )
                self._open.add(connection)
            with connection:
                connection.do_handshake()
                super().finish_request(connection, client_address)
        except OSError:
            # A client that went away, or that does not trust the certificate, is no fault here.
            return
        finally:
            with self._lock:
                self._open -= {request, connection}


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The other end was faster.
        return


class _Connection(BaseHTTPRequestHandler):
    """Reads requests and writes answers, one after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *_: object) -> None:
        """Say nothing: the vault keeps its own log."""

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or "Transfer-Encoding" in self.headers:
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
            return
        url = urlsplit(self.path)
        request = Request(
            self.command,
            unquote(url.path),
            dict(parse_qsl(url.query, keep_blank_values=True)),
            self.headers,
            self.rfile.read(int(length)),
        )
        try:
            answer = self.server.answer(request)
        except ConnectionDropped:
            self.close_connection = True
            return
        self.wfile.write(self._written(answer))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # http.server's names.

    def _written(self, answer: Answer) -> bytes:
        body = b""
        if answer.document is not None:
            text = json.dumps(
                answer.document, separators=(",", ":"), sort_keys=self.server.sort_keys
            )
            body = text.encode()
        headers = {"Content-Length": str(len(body)), "Date": formatdate(usegmt=True)}
        if answer.status != HTTPStatus.NO_CONTENT:
            headers["Content-Type"] = "application/json; charset=utf-8"
        headers.update(answer.headers)
        phrase = responses.get(answer.status, "Unknown")
        lines = [f"HTTP/1.1 {answer.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
