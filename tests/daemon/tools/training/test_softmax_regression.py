"""The linear classifier, its cross-validation and the report."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.daemon.tools.training.report import as_json, picture, table
from sightd.daemon.tools.training.softmax_regression import (
    FOLDS,
    PENALTIES,
    FloatTable,
    Head,
    Validation,
    cross_validated,
    fitted,
    folds,
)


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


CONFUSED = Validation(("wren", "robin", "Zaunkönig"), np.array([[8, 2, 0], [1, 9, 0], [4, 0, 0]]), 1e-3, 0.5)


def test_each_class_is_spread_evenly_over_the_folds() -> None:
    classes = np.array([0] * 20 + [1] * 7 + [2] * 5)
    fold = folds(classes)
    for number in range(3):
        counts = np.bincount(fold[classes == number], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(fold, folds(classes))


def test_noise_is_recognised_as_noise() -> None:
    """A head that memorised the examples would always be right."""
    random = np.random.default_rng(0)
    features, classes = random.normal(size=(200, 2, 300)), np.arange(200) % 2
    found = cross_validated(features, classes, ("a", "b"))
    assert found.accuracy == pytest.approx(0.5, abs=0.12)
    assert found.confusion.sum() == 200
    assert found.penalty == max(PENALTIES), "the most cautious head"


def test_all_views_of_a_picture_are_on_one_side() -> None:
    """Otherwise a view would be recognised by its twin, and noise would seem learnable."""
    random = np.random.default_rng(0)
    one = random.normal(size=(100, 1, 50))
    found = cross_validated(np.repeat(one, 4, axis=1), np.arange(100) % 2, ("a", "b"))
    assert found.accuracy == pytest.approx(0.5, abs=0.15)


def test_different_classes_are_distinguished() -> None:
    classes = np.arange(60) % 3
    features = np.random.default_rng(0).normal(size=(60, 2, 20)) + 4 * np.eye(20)[classes][:, None]
    rounds: list[tuple[int, int]] = []
    found = cross_validated(features, classes, ("a", "b", "c"), lambda *done: rounds.append(done))
    assert found.accuracy > 0.95
    assert rounds == [(n, 20) for n in range(21)]


def test_figures_are_of_rows_and_columns() -> None:
    assert CONFUSED.accuracy == pytest.approx(17 / 24)
    np.testing.assert_allclose(CONFUSED.recall, [0.8, 0.9, 0])
    np.testing.assert_allclose(CONFUSED.precision, [8 / 13, 9 / 11, np.nan])
    lines = list(table(CONFUSED))
    assert lines[1].split() == ["wren", "10", "80%", "62%"]
    assert lines[3].split() == ["Zaunkönig", "4", "0%", "-"]
    assert lines[4:] == ["accuracy 70.8%, cross-validated", "most frequent mistake: Zaunkönig for wren, 4 times"]
    assert '"precision": [\n    0.6154,\n    0.8182,\n    null\n  ]' in as_json(CONFUSED, {})


def test_many_classes_make_no_picture_beyond_reason() -> None:
    count = 300
    many = Validation(tuple(map(str, range(count))), np.eye(count, dtype=np.int64), 1e-3, 0.5)
    image = picture(many.labels, many.confusion)
    assert max(image.shape) < 3000
    assert (image[:, :, 1] > image[:, :, 2].astype(int) + 20).any(), "the diagonal is there"


def test_the_picture_shows_what_was_right_in_green_and_what_was_wrong_in_red() -> None:
    image = picture(CONFUSED.labels, CONFUSED.confusion).astype(int)
    side = 46
    left = top = image.shape[0] - 3 * side - 14

    def at(row: int, column: int) -> list[int]:
        return list(image[top + row * side + 3, left + column * side + 3])

    blue, green, red = at(0, 0)
    assert green > max(blue, red)
    blue, green, red = at(2, 0)
    assert red > max(blue, green)
    assert at(0, 2) == [245, 245, 245], "nothing there"
    names = image[:, :left].min(axis=2) < 120
    assert [bool(names[top + row * side : top + (row + 1) * side].any()) for row in range(3)] == [True] * 3
    lengths = [np.ptp(np.flatnonzero(names[top + n * side : top + (n + 1) * side].any(axis=0))) for n in range(3)]
    columns = image[:top].min(axis=2) < 120
    heights = [
        np.ptp(np.flatnonzero(columns[:, left + n * side : left + (n + 1) * side].any(axis=1))) for n in range(3)
    ]
    np.testing.assert_allclose(heights, lengths, atol=3, err_msg="the same names, in the same order")
