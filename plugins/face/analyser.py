"""Finds and embeds all faces of single images, for photographs to enrol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sightd.engines.geometry import ARCFACE
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import FloatArray, Frame, Image
from sightd.plugins.face.detector import FaceDetector, Plan, Search, face_detector_for
from sightd.plugins.face.embedder import FaceEmbedder, face_embedder_for
from sightd.plugins.face.matching.matcher import FaceSamples
from sightd.plugins.face.quality import quality_of
from sightd.plugins.face.upright import upright

_GOOD = 0.5
"""Quality of a face from which on a photograph is not searched turned."""


class FaceAnalyser:
    """A face detector followed by an embedder. Thread-safe; `close` is idempotent."""

    def __init__(self, face_detector: FaceDetector, face_embedder: FaceEmbedder) -> None:
        """Takes ownership of both."""
        self._face_detector, self._face_embedder = face_detector, face_embedder

    @classmethod
    def of(cls, detector: Engine, recogniser: Engine, search: Search) -> FaceAnalyser:
        """The caller keeps the engines and closes them later. Raises PluginError for models of another kind."""
        face_detector = face_detector_for(detector, search)
        try:
            return cls(face_detector, face_embedder_for(recogniser))
        except BaseException:
            face_detector.close()
            raise

    def looks(self, frames: Sequence[Frame]) -> list[FaceSamples]:
        """Returns the faces of each image, best score first."""
        found = self._face_detector.find(frames, [Plan.whole(frame) for frame in frames])
        turned = [
            upright(self._face_detector, frame, of, [True] * len(of)) for frame, of in zip(frames, found, strict=True)
        ]
        faces = [(frame, points) for frame, of in zip(frames, turned, strict=True) for points in of.landmarks]
        read = self._face_embedder.read(faces, [True] * len(faces))
        looks, start = [], 0
        for of, up in zip(found, turned, strict=True):
            rows = slice(start, start + len(of))
            start += len(of)
            quality = quality_of(read.crops[rows], up)
            looks.append(FaceSamples(of.boxes, up.landmarks, quality, read.embeddings[rows], read.crops[rows]))
        return looks

    def photograph(self, frame: Frame) -> FaceSamples:
        """Like `looks` for one photograph, which is also searched in turned by 180, 90 and 270 degrees if no face in it
        is good: a detector misses most faces on their side. Boxes and landmarks are in pixels of the frame."""
        (best,) = self.looks([frame])
        for quarters in (2, 1, 3):
            if best.quality.totals.max(initial=0) > _GOOD:
                break
            turned = np.ascontiguousarray(np.rot90(frame.host(), quarters))
            (looks,) = self.looks([Frame.of(turned, still=True)])
            if looks.quality.totals.max(initial=0) > best.quality.totals.max(initial=0):
                best = _turned_back(looks, quarters, frame.width, frame.height)
        return best

    def embedded(self, crop: Image) -> FloatArray:
        """Returns the embedding float32 [d] of a face that is already aligned, uint8 [112, 112, 3] BGR."""
        read = self._face_embedder.read([(Frame.of(crop, still=True), ARCFACE.astype(np.float32))], [True])
        embedding: FloatArray = read.embeddings[0]
        return embedding

    def close(self) -> None:
        self._face_detector.close()
        self._face_embedder.close()


def _turned_back(looks: FaceSamples, quarters: int, width: int, height: int) -> FaceSamples:
    """Converts faces of an image turned anticlockwise by a number of quarters to pixels of the image of that size."""
    corners = _points_back(looks.boxes.reshape(-1, 2, 2), quarters, width, height)
    boxes = np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1)
    return replace(looks, boxes=boxes, landmarks=_points_back(looks.landmarks, quarters, width, height))


def _points_back(points: FloatArray, quarters: int, width: int, height: int) -> FloatArray:
    """Converts points [..., 2]; see `_turned_back`."""
    x, y = points[..., 0], points[..., 1]
    back = {1: (width - y, x), 2: (width - x, height - y), 3: (y, height - x)}[quarters]
    return np.stack(back, axis=-1).astype(np.float32)
