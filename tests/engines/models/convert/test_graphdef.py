"""TensorFlow's frozen graphs, read without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.engines.errors import ConversionError
from sightd.engines.models.convert import graphdef
from tests.support import graphdefs

EXAMPLE = graphdefs.graph(
    graphdefs.constant("weights", np.arange(6, dtype=np.float32).reshape(2, 3)),
    graphdefs.constant("axis", np.array(-1, np.int32)),
    graphdefs.node("conv", "Conv2D", ["image:0", "weights", "^init"], {"padding": "SAME", "strides": [1, 2, 2, 1]}),
)


def read(tmp_path: Path, content: bytes) -> dict[str, graphdef.Node]:
    path = tmp_path / "graph.pb"
    path.write_bytes(content)
    return graphdef.read(path)


def test_nodes_have_their_operation_inputs_and_attributes(tmp_path: Path) -> None:
    conv = read(tmp_path, EXAMPLE)["conv"]
    assert conv.op == "Conv2D"
    assert conv.inputs == ("image", "weights")
    assert conv.attributes == {"padding": "SAME", "strides": (1, 2, 2, 1)}


def test_constants_have_their_numbers_shape_and_type(tmp_path: Path) -> None:
    nodes = read(tmp_path, EXAMPLE)
    weights, axis = nodes["weights"].attributes["value"], nodes["axis"].attributes["value"]
    assert isinstance(weights, np.ndarray)
    assert isinstance(axis, np.ndarray)
    np.testing.assert_array_equal(weights, np.arange(6, dtype=np.float32).reshape(2, 3))
    assert weights.dtype == np.float32
    assert axis.shape == ()
    assert axis.dtype == np.int32
    assert int(axis) == -1


def test_one_number_may_stand_for_all(tmp_path: Path) -> None:
    content = graphdefs.graph(graphdefs.raw_constant("ones", graphdefs.repeated_float(1.5, [2, 2])))
    ones = read(tmp_path, content)["ones"].attributes["value"]
    assert isinstance(ones, np.ndarray)
    assert ones.tolist() == [[1.5, 1.5], [1.5, 1.5]]


@pytest.mark.parametrize("content", [b"", b"<html>not a graph</html>", EXAMPLE[:-7]])
def test_what_is_no_whole_graph_is_reported(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConversionError, match=r"graph\.pb is not a"):
        read(tmp_path, content)


@given(st.integers(0, len(EXAMPLE) - 1), st.integers(0, 255))
def test_a_damaged_graph_is_either_read_or_reported(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    damaged = bytearray(EXAMPLE)
    damaged[at] = byte
    try:
        nodes = read(tmp_path_factory.getbasetemp(), bytes(damaged))
    except ConversionError as error:
        assert "graph.pb" in str(error)  # noqa: PT017 — most damaged files are read as another graph
    else:
        assert all(isinstance(node, graphdef.Node) for node in nodes.values())
