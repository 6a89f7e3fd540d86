"""Frozen graphs are followed node by node, and a cycle is rejected."""

from __future__ import annotations

import pytest

from sightd.engines.errors import ConversionError
from sightd.engines.models.convert.graphdef import Node
from sightd.engines.models.convert.onnx_graph import OnnxGraph
from sightd.engines.models.convert.tensorflow import Translation


@pytest.mark.timeout(10)
def test_a_cycle_is_refused() -> None:
    nodes = {
        "a": Node("a", "Add", ("b", "b")),
        "b": Node("b", "Identity", ("c",)),
        "c": Node("c", "Identity", ("a",)),
    }
    with pytest.raises(ConversionError, match="node a needs its own output: the graph has a cycle"):
        Translation(nodes, OnnxGraph("g"), {}).convolution("a")
