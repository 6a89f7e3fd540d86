"""VGG16's first layers from an exported model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sightd.engines.errors import ConversionError, ModelFileError
from sightd.engines.models.convert import vgg
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from tests.support.networks import stored, write, write_double

CHANNELS = {1: 2, 2: 3, 3: 4, 4: 5}


def exported(path: Path, *, without: str = "") -> Path:
    """Writes a small model with the layers and names of an exported VGG16, and one more layer that is not needed."""
    random, nodes, constants, x, inputs = np.random.default_rng(0), [], [], "in", 3
    for block, count in enumerate(vgg.BLOCKS, 1):
        for n in range(1, count + 1):
            name = f"model/block{block}_conv{n}/"
            if f"block{block}_conv{n}" != without:
                kernel = random.normal(size=(CHANNELS[block], inputs, 3, 3)).astype(np.float32)
                shift = random.normal(size=CHANNELS[block]).astype(np.float32)
                constants += [
                    numpy_helper.from_array(kernel, name + "kernel"),
                    numpy_helper.from_array(shift, name + "b"),
                ]
                nodes.append(helper.make_node("Conv", [x, name + "kernel", name + "b"], [name + "c"], pads=[1] * 4))
                nodes.append(helper.make_node("Relu", [name + "c"], [name + "r"]))
                x, inputs = name + "r", CHANNELS[block]
        nodes.append(helper.make_node("MaxPool", [x], [f"pool{block}"], kernel_shape=[2, 2], strides=[2, 2]))
        x = f"pool{block}"
    ends = (("in", 3), (x, CHANNELS[4]))
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", c, None, None]) for name, c in ends]
    return write(path, helper.make_graph(nodes, "vgg", infos[:1], infos[1:], constants))


def test_each_block_gives_what_its_last_layer_gives(tmp_path: Path) -> None:
    source, target = exported(tmp_path / "vgg.onnx"), tmp_path / "trunk.onnx"
    vgg.convert(source, target)
    picture = np.random.default_rng(1).normal(size=(2, 3, 16, 24)).astype(np.float32)
    found = OnnxRuntimeSession(target, threads=1).run({"image": picture})
    assert {name: array.shape for name, array in found.items()} == {
        "block1": (2, 2, 16, 24),
        "block2": (2, 3, 8, 12),
        "block3": (2, 4, 4, 6),
        "block4": (2, 5, 2, 3),
    }
    (pooled,) = OnnxRuntimeSession(source, threads=1).run({"in": picture}).values()
    last = found["block4"]
    np.testing.assert_allclose(pooled[:, :, 0, 0], last[:, :, :2, :2].max(axis=(2, 3)), rtol=1e-4)
    kernel, shift = vgg.read(target)[2][1]
    model = {one.name: numpy_helper.to_array(one) for one in onnx.load(source).graph.initializer}
    np.testing.assert_array_equal(kernel, model["model/block3_conv2/kernel"])
    np.testing.assert_array_equal(shift, model["model/block3_conv2/b"])


def test_other_networks_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="is not VGG16: it has no block3_conv2"):
        vgg.convert(exported(tmp_path / "vgg.onnx", without="block3_conv2"), tmp_path / "out.onnx")
    (tmp_path / "page.onnx").write_text("<html>")
    with pytest.raises(ConversionError, match="cannot be read as ONNX"):
        vgg.convert(tmp_path / "page.onnx", tmp_path / "out.onnx")
    with pytest.raises(ModelFileError, match="is not a VGG16 file written by sightd"):
        vgg.read(write_double(tmp_path / "double.onnx"))


def test_the_published_one_tells_edges_and_patterns() -> None:
    """At least one feature of its first block responds far more to vertical lines than to horizontal ones."""
    lines = np.zeros((2, 3, 32, 32), np.float32)
    lines[0, :, :, ::4], lines[1, :, ::4] = 120, 120
    first = OnnxRuntimeSession(stored("vgg16"), threads=2).run({"image": lines})["block1"]
    upright, level = first[:, :, 8:24, 8:24].mean(axis=(2, 3))
    assert (upright / np.maximum(level, 1e-3)).max() > 5
    assert (level / np.maximum(upright, 1e-3)).max() > 5
