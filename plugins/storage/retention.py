"""Bounds a folder of files by age and size, and keeps space free on its disk: the oldest files are deleted first."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from sightd.engines.log_throttle import LogThrottle
from sightd.plugins.storage.trusted_clock import TrustedClock

log = logging.getLogger(__name__)

DELETIONS = ("age", "size", "disk")
"""Why files are deleted: older than `Limits.age`; more than `Limits.size`; the disk is nearly full."""

_RECENT = 600.0
"""Seconds for which `shortage` reports that files were deleted before their time."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """`age` in s, `size` of all files together and `min_free` space on the disk in bytes."""

    age: float
    size: int
    min_free: int


class StoredFiles(Protocol[T]):
    """The files that are bounded; all methods may raise OSError or an error of their own, which is passed on."""

    def oldest(self, before: float = float("inf")) -> T | None:
        """Returns the oldest that may be deleted and ended before that time (s since the epoch), if any."""
        ...

    def newest(self) -> float | None:
        """Returns when the newest ended, in s since the epoch; None if there are none."""
        ...

    def total(self) -> int:
        """Returns the bytes of all of them."""
        ...

    def delete(self, one: T, reason: str) -> None:
        """`reason` is one of `DELETIONS`."""
        ...


class Retention(Generic[T]):
    """Deletes files beyond their limits. Used by one thread, except `shortage` and `size`."""

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        files: StoredFiles[T],
        advice: str,
        *,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`advice` says which options to change if the disk is full. `free` returns the free bytes of the disk, `clock`
        seconds since the epoch."""
        self._folder, self._limits, self._files = folder, limits, files
        self._message = (
            f"the disk of {folder} is nearly full: the oldest files are deleted before their time; free disk space, "
            f"{advice}"
        )
        self._free, self._clock = free, clock
        self._trusted = TrustedClock(clock, last_seen=files.newest())
        self._throttle = LogThrottle()
        self._evicted_at: float | None = None
        self.size = 0
        """Bytes of all files, as of the last `tidy`."""

    @property
    def shortage(self) -> str | None:
        """Says that files were deleted before their time in the last minutes, because the disk is nearly full, and what
        to do. Any thread."""
        if self._evicted_at is None or self._clock() - self._evicted_at > _RECENT:
            return None
        return self._message

    def make_room(self) -> bool:
        """Deletes the oldest file, because the disk is full. Returns whether there was one."""
        one = self._files.oldest()
        if one is None:
            return False
        self._files.delete(one, "disk")
        self._evicted_at = self._clock()
        if self._throttle.add():
            log.warning("%s", self._message)
        return True

    def tidy(self, in_progress: int = 0) -> None:
        """Deletes the oldest files by age and size, and so that enough space stays free. `in_progress` are the bytes of
        files that are being written. Call it regularly, which detects jumps of the clock."""
        while not self.has_room() and self.make_room():
            pass
        if (now := self._trusted.trusted()) is not None:
            while (one := self._files.oldest(now - self._limits.age)) is not None:
                self._files.delete(one, "age")
        while (size := self._files.total()) + in_progress > self._limits.size:
            if (one := self._files.oldest()) is None:
                break
            self._files.delete(one, "size")
        self.size = size

    def has_room(self) -> bool:
        """Returns whether a file may be begun: enough space is free."""
        return self._free(self._folder) >= self._limits.min_free
