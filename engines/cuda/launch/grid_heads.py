"""Layouts of the heads that have a decoder of their own in detect.cu.

The formats are those that the CPU decoders document: SSD, YOLOX (decoded or not), NanoDet (one output, or a pair per
stride) and YuNet. Grids are ordered from the finest to the coarsest stride, row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from sightd.engines.cuda.launch.device import precision
from sightd.engines.cuda.launch.heads import (
    DeviceTensor,
    HeadLayout,
    HeadMismatchError,
    Outputs,
    mismatch,
    probed_rows,
    shapes_of,
)
from sightd.engines.cuda.launch.layout import HEAD, LEVEL, record
from sightd.engines.heads import probe_every
from sightd.engines.model import InputSpec

_STRIDES = ((8, 16, 32), (8, 16, 32, 64))


def _ssd(outputs: Outputs, spec: InputSpec, classes: int) -> HeadLayout:
    if "boxes" in outputs and "scores" in outputs:
        boxes, scores = outputs["boxes"], outputs["scores"]
    else:
        by_width = sorted(outputs.values(), key=lambda tensor: tensor.shape[-1] != 4)
        if len(by_width) != 2 or by_width[1].shape[-1] == 4:
            raise mismatch("ssd", f"boxes [batch, n, 4] and scores [batch, n, {classes}]", outputs)
        boxes, scores = by_width
    if len(scores.shape) != 3 or scores.shape[2] != classes or boxes.shape != (*scores.shape[:2], 4):
        raise mismatch("ssd", f"boxes [batch, n, 4] and scores [batch, n, {classes}]", outputs)
    batch, rows, _ = scores.shape
    head = _head(spec, classes, [_level([(boxes, 0, 0), (scores, 0, 0)], rows)])
    return HeadLayout(
        _kernel("ssd", outputs), head, batch, -(-rows * classes // 4), rows * classes, probed_rows(rows) * classes
    )


def _yolox(outputs: Outputs, spec: InputSpec, classes: int, *, on_grid: bool = True) -> HeadLayout:
    name = "yolox" if on_grid else "yolox-decoded"
    tensors = list(outputs.values())
    if len(tensors) != 1 or len(tensors[0].shape) != 3 or tensors[0].shape[2] != 5 + classes:
        raise mismatch(name, f"one output [batch, n, {5 + classes}]", outputs)
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
    probed = probed_rows(rows) * (1 + classes)
    return HeadLayout(_kernel("yolox", outputs), head, batch, rows, rows * classes, probed)


def _yolox_decoded(outputs: Outputs, spec: InputSpec, classes: int) -> HeadLayout:
    return _yolox(outputs, spec, classes, on_grid=False)


def _nanodet(outputs: Outputs, spec: InputSpec, classes: int) -> HeadLayout:
    if len(outputs) == 1:
        (joined,) = outputs.values()
        if len(joined.shape) != 3 or not _is_sides(joined.shape[2] - classes):
            raise mismatch("nanodet", f"one output [batch, n, {classes} + 4 * bins]", outputs)
        batch, rows, width = joined.shape
        grids = _grids(spec, rows, "nanodet")
        sides = width - classes
        levels = [
            _level([(joined, first, 0), (joined, first, classes)], cells, first, columns, stride)
            for first, cells, columns, stride in grids
        ]
    else:
        pairs = _by_stride(outputs, ("cls_pred_stride_", "dis_pred_stride_"), "nanodet")
        batch, sides = pairs[0][0].shape[0], pairs[0][1].shape[2]
        rows = sum(scores.shape[1] for scores, _ in pairs)
        grids = _grids(spec, rows, "nanodet")
        wrong = any(scores.shape[2] != classes or distances.shape[2] != sides for scores, distances in pairs)
        if wrong or not _is_sides(sides) or len(pairs) != len(grids):
            raise mismatch("nanodet", f"cls_pred_stride_S [batch, n, {classes}] and dis_pred_stride_S", outputs)
        levels = _levels(pairs, grids, "nanodet", outputs)
    head = _head(spec, classes, levels)
    head["bins"] = sides // 4
    head["shift"] = 0.0 if len(grids) == 4 else 0.5
    probed = probed_rows(rows) * classes
    return HeadLayout(_kernel("nanodet", outputs), head, batch, rows, rows * classes, probed)


def _yunet(outputs: Outputs, spec: InputSpec, classes: int) -> HeadLayout:
    form = "cls_S [batch, n, 1], obj_S [batch, n, 1], bbox_S [batch, n, 4] and kps_S [batch, n, 10] for S = 8, 16, 32"
    parts = _by_stride(outputs, ("cls_", "obj_", "bbox_", "kps_"), "yunet")
    if classes != 1 or any(tuple(tensor.shape[2] for tensor in part) != (1, 1, 4, 10) for part in parts):
        raise mismatch("yunet", form, outputs)
    rows = sum(part[0].shape[1] for part in parts)
    levels = _levels(parts, _grids(spec, rows, "yunet"), "yunet", outputs)
    head, batch = _head(spec, classes, levels), parts[0][0].shape[0]
    return HeadLayout(_kernel("yunet", outputs), head, batch, rows, rows, probed=0)


GRID_HEADS = {
    "ssd": _ssd,
    "yolox": _yolox,
    "yolox-decoded": _yolox_decoded,
    "nanodet": _nanodet,
    "yunet": _yunet,
}


def _kernel(head: str, outputs: Outputs) -> str:
    """Returns the kernel for the outputs' precision. Raises HeadMismatchError if they differ or have no kernel."""
    try:
        (name,) = {precision(tensor.dtype, f"decode_{head}") for tensor in outputs.values()}
    except ValueError:
        raise HeadMismatchError(
            f"head {head!r} reads outputs that are all float32 or all float16; the model produces {shapes_of(outputs)}"
        ) from None
    return name


def _head(spec: InputSpec, classes: int, levels: Sequence[NDArray[Any]]) -> NDArray[Any]:
    rows = sum(int(level["rows"]) for level in levels)
    head = record(
        HEAD,
        level_count=len(levels),
        classes=classes,
        width=spec.width,
        height=spec.height,
        probe_every=probe_every(rows),
    )
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
            raise mismatch(name, f"{cells} rows at stride {stride}", outputs)
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
        raise mismatch(name, form, outputs)
    return parts


def _is_sides(columns: int) -> bool:
    return columns >= 8 and columns % 4 == 0
