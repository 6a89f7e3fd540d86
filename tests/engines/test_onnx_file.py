"""What is read from an ONNX file without running it, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

from engines.errors import ModelFileError
from engines.onnx_file import last_operation, read_ends, read_precision
from engines.onnx_head import write_trunk
from engines.own_file import classifier_from_file, model_from_file, style_from_file
from engines.spec import ColourOrder

Read = Callable[[Path], object]
READERS: tuple[Read, ...] = (
    read_ends,
    read_precision,
    last_operation,
    lambda path: write_trunk(path, path.with_name("trunk.onnx")),
    lambda path: classifier_from_file(path, ["a", "b"]),
    lambda path: model_from_file(path, "yolox", ["a", "b"]),
    lambda path: style_from_file(path, colour=ColourOrder.RGB, scale=1.0),
)


def identity(source: str, target: str) -> NodeProto:
    return helper.make_node("Identity", [source], [target])


def written(path: Path, *nodes: NodeProto) -> Path:
    """A network from `x` to `y`, as the bytes say it: nothing is checked."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
    )
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


@pytest.mark.timeout(20)
@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "nodes",
    [
        [identity("y", "y")],
        [identity("a", "y"), identity("y", "a")],
        [identity(f"n{(n + 1) % 1000}", f"n{n}") for n in range(1000)] + [identity("n0", "y")],
        [helper.make_node("Add", ["x", "y"], ["a"]), helper.make_node("Softmax", ["a"], ["y"])],
    ],
    ids=["itself", "two", "a thousand", "beside an input"],
)
def test_a_cycle_is_refused(read: Read, nodes: list[NodeProto], tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="its nodes form a cycle"):
        read(written(tmp_path / "cycle.onnx", *nodes))


def test_a_node_that_has_no_input_ends_the_search_for_the_last_operation(tmp_path: Path) -> None:
    assert last_operation(written(tmp_path / "a.onnx", helper.make_node("Identity", [], ["y"]))) == ""


def test_a_long_chain_is_no_cycle(tmp_path: Path) -> None:
    nodes = [identity(f"n{n}" if n else "x", f"n{n + 1}") for n in range(20_000)]
    path = written(tmp_path / "long.onnx", *nodes, helper.make_node("Softmax", ["n20000"], ["y"]))
    assert last_operation(path) == "Softmax"
    assert onnx.load(path).graph.node[0].input[0] == "x"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("read", READERS)
def test_a_named_pipe_is_refused_without_waiting_for_a_writer(read: Read, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="a named pipe, not a regular file"):
        read(tmp_path / "pipe")
