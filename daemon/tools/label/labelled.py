"""Labelled frames, as every format is read: classes, and for each frame its boxes and where it came from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

import numpy as np

from sightd.plugins.api import FloatArray, Image, IntArray
from sightd.plugins.images.still import StillError, read_still

MOST_FRAMES = 100_000
MOST_BOXES = 2_000
"""Maximum number of boxes on one frame."""
MOST_LABELS = 1_000
_SLACK = 0.02
"""How far a box may lie outside its frame, as a share of the frame's side: annotation tools round. It is clipped."""


class LabelError(Exception):
    """A dataset cannot be used. The message says what is wrong, where, and what to do."""


class State(StrEnum):
    """How far a frame or a box has come: nothing known, proposed by a model, or corrected (also: confirmed) by a
    person."""

    NEW = "new"
    PROPOSED = "proposed"
    CORRECTED = "corrected"


@dataclass(frozen=True, slots=True)
class Box:
    """An object: `label` is an index into the dataset's labels, x1, y1, x2, y2 are in pixels of the frame. `score` is
    that of the model that proposed it."""

    label: int
    xyxy: tuple[float, float, float, float]
    state: State = State.CORRECTED
    score: float | None = None


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """An image file and the objects on it. `source` is the film, folder or camera that it was taken from, and `time`
    its time there in s, if known; frames of one source are ordered by both `time` and name. `reason` says why it was
    chosen. `folder` is the folder that it was read from, which stands for an unknown source. A corrected frame
    without boxes shows none of the objects."""

    path: Path
    width: int
    height: int
    boxes: tuple[Box, ...] = ()
    state: State = State.CORRECTED
    source: str = ""
    time: float | None = None
    reason: str = ""
    folder: str = ""

    @property
    def name(self) -> str:
        return self.path.name

    def image(self) -> Image:
        """Reads the image, BGR uint8 [height, width, 3]. Raises LabelError if it is unreadable or has another size than
        stated."""
        try:
            image = read_still(self.path)
        except StillError as error:
            raise LabelError(str(error)) from error
        self.require_size(image)
        return image

    def require_size(self, image: Image) -> None:
        """Raises LabelError if the image has another size than stated."""
        if image.shape[:2] != (self.height, self.width):
            turned = image.shape[:2] == (self.width, self.height)
            raise LabelError(
                f"{self.path}: {image.shape[1]}x{image.shape[0]} pixels, but its labels are for {self.width}x"
                f"{self.height}: label the frame that is used"
                + (", or, if its EXIF data turn it, take it by `sightd label import`" if turned else "")
            )

    def arrays(self) -> tuple[FloatArray, IntArray]:
        """Returns the boxes [n, 4] and labels [n]."""
        boxes = np.array([box.xyxy for box in self.boxes], np.float32).reshape(-1, 4)
        return boxes, np.array([box.label for box in self.boxes], np.int64)


@dataclass(frozen=True, slots=True)
class LabelledFrames:
    """Frames with boxes of the classes `labels`. `left_out` are lines that say what was skipped, and why."""

    labels: tuple[str, ...]
    frames: tuple[LabelledFrame, ...]
    left_out: tuple[str, ...] = ()

    def counts(self) -> list[int]:
        """Returns the number of boxes of each class."""
        found = [0] * len(self.labels)
        for frame in self.frames:
            for box in frame.boxes:
                found[box.label] += 1
        return found


def checked_labels(labels: Sequence[str], where: str) -> tuple[str, ...]:
    """Returns the class names. Raises LabelError unless they are printable, different and not too many."""
    if not labels:
        raise LabelError(f"{where}: names no class")
    if len(labels) > MOST_LABELS:
        raise LabelError(f"{where}: {len(labels)} classes; at most {MOST_LABELS} are supported")
    for number, label in enumerate(labels):
        if not label.strip() or not label.isprintable() or len(label) > 100:
            raise LabelError(f"{where}: class {number} is {label[:100]!r}: use 1 to 100 printable characters")
        if label.casefold() in (other.casefold() for other in labels[:number]):
            raise LabelError(f"{where}: the class {label!r} is listed twice")
    return tuple(labels)


def checked_box(xyxy: Sequence[float], width: int, height: int, where: str) -> tuple[float, float, float, float]:
    """Returns the box clipped to its frame. Raises LabelError if it is not finite, has no area, or lies outside by more
    than rounding explains."""
    if not all(math.isfinite(value) for value in xyxy):
        raise LabelError(f"{where}: the box {list(xyxy)} is not finite")
    x1, y1, x2, y2 = xyxy
    if x2 <= x1 or y2 <= y1:
        raise LabelError(f"{where}: the box {_text(xyxy)} has no area")
    room_x, room_y = max(2.0, _SLACK * width), max(2.0, _SLACK * height)
    if x1 < -room_x or y1 < -room_y or x2 > width + room_x or y2 > height + room_y:
        raise LabelError(f"{where}: the box {_text(xyxy)} lies outside its frame of {width}x{height} pixels")
    clipped = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
        raise LabelError(f"{where}: the box {_text(xyxy)} lies outside its frame of {width}x{height} pixels")
    return clipped


def inside(folder: Path, name: str, where: str) -> Path:
    """Returns the path of a file that a dataset names. Raises LabelError if it is absolute, leaves `folder` (also by a
    symbolic link), or does not exist."""
    pure = PurePosixPath(name)
    if not name or "\0" in name or "\\" in name or pure.is_absolute() or ".." in pure.parts:
        raise LabelError(f"{where}: {name[:200]!r} is not a relative path without '..' below {folder}")
    path = folder / name
    try:
        real, base = path.resolve(strict=True), folder.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise LabelError(f"{where}: {path} does not exist") from None
    if not real.is_relative_to(base) or not real.is_file():
        raise LabelError(f"{where}: {path} is not a file below {folder}")
    return path


def _text(xyxy: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in xyxy) + "] (x1, y1, x2, y2)"
