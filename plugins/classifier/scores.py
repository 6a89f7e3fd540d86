"""From a network's output to the likeliest classes."""

from __future__ import annotations

import math

import numpy as np

from sightd.plugins.types import FloatArray, IntArray


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities of the last axis: e^z / Σ e^z."""
    above = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float32)
    shares: FloatArray = above / above.sum(axis=-1, keepdims=True)
    return shares


def averaged(before: FloatArray, now: FloatArray, seconds: float, constant: float) -> FloatArray:
    """An exponential moving average `seconds` later: before + (1 - e^(-t/τ)) · (now - before); `now` where τ is 0."""
    weight = 1.0 if constant <= 0 else 1 - math.exp(-max(seconds, 0.0) / constant)
    return before + np.float32(weight) * (now - before)


def likeliest(scores: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """Class ids int64 [n, k] and scores float32 [n, k] of each row [n, classes], best first, the lower class before
    the higher of equal score; k is `count`, or as many as there are."""
    order = np.argsort(-scores, axis=-1, kind="stable")[:, :count].astype(np.int64)
    return order, np.take_along_axis(scores, order, axis=-1).astype(np.float32)
