"""Reads inputs, outputs, precision and structure of an ONNX file, and validates it, without running it."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, helper, numpy_helper

from sightd.engines.errors import ModelFileError
from sightd.engines.files import digest_of, open_regular
from sightd.engines.session import TensorSpec

Shape = tuple[int | None, ...]
_MOST_BYTES = (1 << 31) - 1
"""Maximum file size: protobuf, the format of ONNX files, does not support larger messages."""
_MOST_NODES = 1_000_000
"""Maximum number of nodes after functions are expanded: thirty functions that each call the next one twice expand to a
billion."""
_RESHAPING = frozenset({"Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze"})


@dataclass(frozen=True, slots=True)
class OnnxIOSpec:
    """Inputs (without constants) and outputs of an ONNX file by name. None marks a dynamic axis. `dtypes` has those of
    the inputs, as numpy names them."""

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    dtypes: Mapping[str, str]

    def input_specs(self) -> dict[str, TensorSpec]:
        """Returns the inputs as a session reports them."""
        return {name: TensorSpec(name, shape, np.dtype(self.dtypes[name])) for name, shape in self.inputs.items()}


@dataclass(frozen=True, slots=True)
class OnnxContent:
    """What a file says about itself. `metadata` is text that the exporter added; `operators` are those of its
    graph. `labelled_classes` is the number of classes by which the graph divides indices to compute an output
    `labels`, or None."""

    ends: OnnxIOSpec
    metadata: Mapping[str, str]
    operators: frozenset[str]
    labelled_classes: int | None


def read_io_spec(path: Path) -> OnnxIOSpec:
    """Returns the file's inputs and outputs. Raises ModelFileError if it cannot be read, is not ONNX, or is
    truncated."""
    return _ends(_load(path), path)


def read_content(path: Path) -> OnnxContent:
    """Returns what the file says about itself. Raises as `read_io_spec` does."""
    model = _load_model(path)
    return OnnxContent(
        _ends(model.graph, path),
        {entry.key: entry.value for entry in model.metadata_props},
        frozenset(node.op_type for node in model.graph.node),
        _labelled_classes(model.graph),
    )


def digest_with_weights(path: Path) -> str:
    """Returns the SHA-256 of the file, or, if other files hold its weights, one that depends on those as well. Raises
    as `read_io_spec` does."""
    digest = digest_of(path).sha256
    others = sorted(files_of(path) - {path})
    if not others:
        return digest
    return hashlib.sha256("".join([digest, *(digest_of(other).sha256 for other in others)]).encode()).hexdigest()


def _ends(graph: onnx.GraphProto, path: Path) -> OnnxIOSpec:
    constants = {constant.name for constant in graph.initializer}
    fed = [value for value in graph.input if value.name not in constants]
    if not fed:
        raise ModelFileError(f"{path} is not an ONNX model: it has no input")
    return OnnxIOSpec(
        {value.name: _shape(value) for value in fed},
        {value.name: _shape(value) for value in graph.output},
        {value.name: _dtype(value, path) for value in fed},
    )


def _dtype(value: onnx.ValueInfoProto, path: Path) -> str:
    try:
        return str(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    except KeyError:
        raise ModelFileError(f"{path}: the input {value.name} is not a tensor of a known type") from None


def _labelled_classes(graph: onnx.GraphProto) -> int | None:
    """Detectors that pick the best of queries and classes by one flat index compute the class as `index % classes`, or
    as `index - index / classes * classes`."""
    makers = {name: node for node in graph.node for name in node.output}
    node = makers.get("labels")
    while node is not None and node.op_type in ("Cast", "Identity") and node.input:
        node = makers.get(node.input[0])
    if node is not None and node.op_type == "Sub" and len(node.input) == 2:
        node = makers.get(node.input[1])
    if node is None or node.op_type not in ("Mul", "Mod"):
        return None
    values = {one.name: one for one in graph.initializer}
    for other in graph.node:
        if other.op_type == "Constant" and other.output:
            for attribute in other.attribute:
                if attribute.name == "value":
                    values[other.output[0]] = attribute.t
    numbers = [_whole_number(values[name]) for name in node.input if name in values]
    return next((number for number in numbers if number is not None), None)


def _whole_number(tensor: TensorProto) -> int | None:
    """Returns the value of a constant of one positive whole number, which is in the file itself."""
    if math.prod(tensor.dims) != 1 or tensor.data_location == TensorProto.EXTERNAL:
        return None
    try:
        number = float(numpy_helper.to_array(tensor).reshape(-1)[0])
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return int(number) if number.is_integer() and number > 0 else None


def last_operation(path: Path) -> str:
    """Returns the operator that computes the file's first output, such as "Gemm" or "Softmax", or "" if there is none.
    Skips operators that only change a tensor's shape. Raises ModelFileError as `read_io_spec` does."""
    graph = _load(path)
    makers = {name: node for node in graph.node for name in node.output}
    maker = makers.get(graph.output[0].name) if graph.output else None
    while maker is not None and maker.op_type in _RESHAPING:
        maker = makers.get(maker.input[0]) if maker.input else None
    return "" if maker is None else maker.op_type


