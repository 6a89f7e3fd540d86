"""What the daemon and the process of a plug-in say to each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sightd.daemon.pipeline.opening import LoadEngine
from sightd.engines.model import Model
from sightd.engines.progress import Progress
from sightd.engines.session import Backend
from sightd.plugins.api import AnyPlugin, PluginConfig
from sightd.plugins.types import Frame, Results

CANVAS = -1
"""The place of the output picture among a call's pictures; those of its frames are 0, 1, …"""


NetworkLoading: TypeAlias = Callable[[Progress], LoadEngine]
"""Gives what loads networks, in whichever process it is called; can be pickled."""


@dataclass(frozen=True, slots=True)
class Order:
    """Which plug-in to open, and how. `log_level` is the least weight of what it logs."""

    name: str
    plugin_class: type[AnyPlugin]
    config: PluginConfig
    engine_threads: int
    networks: NetworkLoading
    log_level: int


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far the opening is; see `engines.progress.Progress`."""

    task: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Network:
    """A network that the plug-in took."""

    model: Model
    backend: Backend
    reason: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The plug-in is open. `carries`, `draws`: whether it has such a method of its own, else it need not be asked."""

    hides: bool
    carries: bool
    draws: bool
    networks: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class NotOpened:
    """It cannot be; `message` says what to do."""

    message: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All of a frame but its picture, which is sent when it is asked for."""

    camera: str
    seq: int
    size: tuple[int, int]
    captured_at: float
    wall_time: float
    pts: float | None
    still: bool

    @classmethod
    def of(cls, frame: Frame) -> Facts:
        size = (frame.width, frame.height)
        return cls(frame.camera, frame.seq, size, frame.captured_at, frame.wall_time, frame.pts, frame.still)


@dataclass(frozen=True, slots=True)
class Call:
    """Calls `method`: process, carry, draw, forget or close. `canvas` is the size of the output picture."""

    method: str
    frames: Sequence[Facts] = ()
    results: Sequence[Results] = ()
    canvas: tuple[int, int] = (0, 0)
    camera: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The picture at this place of the call is asked for."""

    place: int


@dataclass(frozen=True, slots=True)
class Here:
    """It lies in shared memory, and has this shape; the memory's file comes along where it is another than before."""

    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NotHere:
    """It cannot be had."""

    message: str


Stroke: TypeAlias = tuple[str, tuple[Any, ...]]
"""A call of a canvas' `box` or `text`."""


@dataclass(frozen=True, slots=True)
class Strokes:
    """Draw these, then give the output picture: the plug-in draws into it by itself."""

    strokes: Sequence[Stroke]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the method gave. `kept`: places of pictures that the plug-in still holds, whose memory is its own now.
    `strokes` are to be drawn after the output picture was taken back, if it was given."""

    value: object = None
    kept: tuple[int, ...] = ()
    strokes: Sequence[Stroke] = ()


@dataclass(frozen=True, slots=True)
class Raised:
    """What it raised: the class's name, its words, and where."""

    kind: str
    message: str
    trace: str
    kept: tuple[int, ...] = ()
