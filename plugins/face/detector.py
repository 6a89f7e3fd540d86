"""Finds faces in the views of a frame (whole, tiles, heads of people), on the host or entirely on the GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from sightd.engines.cuda.image import DeviceImage
from sightd.engines.cuda.launch.detect import BoxSelection
from sightd.engines.cuda.pipelines.detection import HeadParameters
from sightd.engines.cuda.pipelines.pools import DetectionPipelines
from sightd.engines.geometry import clip
from sightd.engines.preprocess import prepare
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import BoolArray, FloatArray, Frame, Image, PluginError, check_lengths
from sightd.plugins.face.yunet import decode
from sightd.plugins.geometry.nms import nms

View = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the frame; right and bottom are exclusive."""
_TILE_OVERLAP = 0.25
"""Overlap of neighbouring tiles, as a share of their sides: a face of that size is complete in at least one of them."""
_HEAD = 0.45
"""Share of a person's height, from the top, that is searched for the head; at least as much as their width, because a
box as wide as it is high shows head and shoulders."""
_PERSON_MARGIN = 0.15
"""Margin around the person's box, as a share of its sides: heads may extend beyond it."""
_LEAST_VIEW = 24
"""Least length of a view's shorter side in pixels; no face in a smaller view would be usable."""
_STEP = 32
"""Both sides of the model's input are multiples of its coarsest stride."""
_MOST = 256
"""Most faces of one frame."""
_ANY_SCORE = 0.3
"""Minimum score when the area of a detected face is searched again."""


def tile_views(width: int, height: int, count: int) -> list[View]:
    """Returns the whole frame and, if `count` is above 1, count x count overlapping tiles, row by row."""
    views = [(0, 0, width, height)]
    if count > 1:
        columns, rows = _spans(width, count), _spans(height, count)
        views += [(left, top, right, bottom) for top, bottom in rows for left, right in columns]
    return views


def head_views(people: FloatArray, width: int, height: int) -> list[View]:
    """Returns the heads of people, from boxes xyxy float32 [n, 4] px; skips those with too little inside the frame."""
    views = []
    for x1, y1, x2, y2 in people[np.isfinite(people).all(axis=1)].tolist():
        across, down = _PERSON_MARGIN * (x2 - x1), _PERSON_MARGIN * (y2 - y1)
        left, right = max(0, int(x1 - across)), min(width, int(x2 + across))
        reach = min(max(_HEAD * (y2 - y1), x2 - x1), y2 - y1)
        top, bottom = max(0, int(y1 - down)), min(height, int(min(y1 + reach + across, y2 + down)))
        if min(right - left, bottom - top) >= _LEAST_VIEW:
            views.append((left, top, right, bottom))
    return views


