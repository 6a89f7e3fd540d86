"""uvicorn's WebSocket connection with bounds for what clients send."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto.utilities import LocalProtocolError

from sightd.daemon.serve.auth import Peer
from sightd.daemon.serve.http.identity import PEER

log = logging.getLogger(__name__)
log.setLevel(logging.ERROR)


class WebSocketConnection(WSProtocol):
    """Runs on the event loop's thread. uvicorn sends pings, bounds messages and notices clients that do not answer."""

    def __init__(self, refused: Callable[[str, str], None], **options: Any) -> None:
        """`refused` is called with the reason and the address when a connection is cut off; the rest are uvicorn's
        arguments."""
        super().__init__(**options)
        self._refused = refused
        self.logger = log

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer: Peer | None = self.app_state.get(PEER)
        if peer is not None:
            self.client = (peer.name, 0)

    def data_received(self, data: bytes) -> None:
        """Ends a connection whose handshake has headers that are not text, which wsproto does not expect."""
        try:
            super().data_received(data)
        except (ValueError, LocalProtocolError):
            self._refused("invalid", self.client[0] if self.client else "?")
            self.transport.close()

    def handle_ping(self, event: Any) -> None:
        """Answers a ping, unless the client does not read the answers: they would fill the memory."""
        if self.writable.is_set():
            super().handle_ping(event)
        else:
            self.transport.abort()
