"""How the C library's allocator is set for a process of many threads that pass large pictures on to each other."""

from __future__ import annotations

import ctypes
import logging

log = logging.getLogger(__name__)

_M_ARENA_MAX = -8
"""See mallopt(3)."""
_ARENAS = 2


def bound_arenas() -> None:
    """Keeps glibc from giving each thread a heap of its own, up to eight a core, where freed pictures stay behind.

    Before the first thread starts. Other C libraries have no such setting, and no such heaps.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
    except (AttributeError, OSError) as error:
        log.debug("the allocator stays as it is: %s", error)
