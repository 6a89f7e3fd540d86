"""The graph of a YOLOX file: where its trunk ends, which layers predict, and how trained weights are put back.

A YOLOX head (Ge et al. 2021, "YOLOX", arXiv 2107.08430, figure 2) has, for each of its three grids, a first layer whose
output feeds two branches: one for the class scores, one for box and objectness. Its input is the trunk's feature map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sightd.engines.errors import ModelFileError
from sightd.engines.models.onnx_file import require_readable

OUTPUT = "output"
"""Name of the written file's output."""
Weights = Mapping[str, NDArray[np.float32]]


class Part(StrEnum):
    """The layers that are trained: those that predict, or also the neck, which joins the feature maps of the grids, or
    all. Those before them are frozen."""

    HEAD = "head"
    NECK = "neck"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Level:
    """Tensors of one grid: the trunk's feature map, and the raw predictions before any sigmoid. `class_weights` are the
    names of the weight and bias that predict the classes."""

    feature: str
    box: str
    objectness: str
    classes: str
    class_weights: tuple[str, str]


class YoloxGraph:
    """A YOLOX file in memory, with an input of `side` pixels if that is set: its layers take any multiple of 32. Raises
    ModelFileError if the file is not of that family."""

    def __init__(self, path: Path, side: int = 0) -> None:
        require_readable(path)
        try:
            self.model = onnx.load(str(path))
        except (DecodeError, OSError) as error:
            raise ModelFileError(f"{path} cannot be read as ONNX: {error}") from error
        self._path = path
        self._makers: dict[str, onnx.NodeProto] = {name: node for node in self.model.graph.node for name in node.output}
        self.constants: dict[str, NDArray[np.generic]] = {
            one.name: numpy_helper.to_array(one) for one in self.model.graph.initializer
        }
        for node in self.model.graph.node:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self.input = next(one.name for one in self.model.graph.input if one.name not in self.constants)
        self.levels = tuple(self._levels())
        if side:
            self._resize(side)

    def between(self, inputs: Sequence[str], outputs: Sequence[str]) -> list[onnx.NodeProto]:
        """Returns the nodes that compute `outputs` from `inputs`, in order. Constants need no node."""
        needed, found = set(outputs) - set(inputs), list[onnx.NodeProto]()
        for node in reversed(self.model.graph.node):
            if node.op_type != "Constant" and not needed.isdisjoint(node.output):
                found.append(node)
                needed |= set(node.input) - set(inputs)
        return found[::-1]

    def inputs_of(self, part: Part) -> list[str]:
        """Returns the inputs of the part: feature maps, or the model's own input."""
        if part == Part.ALL:
            return [self.input]
        features = [level.feature for level in self.levels]
        enlarging = next((node for node in self.model.graph.node if node.op_type in ("Resize", "Upsample")), None)
        if part == Part.HEAD or enlarging is None:
            return features
        deepest = self._before(enlarging.input[0]) or enlarging.input[0]
        before = {name for node in self.between([self.input], [deepest]) for name in node.output}
        behind = [node for node in self.between([self.input], features) if before.isdisjoint(node.output)]
        return list(dict.fromkeys(name for node in behind for name in node.input if name in before))

    def write_frozen(self, target: Path, part: Part) -> None:
        """Writes what computes the inputs of the part."""
        ends = self.inputs_of(part)
        self._write(target, ends, [], {}, [_info(name, None) for name in ends])

    def write(self, target: Path, weights: Weights, classes: int) -> None:
        """Writes the whole model with `weights` instead of the constants of the same names; its output is that of head
        "yolox" with `classes` classes."""
        raw = [name for level in self.levels for name in (level.box, level.objectness, level.classes)]
        nodes, shape = _tail(self.levels), [0, 5 + classes, -1]
        info = _info(OUTPUT, self._output_shape(5 + classes))
        self._write(target, raw, nodes, {**weights, "head.rows": np.array(shape, np.int64)}, [info])

    def _write(
        self,
        target: Path,
        ends: Sequence[str],
        tail: Sequence[onnx.NodeProto],
        weights: Mapping[str, NDArray[np.generic]],
        outputs: Sequence[onnx.ValueInfoProto],
    ) -> None:
        made = onnx.ModelProto()
        made.CopyFrom(self.model)
        graph = made.graph
        nodes = self.between([self.input], ends)
        used = {name for node in (*nodes, *tail) for name in node.input}
        del graph.node[:], graph.initializer[:], graph.output[:], graph.value_info[:]
        graph.node.extend([*nodes, *tail])
        constants = {**self.constants, **weights}
        graph.initializer.extend(
            numpy_helper.from_array(np.asarray(constants[name], order="C"), name)
            for name in sorted(used & {*constants})
        )
        inputs = [one for one in graph.input if one.name == self.input]
        del graph.input[:]
        graph.input.extend(inputs)
        graph.output.extend(outputs)
        onnx.save(made, str(target))

    def _resize(self, side: int) -> None:
        given = next(one for one in self.model.graph.input if one.name == self.input)
        for dim in given.type.tensor_type.shape.dim[2:]:
            for cells in self.model.graph.output[0].type.tensor_type.shape.dim[1:2]:
                cells.dim_value = cells.dim_value * side // (dim.dim_value or side)  # once for each side
            dim.dim_value = side

    def _output_shape(self, columns: int) -> list[int | str | None]:
        dims = self.model.graph.output[0].type.tensor_type.shape.dim
        first, rows = dims[0], dims[1] if len(dims) == 3 else None
        return [
            first.dim_value or first.dim_param or "batch",
            (rows.dim_value or rows.dim_param or None) if rows is not None else None,
            columns,
        ]

    def _levels(self) -> Iterator[Level]:
        node = self._maker(self.model.graph.output[0].name, "Transpose")
        grids = [self._maker(name, "Reshape", "Flatten") for name in self._maker(node.input[0], "Concat").input]
        for grid in grids:
            parts = self._maker(grid.input[0], "Concat").input
            if len(parts) != 3:
                raise self._unlike("each grid must predict box, objectness and classes")
            box, objectness, classes = (
                parts[0],
                *(self._maker(name, "Sigmoid").input[0] for name in parts[1:]),
            )
            predicts = self._maker(classes, "Conv")
            branch, other = list(self._branch(predicts.input[0])), set(self._branch(self._maker(box, "Conv").input[0]))
            first = next((name for name in branch if name in other), None)
            before = None if first is None else self._before(first)
            if before is None or len(predicts.input) != 3:
                raise self._unlike("the branches of a grid must have a common first layer")
            yield Level(before, box, objectness, classes, (predicts.input[1], predicts.input[2]))

    def _branch(self, name: str) -> Iterator[str]:
        """Yields the activations before a prediction, from the last one back."""
        at: str | None = name
        while at is not None:
            yield at
            at = self._before(at)

    def _before(self, name: str) -> str | None:
        """Returns the input of the convolution whose activation is `name`, if it is one: x · sigmoid(x)."""
        node = self._makers.get(name)
        for _ in range(3):
            if node is None or node.op_type == "Conv":
                break
            if node.op_type not in ("Mul", "Relu", "LeakyRelu"):
                return None
            of = [self._makers[one] for one in node.input if one in self._makers]
            node = next((one for one in of if one.op_type == "Conv"), None)
        return None if node is None else node.input[0]

    def _maker(self, name: str, *kinds: str) -> onnx.NodeProto:
        node: onnx.NodeProto | None = self._makers.get(name)
        if node is None or node.op_type not in kinds:
            found = "nothing" if node is None else node.op_type
            raise self._unlike(f"{found} where {' or '.join(kinds)} was expected")
        return node

    def _unlike(self, why: str) -> ModelFileError:
        return ModelFileError(f"{self._path} is not a YOLOX model with its official head: {why}")


def _info(name: str, shape: Sequence[int | str | None] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _tail(levels: Sequence[Level]) -> list[onnx.NodeProto]:
    """Returns the nodes that join the raw predictions as head "yolox" has them: [batch, cells, 5 + classes]."""
    nodes = []
    for n, level in enumerate(levels):
        nodes += [
            helper.make_node("Sigmoid", [level.objectness], [f"head.objectness.{n}"]),
            helper.make_node("Sigmoid", [level.classes], [f"head.classes.{n}"]),
            helper.make_node(
                "Concat", [level.box, f"head.objectness.{n}", f"head.classes.{n}"], [f"head.grid.{n}"], axis=1
            ),
            helper.make_node("Reshape", [f"head.grid.{n}", "head.rows"], [f"head.cells.{n}"]),
        ]
    cells = [f"head.cells.{n}" for n in range(len(levels))]
    nodes.append(helper.make_node("Concat", cells, ["head.all"], axis=2))
    nodes.append(helper.make_node("Transpose", ["head.all"], [OUTPUT], perm=[0, 2, 1]))
    for n, node in enumerate(nodes):
        node.name = f"head_{n}"
    return nodes
