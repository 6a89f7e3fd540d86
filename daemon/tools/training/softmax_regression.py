"""A linear classifier on features: multinomial logistic regression with an L2 penalty, and its cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.engines.classification import softmax

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
    rows, basis = _in_row_space((features - mean) / scale)
    x = np.column_stack((rows, np.ones(len(features))))
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
    matrix = (weights[:-1] if basis is None else basis @ weights[:-1]).T / scale
    return Head(matrix, weights[-1] - matrix @ mean)


def _in_row_space(table: FloatTable) -> tuple[FloatTable, FloatTable | None]:
    """Returns coordinates of the rows [m, n] in a basis of their space, and its vectors as columns [n, m]; if m < n,
    else the table and None. The best weights lie in that space, and their squares have the same sum there."""
    if len(table) >= table.shape[1]:
        return table, None
    basis, triangle = np.linalg.qr(table.T)
    return triangle.T, basis


FOLDS = 5
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """`confusion[i, j]`: how many images of class i were classified as class j, each by a head trained without it.
    `penalty` is the best one by mean `surprise` (-log p of the right class)."""

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    penalty: float
    surprise: float

    @property
    def accuracy(self) -> float:
        """Share of images that were classified correctly."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def recall(self) -> FloatTable:
        """For each class, the share of its images that was found."""
        found: FloatTable = np.diag(self.confusion) / self.confusion.sum(axis=1)
        return found

    @property
    def precision(self) -> FloatTable:
        """For each class, the share of its predictions that is right; NaN if there are none."""
        taken = self.confusion.sum(axis=0)
        right: FloatTable = np.divide(np.diag(self.confusion), taken, out=np.full(len(taken), np.nan), where=taken > 0)
        return right


def cross_validated(
    features: FloatTable,
    classes: NDArray[np.int64],
    labels: tuple[str, ...],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Validation:
    """Trains on four fifths and predicts the remaining fifth, five times for each penalty.

    `features` [images, views, n]: several views of each image; a head is trained on all views and predicts the first.
    All views of an image are in the same fold.
    """
    fold, count = folds(classes), len(labels)
    guesses = np.zeros((len(PENALTIES), len(classes), count))
    rounds = [(p, k) for p in range(len(PENALTIES)) for k in range(FOLDS)]
    for done, (p, k) in enumerate(rounds):
        progress(done, len(rounds))
        head = fitted(*flattened(features[fold != k], classes[fold != k]), count, PENALTIES[p])
        guesses[p, fold == k] = head.probabilities(features[fold == k, 0])
    progress(len(rounds), len(rounds))
    right = guesses[:, np.arange(len(classes)), classes]
    surprises = -np.log(np.maximum(right, 1e-12)).mean(axis=1)
    best = int(surprises.argmin())
    confusion = np.zeros((count, count), np.int64)
    np.add.at(confusion, (classes, guesses[best].argmax(axis=1)), 1)
    return Validation(labels, confusion, PENALTIES[best], float(surprises[best]))


def folds(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the fold of each image, 0-4: each class is spread evenly, the same way each time."""
    random = np.random.default_rng(0)
    fold = np.zeros(len(classes), np.int64)
    for number in np.unique(classes):
        places = np.flatnonzero(classes == number)
        fold[random.permutation(places)] = (np.arange(len(places)) + number) % FOLDS
    return fold


def flattened(features: FloatTable, classes: NDArray[np.int64]) -> tuple[FloatTable, NDArray[np.int64]]:
    """Returns each view as a separate example."""
    pictures, views, width = features.shape
    return features.reshape(pictures * views, width), np.repeat(classes, views)
