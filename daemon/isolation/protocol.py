"""What the daemon and the process of a plug-in exchange: messages, strokes on a canvas, and errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sightd.daemon.isolation.opening import LoadEngine
from sightd.engines.model import Model
from sightd.engines.progress import Progress
from sightd.engines.session import Backend
from sightd.plugins.api import AnyPlugin, Canvas, FloatArray, Frame, Image, PluginConfig, Results


class NonsenseError(TypeError):
    """A plug-in returned something its contract does not allow."""


class PluginLostError(Exception):
    """The process of an isolated plug-in is gone or could not be restarted. `reason` is the metric's label."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


CANVAS = -1
"""Index of the output image among a call's images; those of its frames are 0, 1, …"""


NetworkLoading: TypeAlias = Callable[[Progress], LoadEngine]
"""Returns what loads models in the process it is called in; can be pickled."""


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """Requests that a plug-in be opened. `log_level` is the lowest level that it logs."""

    name: str
    plugin_class: type[AnyPlugin]
    config: PluginConfig
    engine_threads: int
    networks: NetworkLoading
    log_level: int


@dataclass(frozen=True, slots=True)
class Progressed:
    """Progress of the opening; see `engines.progress.Progress`."""

    task: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that the plug-in loaded."""

    model: Model
    backend: Backend
    reason: str


@dataclass(frozen=True, slots=True)
class OpenReply:
    """The plug-in is open. `predicts`, `draws`: whether it overrides that method; if not, it is never called."""

    redacts: bool
    predicts: bool
    draws: bool
    networks: tuple[LoadedModel, ...]


@dataclass(frozen=True, slots=True)
class OpenFailure:
    """The plug-in could not be opened; `message` says what to do."""

    message: str


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """All of a frame except its image, which is sent on request. `thumb` is `Frame.thumb`; None also if decoding fails,
    which a plug-in that requests the image finds out."""

    camera: str
    seq: int
    size: tuple[int, int]
    captured_at: float
    wall_time: float
    pts: float | None
    still: bool
    thumb: FloatArray | None = field(compare=False)

    @classmethod
    def of(cls, frame: Frame) -> FrameInfo:
        size, thumb = (frame.width, frame.height), None
        with suppress(Exception):  # decoding fails
            thumb = frame.thumb()
        return cls(frame.camera, frame.seq, size, frame.captured_at, frame.wall_time, frame.pts, frame.still, thumb)


@dataclass(frozen=True, slots=True)
class Call:
    """Calls `method`: process, predict, draw, forget or close. `canvas` is the width and height of the output image."""

    method: str
    frames: Sequence[FrameInfo] = ()
    results: Sequence[Results] = ()
    canvas: tuple[int, int] = (0, 0)
    camera: str = ""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """Requests the image with this index of the call."""

    place: int


@dataclass(frozen=True, slots=True)
class ImageReply:
    """The image is in shared memory and has this shape; the memory's file descriptor is attached if it is a new one."""

    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ImageUnavailable:
    """The image cannot be provided; `message` says why."""

    message: str


Stroke: TypeAlias = tuple[str, tuple[Any, ...]]
"""A call of a canvas's `box`, `text` or `line`: its name and arguments."""


@dataclass(frozen=True, slots=True)
class Strokes:
    """Requests that these be drawn and the output image then be shared: the plug-in draws into it directly."""

    strokes: Sequence[Stroke]


@dataclass(frozen=True, slots=True)
class CallReply:
    """The method's result. `kept`: indices of images that the plug-in still holds, whose memory is its own now.
    `strokes` are to be drawn after the output image was copied back, if it was shared."""

    value: object = None
    kept: tuple[int, ...] = ()
    strokes: Sequence[Stroke] = ()


@dataclass(frozen=True, slots=True)
class Raised:
    """The method raised: the exception's class name, message and traceback; `kept` as in `CallReply`."""

    kind: str
    message: str
    trace: str
    kept: tuple[int, ...] = ()


class RemoteCanvas:
    """The `sightd.plugins.api.Canvas` of an isolated plug-in. `lend` draws strokes and returns the output image."""

    def __init__(self, size: tuple[int, int], lend: Callable[[Sequence[Stroke]], Image]) -> None:
        self._size = size
        self._lend = lend
        self._image: Image | None = None
        self.strokes: list[Stroke] = []
        """Not drawn yet."""

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    @property
    def image(self) -> Image:
        if self._image is None or self.strokes:
            strokes, self.strokes = self.strokes, []
            self._image = self._lend(strokes)
        return self._image

    def box(self, xyxy: FloatArray, colour: tuple[int, int, int], label: str = "") -> None:
        self.strokes.append(("box", (xyxy, colour, label)))

    def text(self, xy: tuple[float, float], text: str, colour: tuple[int, int, int]) -> None:
        self.strokes.append(("text", (xy, text, colour)))

    def line(self, points: FloatArray, colour: tuple[int, int, int], opacity: float = 1.0, width: float = 1.0) -> None:
        self.strokes.append(("line", (points, colour, opacity, width)))


def drawn(canvas: Canvas, strokes: Sequence[Stroke]) -> None:
    """Draws onto `canvas` the strokes that the plug-in's process recorded."""
    for method, arguments in strokes:
        if method == "box":
            canvas.box(*arguments)
        elif method == "line":
            canvas.line(*arguments)
        else:
            canvas.text(*arguments)
