"""Models exported for one image accept several, and return for each the same as in a batch of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sightd.engines.errors import ConversionError
from sightd.engines.models.onnx_edit import with_dynamic_batch
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from tests.support.networks import stored, write_double


def reshaping(batch: int) -> onnx.ModelProto:
    """Returns a model that flattens its input with a fixed batch size."""
    target = numpy_helper.from_array(np.array([batch, -1], np.int64), "target")
    nodes = [helper.make_node("Reshape", ["images", "target"], ["output"])]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, 4, 4])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, 48])
    graph = helper.make_graph(nodes, "reshaping", [images], [output], [target])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def compare(model: onnx.ModelProto, folder: Path, rows: int) -> None:
    """Raises AssertionError unless a batch gives the same results as its images one by one."""
    path = folder / "opened.onnx"
    onnx.save(with_dynamic_batch(model), str(path))
    session = OnnxRuntimeSession(path, 1)
    (spec,) = session.inputs.values()
    assert spec.shape[0] is None
    fed = np.random.default_rng(1).uniform(0, 255, (rows, *[axis or 1 for axis in spec.shape[1:]])).astype(np.float32)
    together = session.run({spec.name: fed})
    for row in range(rows):
        for name, alone in session.run({spec.name: fed[row : row + 1]}).items():
            np.testing.assert_allclose(together[name][row], alone[0], rtol=1e-3, atol=1e-3)


def test_a_reshape_to_a_batch_of_one_follows_the_batch(tmp_path: Path) -> None:
    compare(reshaping(1), tmp_path, 3)


def test_the_model_itself_stays_as_it_was() -> None:
    model = reshaping(1)
    before = model.SerializeToString()
    with_dynamic_batch(model)
    assert model.SerializeToString() == before


def test_a_model_that_takes_any_batch_is_left_alone(tmp_path: Path) -> None:
    model = onnx.load(write_double(tmp_path / "double.onnx"))
    assert with_dynamic_batch(model) is model


def test_a_fixed_batch_of_several_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"batch sizes \[2\]; only a batch size of 1"):
        with_dynamic_batch(reshaping(2))


@pytest.mark.parametrize("name", ["yolox-nano", "ssd-mobilenet-v2"])
def test_the_catalogues_networks_keep_their_pictures_apart(name: str, tmp_path: Path) -> None:
    compare(onnx.load(stored(name)), tmp_path, 2)
