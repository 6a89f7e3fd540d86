"""A classifier's last layer is removed and replaced; the layers before it stay unchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sightd.engines.errors import ModelFileError
from sightd.engines.models.onnx_edit import FEATURES, LOGITS, write_trunk, write_with_head
from sightd.engines.session import Tensor
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from tests.support.networks import stored, write, write_colours, write_double

PICTURE = np.random.default_rng(0).uniform(0, 1, (2, 3, 8, 8)).astype(np.float32)
MEANS = PICTURE.mean(axis=(2, 3))


def run(path: Path) -> dict[str, Tensor]:
    return dict(OnnxRuntimeSession(path, threads=1).run({"image": PICTURE}))


@pytest.mark.parametrize("last", ["", "Softmax"])
def test_the_trunk_gives_what_went_into_the_last_layer(last: str, tmp_path: Path) -> None:
    assert write_trunk(write_colours(tmp_path / "a.onnx", last=last), tmp_path / "trunk.onnx") == 3
    found = run(tmp_path / "trunk.onnx")
    assert list(found) == [FEATURES]
    np.testing.assert_allclose(found[FEATURES], MEANS, rtol=1e-5)
    operations = [node.op_type for node in onnx.load(tmp_path / "trunk.onnx").graph.node]
    assert "Gemm" not in operations


def test_another_head_gives_its_own_logits_and_can_be_replaced_again(tmp_path: Path) -> None:
    source = write_colours(tmp_path / "a.onnx", last="Softmax")
    for n, classes in enumerate((5, 2)):
        random = np.random.default_rng(n)
        matrix, shift = random.normal(size=(classes, 3)).astype(np.float32), np.arange(classes, dtype=np.float32)
        write_with_head(source, tmp_path / f"{n}.onnx", matrix, shift)
        found = run(tmp_path / f"{n}.onnx")
        assert list(found) == [LOGITS]
        np.testing.assert_allclose(found[LOGITS], MEANS @ matrix.T + shift, rtol=1e-4, atol=1e-5)
        source = tmp_path / f"{n}.onnx"
    with pytest.raises(ValueError, match=r"the head is \[2, 4\] and \[2\], for 3 features"):
        write_with_head(source, tmp_path / "c.onnx", np.zeros((2, 4), np.float32), np.zeros(2, np.float32))


def test_a_file_that_lists_its_weights_among_its_inputs_is_taken(tmp_path: Path) -> None:
    model = onnx.load(write_colours(tmp_path / "a.onnx"))
    for one in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(one.name, one.data_type, list(one.dims)))
    onnx.save(model, tmp_path / "old.onnx")
    write_with_head(tmp_path / "old.onnx", tmp_path / "new.onnx", np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    np.testing.assert_allclose(run(tmp_path / "new.onnx")[LOGITS], MEANS, rtol=1e-5)


def test_a_layer_of_a_product_and_a_sum_is_one(tmp_path: Path) -> None:
    constants = [
        numpy_helper.from_array(np.ones((3, 4), np.float32), "matrix"),
        numpy_helper.from_array(np.ones(4, np.float32), "shift"),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "matrix"], ["product"]),
        helper.make_node("Add", ["product", "shift"], ["logits"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])
    source = write(tmp_path / "a.onnx", helper.make_graph(nodes, "product", [image], [logits], constants))
    assert write_trunk(source, tmp_path / "trunk.onnx") == 3
    np.testing.assert_allclose(run(tmp_path / "trunk.onnx")[FEATURES], MEANS, rtol=1e-5)


def test_the_published_network_has_one(tmp_path: Path) -> None:
    assert write_trunk(stored("mobilenet-v2"), tmp_path / "trunk.onnx") == 1280


def test_a_file_without_outputs_or_nodes_is_refused(tmp_path: Path) -> None:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3])
    node = helper.make_node("Identity", ["image"], ["same"])
    empty = write(tmp_path / "empty.onnx", helper.make_graph([], "empty", [image], [image]))
    with pytest.raises(ModelFileError, match="instead of a fully connected layer"):
        write_trunk(empty, tmp_path / "trunk.onnx")
    model = onnx.load(empty)
    model.graph.node.append(node)
    del model.graph.output[:]
    onnx.save(model, tmp_path / "endless.onnx")
    with pytest.raises(ModelFileError, match=r"endless\.onnx has no output"):
        write_trunk(tmp_path / "endless.onnx", tmp_path / "trunk.onnx")


@pytest.mark.parametrize("inputs", [[], ["image"]])
def test_a_last_layer_without_its_inputs_is_refused(inputs: list[str], tmp_path: Path) -> None:
    model = onnx.load(write_colours(tmp_path / "a.onnx"))
    (last,) = (node for node in model.graph.node if node.op_type == "Gemm")
    del last.input[:]
    last.input.extend(inputs)
    onnx.save(model, tmp_path / "cut.onnx")
    with pytest.raises(ModelFileError, match="instead of a fully connected layer"):
        write_trunk(tmp_path / "cut.onnx", tmp_path / "trunk.onnx")


def test_what_has_no_such_layer_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="ends in nothing instead of a fully connected layer"):
        write_trunk(write_double(tmp_path / "a.onnx"), tmp_path / "trunk.onnx")
    (tmp_path / "page.onnx").write_text("<html>")
    with pytest.raises(ModelFileError, match="is a web page"):
        write_trunk(tmp_path / "page.onnx", tmp_path / "trunk.onnx")
