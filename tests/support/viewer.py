"""A viewer that reads a stream as a low-delay player would, and notes the bar code of every picture."""

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
    """One picture that the viewer decoded: when (monotonic s), its size, its bar, and its age (s) where it has one."""

    at: float
    size: tuple[int, int]
    bar: Bar | None
    latency: float | None


class Watching:
    """What somebody who watches saw. `seen` grows by one for each picture; `error` is the kind of exception that ended
    it. Written by one thread, read by any."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.error: str | None = None
        self._changed = threading.Condition()

    def wait_for(self, pictures: int, within: float = 10.0) -> list[Seen]:
        """Returns the pictures seen, as soon as there are so many.

        Raises AssertionError if they do not come within `within` seconds, on a busy machine BUSY times as many.
        """
        within *= BUSY
        seen = self.look(pictures, within)
        if len(seen) < pictures:
            raise AssertionError(f"{len(seen)} of {pictures} pictures within {within:g} s, error {self.error}")
        return seen

    def look(self, pictures: int, within: float = 10.0) -> list[Seen]:
        """The pictures seen, as soon as there are so many, no more will come, or `within` s are over."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.seen) >= pictures or self.error is not None, within)
            return list(self.seen)

    def latencies(self, skip: int = 15) -> list[float]:
        """Ages in s of the pictures that had a bar, without the first `skip`, in which streams still settle."""
        return [seen.latency for seen in self.seen[skip:] if seen.latency is not None]

    def missing(self) -> int:
        """How many frame numbers were left out between pictures that were seen, from the third on: the first may be key
        frames with which the stream was described, from before this viewer's PLAY."""
        numbers = [seen.bar.number for seen in self.seen if seen.bar is not None][_OF_DESCRIPTION:]
        return sum(max(0, later - earlier - 1) for earlier, later in itertools.pairwise(numbers))

    def in_order(self) -> bool:
        """Whether every picture was newer than the one before."""
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
    """Watches `address` in a thread of its own; a context manager.

    `first_picture` is s from start to the first picture.
    `keep` more than 0 keeps that many of the last pictures as grey images in `pictures`.
    `container` is FFmpeg's name of what an address holds that is not RTSP ("mpegts").
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
        except Exception as failure:  # noqa: BLE001 - a thread's edge; FFmpeg's text would show the password
            ended = type(failure).__name__
        self._end(ended)

    def _options(self) -> dict[str, str]:
        # probesize and analyzeduration this small show the first picture at once; fflags=nobuffer would lose it.
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
