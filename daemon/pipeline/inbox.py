"""What waits for a plug-in: at most one frame a camera, the camera that waits longest first."""

from __future__ import annotations

import threading

from sightd.daemon.pipeline.ticket import Ticket


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

    def replace(self, old: Ticket, new: Ticket) -> bool:
        """Puts `new` in the place of `old`; False (and nothing done) where a worker has taken that already."""
        with self._changed:
            if self._waiting.get(old.frame.camera) is not old:
                return False
            self._waiting[old.frame.camera] = new
            return True

    def take(self, most: int, max_wait: float = 0.0) -> list[Ticket]:
        """Up to `most` tickets of different cameras; blocks for the first, then at most `max_wait` s for more.

        An empty list means that the inbox was closed.
        """
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if max_wait > 0:
                    self._changed.wait_for(lambda: len(self._waiting) >= most or self._closed, max_wait)
                if self._closed:
                    return []
                cameras = list(self._waiting)[:most]
                if cameras:  # else another worker took them, or their camera was removed, while this one waited
                    return [self._waiting.pop(camera) for camera in cameras]

    def drain(self) -> list[Ticket]:
        """All that waits, for whoever sends it on."""
        with self._changed:
            left = list(self._waiting.values())
            self._waiting.clear()
        return left

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
