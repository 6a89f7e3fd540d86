"""Converts SSD detectors of the TensorFlow object detection API from frozen graphs to ONNX.

The graph is cut at both ends. Its input is the stretched image (before that is a loop over the batch), and its
outputs are decoded boxes and class scores. The caller does non-maximum suppression, which is control flow in
TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightd.engines.errors import ConversionError
from sightd.engines.labels import COCO_IDENTIFIERS
from sightd.engines.models.convert import graphdef
from sightd.engines.models.convert.graphdef import Node
from sightd.engines.models.convert.onnx_graph import OnnxGraph
from sightd.engines.models.convert.tensorflow import Feature, Translation

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AnchorGrid:
    """A feature map of `height` by `width` cells, each with one anchor per pair of scale and aspect ratio."""

    height: int
    width: int
    scales: FloatArray
    aspects: FloatArray


def anchors(grids: Sequence[AnchorGrid]) -> FloatArray:
    """Returns centre x, centre y, width and height [n, 4] as fractions of the image size (Liu et al. 2016, SSD, section
    2.2).

    The order is that of the predictions: grid, row, column, anchor.
    """
    return np.concatenate([_of(grid) for grid in grids]).astype(np.float32)


def _of(grid: AnchorGrid) -> NDArray[np.float64]:
    y, x = np.meshgrid(
        (np.arange(grid.height) + 0.5) / grid.height, (np.arange(grid.width) + 0.5) / grid.width, indexing="ij"
    )
    scales, roots = grid.scales.astype(np.float64), np.sqrt(grid.aspects.astype(np.float64))
    boxes = np.empty((grid.height, grid.width, len(scales), 4))
    boxes[..., 0] = x[..., None]
    boxes[..., 1] = y[..., None]
    boxes[..., 2] = scales * roots
    boxes[..., 3] = scales / roots
    return boxes.reshape(-1, 4)


SIZE = 300
_PICTURES = "Preprocessor/map/TensorArrayStack/TensorArrayGatherV3"
_ANCHORS = "MultipleGridAnchorGenerator/Sqrt"
_CENTRE_SCALE, _SIZE_SCALE = 10.0, 5.0  # of the API's box coder (faster_rcnn_box_coder: y 10, x 10, height 5, width 5)
_GRAPH_CLASSES = 91  # background and COCO's category ids 1 to 90


def convert(source: Path, target: Path) -> None:
    """Converts the graph to a model from `image` [batch, 3, 300, 300] RGB 0-255 to `boxes` [batch, n, 4] and `scores`
    [batch, n, 80].

    Boxes are x1, y1, x2, y2 as fractions of the image size and may extend beyond the image. Scores are sigmoids in the
    order of `COCO_LABELS`. Raises ConversionError if the file is not such a graph.
    """
    nodes = graphdef.read(source)
    graph = OnnxGraph("ssd")
    translation = Translation(nodes, graph, {_PICTURES: Feature("image", 3, SIZE, SIZE)})
    encodings, logits, grids = [], [], []
    for level, (scales, aspects) in enumerate(_anchor_shapes(nodes, translation)):
        where, feature = _prediction(graph, translation, level, "BoxEncodingPredictor", 4, (1, 0, 3, 2))
        encodings.append(where)
        what, _ = _prediction(graph, translation, level, "ClassPredictor", _GRAPH_CLASSES, COCO_IDENTIFIERS)
        logits.append(what)
        grids.append(AnchorGrid(feature.height, feature.width, scales, aspects))
    shapes = anchors(grids)
    _decode(graph, graph.add("Concat", encodings, axis=1), shapes)
    graph.add("Sigmoid", [graph.add("Concat", logits, axis=1)], name="scores")
    graph.save(
        target,
        inputs={"image": [3, SIZE, SIZE]},
        outputs={"boxes": [len(shapes), 4], "scores": [len(shapes), len(COCO_IDENTIFIERS)]},
        origin=f"converted by sightd from {source.name}",
    )


def _anchor_shapes(
    nodes: dict[str, Node], translation: Translation
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Returns scales and aspect ratios of each level, which the graph contains as constants around a square root."""
    shapes = []
    level = 0
    while root := nodes.get(f"{_ANCHORS}_{level}" if level else _ANCHORS):
        product = next((n for n in nodes.values() if n.op == "Mul" and root.name in n.inputs), None)
        if product is None:
            raise ConversionError(
                f"the graph's {root.name} is not multiplied by scales, so the anchors are not as expected"
            )
        scales = next(name for name in product.inputs if name != root.name)
        shapes.append((translation.constant(scales), translation.constant(root.inputs[0])))
        level += 1
    if not shapes:
        raise ConversionError("the graph generates no anchors: not an SSD of the TensorFlow object detection API")
    return shapes


def _prediction(
    graph: OnnxGraph, translation: Translation, level: int, head: str, width: int, order: Sequence[int]
) -> tuple[str, Feature]:
    """Returns a head's output as [batch, cells * anchors, len(order)], and its feature map.

    Of the `width` numbers per anchor, keeps those at `order`, in that order. They are selected from the filters of the
    convolution, which costs nothing at run time.
    """
    convolution = translation.convolution(f"BoxPredictor_{level}/{head}/BiasAdd")
    per_cell = len(convolution.bias) // width
    chosen = [anchor * width + column for anchor in range(per_cell) for column in order]
    feature = convolution.selected(chosen).write(graph)
    last = graph.add("Transpose", [feature.name], perm=[0, 2, 3, 1])
    return graph.add("Reshape", [last, np.array([0, -1, len(order)], np.int64)]), feature


def _decode(graph: OnnxGraph, encodings: str, shapes: NDArray[np.float32]) -> None:
    """Adds the decoding of boxes from encodings (x, y, width, height) relative to the anchors (Ren et al. 2015, Faster
    R-CNN, eq. 2)."""
    centres, sizes = shapes[None, :, :2], shapes[None, :, 2:]
    axis = np.array([2], np.int64)
    two, four = np.array([2], np.int64), np.array([4], np.int64)
    moved = graph.add("Slice", [encodings, np.array([0], np.int64), two, axis])
    grown = graph.add("Slice", [encodings, two, four, axis])
    centre = graph.add("Add", [graph.add("Mul", [moved, sizes / _CENTRE_SCALE]), centres])
    growth = graph.add("Exp", [graph.add("Mul", [grown, np.array(1 / _SIZE_SCALE, np.float32)])])
    half = graph.add("Mul", [growth, sizes / 2])
    corners = [graph.add("Sub", [centre, half]), graph.add("Add", [centre, half])]
    graph.add("Concat", corners, name="boxes", axis=2)