def read_precision(path: Path) -> str:
    """Returns int8 for a file with quantised nodes, fp16 if most weights are fp16, else fp32. Raises as `read_io_spec`
    does."""
    return precision_of(_load(path))


def precision_of(graph: onnx.GraphProto) -> str:
    """The same for a graph in memory."""
    if any(node.op_type == "QuantizeLinear" for node in graph.node):
        return "int8"
    sizes: dict[int, int] = {}
    for constant in graph.initializer:
        sizes[constant.data_type] = sizes.get(constant.data_type, 0) + math.prod(constant.dims)
    return "fp16" if sizes.get(TensorProto.FLOAT16, 0) > sizes.get(TensorProto.FLOAT, 0) else "fp32"


def require_any_batch(path: Path, batch: int | None) -> None:
    """Raises ModelFileError if a model with this first axis of its input takes neither any number of images nor one."""
    if batch not in (None, 1):
        raise ModelFileError(f"{path} takes {batch} images at a time: export it with a dynamic batch, or one of 1")


def require_readable(path: Path) -> None:
    """Raises ModelFileError if the file cannot be read or is not safe to open."""
    _load(path)


def size_with_weights(path: Path) -> int:
    """Returns the bytes of the file and of the external files that hold its weights. Raises as `read_io_spec` does."""
    return sum(file.stat().st_size for file in files_of(path))


def files_of(path: Path) -> set[Path]:
    """Returns the file and those that hold its weights. Raises as `read_io_spec` does."""
    files = {path}
    for tensor in _tensors(_load_model(path)):
        if tensor.data_location == TensorProto.EXTERNAL:
            files |= {Path(path.parent, one.value) for one in tensor.external_data if one.key == "location"}
    return files


def _require_acyclic(graph: onnx.GraphProto, path: Path) -> None:
    """Raises ModelFileError if a node depends on its own output, directly or indirectly; following such a graph never
    ends."""
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output}
    requires = {index: {makers[name] for name in node.input if name in makers} for index, node in enumerate(graph.node)}
    try:
        TopologicalSorter(requires).prepare()
    except CycleError as error:
        ring = [graph.node[index].name or graph.node[index].op_type for index in error.args[1][:5]]
        raise ModelFileError(
            f"{path} is not a valid ONNX file: its nodes form a cycle ({' - '.join(ring)}). Export it again"
        ) from None


def text(shapes: Mapping[str, Shape]) -> str:
    """Formats names and shapes for messages: "images [?, 3, 416, 416]"."""
    parts = (f"{name} [{', '.join('?' if a is None else str(a) for a in shape)}]" for name, shape in shapes.items())
    return ", ".join(parts) or "nothing"


def _load(path: Path) -> onnx.GraphProto:
    return _load_model(path).graph


def _load_model(path: Path) -> onnx.ModelProto:
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > _MOST_BYTES:
                raise ModelFileError(f"{path} is larger than 2 GiB: export it with the weights in a separate file")
            _require_model(file, path)
            model = onnx.load(file, load_external_data=False)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise ModelFileError(f"{path} is not a complete ONNX file: {error}. {_AGAIN}") from error
    for graph in (model.graph, *_subgraphs(_nodes(model))):
        _require_acyclic(graph, path)
    _require_bounded_functions(model, path)
    _require_data_beside(model, path)
    return model


_AGAIN = "Export or download it again"
_MOST_FIELD = 100
"""Highest number of a field of the message ModelProto; in use are 1 to 26."""
_MOST_FIELDS = 100_000
"""A model has about ten, and one for each entry of its metadata and each function."""
_BEGINNINGS = (
    (b"version https://git-lfs", "is only a pointer of Git LFS: run `git lfs pull` where it comes from"),
    (b"PK\x03\x04", "is a zip archive, as PyTorch writes it (.pt): export the model to ONNX"),
    (b"\x89HDF", "is an HDF5 file, as Keras writes it: export the model to ONNX"),
    (b"<", "is a web page or XML, not a model: download the file itself"),
)
"""What people have instead of an ONNX file, by its first bytes."""


