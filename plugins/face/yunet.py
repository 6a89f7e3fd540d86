"""Head "yunet": faces with five points, on grids at strides 8, 16 and 32.

For a cell at column c and row r of stride s, with the raw outputs of the model:
score = √(cls · obj), each clipped to 0-1; centre = ((c + x) · s, (r + y) · s); size = (exp(w) · s, exp(h) · s);
point i = ((c + xᵢ) · s, (r + yᵢ) · s). Source: Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector", and
OpenCV's face_detect.cpp, which decodes it in this way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sightd.engines.model import Model
from sightd.engines.session import Tensor
from sightd.engines.sessions.tensorrt.verify import Boxes, BoxReader, Outputs
from sightd.plugins.api import FloatArray, PluginError

_STRIDES = (8, 16, 32)
_PARTS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
_LEAST_SCORE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class FaceCandidates:
    """Faces of one image before suppression: boxes xyxy float32 [n, 4], scores float32 [n] and points float32
    [n, 5, 2], in pixels of the model's input."""

    boxes: FloatArray
    scores: FloatArray
    points: FloatArray


def decode(outputs: Mapping[str, Tensor], width: int, height: int, min_score: float) -> list[FaceCandidates]:
    """Returns the faces of each image of a batch that reach `min_score`; the input was `width` x `height` pixels,
    multiples of 32. Raises PluginError if the outputs are not of this head."""
    batch = _checked(outputs, width, height)
    return [_picture(outputs, i, width, min_score) for i in range(batch)]


def _picture(outputs: Mapping[str, Tensor], picture: int, width: int, min_score: float) -> FaceCandidates:
    boxes, scores, points = [], [], []
    for stride in _STRIDES:
        cls, obj, box, kps = (outputs[f"{part}_{stride}"][picture] for part in _PARTS)
        score = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
        cells = np.flatnonzero(score >= min_score)
        row, column = np.divmod(cells, width // stride)
        corner = np.stack((column, row), axis=1).astype(np.float32)
        centre, size = (corner + box[cells, :2]) * stride, np.exp(box[cells, 2:]) * stride
        boxes.append(np.concatenate((centre - size / 2, centre + size / 2), axis=1))
        scores.append(score[cells])
        points.append((corner[:, None] + kps[cells].reshape(-1, 5, 2)) * stride)
    return FaceCandidates(
        np.concatenate(boxes).astype(np.float32, copy=False),
        np.concatenate(scores).astype(np.float32, copy=False),
        np.concatenate(points).astype(np.float32, copy=False),
    )


def _checked(outputs: Mapping[str, Tensor], width: int, height: int) -> int:
    """Returns the batch size. Raises PluginError if an output is missing or has the wrong shape."""
    batch = len(next(iter(outputs.values())))
    for stride in _STRIDES:
        cells = (width // stride) * (height // stride)
        for part, columns in _PARTS.items():
            found = outputs.get(f"{part}_{stride}")
            if found is None or found.shape != (batch, cells, columns):
                told = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in outputs.items())
                raise PluginError(
                    f"head 'yunet' expects {part}_{stride} [batch, {cells}, {columns}] for a {width}x{height} input; "
                    f"the model produces {told}: choose another model"
                )
    return batch


def face_reader(model: Model) -> BoxReader:
    """Returns a reader for the outputs of a YuNet at the model's input size; PluginError for another head."""
    spec = model.input

    def read(outputs: Outputs) -> list[Boxes]:
        found = decode(outputs, spec.width, spec.height, _LEAST_SCORE)
        return [Boxes(faces.boxes, faces.scores, np.zeros(len(faces.scores), np.int64)) for faces in found]

    return read
