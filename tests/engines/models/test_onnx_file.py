"""What is read from an ONNX file without running it, and what is rejected."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

from sightd.engines.errors import ModelFileError
from sightd.engines.model import ColourOrder
from sightd.engines.models.custom_file import classifier_from_file, embedder_from_file, model_from_file, style_from_file
from sightd.engines.models.onnx_edit import write_trunk
from sightd.engines.models.onnx_file import last_operation, read_io_spec, read_precision

Read = Callable[[Path], object]
READERS: tuple[Read, ...] = (
    read_io_spec,
    read_precision,
    last_operation,
    lambda path: write_trunk(path, path.with_name("trunk.onnx")),
    lambda path: classifier_from_file(path, ["a", "b"]),
    embedder_from_file,
    lambda path: model_from_file(path),
    lambda path: style_from_file(path, colour=ColourOrder.RGB, scale=1.0),
)


def identity(source: str, target: str) -> NodeProto:
    return helper.make_node("Identity", [source], [target])


def written(path: Path, *nodes: NodeProto) -> Path:
    """Writes a model from `x` to `y` without checking it."""
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


def with_weights_in(folder: Path, location: str, *, length: str = "8") -> Path:
    """Writes a model whose weights are in another file."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": "0", "length": length}.items():
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    path = written(folder / "network.onnx", helper.make_node("Add", ["x", "w"], ["y"]))
    model = onnx.load(str(path), load_external_data=False)
    model.graph.initializer.append(weights)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.timeout(20)
@pytest.mark.parametrize("read", READERS[:3])
@pytest.mark.parametrize(
    ("location", "length", "told"),
    [
        ("../secret", "8", "outside its folder"),
        ("/etc/passwd", "8", "outside its folder"),
        ("link", "8", "outside its folder"),
        ("", "8", "outside its folder"),
        ("sub/../../secret", "8", "outside its folder"),
        ("missing", "8", "missing or not a regular file"),
        ("fifo", "8", "missing or not a regular file"),
        ("weights", "1099511627776", "truncated"),
        ("weights", "-8", "truncated"),
    ],
)
def test_weights_are_read_from_whole_files_of_the_same_folder_only(
    read: Read, location: str, length: str, told: str, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(8))
    (folder / "weights").write_bytes(bytes(8))
    (folder / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "fifo")
    with pytest.raises(ModelFileError, match=told):
        read(with_weights_in(folder, location, length=length))


def test_weights_of_a_branch_are_read_from_the_same_folder_only(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    outer = onnx.load(str(with_weights_in(tmp_path / "folder", "../secret")), load_external_data=False)
    branch = onnx.GraphProto()
    branch.CopyFrom(outer.graph)
    path = written(tmp_path / "folder" / "network.onnx", helper.make_node("If", ["x"], ["y"], then_branch=branch))
    with pytest.raises(ModelFileError, match="outside its folder"):
        read_io_spec(path)


def test_weights_beside_the_network_are_taken(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights").write_bytes(bytes(8))
    assert list(read_io_spec(with_weights_in(tmp_path, "data/weights")).inputs) == ["x"]


def branching(path: Path, *nodes: NodeProto) -> Path:
    """Writes a model whose nodes are in a branch of an If."""
    branch = helper.make_graph(nodes, "b", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])])
    return written(path, helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))


def with_functions(path: Path, **bodies: Sequence[str]) -> Path:
    """Writes a model that calls the function `f0`; `bodies` gives, for each function, the names of those it calls."""
    written(path, helper.make_node("f0", ["x"], ["y"], domain="own"))
    model = onnx.load(str(path))
    for name, called in bodies.items():
        nodes = [
            helper.make_node(one, [f"n{n}" if n else "x"], [f"n{n + 1}"], domain="own" if one in bodies else "")
            for n, one in enumerate(called)
        ]
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        model.functions.append(helper.make_function("own", name, ["x"], [f"n{len(nodes)}"], nodes, opsets))
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("read", READERS[:3])
def test_a_cycle_in_a_branch_is_refused(read: Read, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="its nodes form a cycle"):
        read(branching(tmp_path / "cycle.onnx", identity("a", "y"), identity("y", "a")))


@pytest.mark.parametrize("read", READERS[:3])
@pytest.mark.parametrize("bodies", [{"f0": ["f0"]}, {"f0": ["f1"], "f1": ["Identity", "f0"]}])
def test_functions_that_call_each_other_in_a_cycle_are_refused(
    read: Read, bodies: dict[str, list[str]], tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match="functions call each other in a cycle"):
        read(with_functions(tmp_path / "cycle.onnx", **bodies))


def doubling(depth: int) -> dict[str, list[str]]:
    """Returns functions that each call the next one twice."""
    return {f"f{n}": [f"f{n + 1}"] * 2 for n in range(depth)} | {f"f{depth}": ["Identity"]}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("read", READERS[:3])
def test_functions_that_stand_for_millions_of_nodes_are_refused(read: Read, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="expand to more than"):
        read(with_functions(tmp_path / "bomb.onnx", **doubling(60)))


def test_functions_of_a_usual_size_are_taken(tmp_path: Path) -> None:
    assert list(read_io_spec(with_functions(tmp_path / "a.onnx", **doubling(8))).inputs) == ["x"]


@pytest.mark.parametrize("read", READERS)
def test_a_file_larger_than_any_onnx_file_is_refused_before_it_is_read(read: Read, tmp_path: Path) -> None:
    with (tmp_path / "sparse.onnx").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ModelFileError, match="larger than 2 GiB"):
        read(tmp_path / "sparse.onnx")
