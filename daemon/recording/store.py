"""The folder of the clips: deletes by age and size, and repairs what a killed process left."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import av

from sightd.daemon.config.model import Clips
from sightd.daemon.recording.clip_file import PART, sync_folder
from sightd.daemon.recording.index import Clip, ClipIndex
from sightd.engines.files import make_private, state_directory
from sightd.plugins.storage.retention import Limits, Retention

log = logging.getLogger(__name__)

_TRIAL = 1 << 16
"""Bytes written to find out whether the disk can be written again."""


def clips_folder(options: Clips, environ: Mapping[str, str]) -> Path:
    """Returns the folder of the clips: the configured one, or one in the state directory."""
    return options.path or state_directory(environ) / "clips"


class StoreObserver(Protocol):
    """Counts for metrics."""

    def deleted(self, reason: str) -> None:
        """`reason`: age, size or disk."""
        ...

    def stored(self, size: int) -> None: ...


class _Clips:
    """The finished clips, as `StoredFiles`."""

    def __init__(self, folder: Path, index: ClipIndex, observer: StoreObserver) -> None:
        self._folder, self._index, self._observer = folder, index, observer
        self.oldest, self.newest, self.total = index.oldest, index.newest, index.total

    def delete(self, one: Clip, reason: str) -> None:
        (self._folder / one.path).unlink(missing_ok=True)
        self._index.remove(one.id)
        self._observer.deleted(reason)


class ClipStore:
    """The clips on the disk, with their index; used by one thread, except `evicted_at` and `size`. All methods may
    raise ClipIndexError or OSError."""

    def __init__(
        self,
        folder: Path,
        options: Clips,
        observer: StoreObserver,
        *,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Opens the folder, creates it if necessary, and finishes or removes clips that a killed process left. `free`
        returns the free bytes of the disk, `clock` seconds since the epoch."""
        self.folder, self._options, self._observer = folder, options, observer
        self.index = ClipIndex(folder)
        limits = Limits(options.retention, options.max_size, options.min_free)
        advice = "lower recording.clips.max_size, or set recording.clips.path to another disk"
        files = _Clips(folder, self.index, observer)
        self._retention = Retention(folder, limits, files, advice, free=free, clock=clock)
        for number, begin, path in self.index.unfinished():
            self.salvage(number, begin, path)
        for part in folder.glob(f"*/*{PART}"):
            part.unlink()

    def salvage(self, number: int, begin: float, path: str) -> None:
        """Finishes a clip that was interrupted, up to its last whole group of pictures; removes it if it has none."""
        final = self.folder / path
        part = final.with_name(final.name + PART)
        if part.exists():
            part.rename(final)
            sync_folder(final.parent)
        length = _playable(final)
        if length is None:
            final.unlink(missing_ok=True)
            self.index.remove(number)
            return
        self.index.finish(number, begin + length, final.stat().st_size, ())
        log.info("clip %d (%s) was interrupted; its first %.1f s are kept", number, path, length)

    def make_room(self) -> bool:
        """Deletes the oldest clip that is not protected, because the disk is full. Returns whether there was one."""
        return self._retention.make_room()

    def tidy(self, in_progress: int) -> None:
        """Deletes the oldest clips that are not protected, by age and size, and so that `min_free` bytes of the disk
        stay free. `in_progress` are the bytes of clips that are being written."""
        self._retention.tidy(in_progress)
        self._observer.stored(self._retention.size)

    def has_room(self) -> bool:
        """Returns whether a clip may be begun: `min_free` bytes are free."""
        return self._retention.has_room()

    @property
    def evicted_at(self) -> float | None:
        """When a clip was last deleted before its time because the disk was nearly full; s since the epoch."""
        return self._retention.evicted_at

    @property
    def size(self) -> int:
        """Bytes of all finished clips, as of the last `tidy`."""
        return self._retention.size

    def check(self, camera: str) -> None:
        """Raises OSError or ClipIndexError if no clip of the camera could be written now; writes, and removes what it
        wrote."""
        if not self.has_room():
            raise OSError(errno.ENOSPC, f"less than {self._options.min_free} bytes are free")
        folder = self.folder / camera
        make_private(folder)
        trial = folder / f"trial{PART}"
        try:
            with os.fdopen(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(bytes(_TRIAL))
                file.flush()
                os.fsync(file.fileno())
        finally:
            trial.unlink(missing_ok=True)
        self.index.check()

    def close(self) -> None:
        self.index.close()


def _playable(path: Path) -> float | None:
    """Returns the length of a clip in s, up to its last whole fragment; None if nothing can be played."""
    try:
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            ends = [packet.pts for packet in container.demux(video) if packet.pts is not None and packet.size]
            return float(max(ends) * video.time_base) if ends and video.time_base else None
    except (OSError, av.FFmpegError, IndexError):
        return None
