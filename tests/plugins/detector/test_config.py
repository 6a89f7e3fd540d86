"""Errors in the detector's options that can be found without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightd.engines.models.catalog import Catalog
from sightd.plugins.api import ConfigProblem
from sightd.plugins.detector.config import DetectorConfig
from tests.support.onnx_models import constant_network


def problems(**options: Any) -> list[ConfigProblem]:
    return DetectorConfig.model_validate(options).problems(Catalog.load())


def test_the_defaults_have_none() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"classes": ["person", "carr"]}, ("classes", 1)),
        ({"class_min_score": {"carr": 0.5}}, ("class_min_score", "carr")),
    ],
)
def test_a_class_that_no_named_network_knows_is_told(options: dict[str, Any], path: tuple[str | int, ...]) -> None:
    (problem,) = problems(**options)
    assert problem.path == path
    assert 'did you mean "car"' in problem.message
    assert "person, bicycle" in problem.hint


def test_a_class_that_one_of_the_networks_knows_is_none(tmp_path: Path) -> None:
    file = constant_network(tmp_path / "own.onnx", (64, 32), {"output": np.zeros((42, 6), np.float32)})
    own = {"file": str(file), "head": "yolox", "labels": ["bolt"]}
    assert problems(model=["yolox-nano", own], classes=["Bolt", "person"]) == []
    assert [problem.path for problem in problems(model=own, classes=["bolt", "person"])] == [("classes", 1)]


def test_classes_are_not_held_against_a_network_that_is_not_there() -> None:
    assert [problem.path for problem in problems(model=["yolox-nano", "none"], classes=["carr"])] == [("model", 1)]
