"""Computes face embeddings: aligns each face to 112 x 112 pixels with the eyes at fixed positions, and runs the
model, on the host or on the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.pipelines.pools import FacePipelines
from sightd.engines.errors import EngineError
from sightd.engines.geometry import ARCFACE, similarity
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import FloatArray, Frame, Image, PluginError
from sightd.plugins.face.matching.matcher import CROP, DIMENSIONS

_TRIAL = np.array([[38, 52], [74, 52], [56, 72], [42, 92], [71, 92]], np.float32)
"""Plausible landmarks of a face, for a trial run."""


def aligned(image: Image, landmarks: FloatArray) -> NDArray[np.uint8]:
    """Returns the face [CROP, CROP, 3] BGR with the five points [5, 2], in pixels of the image; black beyond its edges.

    Raises ValueError if the points coincide or are not finite.
    """
    transform = similarity(landmarks, ARCFACE)
    return np.asarray(cv2.warpAffine(image, transform, (CROP, CROP), flags=cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedFaces:
    """crops uint8 [n, CROP, CROP, 3] BGR, aligned · embeddings float32 [n, DIMENSIONS] of unit length; they may be NaN
    if they were not requested."""

    crops: NDArray[np.uint8]
    embeddings: FloatArray

    @classmethod
    def none(cls) -> EmbeddedFaces:
        return cls(np.zeros((0, CROP, CROP, 3), np.uint8), np.zeros((0, DIMENSIONS), np.float32))


class FaceEmbedder(Protocol):
    """Thread-safe; `close` is idempotent."""

    def read(self, faces: Sequence[tuple[Frame, FloatArray]], wanted: Sequence[bool]) -> EmbeddedFaces:
        """Takes for each face its frame and five landmarks float32 [5, 2] in pixels of the frame; `wanted` says whose
        embedding is requested. Raises PluginError if the model does not return embeddings of DIMENSIONS numbers."""
        ...

    def close(self) -> None: ...


class HostFaceEmbedder:
    """Makes crops on the CPU, wherever the model runs."""

    def __init__(self, engine: Engine, most: int) -> None:
        """`most` faces form a batch: on a CPU batches save nothing."""
        self._engine, self._most = engine, most

    def read(self, faces: Sequence[tuple[Frame, FloatArray]], wanted: Sequence[bool]) -> EmbeddedFaces:
        if not faces:
            return EmbeddedFaces.none()
        crops = np.stack([aligned(frame.host(), landmarks) for frame, landmarks in faces])
        embeddings = np.full((len(faces), DIMENSIONS), np.nan, np.float32)
        asked = np.flatnonzero(wanted)
        for start in range(0, len(asked), self._most):
            rows = asked[start : start + self._most]
            outputs, _ = self._engine.run(list(crops[rows]))
            embeddings[rows] = unit(next(iter(outputs.values())))
        return EmbeddedFaces(crops, embeddings)

    def close(self) -> None:
        """Holds nothing to release."""


class DeviceFaceEmbedder:
    """Makes crops on the GPU, uploading frames that are not there yet. Embeds all faces, wanted or not."""

    def __init__(self, pipelines: FacePipelines, ordinal: int) -> None:
        """`ordinal` is the GPU of `pipelines`."""
        self._pipelines, self._ordinal = pipelines, ordinal

    def read(self, faces: Sequence[tuple[Frame, FloatArray]], wanted: Sequence[bool]) -> EmbeddedFaces:
        if not faces:
            return EmbeddedFaces.none()
        frames = list({id(frame): frame for frame, _ in faces}.values())
        places = {id(frame): place for place, frame in enumerate(frames)}
        images = [frame.device(self._ordinal) or frame.host() for frame in frames]
        found = self._pipelines.embed(images, [(places[id(frame)], landmarks) for frame, landmarks in faces])
        return EmbeddedFaces(found.crops, _checked(found.embeddings))

    def close(self) -> None:
        self._pipelines.close()


def face_embedder_for(engine: Engine) -> FaceEmbedder:
    """Returns an embedder that uses the GPU if the engine supports the whole path there. Raises PluginError if the
    model is not a face embedder."""
    spec, model = engine.model.input, engine.model
    if model.role != "face-embedder" or (spec.width, spec.height) != (CROP, CROP):
        raise PluginError(f"model {model.name!r} does not embed faces of {CROP}x{CROP} pixels: use sface")
    on_cpu = engine.session.backend.device == "cpu"
    pipelines = engine.face_pipelines()
    if pipelines is None or engine.gpu is None:
        face_embedder: FaceEmbedder = HostFaceEmbedder(engine, 1 if on_cpu else 16)
    else:
        face_embedder = DeviceFaceEmbedder(pipelines, engine.gpu.device.ordinal)
    trial = Frame.of(np.zeros((CROP, CROP, 3), np.uint8))
    try:
        face_embedder.read(
            [(trial, _TRIAL)], [True]
        )  # a file that is not an embedder is reported now, not on the first face
    except (EngineError, PluginError) as fault:
        face_embedder.close()
        raise PluginError(f"model {model.name!r}: {fault}") from None
    return face_embedder


def unit(embeddings: NDArray[np.floating]) -> FloatArray:
    """Normalises embeddings [n, d] to unit length, float32. Raises PluginError unless they have DIMENSIONS numbers."""
    lengths = np.linalg.norm(_checked(embeddings).astype(np.float64), axis=1, keepdims=True)
    of_length_1: FloatArray = (embeddings / np.maximum(lengths, 1e-12)).astype(np.float32)
    return of_length_1


def _checked(embeddings: NDArray[Any]) -> NDArray[Any]:
    if embeddings.ndim != 2 or embeddings.shape[1] != DIMENSIONS:
        raise PluginError(
            f"expected embeddings of {DIMENSIONS} numbers, but the model produces {list(embeddings.shape)}"
        )
    return embeddings
