"""Verifies that an engine produces the same results as ONNX Runtime, once, before its first use.

The measurements are pure functions of two results. A `Verifier` compares them with the limits for a model's role.
The test inputs are generated images, used if the user provides none; they are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.errors import BackendUnavailableError, EngineVerificationError
from sightd.engines.geometry import iou
from sightd.engines.session import Session, Tensor, TensorSpec

_SIZE = (480, 640)


def reference_pictures(count: int = 4) -> list[NDArray[np.uint8]]:
    """Returns different BGR uint8 [480, 640, 3] images: a street of simple shapes with texture, light and noise."""
    return [_picture(np.random.default_rng(seed)) for seed in range(count)]


def reference_inputs(inputs: Mapping[str, TensorSpec], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns all inputs of a model: the `given` ones [n, …], and for an input of weights [n, k] rows that sum to 1,
    each with most of its weight on a different one of the k. Raises EngineVerificationError for an input of any other
    form."""
    fed = dict(given)
    count = max(map(len, given.values()), default=0)
    for name, spec in inputs.items():
        if name in fed:
            continue
        match spec.shape:
            case (_, int(weights)) if spec.dtype == np.float32:
                rows = np.arange(count) * weights // max(count, 1)
                fed[name] = (0.75 * np.eye(weights, dtype=np.float32)[rows] + 0.25 / weights).astype(np.float32)
            case _:
                raise EngineVerificationError(
                    f"the meaning of the input {name} {spec.dtype} {list(spec.shape)} is unknown, so the engine cannot "
                    "be compared with ONNX Runtime: export the model with an image as its only input"
                )
    return fed


