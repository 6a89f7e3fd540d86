"""Which parts of a model can be quantised to int8. Determined per head by measuring accuracy on COCO."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is quantised: `operators` (None means every supported one), except the nodes in `left_out`.

    `rounds_results` says whether the outputs of these operators are quantised as well, or only their inputs.
    """

    operators: tuple[str, ...] | None
    left_out: tuple[str, ...]
    rounds_results: bool


def recipe_for(head: str, graph: onnx.GraphProto) -> Recipe:
    """Returns the recipe for a head. SSD loses 0.4 mAP if everything up to the last convolutions is int8 (4.2 if only
    the convolutions are, because each then rounds twice). YOLOX fails with that (-20 mAP); it loses 0.3 if depthwise
    and predicting convolutions stay fp32 and outputs are not quantised. Heads that were not measured use this careful
    recipe too.

    Nodes must have unique names.
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
    """Returns the names of the nodes on whose outputs no other convolution or matrix product depends."""
    needed: set[str] = set()
    found: set[str] = set()
    for node in reversed(graph.node):  # ONNX graphs are sorted: consumers come after producers
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
