"""Converts images to model input tensors, as described by the input specification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.model import ColourOrder, InputSpec, Resize
from sightd.engines.session import Specs, Tensor


@dataclass(frozen=True, slots=True)
class Geometry:
    """Position of a source image in the model's input: `input = source * scale + offset`, in pixels."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float
    source_width: int
    source_height: int

    def boxes_to_source(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps xyxy boxes [n, 4] from model pixels to source pixels, clipped to the image. Returns a new array."""
        offset = np.array([self.offset_x, self.offset_y] * 2, np.float32)
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        limit = np.array([self.source_width, self.source_height] * 2, np.float32)
        placed: NDArray[np.float32] = (boxes - offset) / scale
        return np.clip(placed, 0, limit, out=placed)

    def points_to_source(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps points [..., 2] from model pixels to source pixels, without clipping. Returns a new array."""
        placed = points - np.array([self.offset_x, self.offset_y], np.float32)
        placed /= np.array([self.scale_x, self.scale_y], np.float32)
        return placed


def feed(
    images: Sequence[NDArray[np.uint8]], spec: InputSpec, inputs: Specs
) -> tuple[dict[str, Tensor], list[Geometry]]:
    """Returns the inputs that `spec` describes for a batch of images, in the element types of a session's `inputs`: the
    images, and the size of the model's input if it has an input for it. See `prepare`."""
    tensor, geometries = prepare(images, spec, inputs[spec.tensor].dtype)
    fed: dict[str, Tensor] = {spec.tensor: tensor}
    if spec.size_tensor:
        fed[spec.size_tensor] = input_sizes(spec, len(images), inputs[spec.size_tensor].dtype)
    return fed, geometries


def input_sizes(spec: InputSpec, rows: int, dtype: np.dtype[Any]) -> Tensor:
    """Returns the content of `spec.size_tensor`: [rows, 2], width and height of the model's input in each row."""
    return np.tile(np.array([spec.width, spec.height], dtype), (rows, 1))


_FLOAT32 = np.dtype(np.float32)
IMAGE_TYPES = (np.float32, np.float16, np.uint8)
"""Element types of an image input."""


def prepare(
    images: Sequence[NDArray[np.uint8]], spec: InputSpec, dtype: np.dtype[Any] = _FLOAT32
) -> tuple[NDArray[Any], list[Geometry]]:
    """Converts BGR uint8 [h, w, 3] images of any sizes to one tensor `spec.shape(n)` of `dtype`: float32, float16, or
    uint8 for the pixels as they are.

    The tensor is contiguous and owned by the caller. Images are resized bilinearly in uint8, which is several times
    faster than in float and costs less than one grey level of accuracy. Raises ValueError if an image has another form.
    """
    tensor = np.empty(spec.shape(len(images)), np.uint8 if dtype == np.uint8 else np.float32)
    factor, summand = affine(spec, dtype)
    geometries = []
    for image, place in zip(images, tensor, strict=True):
        planes = place.transpose(2, 0, 1) if spec.nhwc else place
        height, width = size_of(image)
        left, top, inner_width, inner_height = letterbox(width, height, spec)
        resized = image
        if (inner_width, inner_height) != (width, height):
            resized = cv2.resize(image, (inner_width, inner_height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        inside = slice(top, top + inner_height), slice(left, left + inner_width)
        _pad(planes, *inside, (spec.pad * factor + summand)[:, None, None])
        _fill(planes[:, inside[0], inside[1]], resized, spec.colour, factor, summand)
        geometries.append(Geometry(inner_width / width, inner_height / height, left, top, width, height))
    return tensor.astype(dtype, copy=False), geometries


def affine(spec: InputSpec, dtype: np.dtype[Any] = _FLOAT32) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns `(pixel * scale - mean) / std` as a factor and a summand per channel, which are 1 and 0 for uint8."""
    if dtype == np.uint8:
        return np.ones(3, np.float32), np.zeros(3, np.float32)
    std = np.array(spec.std, np.float64)
    return (spec.scale / std).astype(np.float32), (-np.array(spec.mean) / std).astype(np.float32)


def size_of(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Returns height and width. Raises ValueError if the array is not a BGR uint8 image."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"an image must be a non-empty uint8 [height, width, 3], not {image.dtype} {image.shape}")
    return image.shape[0], image.shape[1]


def letterbox(width: int, height: int, spec: InputSpec) -> tuple[int, int, int, int]:
    """Returns left, top, width and height of the image within the model's input. Fractions of a pixel are rounded,
    except in YOLOX's letterbox, whose authors cut them off: a row more or less moves mAP."""
    if spec.resize is Resize.STRETCH:
        return 0, 0, spec.width, spec.height
    ratio = min(spec.width / width, spec.height / height)
    if spec.resize is Resize.FIT_TOP_LEFT:
        ratio = min(ratio, 1.0)
    less = 0.5 - 1e-6 if spec.resize is Resize.LETTERBOX_TOP_LEFT else 0.0
    inner_width = min(max(round(width * ratio - less), 1), spec.width)
    inner_height = min(max(round(height * ratio - less), 1), spec.height)
    if spec.resize is Resize.LETTERBOX_CENTRE:
        return (spec.width - inner_width) // 2, (spec.height - inner_height) // 2, inner_width, inner_height
    return 0, 0, inner_width, inner_height


def _pad(planes: NDArray[Any], rows: slice, columns: slice, value: NDArray[np.float32]) -> None:
    """Fills the padding around the image, but not the image area."""
    planes[:, : rows.start] = value
    planes[:, rows.stop :] = value
    planes[:, rows, : columns.start] = value
    planes[:, rows, columns.stop :] = value


def _fill(
    planes: NDArray[Any],
    image: NDArray[np.uint8],
    colour: ColourOrder,
    factor: NDArray[np.float32],
    summand: NDArray[np.float32],
) -> None:
    """Writes an interleaved BGR image into planes [3, h, w]. This is the only pass over float32 data."""
    channels = cv2.split(image)
    if colour is ColourOrder.RGB:
        channels = channels[::-1]
    for plane, channel, times, plus in zip(planes, channels, factor, summand, strict=True):
        if times == 1:
            plane[...] = channel
        else:
            np.multiply(channel, times, out=plane, dtype=np.float32)
        if plus:
            plane += plus
