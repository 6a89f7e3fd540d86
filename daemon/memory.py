"""Allocator and GC tuning for a long-running, many-threaded process."""

from __future__ import annotations

import ctypes
import gc
import logging
import threading

log = logging.getLogger(__name__)

_M_ARENA_MAX = -8
"""See mallopt(3)."""
_ARENAS = 2
TRIM_EVERY = 60.0
"""Seconds."""


def limit_malloc_arenas() -> None:
    """Limits glibc's malloc arenas. By default there are up to eight per core, and freed images stay in them.

    Call before the first thread starts. Other C libraries have neither the setting nor the arenas.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
    except (AttributeError, OSError) as error:
        log.debug("the allocator could not be tuned: %s", error)


def freeze_gc() -> None:
    """Freezes all objects alive now (modules, classes, functions), so that GC no longer scans them.

    Call once most modules are loaded and before creating anything that may be released: frozen reference cycles are
    never freed. A full collection stops every thread for some 100 ms, which delays a frame, and runs so rarely that the
    encoder of a removed camera would stay in memory until then.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # resets to near zero the size on which CPython bases the next full collection


class Trimmer:
    """Periodically returns freed memory to the system, on its own thread.

    By itself glibc returns only the end of a heap. Cameras and viewers that come and go, and recreated decoders, leave
    gaps that add up over weeks. A trim takes a few ms, during which other threads may wait for memory.
    """

    def __init__(self, every: float = TRIM_EVERY) -> None:
        """`every`: seconds."""
        self._every = every
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def start(self) -> None:
        if self._trim is not None:  # not every C library has malloc_trim
            self._thread.start()

    def close(self, deadline: float = 2.0) -> None:
        """Stops the thread within `deadline` seconds, if it was started."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(deadline)

    def _run(self) -> None:
        assert self._trim is not None
        while not self._stop.wait(self._every):
            self._trim(0)
