"""Which nodes of each head's models are quantised to int8."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from sightd.engines.models.quantize import Recipe, recipe_for
from tests.support.small_networks import convolutional


@pytest.fixture
def graph(tmp_path: Path) -> onnx.GraphProto:
    convolutional(tmp_path / "small.onnx")
    return onnx.load(tmp_path / "small.onnx").graph


def test_of_an_ssd_all_but_what_follows_the_last_convolutions(graph: onnx.GraphProto) -> None:
    assert recipe_for("ssd", graph) == Recipe(None, ("last",), rounds_results=True)


@pytest.mark.parametrize("head", ["yolox", "nanodet", "never heard of"])
def test_of_others_neither_depthwise_nor_predicting_convolutions(head: str, graph: onnx.GraphProto) -> None:
    assert recipe_for(head, graph) == Recipe(("Conv", "Gemm", "MatMul"), ("depthwise", "predict"), rounds_results=False)
