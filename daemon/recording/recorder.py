"""Records clips of events and segments: follows the journal, and writes what the cameras' taps hold, in a thread of its
own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sightd.daemon.config.model import Clips, Recording, Segments
from sightd.daemon.config.recording import CameraRules
from sightd.daemon.events.event import Event, PendingEvent
from sightd.daemon.events.journal import Journal
from sightd.daemon.events.journal_reader import JournalError
from sightd.daemon.events.query import Filter
from sightd.daemon.recording.camera_clips import CameraClips
from sightd.daemon.recording.camera_segments import CameraSegments
from sightd.daemon.recording.index import ClipReader
from sightd.daemon.recording.store import ClipStore, StoreObserver
from sightd.daemon.recording.tap import PacketTap, TapObserver
from sightd.daemon.recording.writer import FAULTS, FileWriter, RecordingObserver

log = logging.getLogger(__name__)

_STEP = 0.2
"""Seconds between two writes."""
_TIDY_EVERY = 5.0
_RETRY = 2.0
"""Seconds between two attempts to open a folder that cannot be used."""
_AT_ONCE = 500
"""Events read from the journal at a time."""
_KEPT_SECONDS = 2.0
"""Seconds of packets kept beyond `pre`: an event is reported after its frame was analysed and the journal was
written."""


class CameraObserver(TapObserver, RecordingObserver, Protocol):
    """Counts for a camera's metrics; called from any thread."""


def matches(event: Event | PendingEvent, options: Clips | Segments) -> bool:
    """Returns whether `options` name the kind of an event, whose patterns may end in ".*", or, if they name none, have
    rules; and whether one of these rules selected it, if there are any."""
    kinds, rules, kind = options.kinds, options.rules, event.kind
    if rules and set(rules).isdisjoint(event.rules):
        return False
    return bool(rules and not kinds) or any(
        kind == one or (one.endswith(".*") and kind.startswith(one[:-1])) for one in kinds
    )


@dataclass(frozen=True, slots=True)
class _RecordedCamera:
    """A camera with what is recorded of it."""

    name: str
    rules: CameraRules
    tap: PacketTap
    parts: Sequence[CameraClips | CameraSegments]