def _require_model(file: BinaryIO, path: Path) -> None:
    """Raises ModelFileError unless the file is a sequence of fields as in the message ModelProto. Reads only a few
    bytes of each field, so that a large file of something else is not read into memory. Rewinds the file."""
    size = os.fstat(file.fileno()).st_size
    beginning = file.read(64).lstrip()
    for first, told in _BEGINNINGS:
        if beginning.startswith(first):
            raise ModelFileError(f"{path} {told}")
    if not size:
        raise ModelFileError(f"{path} is empty. {_AGAIN}")
    end = 0
    for _ in range(_MOST_FIELDS):
        if end == size:
            break
        file.seek(end)
        field, kind = divmod(_varint(file), 8)
        value = _varint(file) if kind in (0, 2) else -1
        end = file.tell() + (value if kind == 2 else 0)
        if not 0 < field <= _MOST_FIELD or value < 0:
            raise ModelFileError(f"{path} is not an ONNX file, or damaged. {_AGAIN}")
        if end > size:
            raise ModelFileError(f"{path} is not a complete ONNX file: it has {size} bytes of {end}. {_AGAIN}")
    else:
        raise ModelFileError(f"{path} has more than {_MOST_FIELDS} fields, so it is no ONNX file. {_AGAIN}")
    file.seek(0)


def _varint(file: BinaryIO) -> int:
    """Reads a number of protobuf's variable length. Returns -1 if there is none."""
    begin, value = file.tell(), 0
    for place, byte in enumerate(file.read(10)):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            file.seek(begin + place + 1)
            return value
    return -1


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yields all nodes: those of the graph, of its functions, and of the subgraphs of both."""
    yield from _nested(model.graph.node)
    for function in model.functions:
        yield from _nested(function.node)


def _nested(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yields the nodes and those of their subgraphs. protobuf limits the depth of nesting."""
    for node in nodes:
        yield node
        for graph in _own_graphs(node):
            yield from _nested(graph.node)


def _own_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        yield from attribute.graphs
        if attribute.HasField("g"):
            yield attribute.g


def _subgraphs(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    for node in nodes:
        yield from _own_graphs(node)


def _require_bounded_functions(model: onnx.ModelProto, path: Path) -> None:
    """Raises ModelFileError if the model's functions call each other in a cycle or expand to too many nodes: the
    library expands them when it opens the file."""
    bodies = {(one.domain, one.name, one.overload): one.node for one in model.functions}
    if not bodies:
        return
    calls = {key: [(one.domain, one.op_type, one.overload) for one in _nested(body)] for key, body in bodies.items()}
    try:
        order = list(
            TopologicalSorter({key: bodies.keys() & set(called) for key, called in calls.items()}).static_order()
        )
    except CycleError:
        raise ModelFileError(f"{path} is not a valid ONNX file: its functions call each other in a cycle") from None
    sizes: dict[tuple[str, str, str], int] = {}
    for key in order:
        sizes[key] = sum(sizes.get(called, 1) for called in calls[key])
    of_graph = ((one.domain, one.op_type, one.overload) for one in _nested(model.graph.node))
    if sum(sizes.get(called, 1) for called in of_graph) > _MOST_NODES:
        raise ModelFileError(
            f"{path} has functions that expand to more than {_MOST_NODES} nodes: export it without functions"
        )


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Yields all constants: initialisers and attributes, sparse ones included, in graphs, subgraphs and functions."""
    for graph in (model.graph, *_subgraphs(_nodes(model))):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from attribute.tensors
            for sparse in attribute.sparse_tensors:
                yield from (sparse.values, sparse.indices)
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("sparse_tensor"):
                yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)


def _require_data_beside(model: onnx.ModelProto, path: Path) -> None:
    """Raises ModelFileError unless all external weights are in complete regular files in the model's own folder: a file
    from elsewhere must not make us read files that do not belong to it."""
    for tensor in _tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        data = {entry.key: entry.value for entry in tensor.external_data}
        folder = path.parent.resolve()
        file = Path(folder, data.get("location", "")).resolve()
        if folder not in file.parents:
            raise ModelFileError(
                f"{path} reads its weights from {file}, outside its folder: move them next to the model"
            )
        if not file.is_file():
            raise ModelFileError(
                f"{path} stores its weights in {file}, which is missing or not a regular file: put it there"
            )
        end, size = _number(data.get("offset", "0")) + _number(data.get("length", "0")), file.stat().st_size
        if end > size:
            raise ModelFileError(f"{path} needs {end} bytes of {file}, which has only {size}: the file is truncated")


def _number(text: str) -> int:
    """Parses a number of bytes. Returns a value larger than any file if the text is not a number."""
    return int(text) if text.isdecimal() and len(text) < 20 else 1 << 63


def _shape(value: onnx.ValueInfoProto) -> Shape:
    return tuple(axis.dim_value if axis.dim_value > 0 else None for axis in value.type.tensor_type.shape.dim)
