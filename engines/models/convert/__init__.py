"""Converts fetched files to ONNX without the framework that wrote them. `Model.convert` is a key of `CONVERTERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sightd.engines.models.convert import mobilenet, opencv_zoo, ssd, style_network, vgg


@dataclass(frozen=True, slots=True)
class Converter:
    """`convert(source, target)` writes ONNX. Increase `version` if its output changes; files converted earlier are then
    redone."""

    version: int
    convert: Callable[[Path, Path], None]


CONVERTERS: Mapping[str, Converter] = {
    "tensorflow-ssd": Converter(1, ssd.convert),
    "pytorch-mobilenet-v2": Converter(1, mobilenet.convert),
    "pytorch-mobilenet-v2-embedder": Converter(1, mobilenet.convert_embedder),
    "keras-vgg16": Converter(1, vgg.convert),
    "multistyle26": Converter(1, style_network.convert),
    "opencv-zoo-yunet": Converter(1, opencv_zoo.convert_yunet),
    "opencv-zoo-sface": Converter(3, opencv_zoo.convert_sface),
}
