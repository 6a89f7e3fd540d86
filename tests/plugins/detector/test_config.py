"""Errors in the detector's options that can be found without a model."""

from __future__ import annotations

from typing import Any

import pytest

from sightd.engines.models.catalog import Catalog
from sightd.plugins.api import Fault
from sightd.plugins.detector.config import DetectorConfig


def faults(**options: Any) -> list[Fault]:
    return DetectorConfig.model_validate(options).faults(Catalog.load())


def test_the_defaults_have_none() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"classes": ["person", "carr"]}, ("classes", 1)),
        ({"class_min_score": {"carr": 0.5}}, ("class_min_score", "carr")),
    ],
)
def test_a_class_that_no_named_network_knows_is_told(options: dict[str, Any], path: tuple[str | int, ...]) -> None:
    (fault,) = faults(**options)
    assert fault.path == path
    assert 'did you mean "car"' in fault.message
    assert "person, bicycle" in fault.hint


def test_a_class_that_one_of_the_networks_knows_is_none() -> None:
    own = {"file": "/proc/version", "head": "yolox", "labels": ["bolt"]}
    assert faults(model=["yolox-nano", own], classes=["Bolt", "person"]) == []
    assert [fault.path for fault in faults(model=own, classes=["bolt", "person"])] == [("classes", 1)]


def test_classes_are_not_held_against_a_network_that_is_not_there() -> None:
    assert [fault.path for fault in faults(model=["yolox-nano", "none"], classes=["carr"])] == [("model", 1)]
