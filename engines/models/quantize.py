"""Quantises fp32 models to int8: Q/DQ nodes with ranges measured on the user's own images.

Uses ONNX Runtime's own tools. Which parts of a model can be quantised was determined per head by measuring
accuracy on COCO.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import version_converter
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from sightd.engines.errors import QuantizationError
from sightd.engines.model import Model
from sightd.engines.models.onnx_file import read_io_spec, read_precision
from sightd.engines.preprocess import feed
from sightd.engines.progress import Progress, silent
from sightd.engines.session import Tensor

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


_TRANSFORMERS = frozenset({"detr", "rf-detr", "detr-labelled", "ultralytics-detr"})
"""Heads of models that are not quantised. Of DEIMv2-Femto, whose convolutions only were int8, 24 of 31 objects of a
street were found again, at 1.4 times the CPU time (ONNX Runtime)."""
_OPSET = 13
"""The first opset with a quantisation range per channel of a weight."""


def quantize(
    model: Model,
    source: Path,
    target: Path,
    pictures: Iterable[NDArray[np.uint8]],
    *,
    total: int | None = None,
    progress: Progress = silent,
) -> None:
    """Writes the int8 version of `source`, the fp32 file of `model`, to `target`. Names, shapes and dtypes of inputs
    and outputs do not change.

    Activations are U8 in the range of values measured on `pictures` (BGR uint8 [h, w, 3]); weights are S8 per channel.
    `total` is the number of images, for `progress`, which counts images. Raises QuantizationError if the model cannot
    be quantised.
    """
    if model.head in _TRANSFORMERS:
        raise QuantizationError(
            f"{model.name} is a transformer (head {model.head}), which loses a quarter of its objects in int8 and "
            "is no faster: use it in fp16 on a GPU, or a smaller model"
        )
    if (precision := read_precision(source)) != "fp32":
        raise QuantizationError(f"{model.name} is already {precision}: give the fp32 model that it was created from")
    if extra := set(read_io_spec(source).inputs) - {model.input.tensor, model.input.size_tensor}:
        raise QuantizationError(f"{model.name} has other inputs than an image ({', '.join(sorted(extra))})")
    with tempfile.TemporaryDirectory(prefix=".int8-", dir=target.parent) as folder:
        prepared = Path(folder) / "prepared.onnx"
        progress(f"{model.name}: preparing", 0, None)
        recipe = _prepare(model, source, prepared)
        reader = _Pictures(model, source, pictures, total, progress)
        _quantize(model, prepared, target, recipe, reader)
    _keep_metadata(source, target)


def _keep_metadata(source: Path, target: Path) -> None:
    """Copies what the exporter states about the model, which the tools may drop."""
    made = onnx.load(target)
    stated = onnx.load(source, load_external_data=False).metadata_props
    onnx.helper.set_model_props(made, {entry.key: entry.value for entry in stated})
    onnx.save(made, str(target))


class _Pictures(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
    """Yields preprocessed images one at a time. `fault` is an exception raised by their source or by `progress`."""

    def __init__(
        self,
        model: Model,
        source: Path,
        pictures: Iterable[NDArray[np.uint8]],
        total: int | None,
        progress: Progress,
    ) -> None:
        self.seen = 0
        self.fault: Exception | None = None
        self._feeds = self._fed(model, source, pictures, total, progress)

    def get_next(self) -> dict[str, Tensor] | None:
        try:
            return next(self._feeds, None)
        except Exception as error:
            self.fault = error
            raise

    def _fed(
        self,
        model: Model,
        source: Path,
        pictures: Iterable[NDArray[np.uint8]],
        total: int | None,
        progress: Progress,
    ) -> Iterator[dict[str, Tensor]]:
        inputs = read_io_spec(source).input_specs()
        for picture in pictures:
            progress(f"{model.name}: measuring ranges", self.seen, total)
            yield feed([picture], model.input, inputs)[0]
            self.seen += 1
        progress(f"{model.name}: writing the int8 model", self.seen, total)


def _prepare(model: Model, source: Path, target: Path) -> Recipe:
    """Folds constants, converts the file to an opset that supports ranges per channel, and names its nodes."""
    network = onnx.load(source)
    try:
        if next(one.version for one in network.opset_import if one.domain in ("", "ai.onnx")) < _OPSET:
            network = version_converter.convert_version(network, _OPSET)
        onnx.save(network, str(target))
        quant_pre_process(target, target, skip_symbolic_shape=True)
    except Exception as error:
        raise QuantizationError(f"{model.name} cannot be prepared for int8: {error}") from error
    network = onnx.load(target)
    for index, node in enumerate(network.graph.node):
        node.name = f"{node.op_type}_{index}"
    onnx.save(network, str(target))
    return recipe_for(model.head, network.graph)


def _quantize(model: Model, source: Path, target: Path, recipe: Recipe, reader: _Pictures) -> None:
    options: dict[str, object] = {"CalibTensorRangeSymmetric": False}
    if not recipe.rounds_results:
        options["OpTypesToExcludeOutputQuantization"] = list(recipe.operators or ())
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # the tool logs advice on the root logger
    try:
        quantize_static(
            source,
            target,
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(recipe.operators) if recipe.operators else None,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(recipe.left_out),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options=options,
        )
    except Exception as error:
        if reader.fault is not None:
            raise reader.fault from None
        reason = error if reader.seen else "there are no images to measure the ranges with"
        raise QuantizationError(f"{model.name} cannot be quantized to int8: {reason}") from error
    finally:
        root.setLevel(level)
