"""A linear classifier on features: multinomial logistic regression with an L2 penalty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.classifier.scores import softmax

FloatTable = NDArray[np.float64]

_STEPS = 3000
_STILL = 1e-5
"""Stops once no weight changes by more than this in a step."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Logits from features: `features @ matrix.T + shift`; matrix [classes, n], shift [classes]."""

    matrix: FloatTable
    shift: FloatTable

    def probabilities(self, features: FloatTable) -> FloatTable:
        """Returns probabilities [m, classes] for features [m, n]."""
        return softmax(features @ self.matrix.T + self.shift)


def fitted(features: FloatTable, classes: NDArray[np.int64], count: int, penalty: float) -> Head:
    """Returns the head that minimises mean cross-entropy plus `penalty` / 2 times its squared weights, on features [m,
    n] of `classes` [m]; all `count` classes have the same weight, however many examples they have.

    Features are standardised first, so that a penalty means the same for every model. The objective is convex; it is
    minimised by Nesterov's accelerated gradient for strongly convex functions (Nesterov 2004, "Introductory Lectures on
    Convex Optimization", 2.2), whose step follows from the largest curvature: deterministic, nothing to tune.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.where(spread > 1e-9, spread, np.inf) * np.sqrt(features.shape[1])
    x = np.column_stack(((features - mean) / scale, np.ones(len(features))))
    share = 1 / (count * np.bincount(classes, minlength=count))[classes]
    targets = np.eye(count)[classes]
    weighted = x * np.sqrt(share)[:, None]
    products = weighted.T @ weighted if len(x) > x.shape[1] else weighted @ weighted.T
    curvature = 0.5 * float(np.linalg.eigvalsh(products)[-1]) + penalty
    ratio = np.sqrt(penalty / curvature)
    momentum = (1 - ratio) / (1 + ratio)
    penalised = np.append(np.full(x.shape[1] - 1, penalty), penalty * 1e-3)  # the shift is hardly penalised
    weights = ahead = np.zeros((x.shape[1], count))
    for _ in range(_STEPS):
        wrong = (softmax(x @ ahead) - targets) * share[:, None]
        moved = ahead - (x.T @ wrong + penalised[:, None] * ahead) / curvature
        change = moved - weights
        weights, ahead = moved, moved + momentum * change
        if np.abs(change).max() < _STILL:
            break
    matrix = weights[:-1].T / scale
    return Head(matrix, weights[-1] - matrix @ mean)
