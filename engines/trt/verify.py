"""Whether an engine gives what ONNX Runtime gives on the same input: asked once, before it is used for the first time.

The measures are pure functions of two results; a `Judge` holds them against the limits of a network's role.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.engines.session import Session, Tensor
from sightd.engines.trt.errors import EngineVerificationError

MEAN_IOU = 0.99
"""Over all matched boxes; of one without its like it is 0."""
LEAST_IOU = 0.9
"""Of each: fp16 moves the edges of a small box by a tenth of a pixel, 0.98 is usual for the worst of thirty."""
LEAST_COSINE = 0.999
LEAST_PSNR = 35.0
"""dB."""

_BEYOND_DOUBT = 999.0
"""Infinite decibels, as JSON can hold them."""

_STRONG = 0.25
_MANY = 100

Outputs = Mapping[str, Tensor]
Judge = Callable[[Outputs, Outputs], Mapping[str, float]]
"""(reference's outputs, engine's) -> measures by name; EngineVerificationError where one is beyond its limit."""


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """What a detector says of one picture: boxes xyxy [n, 4], scores [n], class_ids [n]; nothing suppressed yet."""

    boxes: NDArray[np.floating]
    scores: NDArray[np.floating]
    class_ids: NDArray[np.integer]


BoxReader = Callable[[Outputs], list[Boxes]]
"""The head of a detector: raw outputs to one `Boxes` for each picture, down to scores of a few hundredths."""


def compare(reference: Session, candidate: Session, inputs: Mapping[str, Tensor], judge: Judge) -> Mapping[str, float]:
    """Runs both on the same input and has it judged; EngineVerificationError says how far they are apart."""
    wanted, found = reference.run(inputs), candidate.run(inputs)
    for name, tensor in wanted.items():
        if name not in found or found[name].shape != tensor.shape:
            shape = list(found[name].shape) if name in found else "nothing"
            raise EngineVerificationError(f"{name} must be {list(tensor.shape)}, the engine gives {shape}")
        if not np.isfinite(found[name]).all():
            raise EngineVerificationError(
                f"{name}: the engine gives numbers that are none; fp16 may be too coarse for it"
            )
    return judge(wanted, found)


def judge_for(role: str, reader: BoxReader | None = None) -> Judge:
    """The judge of a role of the catalogue; ValueError for one that nobody can judge."""
    if role in ("detector", "face-detector"):
        if reader is None:
            raise ValueError(f"a {role} is judged by its boxes: give the reader of its head")
        return boxes_judge(reader)
    if role in ("face-embedder", "classifier"):
        return embeddings_judge
    if role == "style":
        return pictures_judge
    raise ValueError(f"no limits are stated for networks of role {role!r}")


def boxes_judge(reader: BoxReader) -> Judge:
    """Every strong box of either side must have its like on the other, of the same class."""

    def judge(reference: Outputs, candidate: Outputs) -> Mapping[str, float]:
        pairs = list(zip(reader(reference), reader(candidate), strict=True))
        if not any(len(wanted.scores) for wanted, _ in pairs):
            raise EngineVerificationError("the reference pictures show nothing to the network: give others")
        matches = [matched_iou(*pair) for wanted, found in pairs for pair in ((wanted, found), (found, wanted))]
        every = np.concatenate(matches)
        mean = _at_least("mean IoU of matched boxes", float(every.mean()), MEAN_IOU)
        return {**mean, **_at_least("least IoU of matched boxes", float(every.min()), LEAST_IOU)}

    return judge


def embeddings_judge(reference: Outputs, candidate: Outputs) -> Mapping[str, float]:
    """Each row of each output must point the same way."""
    cosine = min(least_cosine(tensor, candidate[name]) for name, tensor in reference.items())
    return _at_least("least cosine", cosine, LEAST_COSINE)


def pictures_judge(reference: Outputs, candidate: Outputs) -> Mapping[str, float]:
    """Each output is a batch of pictures; the reference's own range is their peak."""
    found = min(least_psnr(tensor, candidate[name]) for name, tensor in reference.items())
    return _at_least("least PSNR in dB", found, LEAST_PSNR)


def matched_iou(ours: Boxes, theirs: Boxes) -> NDArray[np.float64]:
    """For each of our strong boxes its best match among theirs of the same class; 0 where it has none.

    Strong are scores from 0.25, or from half the best one where none is so high, at most a hundred.
    """
    if not len(ours.scores):
        return np.empty(0)
    floor = min(_STRONG, float(ours.scores.max()) / 2)
    order = np.argsort(-ours.scores, kind="stable")[:_MANY]
    strong = order[ours.scores[order] >= floor]
    shared = iou(ours.boxes[strong], theirs.boxes)
    shared[ours.class_ids[strong][:, None] != theirs.class_ids[None, :]] = 0
    best: NDArray[np.float64] = shared.max(axis=1, initial=0)
    return best


def iou(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union [n, m] of boxes xyxy [n, 4] and [m, 4], in double precision."""
    first, second = a.astype(np.float64)[:, None], b.astype(np.float64)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = np.maximum(sides, 0).prod(axis=-1)
    areas = (first[..., 2:] - first[..., :2]).prod(axis=-1) + (second[..., 2:] - second[..., :2]).prod(axis=-1)
    result: NDArray[np.float64] = shared / np.maximum(areas - shared, np.finfo(np.float64).tiny)
    return result


def least_cosine(a: Tensor, b: Tensor) -> float:
    """The least cosine of the angle between rows of the same place; rows without length are equal or opposite."""
    ours, theirs = (tensor.reshape(len(tensor), -1).astype(np.float64) for tensor in (a, b))
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosines = np.where(lengths > 0, (ours * theirs).sum(axis=1) / np.where(lengths > 0, lengths, 1), -1.0)
    cosines[(ours == theirs).all(axis=1)] = 1
    return float(cosines.min(initial=1))


def least_psnr(a: Tensor, b: Tensor) -> float:
    """The least peak signal-to-noise ratio in dB: 10 log10(range(a)² / mean squared difference), of each row."""
    ours, theirs = (tensor.reshape(len(tensor), -1).astype(np.float64) for tensor in (a, b))
    peak = np.ptp(ours, axis=1)
    error = np.square(ours - theirs).mean(axis=1)
    ratio = np.square(np.maximum(peak, np.finfo(np.float64).tiny)) / np.maximum(error, np.finfo(np.float64).tiny)
    return float(np.where(error == 0, np.inf, 10 * np.log10(ratio)).min(initial=np.inf))


def _at_least(name: str, measured: float, limit: float) -> Mapping[str, float]:
    if not measured >= limit:
        raise EngineVerificationError(
            f"the engine does not agree with ONNX Runtime: {name} is {measured:.4g}, at least {limit:g} is asked. "
            "It is not used; build in a higher precision, or with other reference pictures"
        )
    return {name: min(measured, _BEYOND_DOUBT)}
