"""Which parts of a network survive int8: found out by measuring accuracy on COCO, head by head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is quantised: `operators` (None: all that can be), without the nodes named in `left_out`.

    `rounds_results` says whether what comes out of them is rounded too, or only what goes in.
    """

    operators: tuple[str, ...] | None
    left_out: tuple[str, ...]
    rounds_results: bool


def recipe_for(head: str, graph: onnx.GraphProto) -> Recipe:
    """SSD loses 0.4 mAP where everything up to the last convolutions is int8 (4.2 where only convolutions are: each
    then rounds twice). YOLOX falls apart that way (-20 mAP); it loses 0.3 where depthwise convolutions and the
    predicting ones stay fp32 and results are not rounded. That careful way is also taken for heads nobody measured.

    Nodes must have names, each its own.
    """
    tail = _without_weights_behind(graph)
    if head == "ssd":
        return Recipe(None, tuple(node.name for node in graph.node if node.name in tail and not _weighted(node)), True)
    channels = {constant.name: constant.dims for constant in graph.initializer}
    left_out = tuple(
        node.name for node in graph.node if _weighted(node) and (node.name in tail or _depthwise(node, channels))
    )
    return Recipe(("Conv", "Gemm", "MatMul"), left_out, False)


def _weighted(node: onnx.NodeProto) -> bool:
    return node.op_type in _WEIGHTED


def _without_weights_behind(graph: onnx.GraphProto) -> set[str]:
    """Names of the nodes from whose results no further convolution or matrix product is computed."""
    needed: set[str] = set()
    found: set[str] = set()
    for node in reversed(graph.node):  # ONNX graphs are sorted: whoever uses a result stands behind it
        if needed.isdisjoint(node.output):
            found.add(node.name)
        if _weighted(node) or not needed.isdisjoint(node.output):
            needed.update(node.input)
    return found


def _depthwise(node: onnx.NodeProto, shapes: Mapping[str, Iterable[int]]) -> bool:
    if node.op_type != "Conv":
        return False
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return groups > 1 and list(shapes.get(node.input[1], ()))[1:2] == [1]
