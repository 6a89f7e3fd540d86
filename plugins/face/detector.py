"""Finds faces in the views of a frame (see `search`), on the host or entirely on the GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from sightd.engines.cuda.image import DeviceImage, DeviceSheet
from sightd.engines.cuda.launch.detect import BoxSelection
from sightd.engines.cuda.pipelines.detection import HeadParameters
from sightd.engines.cuda.pipelines.pools import DetectionPipelines
from sightd.engines.geometry import clip
from sightd.engines.preprocess import prepare
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import BoolArray, FloatArray, Frame, Image, IntArray, PluginError, check_lengths
from sightd.plugins.face.yunet import decode
from sightd.plugins.geometry.nms import nms
from sightd.plugins.look.sheets import FrameSheet, Part, Sheet, rows_of, to_frame
from sightd.plugins.look.views import View, cut_off, even

_STEP = 32
"""Both sides of the model's input are multiples of its coarsest stride."""
_MOST = 256
"""Most faces of one frame."""
_PAD = 0
"""Level of all channels between the parts of a sheet: that of the model's own padding."""
_ANY_SCORE = 0.3
"""Minimum score when the area of a detected face is searched again."""


@dataclass(frozen=True, slots=True)
class Search:
    """What to search for, and where. Faces below `sure_score` are looked at again; those below `min_score`
    are dropped, and those whose shorter side has less than `min_size` pixels of the frame.

    `size`: longest side of the model's input, px; larger views are downscaled. `tiles`: 1 searches the whole frame, n
    also n x n overlapping tiles. `close_ups`: most inputs per frame for close-ups. `only_people`: only the heads of
    known people; `everywhere`: parts in turn even if people are known.
    """

    min_score: float = 0.6
    sure_score: float = 0.6
    max_iou: float = 0.3
    min_size: float = 8.0
    size: int = 640
    tiles: int = 1
    close_ups: int = 5
    only_people: bool = False
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of a frame that are searched: each of `views` fills an input of its own, scaled down if it is larger;
    the parts of one of `sheets` share an input, at the frame's own resolution or enlarged."""

    views: Sequence[View]
    sheets: Sequence[Sheet] = ()

    @classmethod
    def whole(cls, frame: Frame) -> Plan:
        return cls(((0, 0, frame.width, frame.height),))


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

    def select(self, keep: BoolArray | IntArray) -> DetectedFaces:
        """Returns the faces selected by `keep`: a boolean mask [n] or indices."""
        return DetectedFaces(self.boxes[keep], self.scores[keep], self.landmarks[keep])

    @classmethod
    def none(cls) -> DetectedFaces:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))


