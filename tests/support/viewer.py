"""A viewer that reads a stream like a low-delay player, and records the bar code of every frame."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass
from types import TracebackType

import av
import numpy as np
from numpy.typing import NDArray

from tests.support.barcode import Bar, get_bar
from tests.support.waiting import BUSY

_OF_DESCRIPTION = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame that the viewer decoded: when (monotonic s), its size (width, height), its bar, and its age (s) if it
    has a bar."""

    at: float
    size: tuple[int, int]
    bar: Bar | None
    latency: float | None


class Watching:
    """What a viewer saw. `seen` grows by one for each frame; `error` is the kind of exception that ended it. Written by
    one thread, read by any."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.error: str | None = None
        self._changed = threading.Condition()

    def wait_for(self, pictures: int, within: float = 10.0) -> list[Seen]:
        """Returns the frames seen once there are at least `pictures` of them.

        Raises AssertionError if they do not come within BUSY times `within` seconds; BUSY allows for a busy machine.
        """
        within *= BUSY
        seen = self.look(pictures, within)
        if len(seen) < pictures:
            raise AssertionError(f"{len(seen)} of {pictures} pictures within {within:g} s, error {self.error}")
        return seen

    def look(self, pictures: int, within: float = 10.0) -> list[Seen]:
        """Returns the frames seen once there are at least `pictures`, no more will come, or `within` s have passed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.seen) >= pictures or self.error is not None, within)
            return list(self.seen)

    def latencies(self, skip: int = 15) -> list[float]:
        """Returns the ages in s of the frames that had a bar, without the first `skip`, while the stream settles."""
        return [seen.latency for seen in self.seen[skip:] if seen.latency is not None]

    def missing(self) -> int:
        """Returns how many frame numbers are missing between the frames seen, from the third on: the first two may be
        key frames from before this viewer's PLAY, sent while the stream was described."""
        numbers = [seen.bar.number for seen in self.seen if seen.bar is not None][_OF_DESCRIPTION:]
        return sum(max(0, later - earlier - 1) for earlier, later in itertools.pairwise(numbers))

    def in_order(self) -> bool:
        """Whether every frame was newer than the one before."""
        numbers = [seen.bar.number for seen in self.seen if seen.bar is not None]
        return all(earlier < later for earlier, later in itertools.pairwise(numbers))

    def _add(self, seen: Seen) -> None:
        with self._changed:
            self.seen.append(seen)
            self._changed.notify_all()

    def _end(self, error: str) -> None:
        with self._changed:
            self.error = error
            self._changed.notify_all()


class Viewer(Watching):
    """Watches `address` in its own thread; a context manager.

    `first_picture` is the time from start to the first frame, s. `keep` greater than 0 keeps that many of the last
    frames as grey images in `pictures`. `container` is FFmpeg's name of the format if the address is not RTSP
    ("mpegts").
    """

    def __init__(
        self, address: str, *, transport: str = "tcp", timeout: float = 5.0, keep: int = 0, container: str | None = None
    ) -> None:
        super().__init__()
        self._address, self._transport, self._timeout, self._keep = address, transport, timeout, keep
        self._container = container
        self.pictures: list[NDArray[np.uint8]] = []
        self.first_picture: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="viewer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2 * self._timeout + 5)

    def __enter__(self) -> Viewer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        began = time.monotonic()
        try:
            with av.open(
                self._address, format=self._container, options=self._options(), timeout=self._timeout
            ) as container:
                stream = container.streams.video[0]
                stream.thread_type = "NONE"
                for frame in container.decode(stream):
                    self._note(frame, began)
                    if self._stop.is_set():
                        return
            ended = "EOF"
        except Exception as failure:  # noqa: BLE001 - thread boundary; FFmpeg's text would show the password
            ended = type(failure).__name__
        self._end(ended)

    def _options(self) -> dict[str, str]:
        # With probesize and analyzeduration this small the first frame shows at once; fflags=nobuffer would lose it.
        options = {"rtsp_transport": self._transport, "flags": "low_delay", "probesize": "32", "analyzeduration": "1"}
        if self._container is not None:
            return options | {"probesize": "200000", "analyzeduration": "0"}
        if self._transport == "tcp":
            options["reorder_queue_size"] = "0"
        return options

    def _note(self, frame: av.VideoFrame, began: float) -> None:
        now = time.monotonic()
        plane = frame.planes[0]
        luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
        bar = get_bar(luma)
        if self.first_picture is None:
            self.first_picture = now - began
        if self._keep:
            self.pictures = [*self.pictures, luma.copy()][-self._keep :]
        self._add(Seen(now, (frame.width, frame.height), bar, None if bar is None else bar.age()))
