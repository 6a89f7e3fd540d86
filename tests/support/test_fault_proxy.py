"""`heal` ends every fault; otherwise recovery times would be measured from too early."""

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
        for _ in range(2):  # in turn: when the second is accepted, the first is fully set up
            parts.enter_context(camera.accept()[0])
        proxy.heal()
        viewer.settimeout(0.3)
        with suppress(ConnectionResetError):  # also a valid end; no end would raise TimeoutError
            assert viewer.recv(1) == b""
