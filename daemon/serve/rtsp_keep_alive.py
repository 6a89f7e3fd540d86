"""Keeps a shared media alive until a viewer that was just handed it has taken its own reference."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

HELD_MS = 1000
Later = Callable[[int, Callable[[], bool]], None]
"""Schedules a call in so many milliseconds on the server's thread, repeated as long as it returns True."""


class MediaKeepAlive:
    """Keeps media of one factory alive by preparing each once more. Thread-safe."""

    def __init__(self, later: Later) -> None:
        self._later = later
        self._lock = threading.Lock()
        self._held: list[Any] = []
        self._ended = False

    def take(self, media: Any) -> bool:
        """Holds the media for a second. Returns False if it had already started to end."""
        if not media.prepare(None):
            return False
        with self._lock:
            self._held.append(media)
            ended = self._ended
        if ended:
            self._let_go(media)
        else:
            self._later(HELD_MS, lambda: self._let_go(media))
        return True

    def end(self) -> None:
        """Releases everything, and holds nothing from now on."""
        with self._lock:
            self._ended = True
            held, self._held = self._held, []
        for media in held:
            media.unprepare()

    def _let_go(self, media: Any) -> bool:
        """Releases the media. If that was the last reference, its pipeline stops here, which takes a few ms."""
        with self._lock:
            held = media in self._held
            if held:
                self._held.remove(media)
        if held:
            media.unprepare()
        return False  # do not repeat
