"""WebSockets on which only the server speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

_GOING_AWAY, _UNSUPPORTED_DATA = 1001, 1003
"""Status codes of RFC 6455, 7.4.1."""


async def converse(websocket: WebSocket, send: Coroutine[None, None, None], reason: str) -> None:
    """Sends until `send` returns, the client leaves, or the client sends something. `reason` is given to a client for
    which `send` has returned."""
    sending, receiving = asyncio.ensure_future(send), asyncio.ensure_future(websocket.receive())
    try:
        await asyncio.wait([sending, receiving], return_when=asyncio.FIRST_COMPLETED)
        with suppress(WebSocketDisconnect):
            if sending.done():
                await sending
                await websocket.close(_GOING_AWAY, reason)
            elif receiving.result()["type"] == "websocket.receive":
                await websocket.close(_UNSUPPORTED_DATA, "this stream takes no messages")
    finally:
        for task in (sending, receiving):
            task.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)
