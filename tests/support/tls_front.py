"""Ends TLS in front of a server that has none."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Mapping


class TlsFront:
    """Listens on the loopback with a certificate of `self_signed` and forwards to `target`; a context manager."""

    def __init__(self, pair: Mapping[str, str], *, wants_certificate: bool = False) -> None:
        """With `wants_certificate`, clients must show the same certificate."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pair["certificate"], pair["key"])
        if wants_certificate:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(pair["certificate"])
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = [self._listening]
        self.port: int = self._listening.getsockname()[1]
        self.target = 0

    def __enter__(self) -> TlsFront:
        threading.Thread(target=self._accept, name="tls-front", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), name="tls-front", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # SSLError is one: a client that does not trust the certificate
            front = self._context.wrap_socket(client, server_side=True)
            back = socket.create_connection(("127.0.0.1", self.target))
            self._ends += [front, back]
            threading.Thread(target=_pump, args=(front, back), name="tls-front", daemon=True).start()
            _pump(back, front)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
