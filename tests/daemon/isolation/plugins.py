"""Plug-ins for isolated processes; the number of the frame selects what they do."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from sightd.plugins.api import (
    Canvas,
    Context,
    Detections,
    Event,
    EventRef,
    Events,
    EventSpec,
    Frame,
    FrameOverride,
    Image,
    Phase,
    Plugin,
    PluginConfig,
    PluginError,
    PrivacyMask,
    Results,
)

RAISES, HANGS, NONSENSE, UNSENDABLE, SEGFAULTS, EXITS, LEAKS, HANGS_NATIVELY = range(1001, 1009)


def found(*values: float) -> Results:
    """Returns detections whose scores carry values for the test."""
    scores = np.array(values, np.float32)
    n = len(scores)
    return Results(Detections(np.zeros((n, 4), np.float32), scores, np.zeros(n, np.int64), ("x",)))


def scores(results: Results) -> list[float]:
    detections = results.get(Detections)
    assert detections is not None
    return [round(score, 4) for score in detections.scores.tolist()]


class Faulty(Plugin[PluginConfig]):
    """Reports its process ID and the mean of each image; on the frame numbers above it fails as their names say."""

    produces: ClassVar[frozenset[type]] = frozenset({Detections})

    def __init__(self, config: PluginConfig) -> None:
        super().__init__(config)
        self._leak: list[Image] = []

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        for frame in frames:
            if (answer := self._act(frame.seq)) is not None:
                return answer  # type: ignore[no-any-return]
        return [found(os.getpid(), frame.host().mean()) for frame in frames]

    def _act(self, seq: int) -> Any:
        if seq == RAISES:
            raise ValueError("cannot see rtsp://me:hunter2@camera/")
        if seq == HANGS:
            threading.Event().wait()
        elif seq == HANGS_NATIVELY:
            ctypes.PyDLL(None).sleep(600)  # while holding the GIL
        elif seq == NONSENSE:
            return [None]
        elif seq == UNSENDABLE:
            return [lambda: None]
        elif seq == SEGFAULTS:
            ctypes.string_at(0)
        elif seq == EXITS:
            os._exit(3)
        elif seq == LEAKS:
            self._leak.append(np.ones((400, 1024, 1024), np.uint8))
        return None


class Glancer(Plugin[PluginConfig]):
    """Reports the first values of each frame's thumb; nothing if it has none."""

    produces: ClassVar[frozenset[type]] = frozenset({Detections})

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        return [self.predict(frame, Results()) for frame in frames]

    def predict(self, frame: Frame, results: Results) -> Results:
        thumb = frame.thumb()
        return found() if thumb is None else found(*thumb[:3].tolist())


class Leaver(Plugin[PluginConfig]):
    """Ends on each frame what began a second before."""

    produces: ClassVar[frozenset[type]] = frozenset({Events})
    events: ClassVar[tuple[EventSpec, ...]] = (EventSpec("visit.ended", "A visit ended.", by_rule=True),)

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        return [Results(Events((self.event(frame.wall_time),))) for frame in frames]

    @staticmethod
    def event(at: float) -> Event:
        return Event("visit.ended", {"zone": "yard"}, EventRef("visit.began", at - 1, {"zone": "yard"}), Phase.ENDED)


class SlowOpener(Faulty):
    """Cannot open while the file named by SLOW_OPENER exists."""

    def open(self, context: Context) -> None:
        if os.path.exists(os.environ.get("SLOW_OPENER", "")):  # noqa: PTH110
            raise PluginError("its licence has run out")


class Keeper(Plugin[PluginConfig]):
    """Keeps each image until the next call, then reports the means of the previous and the current one."""

    produces: ClassVar[frozenset[type]] = frozenset({Detections})
    _last: Image | None = None

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        image = frames[0].host()
        before = image if self._last is None else self._last
        self._last = image[1:]
        return [found(before.mean(), image.mean(), float(image.flags.writeable))]


class Painter(Plugin[PluginConfig]):
    """Inverts images, masks their upper half, and draws a box, a mark of its own, text and a line."""

    produces: ClassVar[frozenset[type]] = frozenset({FrameOverride, PrivacyMask})
    forgotten = ""

    @property
    def redacts(self) -> bool:
        return True

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        half = PrivacyMask(np.array([[0, 0, frames[0].width, frames[0].height / 2]], np.float32))
        return [Results(FrameOverride(255 - frame.host()), half) for frame in frames]

    def predict(self, frame: Frame, results: Results) -> Results:
        told = results.get(FrameOverride)
        return Results(PrivacyMask.all_of(frame)) if told is None else Results(told, PrivacyMask.all_of(frame))

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        if frame.seq == HANGS:
            time.sleep(60)
        canvas.box(np.array([1, 1, 5, 5], np.float32), (1, 2, 3), "a box")
        width, height = canvas.size
        canvas.image[height - 1, width - 1] = (7, 7, 7)
        canvas.text((3.0, 4.0), self.forgotten or "words", (4, 5, 6))
        canvas.line(np.array([[1, 2], [3, 4]], np.float32), (7, 8, 9), 0.5, 2.0)

    def forget(self, camera: str) -> None:
        self.forgotten = f"forgot {camera}"


class Careless(Plugin[PluginConfig]):
    """Kills itself when opened."""

    def open(self, context: Context) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Meeting(Plugin[PluginConfig]):
    """Returns from `process` only when two calls run at once."""

    produces: ClassVar[frozenset[type]] = frozenset({Detections})
    parallel = True

    def __init__(self, config: PluginConfig) -> None:
        super().__init__(config)
        self._both = threading.Barrier(2)

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        self._both.wait(60)
        return [found(frame.seq) for frame in frames]
