"""How memory is kept for a process of many threads that hand large pictures on to each other, for months."""

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


def bound_arenas() -> None:
    """Keeps glibc from giving each thread a heap of its own, up to eight a core, where freed pictures stay behind.

    Before the first thread starts. Other C libraries have no such setting, and no such heaps.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
    except (AttributeError, OSError) as error:
        log.debug("the allocator stays as it is: %s", error)


def spare_what_stays() -> None:
    """Has the search for garbage leave out all that there is now: modules, classes and functions, which stay.

    Once most is loaded, and before anything is made that may go again: of that nothing in a cycle would ever be freed.
    A full search of them stops every thread for some 100 ms, which is a late picture, and comes so rarely that the
    encoder of a camera that went waits for it.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # of nearly nothing: CPython waits for the next until a quarter as much as it found now came to it


class Trimmer:
    """Gives freed memory back to the system now and then, on a thread of its own.

    By itself glibc gives back the end of a heap alone. Cameras and viewers that come and go, and decoders that are made
    anew, leave gaps before what stays, which add up over weeks. It takes some ms, for which other threads may wait when
    they ask for memory.
    """

    def __init__(self, every: float = TRIM_EVERY) -> None:
        """`every`: seconds."""
        self._every = every
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def start(self) -> None:
        if self._trim is not None:  # other C libraries have none
            self._thread.start()

    def close(self, deadline: float = 2.0) -> None:
        """Ends the thread within `deadline` seconds, if it was started."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(deadline)

    def _run(self) -> None:
        assert self._trim is not None
        while not self._stop.wait(self._every):
            self._trim(0)
