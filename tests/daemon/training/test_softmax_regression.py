"""The fitted head has the least penalised cross-entropy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.daemon.training.softmax_regression import FloatTable, Head, fitted


def clouds(count: int = 60, apart: float = 2.0, width: int = 5) -> tuple[FloatTable, NDArray[np.int64]]:
    random = np.random.default_rng(1)
    classes = np.arange(count) % 3
    centres = random.normal(size=(3, width)) * apart
    return centres[classes] + random.normal(size=(count, width)), classes


def loss(head: Head, features: FloatTable, classes: NDArray[np.int64], penalty: float) -> float:
    """Returns the documented loss: balanced cross-entropy, plus a penalty on the weights of standardised features."""
    right = head.probabilities(features)[np.arange(len(classes)), classes]
    share = 1 / (3 * np.bincount(classes))[classes]
    scaled = head.matrix * features.std(axis=0) * np.sqrt(features.shape[1])
    return float(-(share * np.log(right)).sum() + penalty / 2 * (scaled**2).sum())


@pytest.mark.parametrize("penalty", [1e-3, 1e-1])
def test_no_head_near_it_is_better(penalty: float) -> None:
    features, classes = clouds()
    head = fitted(features, classes, 3, penalty)
    least = loss(head, features, classes, penalty)
    random = np.random.default_rng(2)
    for _ in range(200):
        size = 10.0 ** random.uniform(-3, 0)
        other = Head(
            head.matrix + size * random.normal(size=head.matrix.shape),
            head.shift + size * random.normal(size=head.shift.shape),
        )
        assert loss(other, features, classes, penalty) > least - 1e-6


def test_it_tells_new_examples_apart() -> None:
    features, classes = clouds(600, apart=3)
    head = fitted(features[:300], classes[:300], 3, 1e-3)
    assert np.mean(head.probabilities(features[300:]).argmax(axis=1) == classes[300:]) > 0.95


def test_a_rare_class_weighs_as_much_as_a_common_one() -> None:
    features, classes = clouds(3000, apart=0.4)
    rare = np.flatnonzero((classes != 2) | (np.arange(3000) % 30 == 2))
    head = fitted(features[rare], classes[rare], 3, 1e-2)
    guesses = head.probabilities(features).argmax(axis=1)
    shares = np.bincount(guesses, minlength=3) / len(guesses)
    assert shares.min() > 0.2, shares


def test_more_features_than_examples_and_some_that_say_nothing_are_no_trouble() -> None:
    features, classes = clouds(30, width=200)
    features[:, 7] = 3.0
    head = fitted(features, classes, 3, 1e-4)
    assert np.all(head.matrix[:, 7] == 0)
    assert np.mean(head.probabilities(features).argmax(axis=1) == classes) == 1
    again = fitted(features, classes, 3, 1e-4)
    np.testing.assert_array_equal(head.matrix, again.matrix)
