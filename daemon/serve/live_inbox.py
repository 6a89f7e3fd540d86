"""Hands a camera's packets over from its threads to an event loop."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop
from collections import deque
from typing import Protocol

from sightd.daemon.capture.packets import ReceivedPacket

_MOST_WAITING = 64
"""Packets that wait for a loop that is busy; beyond that, all are dropped up to the next key frame."""


class Distributor(Protocol):
    """Distributes packets to viewers; called on the event loop."""

    def distribute(self, packet: ReceivedPacket) -> None: ...

    def restarted(self) -> None:
        """The next packet does not continue the last."""
        ...

    def ended(self) -> None: ...


class LiveInbox:
    """A `VideoReceiver` whose packets a distributor gets on the loop. Bounded: a loop that hangs costs no memory."""

    def __init__(self, loop: AbstractEventLoop, distributor: Distributor) -> None:
        self._loop, self._distributor = loop, distributor
        self._lock = threading.Lock()
        self._waiting: deque[ReceivedPacket | None] = deque()
        """None: what follows does not continue what was before."""
        self._scheduled = self._over = False

    def receive(self, packet: ReceivedPacket) -> None:
        self._put(packet)

    def restart(self) -> None:
        self._put(None)

    def end(self) -> None:
        with self._lock:
            self._over = True
            self._schedule()

    def _put(self, packet: ReceivedPacket | None) -> None:
        with self._lock:
            if len(self._waiting) >= _MOST_WAITING:
                self._waiting.clear()
                self._waiting.append(None)
            self._waiting.append(packet)
            self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and not self._loop.is_closed():
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        with self._lock:
            taken, self._waiting = self._waiting, deque()
            self._scheduled, over = False, self._over
        for packet in taken:
            if packet is None:
                self._distributor.restarted()
            else:
                self._distributor.distribute(packet)
        if over:
            self._distributor.ended()
