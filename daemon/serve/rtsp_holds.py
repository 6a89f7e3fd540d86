"""Streams that are kept from ending until the viewers who were just given them hold them themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

HELD_MS = 1000
Later = Callable[[int, Callable[[], bool]], None]
"""Calls something after milliseconds, on the server's thread, and again as long as it returns True."""


class Holds:
    """Of one factory's GstRTSPMedia, each held by being prepared once more. Any thread."""

    def __init__(self, later: Later) -> None:
        self._later = later
        self._lock = threading.Lock()
        self._held: list[Any] = []
        self._ended = False

    def take(self, media: Any) -> bool:
        """Holds it for a second. False where it began to end before."""
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
        """Holds nothing, now and from now on."""
        with self._lock:
            self._ended = True
            held, self._held = self._held, []
        for media in held:
            media.unprepare()

    def _let_go(self, media: Any) -> bool:
        """Where nobody else has it any more, it ends here: its pipeline stops, which takes some ms."""
        with self._lock:
            held = media in self._held
            if held:
                self._held.remove(media)
        if held:
            media.unprepare()
        return False  # once is enough
