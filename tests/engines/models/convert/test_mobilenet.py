"""MobileNet v2 with folded normalisations computes the same as the published model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from sightd.engines.errors import ConversionError
from sightd.engines.labels import IMAGENET_LABELS
from sightd.engines.models.convert import mobilenet
from sightd.engines.models.convert.onnx_graph import OnnxGraph
from sightd.engines.session import Tensor
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from tests.support.networks import stored


def test_a_folded_convolution_is_the_convolution_and_its_normalisation(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    weights = {
        "c.weight": random.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "n.weight": random.normal(size=4).astype(np.float32),
        "n.bias": random.normal(size=4).astype(np.float32),
        "n.running_mean": random.normal(size=4).astype(np.float32),
        "n.running_var": random.uniform(0.1, 3, 4).astype(np.float32),
    }
    folded, plain = OnnxGraph("folded"), OnnxGraph("plain")
    folded.add("Identity", [mobilenet._convolution(folded, weights, "x", "c", "n", stride=2)], "y")
    x = plain.add("Conv", ["x", weights["c.weight"]], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    normal = [weights[f"n.{name}"] for name in ("weight", "bias", "running_mean", "running_var")]
    x = plain.add("BatchNormalization", [x, *normal], epsilon=1e-5)
    plain.add("Clip", [x, np.array(0, np.float32), np.array(6, np.float32)], "y")
    picture, outputs = random.normal(size=(2, 3, 9, 9)).astype(np.float32), list[Tensor]()
    for name, graph in (("folded", folded), ("plain", plain)):
        graph.save(tmp_path / f"{name}.onnx", {"x": [3, 9, 9]}, {"y": [4, 5, 5]}, "for the test")
        outputs.append(OnnxRuntimeSession(tmp_path / f"{name}.onnx", threads=1).run({"x": picture})["y"])
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-5)
    assert 0.2 < np.mean(outputs[0] == 0) < 0.8, "both sides of the activation"


def test_it_is_of_the_published_size_and_takes_batches() -> None:
    model = onnx.load(stored("mobilenet-v2"))
    onnx.checker.check_model(model, full_check=True)
    operations = [node.op_type for node in model.graph.node]
    assert (operations.count("Conv"), operations.count("Add"), operations.count("Clip")) == (52, 10, 35)
    assert sum(int(np.prod(one.dims)) for one in model.graph.initializer if len(one.dims) > 1) == 3_469_760
    session = OnnxRuntimeSession(stored("mobilenet-v2"), threads=2)
    pictures = np.random.default_rng(0).normal(size=(3, 3, 224, 224)).astype(np.float32)
    together, alone = session.run({"image": pictures})["logits"], session.run({"image": pictures[1:2]})["logits"]
    assert together.shape == (3, 1000)
    np.testing.assert_allclose(together[1], alone[0], rtol=1e-3, atol=1e-3)


def test_the_embedder_is_the_first_blocks_averaged_in_strips() -> None:
    """The strips' means are those of the classifier's own feature map at that depth."""
    model = onnx.load(stored("mobilenet-v2"))
    (*_, last) = [node.output[0] for node in model.graph.node if node.op_type == "Add"][:3]
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[2].dim_value, dims[3].dim_value = 128, 64
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None))
    image = np.random.default_rng(0).normal(size=(2, 3, 128, 64)).astype(np.float32)
    (feature_map,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"image": image})
    found = OnnxRuntimeSession(stored("mobilenet-v2-embedder"), threads=1).run({"image": image})["embedding"]
    assert feature_map.shape == (2, 32, 16, 8)
    strips = feature_map.reshape(2, 32, 8, 2, 8).mean(axis=(3, 4))
    np.testing.assert_allclose(found, strips.reshape(2, 256), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("convert", [mobilenet.convert, mobilenet.convert_embedder])
def test_other_weights_are_refused(
    convert: Callable[[Path, Path], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mobilenet, "read_weights", lambda _: {"conv1.weight": np.zeros((64, 3, 7, 7), np.float32)})
    with pytest.raises(ConversionError, match=r"resnet.pth is not MobileNet v2: 'features.0.0.weight'"):
        convert(tmp_path / "resnet.pth", tmp_path / "out.onnx")


def test_the_classes_of_imagenet_have_their_places() -> None:
    assert len(set(IMAGENET_LABELS)) == len(IMAGENET_LABELS) == 1000
    assert [IMAGENET_LABELS[n] for n in (0, 281, 967, 999)] == ["tench", "tabby", "espresso", "toilet tissue"]