class Recorder:
    """Writes recordings. `tap` and `remove` may be called from any thread; `close` is idempotent.

    Feeds wait for nothing: they add packets to memory, and one thread writes all files. If the folder cannot be used,
    `faults` says why, and it is opened again until that succeeds.
    """

    def __init__(
        self,
        folder: Path,
        options: Recording,
        journal: Journal,
        observer: StoreObserver,
        open_store: Callable[[Path, Recording, StoreObserver], ClipStore] = ClipStore,
    ) -> None:
        self.reader = ClipReader(folder)
        self._folder, self._options, self._journal, self._observer = folder, options, journal, observer
        self._open_store = open_store
        self._lock = threading.Lock()
        self._cameras: dict[str, _RecordedCamera] = {}
        self._removed: list[_RecordedCamera] = []
        self._woken = threading.Event()
        self._ending = False
        self._store: ClipStore | None = None
        self._fault: str | None = None
        self._last: int | None = None
        self._passed = 0
        self._started_at = time.time()
        self._behind = True
        """Whether the journal may have events that were not read yet."""
        self._tidied_at = self._opened_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)

    def start(self) -> None:
        """Starts recording what happens from now on."""
        self._started_at = time.time()
        self._thread.start()

    @property
    def faults(self) -> list[str]:
        """What cannot be recorded now, and why."""
        with self._lock:
            cameras = list(self._cameras.values())
        found = [] if self._fault is None else [f"recordings cannot be kept: {self._fault}"]
        for camera in cameras:
            if codec := camera.tap.unrecordable:
                found.append(f"camera {camera.name} cannot be recorded: it sends {codec}; {_REFUSED}")
            found += [part.writer.fault for part in camera.parts if part.writer.fault is not None]
        return found

    @property
    def size(self) -> int:
        """Bytes of all finished recordings."""
        return 0 if self._store is None else self._store.size

    @property
    def shortage(self) -> str | None:
        """Says that recordings were deleted before their time in the last minutes, because the disk is nearly full."""
        return None if self._store is None else self._store.shortage

    def tap(self, camera: str, rules: CameraRules, observer: CameraObserver) -> PacketTap:
        """Returns the observer of a camera's packets, which are recorded from now on."""

        def refused(codec: str) -> None:
            log.warning("camera %s cannot be recorded: it sends %s; %s", camera, codec, _REFUSED)

        tap = PacketTap(rules.pre + _KEPT_SECONDS, rules.max_memory, observer, refused, audio=rules.audio)
        parts: list[CameraClips | CameraSegments] = []
        if rules.clips is not None:
            parts.append(CameraClips(rules.clips, tap, FileWriter(camera, "clip", observer)))
        if rules.segments is not None:
            parts.append(CameraSegments(rules.segments, tap, FileWriter(camera, "segment", observer)))
        with self._lock:
            self._removed += [self._cameras.pop(camera)] if camera in self._cameras else []
            self._cameras[camera] = _RecordedCamera(camera, rules, tap, parts)
        return tap

    def remove(self, camera: str) -> None:
        """Finishes the camera's recordings soon, and forgets the camera."""
        with self._lock:
            if (removed := self._cameras.pop(camera, None)) is not None:
                self._removed.append(removed)
        self._woken.set()

    def records(self, event: Event | PendingEvent) -> bool:
        """Returns whether an event that happens now gets a clip, as far as that is known before it is written."""
        with self._lock:
            camera = self._cameras.get(event.camera or "")
        if camera is None or camera.rules.clips is None or camera.tap.unrecordable is not None:
            return False
        return matches(event, camera.rules.clips)

    def awaits(self, event: int) -> bool:
        """Returns whether the clip of an event is not finished yet."""
        with self._lock:
            return event > self._passed or any(
                part.awaits(event)
                for camera in self._cameras.values()
                for part in camera.parts
                if isinstance(part, CameraClips)
            )

    def close(self, deadline: float = 2.0) -> None:
        """Finishes all recordings and ends the thread. Also works if it never started."""
        self._ending = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(deadline)
        if self._thread.is_alive():
            log.error("the disk of the recordings did not respond within %.0f s; the next start repairs them", deadline)

    def _run(self) -> None:
        with self._journal.followed(self._woken.set):
            while not self._ending:
                self._behind = self._woken.wait(_STEP) or self._behind
                self._woken.clear()
                self._attempt()
        self._close_all()

    def _attempt(self) -> None:
        try:
            if self._behind:
                self._follow()
            if (store := self._opened()) is not None:
                self._step(store)
        except Exception as error:  # the thread's boundary: one attempt fails, the next is made
            log.exception("error in the recording")
            self._fault = f"{type(error).__name__}: {error}"

    def _opened(self) -> ClipStore | None:
        if self._store is None and time.monotonic() - self._opened_at > _RETRY:
            self._opened_at = time.monotonic()
            try:
                self._store = self._open_store(self._folder, self._options, self._observer)
            except FAULTS as error:
                self._failed(error)
            else:
                self._fault = None
        return self._store

    def _failed(self, error: Exception) -> None:
        fault = str(error)
        if fault != self._fault:
            log.error("recordings cannot be kept: %s", fault)
        self._fault = fault

    def _follow(self) -> None:
        """Passes new events of the journal on to their cameras."""
        try:
            if self._last is None:
                newest = self._journal.reader.span()[1]
                self._pass_on(self._journal.reader.latest(_AT_ONCE, Filter(since=self._started_at)))
                self._last = max(newest, self._passed)
            while events := self._journal.reader.after(self._last, _AT_ONCE):
                self._pass_on(events)
                self._last = self._passed
        except JournalError:
            return  # the journal itself reports it; its events come later
        self._behind = False

    def _pass_on(self, events: Sequence[Event]) -> None:
        with self._lock:
            for event in events:
                self._passed = event.id
                camera = self._cameras.get(event.camera or "")
                for part in () if camera is None else camera.parts:
                    if matches(event, part.options):
                        part.event(event.id, event.at)

    def _step(self, store: ClipStore) -> None:
        with self._lock:
            cameras, removed = list(self._cameras.values()), self._removed
            self._removed = []
        for part in (part for camera in removed for part in camera.parts):
            part.close(store)
        parts = [part for camera in cameras for part in camera.parts]
        for part in parts:
            part.step(store)
        now = time.monotonic()
        if now - self._tidied_at > _TIDY_EVERY:
            self._tidied_at = now
            self._tidy(store, cameras)
            for part in parts:
                part.writer.recover(store)

    def _tidy(self, store: ClipStore, cameras: Sequence[_RecordedCamera]) -> None:
        in_progress = sum(part.writer.size for camera in cameras for part in camera.parts)
        try:
            store.tidy(in_progress, {camera.name: camera.rules for camera in cameras})
        except FAULTS as error:
            self._failed(error)
        else:
            self._fault = None

    def _close_all(self) -> None:
        if self._store is None:
            return
        with self._lock:
            cameras = [*self._removed, *self._cameras.values()]
            self._cameras.clear()
        for part in (part for camera in cameras for part in camera.parts):
            part.close(self._store)
        self._store.close()


_REFUSED = "only H.264 and H.265 are recorded, as received; set `recording: {source: annotated}` for this camera to " \
           "record what viewers see, or `{enabled: false}`, or choose another stream of it"  # fmt: skip
