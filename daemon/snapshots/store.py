"""The folder of the snapshots: two JPEG files for each event, deleted by age and size."""

from __future__ import annotations

import heapq
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sightd.daemon.config.snapshots import Snapshots
from sightd.engines.files import make_private, state_directory, sync_folder, write_private
from sightd.plugins.storage.retention import Limits, Retention

ANNOTATED, CLEAN = ".jpg", "-clean.jpg"
"""Endings of an event's files, after its id."""
_PART = ".part-"
"""Prefix of files that are being written."""
_TRIAL = ".trial"
_SAME_TIME = 1.0
"""Seconds by which the time of a file and that of its event may differ: file systems round."""


def snapshots_folder(options: Snapshots, environ: Mapping[str, str]) -> Path:
    """Returns the folder of the snapshots: the configured one, or one in the state directory."""
    return options.path or state_directory(environ) / "snapshots"


def find_snapshot(folder: Path, camera: str, event: int, at: float, ending: str) -> Path | None:
    """Returns the file of an event that happened at `at` (s since the epoch); None if there is none. A file of another
    time belongs to an event of an earlier journal. Any thread."""
    path = folder / camera / f"{event}{ending}"
    try:
        return path if abs(path.stat().st_mtime - at) < _SAME_TIME else None
    except OSError:
        return None


class StoreObserver(Protocol):
    """Counts for metrics."""

    def deleted(self, reason: str) -> None:
        """`reason`: age, size or disk."""
        ...

    def stored(self, size: int) -> None: ...


@dataclass(frozen=True, slots=True, order=True)
class _Kept:
    """An event's files. `at` is when it happened, in s since the epoch."""

    at: float
    event: int
    camera: str
    size: int = field(compare=False)


class _Files:
    """All snapshots, the oldest first, as `StoredFiles`."""

    def __init__(self, folder: Path, observer: StoreObserver) -> None:
        self._folder, self._observer = folder, observer
        self._kept = _found(folder)
        heapq.heapify(self._kept)
        self._newest = max((one.at for one in self._kept), default=None)
        self._total = sum(one.size for one in self._kept)

    def add(self, one: _Kept) -> None:
        heapq.heappush(self._kept, one)
        self._total += one.size

    def oldest(self, before: float = float("inf")) -> _Kept | None:
        return self._kept[0] if self._kept and self._kept[0].at < before else None

    def newest(self) -> float | None:
        """Returns the time of the newest one when the folder was opened."""
        return self._newest

    def total(self) -> int:
        return self._total

    def delete(self, one: _Kept, reason: str) -> None:
        for ending in (ANNOTATED, CLEAN):
            (self._folder / one.camera / f"{one.event}{ending}").unlink(missing_ok=True)
        heapq.heappop(self._kept)  # only the oldest is ever deleted
        self._total -= one.size
        self._observer.deleted(reason)


def _found(folder: Path) -> list[_Kept]:
    """Returns what is in the folder."""
    sizes: dict[tuple[str, int], tuple[float, int]] = {}
    for path in folder.glob("*/*.jpg"):
        name = path.name.removesuffix(CLEAN).removesuffix(ANNOTATED)
        if name.isdecimal():
            status = path.stat()
            size = sizes.get((path.parent.name, int(name)), (0.0, 0))[1]
            sizes[path.parent.name, int(name)] = status.st_mtime, size + status.st_size
    return [_Kept(at, event, camera, size) for (camera, event), (at, size) in sizes.items()]


class SnapshotStore:
    """The snapshots on the disk; used by one thread, except `size` and `shortage`. All methods may raise OSError."""

    def __init__(
        self,
        folder: Path,
        options: Snapshots,
        observer: StoreObserver,
        *,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Opens the folder, creates it if necessary, and removes what a killed process left. `free` returns the free
        bytes of the disk, `clock` seconds since the epoch."""
        self.folder, self._observer = folder, observer
        make_private(folder)
        for part in folder.glob(f"*/{_PART}*"):
            part.unlink()
        self._files = _Files(folder, observer)
        limits = Limits(options.retention, options.max_size, options.min_free)
        advice = "lower events.snapshots.max_size, or set events.snapshots.path to another disk"
        self._retention = Retention(folder, limits, self._files, advice, free=free, clock=clock)

    def add(self, camera: str, event: int, at: float, annotated: bytes, clean: bytes) -> None:
        """Stores the snapshots (JPEG) of an event that happened at `at` (s since the epoch): when this returns, they
        are on the disk."""
        folder = self.folder / camera
        make_private(folder)
        for ending, data in ((ANNOTATED, annotated), (CLEAN, clean)):
            path = folder / f"{event}{ending}"
            write_private(path, data, _PART)
            os.utime(path, (at, at))
        sync_folder(folder)
        self._files.add(_Kept(at, event, camera, len(annotated) + len(clean)))
        self._observer.stored(self._files.total())

    def check(self) -> None:
        """Deletes what exceeds the limits; raises OSError if nothing could be written now."""
        make_private(self.folder)  # it may have been removed
        self._retention.tidy()
        self._observer.stored(self._files.total())
        if not self._retention.has_room():
            raise OSError(f"less than events.snapshots.min_free is free on the disk of {self.folder}")
        trial = self.folder / _TRIAL
        write_private(trial, b"0", _PART)
        trial.unlink()

    def make_room(self) -> bool:
        """Deletes the oldest, because the disk is full. Returns whether there was one."""
        return self._retention.make_room()

    @property
    def size(self) -> int:
        """Bytes of all snapshots."""
        return self._files.total()

    @property
    def shortage(self) -> str | None:
        """Says that files were deleted before their time in the last minutes, because the disk is nearly full."""
        return self._retention.shortage
