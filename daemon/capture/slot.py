"""The newest-frame slot between a feed and the consumer of its frames: the one place where frames are dropped."""

from __future__ import annotations

import threading

from sightd.plugins.api import Frame


class FrameSlot:
    """Holds at most one frame: a newer one replaces an older one that was not taken. One consumer, any number of
    producers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._closed = False

    def put(self, frame: Frame) -> bool:
        """Stores `frame`. Returns True if it replaced one that was not taken, which is then lost. Never blocks.

        After `close` the frame is discarded and False is returned: nobody was waiting for it.
        """
        with self._changed:
            if self._closed:
                return False
            replaced = self._frame is not None
            self._frame = frame
            self._changed.notify()
            return replaced

    def take(self, timeout: float) -> Frame | None:
        """Returns the frame, waiting for up to `timeout` seconds; None if none arrived or the slot was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._closed, timeout)
            frame, self._frame = self._frame, None
            return frame

    def close(self) -> None:
        """Wakes the consumer and discards the frame; every later `take` returns None at once. Idempotent."""
        with self._changed:
            self._closed, self._frame = True, None
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        with self._changed:
            return self._closed