def _picture(random: np.random.Generator) -> NDArray[np.uint8]:
    height, width = _SIZE
    light = np.linspace(random.uniform(120, 220), random.uniform(30, 90), height)[:, None, None]
    canvas = np.ascontiguousarray(np.broadcast_to(light, (height, width, 3))).astype(np.uint8)
    for _ in range(12):
        x, y = int(random.integers(0, width)), int(random.integers(height // 4, height))
        size = int(random.integers(20, 140))
        colour = [int(value) for value in random.integers(0, 256, 3)]
        cv2.rectangle(canvas, (x, y - size), (x + size // 2, y), colour, -1)
        cv2.circle(canvas, (x + size // 4, y - size - size // 6), size // 6, colour[::-1], -1)
        cv2.ellipse(canvas, (x, y), (size, size // 3), 0, 0, 360, colour[::-1], -1)
        cv2.circle(canvas, (x - size // 2, y + size // 4), size // 4, (20, 20, 20), -1)
    noisy = canvas + random.normal(0, 6, canvas.shape)
    return cv2.GaussianBlur(np.clip(noisy, 0, 255).astype(np.uint8), (3, 3), 0).astype(np.uint8)


MEAN_IOU = 0.99
"""Minimum mean over all matched boxes; a box without a match counts as 0."""
LEAST_IOU = 0.9
"""Minimum for each box. fp16 moves the edges of a small box by a tenth of a pixel; 0.98 is typical for the worst of
thirty."""
LEAST_COSINE = 0.999
LEAST_PSNR = 35.0
"""In dB."""

_BEYOND_DOUBT = 999.0
"""Stands for infinite decibels, which JSON cannot represent."""

_STRONG = 0.25
_MANY = 100

Outputs = Mapping[str, Tensor]
Verifier = Callable[[Outputs, Outputs], Mapping[str, float]]
"""(reference's outputs, engine's outputs) -> measurements by name. Raises EngineVerificationError if one exceeds its
limit."""


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """A detector's results for one image, before suppression: boxes xyxy [n, 4], scores [n], class_ids [n]."""

    boxes: NDArray[np.floating]
    scores: NDArray[np.floating]
    class_ids: NDArray[np.integer]


BoxReader = Callable[[Outputs], list[Boxes]]
"""A detector's decoder: turns raw outputs into one `Boxes` per image, including scores down to a few hundredths."""


def compare(
    reference: Session, candidate: Session, inputs: Mapping[str, Tensor], verifier: Verifier
) -> Mapping[str, float]:
    """Runs both sessions on the same inputs and compares the results. Raises EngineVerificationError if they differ too
    much. Where the file leaves the second axis of an output open, such as the number of boxes after suppression, its
    length may differ."""
    wanted, found = reference.run(inputs), candidate.run(inputs)
    for name, tensor in wanted.items():
        if name not in found or not _same_shape(found[name], tensor, reference.outputs.get(name)):
            shape = list(found[name].shape) if name in found else "nothing"
            raise EngineVerificationError(f"{name} must be {list(tensor.shape)}, but the engine produces {shape}")
        if not np.isfinite(found[name]).all():
            raise EngineVerificationError(
                f"{name}: the engine produces values that are not finite; fp16 may be too imprecise for this model"
            )
    return verifier(wanted, found)


def _same_shape(found: Tensor, wanted: Tensor, spec: TensorSpec | None) -> bool:
    if spec is None or len(spec.shape) < 2 or spec.shape[1] is not None or found.ndim != wanted.ndim:
        return found.shape == wanted.shape
    return len(found) == len(wanted) and found.shape[2:] == wanted.shape[2:]


def verifier_for(role: str, reader: BoxReader | None = None) -> Verifier:
    """Returns the check for a model of a role: by its boxes if there is a reader for them. Raises
    BackendUnavailableError if there is none."""
    if reader is not None:
        return boxes_verifier(reader)
    if role in ("face-embedder", "embedder", "classifier"):
        return embeddings_verifier
    if role == "style":
        return images_verifier
    raise BackendUnavailableError(
        f"no accuracy limits are defined for models with the role {role!r}, so its engines cannot be verified; a "
        "package can register a box reader for the role (docs/plugins.md)"
    )


def boxes_verifier(reader: BoxReader) -> Verifier:
    """Requires every strong box of either side to have a match of the same class on the other."""

    def verifier(reference: Outputs, candidate: Outputs) -> Mapping[str, float]:
        pairs = list(zip(reader(reference), reader(candidate), strict=True))
        if not any(len(wanted.scores) for wanted, _ in pairs):
            raise EngineVerificationError("the model finds nothing in the reference images: use other images")
        matches = [matched_iou(*pair) for wanted, found in pairs for pair in ((wanted, found), (found, wanted))]
        every = np.concatenate(matches)
        mean = _at_least("mean IoU of matched boxes", float(every.mean()), MEAN_IOU)
        return {**mean, **_at_least("least IoU of matched boxes", float(every.min()), LEAST_IOU)}

    return verifier


def embeddings_verifier(reference: Outputs, candidate: Outputs) -> Mapping[str, float]:
    """Requires each row of each output to have nearly the same direction."""
    cosine = min(least_cosine(tensor, candidate[name]) for name, tensor in reference.items())
    return _at_least("least cosine", cosine, LEAST_COSINE)


def images_verifier(reference: Outputs, candidate: Outputs) -> Mapping[str, float]:
    """Compares outputs that are batches of images. The value range of the reference is the peak of the PSNR."""
    found = min(least_psnr(tensor, candidate[name]) for name, tensor in reference.items())
    return _at_least("least PSNR in dB", found, LEAST_PSNR)


def matched_iou(ours: Boxes, theirs: Boxes) -> NDArray[np.float64]:
    """Returns the IoU of each of our strong boxes with its best match of the same class among theirs, or 0 if there is
    none.

    Strong means a score of at least 0.25, or of half the best score if that is lower; at most a hundred boxes.
    """
    if not len(ours.scores):
        return np.empty(0)
    floor = min(_STRONG, float(ours.scores.max()) / 2)
    order = np.argsort(-ours.scores, kind="stable")[:_MANY]
    strong = order[ours.scores[order] >= floor]
    shared = iou(ours.boxes[strong].astype(np.float64), theirs.boxes.astype(np.float64))
    shared[ours.class_ids[strong][:, None] != theirs.class_ids[None, :]] = 0
    best: NDArray[np.float64] = shared.max(axis=1, initial=0)
    return best


def least_cosine(a: Tensor, b: Tensor) -> float:
    """Returns the lowest cosine similarity of corresponding rows. If a row has zero length, it is 1 if both are equal,
    else -1."""
    ours, theirs = (tensor.reshape(len(tensor), -1).astype(np.float64) for tensor in (a, b))
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosines = np.where(lengths > 0, (ours * theirs).sum(axis=1) / np.where(lengths > 0, lengths, 1), -1.0)
    cosines[(ours == theirs).all(axis=1)] = 1
    return float(cosines.min(initial=1))


def least_psnr(a: Tensor, b: Tensor) -> float:
    """Returns the lowest peak signal-to-noise ratio of all rows in dB: 10 log10(range(a)² / mean squared
    difference)."""
    ours, theirs = (tensor.reshape(len(tensor), -1).astype(np.float64) for tensor in (a, b))
    peak = np.ptp(ours, axis=1)
    error = np.square(ours - theirs).mean(axis=1)
    ratio = np.square(np.maximum(peak, np.finfo(np.float64).tiny)) / np.maximum(error, np.finfo(np.float64).tiny)
    return float(np.where(error == 0, np.inf, 10 * np.log10(ratio)).min(initial=np.inf))


def _at_least(name: str, measured: float, limit: float) -> Mapping[str, float]:
    if not measured >= limit:
        raise EngineVerificationError(
            f"the engine does not agree with ONNX Runtime: {name} is {measured:.4g}, but must be at least "
            f"{limit:g}. It is not used; build it with a higher precision or other reference images"
        )
    return {name: min(measured, _BEYOND_DOUBT)}
