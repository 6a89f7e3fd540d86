"""Sets kernel thread names, so that `top -H` and `ps -L` show which camera or plug-in uses the CPU."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

log = logging.getLogger(__name__)

_LONGEST = 15


def name_threads(process: str) -> None:
    """Names all running Python threads in the kernel as in Python, and the main thread `process`.

    Linux only; before Python 3.14 the interpreter does not do it. A thread started later inherits its creator's name.
    """
    for thread in threading.enumerate():
        if thread.native_id is not None:
            _name(thread.native_id, process if thread is threading.main_thread() else thread.name)


def name_this_thread(name: str) -> None:
    """Names the calling thread, and thereby the threads that libraries start from it."""
    _name(threading.get_native_id(), name)


def _name(native_id: int, name: str) -> None:
    try:
        Path(f"/proc/self/task/{native_id}/comm").write_text(name[:_LONGEST])
    except OSError as error:
        log.debug("thread %s keeps its old name for the kernel: %s", name, error)
