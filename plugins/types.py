"""Frames and what plug-ins find on them. Results are structs of arrays in pixels of the source frame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.device_image import DeviceImage

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Image = NDArray[np.uint8]
"""A picture on the host: uint8 [height, width, 3] in BGR order."""


class Frame:
    """One picture of one camera. The BGR image is made on first use, once, and shared: nobody may write into it.

    `captured_at` is monotonic seconds, `wall_time` seconds since the epoch, `pts` seconds in the source's own
    time (None where it has none). `decode` returns the BGR image; it is called at most once, from any thread.
    `on_device` is the picture where it was decoded on a GPU; then `decode` downloads it. `still`: a photograph, to
    which no other frame belongs, also where several are looked at one after the other.
    """

    __slots__ = (
        "_decode",
        "_image",
        "_lock",
        "camera",
        "captured_at",
        "height",
        "on_device",
        "pts",
        "seq",
        "still",
        "wall_time",
        "width",
    )

    def __init__(
        self,
        camera: str,
        seq: int,
        size: tuple[int, int],
        decode: Callable[[], Image],
        *,
        captured_at: float,
        wall_time: float,
        pts: float | None = None,
        on_device: DeviceImage | None = None,
        still: bool = False,
    ) -> None:
        self.camera = camera
        self.seq = seq
        self.width, self.height = size
        self.captured_at = captured_at
        self.wall_time = wall_time
        self.pts = pts
        self.on_device = on_device
        self.still = still
        self._decode: Callable[[], Image] | None = decode
        self._image: Image | None = None
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls,
        image: Image,
        *,
        camera: str = "camera",
        seq: int = 0,
        captured_at: float = 0.0,
        wall_time: float = 0.0,
        pts: float | None = None,
        still: bool = False,
    ) -> Frame:
        """A frame around an image that is already on the host."""
        height, width = image.shape[:2]
        return cls(
            camera,
            seq,
            (width, height),
            lambda: image,
            captured_at=captured_at,
            wall_time=wall_time,
            pts=pts,
            still=still,
        )

    def device(self, ordinal: int) -> DeviceImage | None:
        """The picture on that GPU (0 for "cuda:0"), where it is there already."""
        image = self.on_device
        return image if image is not None and image.ordinal == ordinal else None

    def host(self) -> Image:
        """The picture as BGR uint8 [height, width, 3] on the host; read only."""
        with self._lock:
            if self._image is None:
                assert self._decode is not None
                self._image = self._decode()
                self._image.flags.writeable = False
                self._decode = None  # lets go of the decoder's own buffer
            return self._image


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Objects found by a detector: boxes xyxy float32 [n, 4] px, scores float32 [n] 0-1, class_ids int64 [n].

    `labels[class_id]` is the class's name; it is shared by all results of one detector.
    """

    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        check_lengths(self, "boxes", "scores", "class_ids")
        _check_columns(self, boxes=4)

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls, labels: tuple[str, ...] = ()) -> Detections:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), labels)

    def select(self, keep: NDArray[Any]) -> Detections:
        """The detections at `keep`: a boolean mask [n] or indices."""
        return Detections(self.boxes[keep], self.scores[keep], self.class_ids[keep], self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Objects followed over time, one row a track.

    boxes xyxy float32 [m, 4] px · scores float32 [m] (of the last detection) · class_ids int64 [m] · ids int64 [m],
    unique within a camera · ages float32 [m] s since the track began · velocities float32 [m, 2] px/s (centre) ·
    detection int64 [m]: the row of this frame's `Detections` that the track was seen as, -1 where it is predicted.
    """

    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray
    ids: IntArray
    ages: FloatArray
    velocities: FloatArray
    detection: IntArray
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        check_lengths(self, "boxes", "scores", "class_ids", "ids", "ages", "velocities", "detection")
        _check_columns(self, boxes=4, velocities=2)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def none(cls, labels: tuple[str, ...] = ()) -> Tracks:
        rows, whole = np.zeros(0, np.float32), np.zeros(0, np.int64)
        two = np.zeros((0, 2), np.float32)
        return cls(np.zeros((0, 4), np.float32), rows, whole, whole, rows, two, whole, labels)


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Faces on a frame, one row a face.

    boxes xyxy float32 [n, 4] px · scores float32 [n] 0-1 · landmarks float32 [n, 5, 2] px: the person's right eye, left
    eye, tip of the nose, right and left corner of the mouth · qualities float32 [n] 0-1: how fit the look is to be
    recognised · tracks int64 [n]: number of the face over time, unique within a camera · identities: the person's
    name, None where it is not known · similarities float32 [n]: cosine to the most similar person, NaN where the
    gallery is empty or the face was not looked at · margins float32 [n]: how far the next person is behind that ·
    reasons: why this identity, in words · embeddings float32 [n, d] of length 1, or NaN where the face was not looked
    at on this frame.
    """

    boxes: FloatArray
    scores: FloatArray
    landmarks: FloatArray
    qualities: FloatArray
    tracks: IntArray
    identities: tuple[str | None, ...]
    similarities: FloatArray
    margins: FloatArray
    reasons: tuple[str, ...]
    embeddings: FloatArray

    def __post_init__(self) -> None:
        others = ("scores", "landmarks", "qualities", "tracks", "identities", "similarities", "margins", "reasons")
        check_lengths(self, "boxes", *others, "embeddings")
        _check_columns(self, boxes=4)

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """What the picture shows, or each of several parts of it: one row a part, the likeliest classes first.

    boxes float32 [n, 4] px: the part · tracks int64 [n]: the track that it is, -1 where it is none · detection
    int64 [n]: the row of this frame's `Detections`, -1 where it is none · class_ids int64 [n, k] · scores float32
    [n, k], 0-1. The whole picture is a row of neither a track nor a detection. `labels[class_id]` is the class's name.
    Classes with scores below `shown_from` are too unlikely to be shown or counted.
    """

    boxes: FloatArray
    tracks: IntArray
    detection: IntArray
    class_ids: IntArray
    scores: FloatArray
    labels: tuple[str, ...]
    shown_from: float = 0.0

    def __post_init__(self) -> None:
        check_lengths(self, "boxes", "tracks", "detection", "class_ids", "scores")
        _check_columns(self, boxes=4, class_ids=self.scores.shape[-1])

    def __len__(self) -> int:
        return len(self.boxes)

    def of_row(self, row: int) -> list[tuple[str, int, float]]:
        """Label, class and score of one part, best first."""
        return [
            (label_of(self.labels, class_id), class_id, score)
            for class_id, score in zip(self.class_ids[row].tolist(), self.scores[row].tolist(), strict=True)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """Regions that nobody may recognise on the output: boxes xyxy float32 [n, 4] px, made mosaics before anything is
    drawn. None is a finding too: that the whole picture may be seen."""

    boxes: FloatArray

    def __post_init__(self) -> None:
        _check_columns(self, boxes=4)

    @classmethod
    def all_of(cls, frame: Frame) -> Hidden:
        """Nothing of the frame may be seen."""
        return cls(np.array([[0, 0, frame.width, frame.height]], np.float32))


class Picture:
    """A picture that replaces the frame's own on the output: BGR uint8 [height, width, 3], or one that was made on a
    GPU from a frame that lies there. Nobody may write into it. Any thread."""

    __slots__ = ("_image", "_lock", "on_device")

    def __init__(self, image: Image | DeviceImage) -> None:
        self.on_device = image if isinstance(image, DeviceImage) else None
        self._image = None if isinstance(image, DeviceImage) else image
        self._lock = threading.Lock()
        given = self._image
        if given is not None and (given.ndim != 3 or given.shape[2] != 3 or given.dtype != np.uint8 or not given.size):
            raise ValueError(f"Picture.image is {given.dtype} {list(given.shape)}, expected uint8 [height, width, 3]")

    @property
    def image(self) -> Image:
        """On the host; downloaded when it is first asked for, where it lies on a GPU."""
        with self._lock:
            if self._image is None:
                assert self.on_device is not None
                self._image = self.on_device.bgr()
            return self._image

    def device(self, ordinal: int) -> DeviceImage | None:
        """The picture on that GPU (0 for "cuda:0"), where it is there already."""
        image = self.on_device
        return image if image is not None and image.ordinal == ordinal else None


def label_of(labels: tuple[str, ...], class_id: int) -> str:
    """The name of a class; a number in words where the labels do not reach so far."""
    return labels[class_id] if 0 <= class_id < len(labels) else f"class {class_id}"


def check_lengths(result: object, first: str, *others: str) -> None:
    """Raises ValueError where the columns of a struct of arrays differ in length."""
    expected = len(getattr(result, first))
    for name in others:
        if len(getattr(result, name)) != expected:
            raise ValueError(
                f"{type(result).__name__}.{name} has {len(getattr(result, name))} rows, {first} has {expected}"
            )


def _check_columns(result: object, **columns: int) -> None:
    """Raises ValueError where a table has not the columns it should have."""
    for name, expected in columns.items():
        shape = getattr(result, name).shape
        if len(shape) != 2 or shape[1] != expected:
            raise ValueError(f"{type(result).__name__}.{name} has the shape {list(shape)}, expected [n, {expected}]")


T = TypeVar("T")


class Results:
    """What was found on one frame, keyed by its type: `results.get(Detections)`. Never changed, only extended."""

    __slots__ = ("_found",)

    def __init__(self, *found: object) -> None:
        self._found: dict[type, object] = {type(item): item for item in found}

    def get(self, kind: type[T]) -> T | None:
        item = self._found.get(kind)
        return item if isinstance(item, kind) else None

    def merged(self, later: Results) -> Results:
        """These results and `later` ones; of the same type the later stands."""
        both = Results()
        both._found = {**self._found, **later._found}
        return both

    def __contains__(self, kind: type) -> bool:
        return kind in self._found

    def __iter__(self) -> Iterator[object]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)


@runtime_checkable
class Canvas(Protocol):
    """What a plug-in draws on: the output picture in its own size, with helpers that scale from source pixels."""

    @property
    def image(self) -> Image:
        """BGR uint8, writable, in output pixels. A picture that lies on a GPU is fetched for it: ask for it only to
        draw into it, and for `size` otherwise."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the output picture."""
        ...

    def box(self, xyxy: FloatArray, colour: tuple[int, int, int], label: str = "") -> None:
        """A box in source pixels, with a label on a contrast plate."""
        ...

    def text(self, xy: tuple[float, float], text: str, colour: tuple[int, int, int]) -> None:
        """A line of text on a contrast plate; `xy` is its top left corner in source pixels."""
        ...
