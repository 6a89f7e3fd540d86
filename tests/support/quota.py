"""A process that gets a share of the processor only, as one in a container with a CPU quota does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PERIOD = 0.7
"""Seconds, of each of which it runs one piece."""


@contextmanager
def quota(pid: int, share: float) -> Iterator[None]:
    """While it lasts, the process with all its threads stands still for the rest of the time."""
    over = threading.Event()

    def ration() -> None:
        while not over.is_set():
            os.kill(pid, signal.SIGSTOP)
            over.wait(_PERIOD * (1 - share))
            os.kill(pid, signal.SIGCONT)
            over.wait(_PERIOD * share)

    thread = threading.Thread(target=ration, name="quota", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
