"""Layouts of raw detector outputs on the device, for the decoders of detect.cu.

The formats are those that the CPU decoders document: SSD, YOLOX (decoded or not), NanoDet (one output, or a pair per
stride) and YuNet. Grids are ordered from the finest to the coarsest stride, row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.launch.layout import HEAD, LEVEL, record
from sightd.engines.errors import EngineError
from sightd.engines.model import InputSpec

_STRIDES = ((8, 16, 32), (8, 16, 32, 64))


class HeadMismatchError(EngineError):
    """The model's outputs do not have the format of its head."""


@dataclass(frozen=True, slots=True)
class DeviceTensor:
    """A contiguous float32 or float16 tensor in device memory. Does not own the memory."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True, eq=False)
class HeadLayout:
    """Input of a decoder: kernel name without precision, the struct `Head` without the scores, and threads per
    image."""

    kernel: str
    head: NDArray[Any]
    threads: int
    batch: int
    rows: int
    dtype: np.dtype[Any]
    points: bool = False


Outputs = Mapping[str, DeviceTensor]


def layout_of(head: str, outputs: Outputs, spec: InputSpec, classes: int) -> HeadLayout:
    """Returns the layout for a head of that name. Raises HeadMismatchError if the outputs do not have its format."""
    if head not in _LAYOUTS:
        raise HeadMismatchError(f"no kernel decodes head {head!r}, only {', '.join(sorted(_LAYOUTS))}")
    if len({tensor.dtype for tensor in outputs.values()}) != 1:
        raise HeadMismatchError(
            f"head {head!r} reads outputs of one precision; the model produces {_shapes_of(outputs)}"
        )
    return _LAYOUTS[head](outputs, spec, classes)


def _ssd(outputs: Outputs, spec: InputSpec, classes: int) -> HeadLayout:
    if "boxes" in outputs and "scores" in outputs:
        boxes, scores = outputs["boxes"], outputs["scores"]
    else:
        by_width = sorted(outputs.values(), key=lambda tensor: tensor.shape[-1] != 4)
        if len(by_width) != 2 or by_width[1].shape[-1] == 4:
            raise _mismatch("ssd", f"boxes [batch, n, 4] and scores [batch, n, {classes}]", outputs)
        boxes, scores = by_width
    if len(scores.shape) != 3 or scores.shape[2] != classes or boxes.shape != (*scores.shape[:2], 4):
        raise _mismatch("ssd", f"boxes [batch, n, 4] and scores [batch, n, {classes}]", outputs)
    batch, rows, _ = scores.shape
    head = _head(spec, classes, [_level([(boxes, 0, 0), (scores, 0, 0)], rows)])
    return HeadLayout("decode_ssd", head, -(-rows * classes // 4), batch, rows, scores.dtype)


def _yolox(outputs: Outputs, spec: InputSpec, classes: int, *, on_grid: bool = True) -> HeadLayout:
    name = "yolox" if on_grid else "yolox-decoded"
    tensors = list(outputs.values())
    if len(tensors) != 1 or len(tensors[0].shape) != 3 or tensors[0].shape[2] != 5 + classes:
        raise _mismatch(name, f"one output [batch, n, {5 + classes}]", outputs)
    batch, rows, _ = tensors[0].shape
    if on_grid:
        levels = [
            _level([(tensors[0], first, 0)], cells, first, columns, stride)
            for first, cells, columns, stride in _grids(spec, rows, name)
        ]
    else:
        levels = [_level([(tensors[0], 0, 0)], rows)]
    head = _head(spec, classes, levels)
    head["on_grid"] = on_grid
    return HeadLayout("decode_yolox", head, rows, batch, rows, tensors[0].dtype)


def _yolox_decoded(outputs: Outputs, spec: InputSpec, classes: int) -> HeadLayout:
    return _yolox(outputs, spec, classes, on_grid=False)


def _nanodet(outputs: Outputs, spec: InputSpec, classes: int) -> HeadLayout:
    if len(outputs) == 1:
        (joined,) = outputs.values()
        if len(joined.shape) != 3 or not _is_sides(joined.shape[2] - classes):
            raise _mismatch("nanodet", f"one output [batch, n, {classes} + 4 * bins]", outputs)
        (batch, rows, width), dtype = joined.shape, joined.dtype
        grids = _grids(spec, rows, "nanodet")
        sides = width - classes
        levels = [
            _level([(joined, first, 0), (joined, first, classes)], cells, first, columns, stride)
            for first, cells, columns, stride in grids
        ]
    else:
        pairs = _by_stride(outputs, ("cls_pred_stride_", "dis_pred_stride_"), "nanodet")
        batch, sides, dtype = pairs[0][0].shape[0], pairs[0][1].shape[2], pairs[0][0].dtype
        rows = sum(scores.shape[1] for scores, _ in pairs)
        grids = _grids(spec, rows, "nanodet")
        wrong = any(scores.shape[2] != classes or distances.shape[2] != sides for scores, distances in pairs)
        if wrong or not _is_sides(sides) or len(pairs) != len(grids):
            raise _mismatch("nanodet", f"cls_pred_stride_S [batch, n, {classes}] and dis_pred_stride_S", outputs)
        levels = _levels(pairs, grids, "nanodet", outputs)
    head = _head(spec, classes, levels)
    head["bins"] = sides // 4
    head["shift"] = 0.0 if len(grids) == 4 else 0.5
    return HeadLayout("decode_nanodet", head, rows, batch, rows, dtype)


def _yunet(outputs: Outputs, spec: InputSpec, classes: int) -> HeadLayout:
    form = "cls_S [batch, n, 1], obj_S [batch, n, 1], bbox_S [batch, n, 4] and kps_S [batch, n, 10] for S = 8, 16, 32"
    parts = _by_stride(outputs, ("cls_", "obj_", "bbox_", "kps_"), "yunet")
    if classes != 1 or any(tuple(tensor.shape[2] for tensor in part) != (1, 1, 4, 10) for part in parts):
        raise _mismatch("yunet", form, outputs)
    rows = sum(part[0].shape[1] for part in parts)
    levels = _levels(parts, _grids(spec, rows, "yunet"), "yunet", outputs)
    first = parts[0][0]
    return HeadLayout(
        "decode_yunet", _head(spec, classes, levels), rows, first.shape[0], rows, first.dtype, points=True
    )


_LAYOUTS = {
    "ssd": _ssd,
    "yolox": _yolox,
    "yolox-decoded": _yolox_decoded,
    "nanodet": _nanodet,
    "yunet": _yunet,
}


def _head(spec: InputSpec, classes: int, levels: Sequence[NDArray[Any]]) -> NDArray[Any]:
    head = record(HEAD, level_count=len(levels), classes=classes, width=spec.width, height=spec.height)
    for i, level in enumerate(levels):
        head["levels"][i] = level
    return head


def _level(
    parts: Sequence[tuple[DeviceTensor, int, int]], rows: int, first_row: int = 0, columns: int = 0, stride: int = 0
) -> NDArray[Any]:
    """Returns a level whose tensors start at (tensor, row, column)."""
    level = record(LEVEL, rows=rows, first_row=first_row, columns=columns, stride=stride)
    for i, (tensor, row, column) in enumerate(parts):
        _, length, width = tensor.shape
        level["tensor"][i] = tensor.address + (row * width + column) * tensor.dtype.itemsize
        level["row_length"][i] = width
        level["picture_length"][i] = length * width
    return level


def _levels(
    parts: Sequence[Sequence[DeviceTensor]], grids: Sequence[tuple[int, int, int, int]], name: str, outputs: Outputs
) -> list[NDArray[Any]]:
    """Returns one level per stride, for tensors that each contain a single stride."""
    levels = []
    for part, (first, cells, columns, stride) in zip(parts, grids, strict=True):
        if any(tensor.shape[1] != cells for tensor in part):
            raise _mismatch(name, f"{cells} rows at stride {stride}", outputs)
        levels.append(_level([(tensor, 0, 0) for tensor in part], cells, first, columns, stride))
    return levels


def _grids(spec: InputSpec, rows: int, name: str) -> list[tuple[int, int, int, int]]:
    """Returns first row, number of cells, columns and stride of each grid for that input size."""
    for strides in _STRIDES:
        grids, first = [], 0
        for stride in strides:
            columns, lines = -(-spec.width // stride), -(-spec.height // stride)
            grids.append((first, columns * lines, columns, stride))
            first += columns * lines
        if first == rows:
            return grids
    raise HeadMismatchError(
        f"the model produces {rows} rows, which does not match head {name!r} on a {spec.width}x{spec.height} "
        "input: check the input size and that the file was exported with this head"
    )


def _by_stride(outputs: Outputs, prefixes: Sequence[str], name: str) -> list[list[DeviceTensor]]:
    """Returns the outputs `<prefix><stride>`, in ascending order of stride."""
    strides = sorted(
        {int(output.removeprefix(prefixes[0])) for output in outputs if output.removeprefix(prefixes[0]).isdigit()}
    )
    try:
        parts = [[outputs[f"{prefix}{stride}"] for prefix in prefixes] for stride in strides]
    except KeyError:
        parts = []
    form = " and ".join(f"{prefix}S [batch, n, ...]" for prefix in prefixes)
    if not parts or any(len(tensor.shape) != 3 for part in parts for tensor in part):
        raise _mismatch(name, form, outputs)
    return parts


def _is_sides(columns: int) -> bool:
    return columns >= 8 and columns % 4 == 0


def _mismatch(name: str, form: str, outputs: Outputs) -> HeadMismatchError:
    return HeadMismatchError(
        f"head {name!r} reads {form}; the model produces {_shapes_of(outputs)}: choose another head"
    )


def _shapes_of(outputs: Outputs) -> str:
    return ", ".join(f"{name} {list(tensor.shape)} {tensor.dtype}" for name, tensor in outputs.items())
