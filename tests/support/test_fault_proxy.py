"""What was done to a stream is over when the proxy is healed, or a recovery is measured from too early."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress

from tests.support.fault_proxy import FaultProxy


def test_a_stream_that_was_to_end_does_so_when_the_proxy_is_healed() -> None:
    with ExitStack() as parts:
        camera = parts.enter_context(socket.create_server(("127.0.0.1", 0)))
        proxy = parts.enter_context(FaultProxy(camera.getsockname()[1]))
        proxy.end_again_and_again()
        viewer, _ = (parts.enter_context(socket.create_connection(("127.0.0.1", proxy.port))) for _ in range(2))
        for _ in range(2):  # one after the other: with the second, the first is wholly taken in
            parts.enter_context(camera.accept()[0])
        proxy.heal()
        viewer.settimeout(0.3)
        with suppress(ConnectionResetError):  # as good an end; no end is TimeoutError
            assert viewer.recv(1) == b""
