"""How good a head is on pictures that it was not made from."""

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
    """`confusion[i, j]`: how many pictures of class i were taken for class j, each by a head that was made without it.
    `penalty` is the one that was best, by the mean surprise (-log p of the right class)."""

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    penalty: float
    surprise: float

    @property
    def accuracy(self) -> float:
        """The share of pictures that were classified rightly."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def recall(self) -> FloatTable:
        """Of each class, the share that was found."""
        found: FloatTable = np.diag(self.confusion) / self.confusion.sum(axis=1)
        return found

    @property
    def precision(self) -> FloatTable:
        """Of what was taken for each class, the share that is; NaN where nothing was."""
        taken = self.confusion.sum(axis=0)
        right: FloatTable = np.divide(np.diag(self.confusion), taken, out=np.full(len(taken), np.nan), where=taken > 0)
        return right


def cross_validated(
    features: FloatTable,
    classes: NDArray[np.int64],
    labels: tuple[str, ...],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Validation:
    """Five times four fifths are learnt from and the last fifth asked, once for each penalty.

    `features` [pictures, views, n]: several views of each picture; a head learns from all views and is asked about the
    first. All views of a picture are on the same side.
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
    """The fifth that each picture belongs to, 0-4: each class spread evenly, the same way each time."""
    random = np.random.default_rng(0)
    fold = np.zeros(len(classes), np.int64)
    for number in np.unique(classes):
        places = np.flatnonzero(classes == number)
        fold[random.permutation(places)] = (np.arange(len(places)) + number) % FOLDS
    return fold


def flattened(features: FloatTable, classes: NDArray[np.int64]) -> tuple[FloatTable, NDArray[np.int64]]:
    """Each view as an example of its own."""
    pictures, views, width = features.shape
    return features.reshape(pictures * views, width), np.repeat(classes, views)
