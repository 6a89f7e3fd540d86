"""The folder of the recordings: deletes by age and size, and repairs what a killed process left."""

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

from sightd.daemon.config.model import Clips, Recording, Segments
from sightd.daemon.config.recording import CameraRules
from sightd.daemon.recording.clip_file import PART
from sightd.daemon.recording.index import CLIP, EVENTFUL, Clip, ClipIndex, Kind
from sightd.engines.files import make_private, state_directory, sync_folder
from sightd.plugins.storage.retention import Limits, Retention

log = logging.getLogger(__name__)

_TRIAL = 1 << 16
"""Bytes written to find out whether the disk can be written again."""
_CLIPS = Clips(kinds=["never"])
"""Rules of clips of an earlier configuration."""


def recordings_folder(options: Recording, environ: Mapping[str, str]) -> Path:
    """Returns the folder of the recordings: the configured one, or one in the state directory."""
    return options.path or state_directory(environ) / "clips"


class StoreObserver(Protocol):
    """Counts for metrics."""

    def deleted(self, kind: Kind, reason: str) -> None:
        """`reason`: age, size or disk."""
        ...

    def stored(self, kind: Kind, size: int) -> None: ...

    def free(self, size: int) -> None:
        """Bytes that are free on the disk."""
        ...


class _Files:
    """The finished recordings, as `StoredFiles`. How long each is kept depends on its camera and kind, so that
    `Limits.age` is 0, and the time before which a recording must have ended is the present."""

    def __init__(self, index: ClipIndex, options: Recording, observer: StoreObserver) -> None:
        self._index, self._observer = index, observer
        self._default = CameraRules(options.clips or _CLIPS, options.segments or Segments(), 0)
        self.rules: Mapping[str, CameraRules] = {}
        self.newest, self.total = index.newest, index.total

    def oldest(self, before: float = float("inf")) -> Clip | None:
        if before == float("inf"):
            return self._index.oldest()
        found = self._index.oldest_of_each()
        return next((one for one in found if one.end < before - self._retention(one)), None)

    def delete(self, one: Clip, reason: str) -> None:
        if self._index.delete(one.id) is not None:
            self._observer.deleted(one.kind, reason)

    def bound(self, camera: str, rules: CameraRules) -> None:
        """Deletes the oldest segments of a camera beyond their maximum size."""
        most = None if rules.segments is None else rules.segments.max_size
        while most is not None and self._index.total("segment", camera) > most:
            if (one := self._index.oldest_segment(camera)) is None:
                return
            self.delete(one, "size")

    def _retention(self, one: Clip) -> float:
        rules = self.rules.get(one.camera, self._default)
        clips, segments = rules.clips or self._default.clips, rules.segments or self._default.segments
        assert clips is not None, "the default has both"
        assert segments is not None, "the default has both"
        if one.priority == CLIP:
            return clips.retention
        return segments.event_retention if one.priority == EVENTFUL else segments.retention


class ClipStore:
    """The recordings on the disk, with their index; used by one thread, except `shortage` and `size`. All methods may
    raise ClipIndexError or OSError."""

    def __init__(
        self,
        folder: Path,
        options: Recording,
        observer: StoreObserver,
        *,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Opens the folder, creates it if necessary, and finishes or removes what a killed process left. `free` returns
        the free bytes of the disk, `clock` seconds since the epoch."""
        self.folder, self._options, self._observer = folder, options, observer
        self.index = ClipIndex(folder)
        self._free = free
        self._files = _Files(self.index, options, observer)
        advice = "lower recording.max_size, or set recording.path to another disk"
        limits = Limits(0.0, options.max_size, options.min_free)
        self._retention = Retention(folder, limits, self._files, advice, free=free, clock=clock)
        for number, begin, path in self.index.unfinished():
            self.salvage(number, begin, path)
        for part in folder.glob(f"*/*{PART}"):
            part.unlink()

    def salvage(self, number: int, begin: float, path: str) -> None:
        """Finishes a file that was interrupted, up to its last whole group of pictures; removes it if it has none."""
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
        log.info("recording %d (%s) was interrupted; its first %.1f s are kept", number, path, length)

    def make_room(self) -> bool:
        """Deletes the recording to be deleted first, because the disk is full. Returns whether there was one."""
        return self._retention.make_room()

    def tidy(self, in_progress: int, rules: Mapping[str, CameraRules] | None = None) -> None:
        """Deletes recordings that are not protected, by age and size, and so that `min_free` bytes of the disk stay
        free. `in_progress` are the bytes of what is being written; `rules` of cameras say how long theirs are kept."""
        self._files.rules = rules or {}
        for camera, own in self._files.rules.items():
            self._files.bound(camera, own)
        self._retention.tidy(in_progress)
        segments = self.index.total("segment")
        self._observer.stored("clip", self._retention.size - segments)
        self._observer.stored("segment", segments)
        self._observer.free(self._free(self.folder))

    def require_room(self) -> None:
        """Raises OSError if nothing may be begun: less than `min_free` is free, and nothing can be deleted."""
        if not self.has_room() and not self.make_room():
            raise OSError(f"less than recording.min_free is free on the disk of {self.folder}")

    def has_room(self) -> bool:
        """Returns whether a recording may be begun: `min_free` bytes are free."""
        return self._retention.has_room()

    @property
    def shortage(self) -> str | None:
        """Says that files were deleted before their time in the last minutes, because the disk is nearly full."""
        return self._retention.shortage

    @property
    def size(self) -> int:
        """Bytes of all finished recordings, as of the last `tidy`."""
        return self._retention.size

    def check(self, camera: str) -> None:
        """Raises OSError or ClipIndexError if nothing of the camera could be written now; writes, and removes what it
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
