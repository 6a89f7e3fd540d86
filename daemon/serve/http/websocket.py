"""uvicorn's WebSocket connection with bounds for what clients send, in bytes and in frames."""

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

_MOST_FRAMES, _FRAMES_PER_SECOND = 100, 10.0
"""Frames that a client may send at once, and per second in the long run: fragments of messages, also empty ones, pings
and pongs. Readers send nothing but answers to pings."""


class WebSocketConnection(WSProtocol):
    """Runs on the event loop's thread. uvicorn sends pings, bounds messages and notices clients that do not answer."""

    def __init__(self, refused: Callable[[str, str], None], **options: Any) -> None:
        """`refused` is called with the reason and the address when a connection is cut off; the rest are uvicorn's
        arguments."""
        super().__init__(**options)
        self._refused = refused
        self.logger = log
        self._frames, self._counted_at = 0.0, self.loop.time()

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
            self._refused("invalid", self._address)
            self.transport.close()

    def handle_message(self, event: Any) -> None:
        """Takes a fragment, or a part of one."""
        if self._may_send():
            super().handle_message(event)

    def handle_ping(self, event: Any) -> None:
        """Answers a ping, unless the client does not read the answers: they would fill the memory."""
        if not self._may_send():
            return
        if self.writable.is_set():
            super().handle_ping(event)
        else:
            self.transport.abort()

    def handle_pong(self, event: Any) -> None:
        if self._may_send():
            super().handle_pong(event)

    def _may_send(self) -> bool:
        """Counts a frame, and cuts the connection off if there were too many."""
        if self.transport.is_closing():
            return False
        now = self.loop.time()
        self._frames = max(0.0, self._frames - (now - self._counted_at) * _FRAMES_PER_SECOND) + 1
        self._counted_at = now
        if self._frames <= _MOST_FRAMES:
            return True
        self._refused("flood", self._address)
        self.transport.abort()
        return False

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else "?"
