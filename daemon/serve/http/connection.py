"""uvicorn's HTTP connection with timeouts for a request's headers and body."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Literal, cast

import h11
from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.h11_impl import H11Protocol

from sightd.daemon.serve.auth import peer_at
from sightd.daemon.serve.http.identity import CONNECTION, PEER

log = logging.getLogger(__name__)
# uvicorn's warnings, one per message, are about misbehaving peers, whose requests we count. A client that disconnects
# is not an error either.
log.setLevel(logging.ERROR)
log.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], ClientDisconnect)))

PATIENCE = 10.0
"""Seconds to wait for request headers (from connect or the last response), and for a body to begin."""
SLOWEST = 4096
"""Bytes of a body that extend its deadline by one second; slower clients are cut off. Even a dial-up modem is
faster."""

_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class HttpConnection(H11Protocol):
    """Runs on the event loop's thread. uvicorn itself handles connections that idle after a response."""

    def __init__(self, refused: Callable[[str, str], None], *args: Any, **options: Any) -> None:
        """`refused` is called with the reason and the address when a connection is cut off; the rest are uvicorn's
        arguments."""
        super().__init__(*args, **options)
        self._refused = refused
        self.logger = log
        self._awaited: Literal["head", "body"] | None = None
        self._patient_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._handed_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = peer_at(transport.get_extra_info("socket"))
        if peer is not None:  # verified by the kernel; no header or token can set it
            self.app_state = {**self.app_state, PEER: peer}
            self.client = (peer.name, 0)
        elif self.client is not None:
            self.app_state = {**self.app_state, CONNECTION: self.client[0]}
        self._look(0)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look(len(data))

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look(0)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hands the connection over to another protocol, which has timeouts of its own."""
        super().handle_websocket_upgrade(event)
        self._handed_over = True
        self._cancel_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._cancel_timer()

    def send_400_response(self, msg: str) -> None:
        self._refused("invalid", self._address)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # there is no one left to receive the response
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Logs nothing: the upgrade request is ignored and the request answered normally."""

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else "?"

    def _look(self, came: int) -> None:
        """Updates what the connection waits for, and its deadline, after `came` bytes were received."""
        if self._handed_over:
            return
        awaited = self._waits_for()
        if awaited is None or awaited != self._awaited:
            self._patient_until = self.loop.time() + PATIENCE
        elif awaited == "body":
            self._patient_until += came / SLOWEST
        self._awaited = awaited
        if awaited is not None and self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_at(self._patient_until, self._time_is_up)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _waits_for(self) -> Literal["head", "body"] | None:
        theirs = self.conn.their_state
        if theirs is h11.SEND_BODY:
            return "body"
        return "head" if theirs is h11.IDLE and self.conn.our_state is h11.IDLE else None

    def _time_is_up(self) -> None:
        self._timer = None
        if self._awaited == "body" and self.flow.read_paused:  # we are the ones not reading
            self._patient_until = self.loop.time() + PATIENCE
        if self._awaited is None or self.transport.is_closing():
            return
        if self.loop.time() < self._patient_until:
            self._timer = self.loop.call_at(self._patient_until, self._time_is_up)
            return
        self._refused("slow", self._address)
        if self._awaited == "head":
            self.transport.write(_TIMEOUT)
        self.transport.close()


def connections(refused: Callable[[str, str], None]) -> type[asyncio.Protocol]:
    """Returns what `uvicorn.Config(http=…)` expects; uvicorn only calls it."""

    def make(*args: Any, **options: Any) -> HttpConnection:
        return HttpConnection(refused, *args, **options)

    return cast("type[asyncio.Protocol]", make)
