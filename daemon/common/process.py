"""The process: its version, memory tuning, thread names, and time limits shared by several steps."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import threading
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def installed_version() -> str:
    """Returns the package version, or "0+uninstalled" when run from a source tree."""
    try:
        return version("sightd")
    except PackageNotFoundError:
        return "0+uninstalled"


class Deadline:
    """A time limit shared by the steps of one sequence; expires `seconds` after it is created. Thread-safe."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock() + seconds

    def within(self, most: float, *, keep: float = 0.0) -> float:
        """Seconds that the next step may take: at most `most`, excluding the last `keep` seconds, which are reserved
        for later steps. Never negative."""
        return max(0.0, min(most, self._at - self._clock() - keep))


log = logging.getLogger(__name__)

_LONGEST_NAME = 15

INFERENCE_NICENESS = 10
"""If cores are scarce, inference yields to decoding, drawing and encoding: those keep the video moving."""
DELIVERY_NICENESS = 5
"""Delivery of events yields to the video, too, but not to inference: an event is small, and somebody waits for it."""


def name_threads(process: str) -> None:
    """Names all running Python threads in the kernel as in Python, and the main thread `process`.

    `top -H` and `ps -L` then show which camera or plug-in uses the CPU. Linux only; before Python 3.14 the interpreter
    does not do it. A thread started later inherits its creator's name.
    """
    for thread in threading.enumerate():
        if thread.native_id is not None:
            _set_name(thread.native_id, process if thread is threading.main_thread() else thread.name)


def name_this_thread(name: str) -> None:
    """Names the calling thread. Threads that libraries start from it inherit the name."""
    _set_name(threading.get_native_id(), name)


def _set_name(native_id: int, name: str) -> None:
    try:
        Path(f"/proc/self/task/{native_id}/comm").write_text(name[:_LONGEST_NAME])
    except OSError as error:
        log.debug("thread %s keeps its old name for the kernel: %s", name, error)


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


def lower_thread_priority() -> None:
    """Lowers the calling thread's priority to that of inference, so that it does not delay the video.

    As a batch thread it also takes no core from another thread when it wakes up (sched(7)), which an engine's threads
    do at every layer. Threads that it starts inherit both.
    """
    raise_niceness(INFERENCE_NICENESS)
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:
        log.debug("thread keeps its scheduling policy: %s", error)


def raise_niceness(least: int) -> None:
    """Raises the calling thread's niceness to `least` if it is lower; each Linux thread has its own."""
    try:
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(least, os.getpriority(os.PRIO_PROCESS, thread)))
    except OSError as error:
        log.debug("thread keeps its priority: %s", error)
