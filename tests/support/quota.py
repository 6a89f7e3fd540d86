"""Limits a process to a share of the CPU, like a container's CPU quota."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PERIOD = 0.7
"""Length of a stop-and-run cycle, s."""


@contextmanager
def quota(pid: int, share: float) -> Iterator[None]:
    """While the context is active, lets the process with all its threads run only for `share` (0-1) of each period."""
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
