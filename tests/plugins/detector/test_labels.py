"""Class names set in the configuration."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.api import PluginError
from sightd.plugins.detector.config import ids_of, least_scores

LABELS = ("person", "bicycle", "car", "traffic light", "Cat")


def test_labels_are_found_whatever_their_case() -> None:
    assert ids_of(["cat", "PERSON"], LABELS, "classes") == [4, 0]


def test_a_label_that_stands_twice_means_both_classes() -> None:
    assert ids_of(["face"], ("face", "mask", "face"), "classes") == [0, 2]


def test_an_unknown_label_is_reported_with_its_close_ones() -> None:
    with pytest.raises(PluginError, match="classes: the model has no class 'persn'; did you mean \"person\""):
        ids_of(["persn"], LABELS, "classes")


def test_an_unknown_label_that_is_like_none_is_reported_with_the_known_ones() -> None:
    with pytest.raises(PluginError, match="its classes are person, bicycle, car, traffic light, Cat"):
        ids_of(["zebra"], LABELS, "classes")


def test_single_classes_have_least_scores_of_their_own() -> None:
    scores = least_scores(LABELS, 0.25, {"cat": 0.5, "car": 0.125})
    assert scores.dtype == np.float32
    assert scores.tolist() == [0.25, 0.25, 0.125, 0.25, 0.5]


@pytest.mark.parametrize("name", ["background", "BACKGROUND", "__background__"])
def test_no_score_makes_the_background_an_object(name: str) -> None:
    assert least_scores((name, "gun"), 0.25, {}).tolist() == [np.inf, 0.25]