class FaceDetector(Protocol):
    """Thread-safe; `close` is idempotent."""

    def find(self, frames: Sequence[Frame], plans: Sequence[Plan]) -> list[DetectedFaces]:
        """Returns the faces of each frame, searched by its plan; a face that several views show counts once. Raises
        PluginError if outputs do not match the head."""
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

    def find(self, frames: Sequence[Frame], plans: Sequence[Plan]) -> list[DetectedFaces]:
        return [self._on_frame(frame, plan) for frame, plan in zip(frames, plans, strict=True)]

    def find_within(self, images: Sequence[Image]) -> list[DetectedFaces]:
        return [self._in_view(image, _ANY_SCORE) for image in images]

    def close(self) -> None:
        """Holds nothing to release."""

    def _on_frame(self, frame: Frame, plan: Plan) -> DetectedFaces:
        least = self._search.min_score
        parts = [in_frame(self._in_view(_part(frame.host(), view), least), Part(view), frame) for view in plan.views]
        for sheet in plan.sheets:
            image = FrameSheet(frame, sheet, _PAD).host()[: sheet.bottom]
            parts += unpacked(self._in_view(image, least), sheet, frame)
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
    """Searches frames that were decoded on the GPU there, whole and in parts; uploads others. Only faces are
    downloaded."""

    def __init__(self, pipelines: DetectionPipelines, search: Search, ordinal: int, *, draws_sheets: bool) -> None:
        """`ordinal` is the GPU of `pipelines`, which must return faces with scores down to `_ANY_SCORE` or lower.
        `draws_sheets`: the model's input has the size of sheets, so they can be drawn into it there."""
        self._pipelines, self._search, self._ordinal = pipelines, search, ordinal
        self._draws_sheets = draws_sheets

    def find(self, frames: Sequence[Frame], plans: Sequence[Plan]) -> list[DetectedFaces]:
        views = [(i, even(view)) for i, plan in enumerate(plans) for view in plan.views]
        sheets = [(i, sheet) for i, plan in enumerate(plans) for sheet in plan.sheets]
        images: list[Image | DeviceImage | DeviceSheet] = [self._image(frames[i], view) for i, view in views]
        images += [self._sheet(FrameSheet(frames[i], sheet, _PAD)) for i, sheet in sheets]
        found = list(self._found(images, self._search.min_score))
        parts: list[list[DetectedFaces]] = [[] for _ in frames]
        for (i, view), faces in zip(views, found, strict=False):
            parts[i].append(in_frame(faces, Part(view), frames[i]))
        for (i, sheet), faces in zip(sheets, found[len(views) :], strict=True):
            parts[i] += unpacked(faces, sheet, frames[i])
        return [merged(of_frame, self._search) for of_frame in parts]

    def find_within(self, images: Sequence[Image]) -> list[DetectedFaces]:
        return list(self._found(images, _ANY_SCORE))

    def _found(self, images: Sequence[Image | DeviceImage | DeviceSheet], least: float) -> Iterator[DetectedFaces]:
        """Yields the faces of each image, from the score `least` on."""
        for in_view in self._pipelines.find(images) if images else ():
            found = in_view.found
            assert found.points is not None, "the head produces points"
            faces = DetectedFaces(found.boxes, found.scores, found.points)
            yield faces.select(faces.scores >= least)

    def close(self) -> None:
        self._pipelines.close()

    def _image(self, frame: Frame, view: View) -> Image | DeviceImage:
        on_device = frame.device(self._ordinal)
        return _part(frame.host(), view) if on_device is None else on_device.part(*view)

    def _sheet(self, sheet: FrameSheet) -> Image | DeviceSheet:
        on_device = sheet.device(self._ordinal) if self._draws_sheets else None
        return sheet.host() if on_device is None else on_device


def face_detector_for(engine: Engine, search: Search) -> FaceDetector:
    """Returns a face detector that uses the GPU if the engine supports the whole path there. Raises PluginError if the
    model is not a YuNet."""
    host = HostFaceDetector(engine, search)
    choice = BoxSelection(search.max_iou, _MOST, by_class=False)
    least = min(search.min_score, _ANY_SCORE)
    pipelines = engine.detection_pipelines(HeadParameters(np.array([least], np.float32), choice))
    if pipelines is None or engine.gpu is None:
        return host
    sides = (engine.model.input.width, engine.model.input.height)
    return DeviceFaceDetector(
        pipelines, search, engine.gpu.device.ordinal, draws_sheets=sides == (search.size, search.size)
    )


def in_frame(found: DetectedFaces, part: Part, frame: Frame) -> DetectedFaces:
    """Converts faces from pixels of a sheet to those of the frame, of which they lie in `part`; drops those cut off by
    it."""
    scale, offset = to_frame(part)
    boxes = (found.boxes * np.tile(scale, 2) + np.tile(offset, 2)).astype(np.float32)
    landmarks = (found.landmarks * scale + offset).astype(np.float32)
    whole = ~cut_off(boxes, part.view, frame.width, frame.height)
    return DetectedFaces(clip(boxes[whole], frame.width, frame.height), found.scores[whole], landmarks[whole])


def unpacked(found: DetectedFaces, sheet: Sheet, frame: Frame) -> list[DetectedFaces]:
    """Returns the faces of each part of a sheet in pixels of the frame."""
    return [in_frame(found.select(rows_of(part, found.boxes)), part, frame) for part in sheet.parts]


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
