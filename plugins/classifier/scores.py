"""Turns a model's output into the likeliest classes."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.types import FloatArray, IntArray

Real = TypeVar("Real", bound=np.floating[Any])


def softmax(logits: NDArray[Real]) -> NDArray[Real]:
    """Returns probabilities over the last axis, e^z / Σ e^z, in the dtype of the logits, but at least float32."""
    above = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.result_type(logits, np.float32))
    shares: NDArray[Real] = above / above.sum(axis=-1, keepdims=True)
    return shares


def averaged(before: FloatArray, now: FloatArray, seconds: float, constant: float) -> FloatArray:
    """Returns the exponential moving average: before + (1 - e^(-t/τ)) · (now - before); `now` if τ is 0."""
    weight = 1.0 if constant <= 0 else 1 - math.exp(-max(seconds, 0.0) / constant)
    return before + np.float32(weight) * (now - before)


def likeliest(scores: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """Returns class ids int64 [n, k] and scores float32 [n, k] of each row [n, classes], best first; equal scores are
    ordered by class id. k is `count`, or the number of classes if that is smaller."""
    order = np.argsort(-scores, axis=-1, kind="stable")[:, :count].astype(np.int64)
    return order, np.take_along_axis(scores, order, axis=-1).astype(np.float32)
