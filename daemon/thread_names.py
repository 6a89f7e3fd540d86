"""Threads' names for the kernel, so that `top -H` and `ps -L` tell which camera and which plug-in uses the CPU."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

log = logging.getLogger(__name__)

_LONGEST = 15


def name_threads(process: str) -> None:
    """Names all threads of Python that run now as Python does, and the main one as the process is to be called.

    Linux, where Python before 3.14 keeps the names to itself. A thread that others start later inherits its starter's.
    """
    for thread in threading.enumerate():
        if thread.native_id is not None:
            _name(thread.native_id, process if thread is threading.main_thread() else thread.name)


def name_this_thread(name: str) -> None:
    """Names the calling thread, and with it those that libraries start from it."""
    _name(threading.get_native_id(), name)


def _name(native_id: int, name: str) -> None:
    try:
        Path(f"/proc/self/task/{native_id}/comm").write_text(name[:_LONGEST])
    except OSError as error:
        log.debug("thread %s keeps its old name for the kernel: %s", name, error)
