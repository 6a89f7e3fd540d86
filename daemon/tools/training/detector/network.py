"""A part of an ONNX graph as a PyTorch module whose convolutions can be trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from sightd.daemon.tools.training.detector.graph import Level, Part, YoloxGraph
from sightd.daemon.tools.training.preflight import TrainingError

Tensor = Any
_PRIOR = 0.01
"""Probability that new prediction layers start from, so that the many cells without objects do not dominate the first
steps (Lin et al. 2017, "Focal Loss for Dense Object Detection", arXiv 1708.02002, section 4.1)."""


class TrainableYolox:
    """A part of a YOLOX model, with new layers that predict `classes` classes. All convolutions in it are trained;
    batch normalisation is part of their weights."""

    def __init__(self, graph: YoloxGraph, classes: int, device: str, seed: int, part: Part) -> None:
        """Raises TrainingError if the graph has an operator that is not known here."""
        levels = graph.levels
        self.inputs = graph.inputs_of(part)
        self._outputs = [name for level in levels for name in (level.box, level.objectness, level.classes)]
        self._levels = levels
        nodes = graph.between(self.inputs, self._outputs)
        known = {name: np.asarray(value) for name, value in graph.constants.items()}
        known.update(_new_layers(levels, known, classes, seed))
        self.weights = {
            name: fast(torch.tensor(known[name].astype(np.float32), device=device)).requires_grad_()
            for name in sorted(_weights_of(nodes))
        }
        """What training changes, by the names in the file."""
        self.head = _weights_of(graph.between([level.feature for level in levels], self._outputs))
        """Names of those that predict."""
        self._steps = [_Step(node, known) for node in _with_silu(nodes)]

    def raw(self, inputs: Sequence[Tensor]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Returns, for each grid, box [b, 4, h, w], objectness [b, 1, h, w] and classes [b, c, h, w], before any
        sigmoid."""
        values: dict[str, Tensor] = {**self.weights, **dict(zip(self.inputs, map(fast, inputs), strict=True))}
        for step in self._steps:
            values[step.output] = step(values)
        return [(values[one.box], values[one.objectness], values[one.classes]) for one in self._levels]

    def rows(self, inputs: Sequence[Tensor]) -> Tensor:
        """Returns raw predictions [b, cells, 5 + c], in the order of head "yolox"."""
        grids = [torch.cat(parts, 1).flatten(2) for parts in self.raw(inputs)]
        return torch.cat(grids, 2).transpose(1, 2)


def _weights_of(nodes: Sequence[onnx.NodeProto]) -> set[str]:
    return {name for node in nodes if node.op_type == "Conv" for name in node.input[1:]}


def fast(tensor: Tensor) -> Tensor:
    """Returns the tensor in the memory layout in which depthwise convolutions are fastest on a CPU."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def _with_silu(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Replaces x · sigmoid(x) by one operator, which needs half the memory traffic."""
    sigmoids = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Sigmoid"}
    found: list[onnx.NodeProto] = []
    for node in nodes:
        pair = list(node.input) if node.op_type == "Mul" else []
        own = next((x for x in pair if any(sigmoids.get(other) == x for other in pair)), None)
        found.append(node if own is None else onnx.helper.make_node("Silu", [own], list(node.output)))
    used = {name for node in found for name in node.input}
    return [node for node in found if node.op_type != "Sigmoid" or node.output[0] in used]


def _new_layers(
    levels: Sequence[Level], known: Mapping[str, NDArray[Any]], classes: int, seed: int
) -> dict[str, NDArray[np.float32]]:
    random, made = np.random.default_rng(seed), dict[str, NDArray[np.float32]]()
    for level in levels:
        weight, bias = level.class_weights
        channels = known[weight].shape[1]
        made[weight] = random.normal(0, 0.01, (classes, channels, 1, 1)).astype(np.float32)
        made[bias] = np.full(classes, np.log(_PRIOR / (1 - _PRIOR)), np.float32)
    return made


class _Step:
    """One node as a function of the values so far."""

    def __init__(self, node: onnx.NodeProto, known: Mapping[str, NDArray[Any]]) -> None:
        make = _OPERATORS.get(node.op_type)
        if make is None:
            raise TrainingError(f"the model has the operator {node.op_type}, which cannot be trained here")
        self.output = node.output[0]
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        constants = [known.get(name) for name in node.input]
        self._run = make(attributes, constants)
        self._inputs = [name for name in node.input if name and (node.op_type == "Conv" or name not in known)]

    def __call__(self, values: Mapping[str, Tensor]) -> Tensor:
        return self._run(*(values[name] for name in self._inputs))


Function = Callable[..., Tensor]
Attributes = Mapping[str, Any]
Constants = Sequence[NDArray[Any] | None]


def _conv(attributes: Attributes, _: Constants) -> Function:
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        raise TrainingError("the model has a convolution with uneven padding, which cannot be trained here")
    options = {
        "stride": tuple(attributes.get("strides", (1, 1))),
        "padding": (top, left),
        "dilation": tuple(attributes.get("dilations", (1, 1))),
        "groups": attributes.get("group", 1),
    }
    return lambda x, weight, bias=None: functional.conv2d(x, weight, bias, **options)


def _concat(attributes: Attributes, _: Constants) -> Function:
    return lambda *parts: torch.cat(parts, attributes["axis"])


def _slice(_: Attributes, constants: Constants) -> Function:
    starts, ends, axes, *steps = (np.asarray(one).tolist() for one in constants[1:])
    cuts = {
        axis: slice(start, end, step)
        for start, end, axis, step in zip(starts, ends, axes, steps[0] if steps else [1] * len(axes), strict=True)
    }
    return lambda x: x[tuple(cuts.get(axis, slice(None)) for axis in range(x.ndim))]


def _max_pool(attributes: Attributes, _: Constants) -> Function:
    kernel, pads = tuple(attributes["kernel_shape"]), attributes.get("pads", [0, 0, 0, 0])
    return lambda x: functional.max_pool2d(x, kernel, tuple(attributes.get("strides", (1, 1))), tuple(pads[:2]))


def _resize(attributes: Attributes, constants: Constants) -> Function:
    scales = np.asarray(constants[2]).tolist() if len(constants) > 2 else None
    if attributes.get("mode", b"nearest") != b"nearest" or scales != [1, 1, 2, 2]:
        raise TrainingError("the model enlarges otherwise than by repeating pixels, which cannot be trained here")
    return lambda x: functional.interpolate(x, scale_factor=2, mode="nearest")


_OPERATORS: Mapping[str, Callable[[Attributes, Constants], Function]] = {
    "Conv": _conv,
    "Sigmoid": lambda *_: torch.sigmoid,
    "Silu": lambda *_: functional.silu,
    "Mul": lambda *_: lambda a, b: a * b,
    "Add": lambda *_: lambda a, b: a + b,
    "Relu": lambda *_: functional.relu,
    "Concat": _concat,
    "Slice": _slice,
    "MaxPool": _max_pool,
    "Resize": _resize,
}