def cut_off(boxes: FloatArray, view: View, width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Returns which boxes [n, 4] (pixels of the frame) touch an edge of the view inside the frame, so that another view
    shows them completely."""
    left, top, right, bottom = view
    at_edge = np.zeros(len(boxes), np.bool_)
    for column, edge, inner in ((0, left, left > 0), (1, top, top > 0)):
        at_edge |= inner & (boxes[:, column] <= edge + 1)
    for column, edge, inner in ((2, right, right < width), (3, bottom, bottom < height)):
        at_edge |= inner & (boxes[:, column] >= edge - 1)
    return at_edge


def _spans(length: int, count: int) -> list[tuple[int, int]]:
    """Returns `count` overlapping spans of equal length that cover `length`."""
    part = min(length, -(-length // count) + int(_TILE_OVERLAP * length / count))
    return [(start, start + part) for start in np.linspace(0, length - part, count).astype(int).tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class DetectedFaces:
    """Faces of one frame, best score first, in pixels of the frame.

    boxes xyxy float32 [n, 4], clipped to the frame · scores float32 [n] 0-1 · landmarks float32 [n, 5, 2], in the order
    of `sightd.plugins.api.Faces`.
    """

    boxes: FloatArray
    scores: FloatArray
    landmarks: FloatArray

    def __post_init__(self) -> None:
        check_lengths(self, "boxes", "scores", "landmarks")

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, keep: BoolArray) -> DetectedFaces:
        """Returns the faces selected by `keep`, bool [n]."""
        return DetectedFaces(self.boxes[keep], self.scores[keep], self.landmarks[keep])

    @classmethod
    def none(cls) -> DetectedFaces:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))


@dataclass(frozen=True, slots=True)
class Search:
    """What to search for, and where. `size`: longest side of the model's input, px; larger views are downscaled.
    `min_size`: shorter side of a face in pixels of the frame. `tiles`: 1 searches the whole frame, n also n x n
    overlapping tiles, for small faces."""

    min_score: float = 0.6
    max_iou: float = 0.3
    min_size: float = 20.0
    size: int = 640
    tiles: int = 1


class FaceDetector(Protocol):
    """Thread-safe; `close` is idempotent."""

    def find(self, frames: Sequence[Frame], people: Sequence[FloatArray | None]) -> list[DetectedFaces]:
        """Returns the faces of each frame. If `people` holds boxes xyxy float32 [n, 4] for a frame, only the heads of
        those people are searched; None searches everywhere. Raises PluginError if outputs do not match the head."""
        ...

    def find_within(self, images: Sequence[Image]) -> list[DetectedFaces]:
        """Returns the faces of images BGR uint8 [h, w, 3] of any size, from a score of 0.3 on, including faces that
        `find` leaves out as too small or doubtful."""
        ...

    def close(self) -> None: ...


class HostFaceDetector:
    """Prepares views and reads outputs on the CPU, wherever the model runs. If the model's input size is not fixed, it
    follows the shape of the view, so that little padding is computed."""

    def __init__(self, engine: Engine, search: Search) -> None:
        """Raises PluginError if the model is not a YuNet."""
        if engine.model.head != "yunet":
            model = engine.model
            raise PluginError(
                f"model {model.name!r} has head {model.head!r}; face detection requires a model with head 'yunet'"
            )
        self._engine, self._search = engine, search
        self._fixed = None not in engine.session.inputs[engine.model.input.tensor].shape[2:]

    def find(self, frames: Sequence[Frame], people: Sequence[FloatArray | None]) -> list[DetectedFaces]:
        return [self._on_frame(frame, boxes) for frame, boxes in zip(frames, people, strict=True)]

    def find_within(self, images: Sequence[Image]) -> list[DetectedFaces]:
        return [self._in_view(image, _ANY_SCORE) for image in images]

    def close(self) -> None:
        """Holds nothing to release."""

    def _on_frame(self, frame: Frame, people: FloatArray | None) -> DetectedFaces:
        wanted = views_of(frame, people, self._search)
        image = frame.host() if wanted else None
        least = self._search.min_score
        parts = [
            in_frame(self._in_view(_part(image, view), least), view, frame) for view in wanted if image is not None
        ]
        return merged(parts, self._search)

    def _in_view(self, image: Image, least: float) -> DetectedFaces:
        """Returns the faces of one view in its own pixels, from the score `least` on."""
        search, spec = self._search, self._engine.model.input
        width, height = (spec.width, spec.height) if self._fixed else _sides(image, search.size)
        tensor, (geometry,) = prepare([image], replace(spec, width=width, height=height))
        outputs = self._engine.session.run({spec.tensor: tensor})
        (found,) = decode(outputs, width, height, least)
        keep = nms(found.boxes, found.scores, None, search.max_iou, limit=_MOST)
        scale = np.array((geometry.scale_x, geometry.scale_y), np.float32)
        boxes = found.boxes[keep] / np.tile(scale, 2)
        return DetectedFaces(boxes.astype(np.float32), found.scores[keep], found.points[keep] / scale)


class DeviceFaceDetector:
    """Uploads views to the GPU, unless a whole frame that was decoded there is searched, and downloads only faces."""

    def __init__(self, pipelines: DetectionPipelines, search: Search, ordinal: int) -> None:
        """`ordinal` is the GPU of `pipelines`, which must return faces with scores down to `_ANY_SCORE` or lower."""
        self._pipelines, self._search, self._ordinal = pipelines, search, ordinal

    def find(self, frames: Sequence[Frame], people: Sequence[FloatArray | None]) -> list[DetectedFaces]:
        wanted = [
            (i, view)
            for i, (frame, boxes) in enumerate(zip(frames, people, strict=True))
            for view in views_of(frame, boxes, self._search)
        ]
        parts: list[list[DetectedFaces]] = [[] for _ in frames]
        images = [self._image(frames[i], view) for i, view in wanted]
        for (i, view), faces in zip(wanted, self._found(images, self._search.min_score), strict=True):
            parts[i].append(in_frame(faces, view, frames[i]))
        return [merged(of_frame, self._search) for of_frame in parts]

    def find_within(self, images: Sequence[Image]) -> list[DetectedFaces]:
        return list(self._found(images, _ANY_SCORE))

    def _found(self, images: Sequence[Image | DeviceImage], least: float) -> Iterator[DetectedFaces]:
        """Yields the faces of each image, from the score `least` on."""
        for in_view in self._pipelines.find(images) if images else ():
            found = in_view.found
            assert found.points is not None, "the head produces points"
            faces = DetectedFaces(found.boxes, found.scores, found.points)
            yield faces.select(faces.scores >= least)

    def close(self) -> None:
        self._pipelines.close()

    def _image(self, frame: Frame, view: View) -> Image | DeviceImage:
        if view == (0, 0, frame.width, frame.height) and (on_device := frame.device(self._ordinal)) is not None:
            return on_device
        return _part(frame.host(), view)


def face_detector_for(engine: Engine, search: Search) -> FaceDetector:
    """Returns a face detector that uses the GPU if the engine supports the whole path there. Raises PluginError if the
    model is not a YuNet."""
    host = HostFaceDetector(engine, search)
    choice = BoxSelection(search.max_iou, _MOST, by_class=False)
    least = min(search.min_score, _ANY_SCORE)
    pipelines = engine.detection_pipelines(HeadParameters(np.array([least], np.float32), choice))
    if pipelines is None or engine.gpu is None:
        return host
    return DeviceFaceDetector(pipelines, search, engine.gpu.device.ordinal)


def views_of(frame: Frame, people: FloatArray | None, search: Search) -> list[View]:
    if people is not None:
        return head_views(people, frame.width, frame.height)
    return tile_views(frame.width, frame.height, search.tiles)


def in_frame(found: DetectedFaces, view: View, frame: Frame) -> DetectedFaces:
    """Converts faces of a view to pixels of the frame; drops those cut off by the view."""
    corner = np.array(view[:2], np.float32)
    boxes = found.boxes + np.tile(corner, 2)
    whole = ~cut_off(boxes, view, frame.width, frame.height)
    shown = clip(boxes[whole], frame.width, frame.height)
    return DetectedFaces(shown, found.scores[whole], found.landmarks[whole] + corner)


def sure(faces: DetectedFaces, search: Search) -> BoolArray:
    """Returns which faces meet the configured limits, bool [n]. More faces are searched for if faces are redacted."""
    sides = (faces.boxes[:, 2:] - faces.boxes[:, :2]).min(axis=1, initial=np.inf)
    found: BoolArray = (faces.scores >= search.min_score) & (sides >= search.min_size)
    return found


def merged(parts: Sequence[DetectedFaces], search: Search) -> DetectedFaces:
    """Combines the faces of all views of one frame, removing duplicates and faces that are too small."""
    if not parts:
        return DetectedFaces.none()
    boxes = np.concatenate([part.boxes for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    landmarks = np.concatenate([part.landmarks for part in parts])
    large = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= search.min_size
    keep = nms(boxes, scores, None, search.max_iou, limit=_MOST, wanted=large)
    return DetectedFaces(boxes[keep], scores[keep], landmarks[keep])


def _part(image: Image, view: View) -> Image:
    left, top, right, bottom = view
    return image[top:bottom, left:right]


def _sides(image: Image, size: int) -> tuple[int, int]:
    """Returns width and height of the model's input for a view: the smallest that fits, at most `size`."""
    height, width = image.shape[:2]
    shrunk = min(1.0, size / max(width, height))
    return _up(round(width * shrunk)), _up(round(height * shrunk))


def _up(pixels: int) -> int:
    return max(_STEP, -(-pixels // _STEP) * _STEP)
