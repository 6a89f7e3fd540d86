"""The SSD converter: a small graph compared with NumPy, and the real model on photographs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from sightd.engines.errors import ConversionError
from sightd.engines.labels import COCO_IDENTIFIERS
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.convert import ssd
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from tests.support import graphdefs, media, networks

Array = NDArray[Any]

PICTURES = "Preprocessor/map/TensorArrayStack/TensorArrayGatherV3"
SCALES, ASPECTS = np.array([0.1, 0.4], np.float32), np.array([1, 2], np.float32)


def convolution(stride: int) -> dict[str, graphdefs.Attribute]:
    return {"padding": "SAME", "data_format": "NHWC", "dilations": [1, 1, 1, 1], "strides": [1, stride, stride, 1]}


class Sketch:
    """A one-level SSD of a few layers: its graph, and the same computation in NumPy by TensorFlow's definition.

    Feature maps of 300, 150, 38 and 19: strides for which "SAME" pads more at the end than at the start.
    """

    def __init__(self) -> None:
        self.random = np.random.default_rng(7)
        self.nodes: list[bytes] = [
            graphdefs.constant("Preprocessor/mul/x", np.array(2 / 255, np.float32)),
            graphdefs.constant("Preprocessor/sub/y", np.array(1, np.float32)),
            graphdefs.node("Preprocessor/mul", "Mul", ["Preprocessor/mul/x", PICTURES]),
            graphdefs.node("Preprocessor/sub", "Sub", ["Preprocessor/mul", "Preprocessor/sub/y"]),
        ]
        first = self.block("first", "Preprocessor/sub", (3, 3, 3, 8), 2)
        deep = self.block("deep", first, (3, 3, 8, 1), 4, depthwise=True)
        same = self.block("same", deep, (1, 1, 8, 8), 1)
        self.nodes.append(graphdefs.node("sum", "Add", [deep, same]))
        last = self.block("last", "sum", (3, 3, 8, 8), 2)
        self.head("BoxEncodingPredictor", last, 2 * 4)
        self.head("ClassPredictor", last, 2 * 91)
        self.nodes += [
            graphdefs.constant("MultipleGridAnchorGenerator/Sqrt/x", ASPECTS),
            graphdefs.constant("MultipleGridAnchorGenerator/mul_15/x", SCALES),
            graphdefs.node("MultipleGridAnchorGenerator/Sqrt", "Sqrt", ["MultipleGridAnchorGenerator/Sqrt/x"]),
            graphdefs.node(
                "MultipleGridAnchorGenerator/mul_15",
                "Mul",
                ["MultipleGridAnchorGenerator/mul_15/x", "MultipleGridAnchorGenerator/Sqrt"],
            ),
        ]

    def number(self, name: str, shape: tuple[int, ...], low: float, high: float) -> Array:
        value = self.random.uniform(low, high, shape).astype(np.float32)
        self.nodes += [
            graphdefs.constant(name, value),
            graphdefs.node(f"{name}/read", "Identity", [name]),
        ]
        setattr(self, name.replace("/", "_"), value)
        return value

    def block(self, name: str, source: str, kernel: tuple[int, ...], stride: int, *, depthwise: bool = False) -> str:
        """Adds convolution, unfused batch normalisation and ReLU6 as the object detection API writes them."""
        width = kernel[2] if depthwise else kernel[3]
        self.number(f"{name}/weights", kernel, -0.4, 0.4)
        for part, low, high in (("gamma", 0.5, 1.5), ("beta", 0.0, 2.0), ("mean", -1, 1), ("variance", 0.2, 1)):
            self.number(f"{name}/{part}", (width,), low, high)
        op = "DepthwiseConv2dNative" if depthwise else "Conv2D"
        self.nodes += [
            graphdefs.node(f"{name}/conv", op, [source, f"{name}/weights/read"], convolution(stride)),
            graphdefs.constant(f"{name}/epsilon", np.array(0.001, np.float32)),
            graphdefs.node(f"{name}/add", "Add", [f"{name}/variance/read", f"{name}/epsilon"]),
            graphdefs.node(f"{name}/rsqrt", "Rsqrt", [f"{name}/add"]),
            graphdefs.node(f"{name}/mul", "Mul", [f"{name}/rsqrt", f"{name}/gamma/read"]),
            graphdefs.node(f"{name}/mul_1", "Mul", [f"{name}/conv", f"{name}/mul"]),
            graphdefs.node(f"{name}/mul_2", "Mul", [f"{name}/mean/read", f"{name}/mul"]),
            graphdefs.node(f"{name}/sub", "Sub", [f"{name}/beta/read", f"{name}/mul_2"]),
            graphdefs.node(f"{name}/add_1", "Add", [f"{name}/mul_1", f"{name}/sub"]),
            graphdefs.node(f"{name}/relu6", "Relu6", [f"{name}/add_1"]),
        ]  # fmt: skip
        return f"{name}/relu6"

    def head(self, name: str, source: str, width: int) -> None:
        at = f"BoxPredictor_0/{name}"
        self.number(f"{at}/weights", (1, 1, 8, width), -0.3, 0.3)
        self.number(f"{at}/biases", (width,), -1, 1)
        self.nodes += [
            graphdefs.node(f"{at}/Conv2D", "Conv2D", [source, f"{at}/weights/read"], convolution(1)),
            graphdefs.node(f"{at}/BiasAdd", "BiasAdd", [f"{at}/Conv2D", f"{at}/biases/read"]),
        ]

    def value(self, name: str) -> Array:
        value: Array = getattr(self, name.replace("/", "_"))
        return value

    def compute(self, pictures: Array) -> tuple[Array, Array]:
        """Returns boxes xyxy and the scores of the 80 classes for RGB images [b, 300, 300, 3]."""
        x = self.normalised("first", pictures * (2 / 255) - 1, 2)
        x = self.normalised("deep", x, 4, depthwise=True)
        x = x + self.normalised("same", x, 1)
        x = self.normalised("last", x, 2)
        encodings, logits = (
            convolve(x, self.value(f"BoxPredictor_0/{head}/weights"), 1) + self.value(f"BoxPredictor_0/{head}/biases")
            for head in ("BoxEncodingPredictor", "ClassPredictor")
        )
        batch, rows, columns, _ = encodings.shape
        encodings = encodings.reshape(batch, rows, columns, 2, 4)
        cy, cx = ((np.arange(n) + 0.5) / n for n in (rows, columns))
        heights, widths = SCALES / np.sqrt(ASPECTS), SCALES * np.sqrt(ASPECTS)
        y = encodings[..., 0] / 10 * heights + cy[:, None, None]
        x = encodings[..., 1] / 10 * widths + cx[None, :, None]
        h, w = np.exp(encodings[..., 2] / 5) * heights, np.exp(encodings[..., 3] / 5) * widths
        boxes = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1).reshape(batch, -1, 4)
        scores = 1 / (1 + np.exp(-logits.reshape(batch, -1, 91)))
        return boxes, scores[:, :, list(COCO_IDENTIFIERS)]

    def normalised(self, name: str, x: Array, stride: int, *, depthwise: bool = False) -> Array:
        x = convolve(x, self.value(f"{name}/weights"), stride, depthwise=depthwise)
        x = (x - self.value(f"{name}/mean")) / np.sqrt(self.value(f"{name}/variance") + 0.001)
        return np.clip(x * self.value(f"{name}/gamma") + self.value(f"{name}/beta"), 0, 6)


def convolve(x: Array, kernel: Array, stride: int, *, depthwise: bool = False) -> Array:
    """Returns TensorFlow's convolution of NHWC data with padding "SAME"."""
    kh, kw = kernel.shape[:2]
    rows, columns = (-(-size // stride) for size in x.shape[1:3])
    pads = [
        max((n - 1) * stride + k - size, 0) for n, k, size in zip((rows, columns), (kh, kw), x.shape[1:3], strict=True)
    ]
    x = np.pad(x, [(0, 0), *((p // 2, p - p // 2) for p in pads), (0, 0)])
    total: Array = np.zeros(())
    for i in range(kh):
        for j in range(kw):
            part = x[:, i : i + rows * stride : stride, j : j + columns * stride : stride][:, :rows, :columns]
            total = total + (part * kernel[i, j, :, 0] if depthwise else part @ kernel[i, j])
    return total


@pytest.fixture(scope="module")
def sketch() -> Sketch:
    return Sketch()


@pytest.fixture(scope="module")
def converted(sketch: Sketch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sketch")
    (folder / "graph.pb").write_bytes(graphdefs.graph(*sketch.nodes))
    ssd.convert(folder / "graph.pb", folder / "net.onnx")
    return folder / "net.onnx"


def test_a_converted_network_computes_what_its_graph_says(sketch: Sketch, converted: Path) -> None:
    pictures = np.random.default_rng(1).uniform(0, 255, (2, 300, 300, 3)).astype(np.float32)
    outputs = OnnxRuntimeSession(converted, threads=1).run(
        {"image": np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))}
    )
    boxes, scores = sketch.compute(pictures.astype(np.float64))
    assert scores.std() > 0.1, "a network whose scores are all alike would show nothing"
    np.testing.assert_allclose(outputs["boxes"], boxes, atol=1e-4)
    np.testing.assert_allclose(outputs["scores"], scores, atol=1e-4)


def test_nothing_of_the_normalisation_is_left_to_compute(converted: Path) -> None:
    operations = [node.op_type for node in onnx.load(converted).graph.node]
    between = operations[: operations.index("Concat")]
    assert between.count("Conv") == 6
    assert set(between) == {"Mul", "Sub", "Conv", "Clip", "Add", "Transpose", "Reshape"}
    assert (between.count("Mul"), between.count("Sub"), between.count("Add")) == (1, 1, 1)


def test_a_graph_of_another_network_is_refused_by_what_it_lacks(tmp_path: Path, sketch: Sketch) -> None:
    source = tmp_path / "graph.pb"
    source.write_bytes(graphdefs.graph(*sketch.nodes[:4]))
    with pytest.raises(ConversionError, match="generates no anchors"):
        ssd.convert(source, tmp_path / "net.onnx")
    without_a_head = [node for node in sketch.nodes if b"ClassPredictor/BiasAdd" not in node]
    source.write_bytes(graphdefs.graph(*without_a_head))
    with pytest.raises(ConversionError, match="no node BoxPredictor_0/ClassPredictor/BiasAdd"):
        ssd.convert(source, tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()


@pytest.fixture(scope="module")
def engine() -> Engine:
    path = networks.stored("ssd-mobilenet-v2")
    return Engine(Catalog.load().get("ssd-mobilenet-v2"), OnnxRuntimeSession(path, threads=2), "a test")


@pytest.mark.parametrize(
    ("photograph", "label", "score", "box"),
    [
        ("motorcycle_left.png", "motorcycle", 0.99, (0.14, 0.13, 0.92, 0.89)),
        ("chelsea.png", "cat", 0.91, (0.02, 0.00, 0.90, 0.99)),
        ("coffee.png", "cup", 0.95, (0.29, 0.03, 0.69, 0.60)),
        ("astronaut.png", "person", 0.80, (0.02, 0.02, 0.72, 1.00)),
    ],
)
def test_the_real_network_sees_what_is_on_a_photograph(
    engine: Engine, photograph: str, label: str, score: float, box: tuple[float, ...]
) -> None:
    image = cv2.imread(str(media.path(photograph)))
    assert image is not None
    outputs, _ = engine.run([np.asarray(image, np.uint8)])
    best, class_id = np.unravel_index(outputs["scores"][0].argmax(), outputs["scores"][0].shape)
    assert engine.model.labels[class_id] == label
    assert outputs["scores"][0, best, class_id] == pytest.approx(score, abs=0.03)
    np.testing.assert_allclose(outputs["boxes"][0, best], box, atol=0.03)


def test_the_real_network_gives_a_batch_what_it_gives_each_picture(engine: Engine) -> None:
    images = [np.asarray(cv2.imread(str(media.path(name))), np.uint8) for name in ("chelsea.png", "coffee.png")]
    together, _ = engine.run(images)
    for row, image in enumerate(images):
        alone, _ = engine.run([image])
        for name in ("boxes", "scores"):
            assert together[name].shape[1:] == (1917, 4 if name == "boxes" else 80)
            np.testing.assert_allclose(together[name][row], alone[name][0], atol=1e-4)


def test_the_conversion_is_the_same_every_time(sketch: Sketch, converted: Path, tmp_path: Path) -> None:
    (tmp_path / "graph.pb").write_bytes(graphdefs.graph(*sketch.nodes))
    ssd.convert(tmp_path / "graph.pb", tmp_path / "net.onnx")
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (converted, tmp_path / "net.onnx")}
    assert len(digests) == 1
