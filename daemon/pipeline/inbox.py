"""What waits for a plug-in: at most one frame a camera, the camera that waits longest first."""

from __future__ import annotations

import threading

from daemon.pipeline.ticket import Ticket


class Inbox:
    """A bounded queue of tickets keyed by camera, first come first served.

    A camera's newer frame takes the place of its older one *and* its place in the queue, so the bound is the number of
    cameras, nobody waits behind stale frames, and nobody starves.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Ticket] = {}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, ticket: Ticket) -> None:
        with self._changed:
            self._waiting[ticket.frame.camera] = ticket
            self._changed.notify()

    def replace(self, ticket: Ticket) -> Ticket | None:
        """Puts `ticket` in the place of the same camera's waiting one and gives that back; None (and
        nothing done) where none waits, since a worker has taken it."""
        with self._changed:
            old = self._waiting.get(ticket.frame.camera)
            if old is not None:
                self._waiting[ticket.frame.camera] = ticket
            return old

    def take(self, most: int, max_wait: float = 0.0) -> list[Ticket]:
        """Up to `most` tickets of different cameras; blocks for the first, then at most `max_wait` s for more.

        An empty list means that the inbox was closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if max_wait > 0:
                self._changed.wait_for(lambda: len(self._waiting) >= most or self._closed, max_wait)
            if self._closed:
                return []
            cameras = list(self._waiting)[:most]
            return [self._waiting.pop(camera) for camera in cameras]

    def discard(self, camera: str) -> None:
        """Lets go of what a removed camera left."""
        with self._changed:
            ticket = self._waiting.pop(camera, None)
        if ticket is not None:
            ticket.supersede()

    def close(self) -> None:
        """Wakes all workers for good and lets whoever waits for a ticket go."""
        with self._changed:
            self._closed = True
            left = list(self._waiting.values())
            self._waiting.clear()
            self._changed.notify_all()
        for ticket in left:
            ticket.supersede()

    def __len__(self) -> int:
        return len(self._waiting)
