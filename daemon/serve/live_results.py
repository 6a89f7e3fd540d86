"""Hands cameras' newest results from the pipeline's threads to readers on the event loop, as JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from sightd.engines.log_throttle import LogThrottle
from sightd.plugins.api import Frame, FrameOverride, JsonOptions, JsonValue, Results, merged_json

log = logging.getLogger(__name__)

HEADER_KEYS = ("camera", "time", "frame", "pts", "width", "height")
"""Keys of every message, whichever others a reader asks for."""
_OPTIONS = JsonOptions(embeddings=False)
_throttle = LogThrottle()


class LiveFrame:
    """The results of an analysed frame; thread-safe. The JSON form is made when a reader asks for it, and once for all
    readers. Neither the frame's image nor one that replaces it is kept."""

    def __init__(self, frame: Frame, results: Results) -> None:
        self.camera = frame.camera
        self._header: dict[str, JsonValue] = {
            "camera": frame.camera,
            "time": datetime.fromtimestamp(frame.wall_time, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "frame": frame.seq,
            "pts": None if frame.pts is None else round(frame.pts, 6),
            "width": frame.width,
            "height": frame.height,
        }
        self._results = Results(*(one for one in results if not isinstance(one, FrameOverride)))
        self._lock = threading.Lock()
        self._found: dict[str, JsonValue] | None = None
        self._texts: dict[frozenset[str], str] = {}

    def text(self, keys: frozenset[str]) -> str:
        """Returns the frame's record as JSON in one line of ASCII, with these keys of results; all of them if there are
        none. If a result has no valid JSON form, the record has `error` instead of results."""
        with self._lock:
            if keys not in self._texts:
                self._texts[keys] = self._made(keys)
            return self._texts[keys]

    def _made(self, keys: frozenset[str]) -> str:
        try:
            if self._found is None:
                self._found = self._merged()
            return _written(self._header | {key: one for key, one in self._found.items() if not keys or key in keys})
        except Exception as error:  # noqa: BLE001 — results of third parties may raise anything
            if _throttle.add("json"):
                log.error("camera %s: results cannot be written as JSON: %s", self.camera, error)
            return _written(
                self._header | {"error": "the results of this frame cannot be written as JSON; see the log"}
            )

    def _merged(self) -> dict[str, JsonValue]:
        found, problems = merged_json(self._results, _OPTIONS)
        for problem in problems:
            if _throttle.add(problem):
                log.error("camera %s: %s; report this to the plug-in's author", self.camera, problem)
        return found


def _written(record: dict[str, JsonValue]) -> str:
    return json.dumps(record, separators=(",", ":"), allow_nan=False)


class ResultsReader:
    """A reader of several cameras, of each of which only the newest frame waits: one that is slow skips frames, and
    nothing queues. Created by `LiveResults.reader`; `put` may be called from any thread, `next` on the event loop."""

    def __init__(self, cameras: frozenset[str], interval: float, clock: Callable[[], float]) -> None:
        """`cameras`: those to read; none means all, also those that are added later. `interval`: seconds between two
        frames of a camera."""
        self._cameras, self._interval, self._clock = cameras, interval, clock
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: dict[str, LiveFrame] = {}
        self._due: dict[str, float] = {}
        """When the next frame of a camera may be read; no entry means now."""
        self._woken = asyncio.Event()

    def wants(self, camera: str) -> bool:
        return not self._cameras or camera in self._cameras

    def put(self, frame: LiveFrame) -> None:
        """Replaces the camera's waiting frame, if any. Never blocks."""
        with self._lock:
            was_empty = frame.camera not in self._waiting
            self._waiting[frame.camera] = frame
        if was_empty:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._woken.set)

    async def next(self) -> LiveFrame:
        """Waits for a frame that is due, and returns it; the one that has been due longest comes first."""
        while True:
            self._woken.clear()
            frame, wait = self._take()
            if frame is not None:
                return frame
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), wait)

    def _take(self) -> tuple[LiveFrame | None, float | None]:
        """Returns the next frame, or how many seconds to wait for one; None if none waits."""
        with self._lock:
            now = self._clock()
            if not self._waiting:
                return None, None
            camera = min(self._waiting, key=lambda name: self._due.get(name, now))
            due = self._due.get(camera, now)
            if due > now:
                return None, due - now
            later = {name: at for name, at in self._due.items() if at > now}
            self._due = {**later, camera: max(due + self._interval, now)}
            return self._waiting.pop(camera), None


class LiveResults:
    """Distributes frames' results to all readers. While nobody reads a camera, `publish` does nothing for it.
    Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._readers: tuple[ResultsReader, ...] = ()

    def publish(self, frame: Frame, results: Results) -> None:
        """Offers the results of an analysed frame to the camera's readers. Never blocks."""
        readers = [reader for reader in self._readers if reader.wants(frame.camera)]
        if readers:
            live = LiveFrame(frame, results)
            for reader in readers:
                reader.put(live)

    @contextmanager
    def reader(self, cameras: frozenset[str], rate: float) -> Iterator[ResultsReader]:
        """Yields a reader for the running event loop, of at most `rate` frames per second of each camera. No cameras
        means all."""
        one = ResultsReader(cameras, 1 / rate, self._clock)
        with self._lock:
            self._readers = (*self._readers, one)
        try:
            yield one
        finally:
            with self._lock:
                self._readers = tuple(other for other in self._readers if other is not one)
