"""Cross-validation: how good a head is on images it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.daemon.training.softmax_regression import FloatTable, fitted

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
