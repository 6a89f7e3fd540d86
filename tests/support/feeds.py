"""A feed under test that records everything it delivers and reports, so tests can wait for it."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from pydantic import SecretStr

from sightd.daemon.capture.errors import Reason
from sightd.daemon.capture.feed import Feed
from sightd.daemon.capture.packets import PacketObserver
from sightd.daemon.capture.reconnect import FeedState
from sightd.daemon.config.model import Camera
from sightd.plugins.api import Frame
from tests.support.barcode import Bar, get_bar
from tests.support.waiting import eventually


@dataclass
class Record:
    """What a feed reported to its listener, in order."""

    states: list[FeedState] = field(default_factory=list)
    losses: list[Reason] = field(default_factory=list)
    damaged: int = 0
    ages: list[float] = field(default_factory=list)
    late: list[bool] = field(default_factory=list)
    skipped: int = 0

    def state_changed(self, camera: str, state: FeedState) -> None:
        self.states.append(state)

    def camera_lost(self, camera: str, reason: Reason) -> None:
        self.losses.append(reason)

    def frame_damaged(self, camera: str) -> None:
        self.damaged += 1

    def frame_aged(self, camera: str, age: float, *, late: bool) -> None:
        self.ages.append(age)
        self.late.append(late)

    def frame_skipped(self, camera: str) -> None:
        self.skipped += 1


class RunningFeed:
    """A started feed that keeps all its frames; a context manager that stops it and asserts that it ends."""

    def __init__(
        self,
        address: str,
        *,
        wanted_height: int | None = None,
        packets: PacketObserver | None = None,
        **options: Any,
    ) -> None:
        options = {"timeout": "800ms", "reconnect": {"initial_delay": "100ms", "max_delay": "500ms"}, **options}
        self.frames: list[tuple[float, Frame]] = []
        self.record = Record()
        self.feed = Feed(
            "front",
            Camera(source=SecretStr(address), **options),
            self._take,
            self.record,
            wanted_height=wanted_height,
            packets=packets,
        )

    def wait_for(self, frames: int, within: float = 15.0) -> list[Frame]:
        """Returns the frames so far once there are at least `frames` of them."""
        eventually(lambda: len(self.frames) >= frames, within, f"{frames} frames; {self.feed.status}")
        return [frame for _, frame in self.frames]

    def wait_for_more(self, frames: int = 1, within: float = 15.0) -> list[Frame]:
        """Returns the frames so far once `frames` more have come after this call."""
        return self.wait_for(len(self.frames) + frames, within)

    def bars(self) -> list[Bar]:
        """Returns the bars of all frames so far that have a readable one."""
        found = [get_bar(frame.host()) for _, frame in list(self.frames)]
        return [bar for bar in found if bar is not None]

    def size_changes(self) -> list[tuple[int, int]]:
        """Returns each frame size (width, height) that differs from that of the frame before."""
        sizes = [(frame.width, frame.height) for _, frame in list(self.frames)]
        return [new for old, new in itertools.pairwise(sizes) if new != old]

    def __enter__(self) -> RunningFeed:
        self.feed.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.feed.stop(deadline=10.0), "the feed did not stop"

    def _take(self, frame: Frame) -> None:
        self.frames.append((time.monotonic(), frame))
