"""Recognises the head of a detector's ONNX file: by its metadata, then by the names of its tensors, then by their
shapes; never only by shapes that two heads have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightd.engines.errors import ModelFileError
from sightd.engines.labels import COCO_IDENTIFIER_LABELS, COCO_LABELS
from sightd.engines.models.export_metadata import MOST_SIDE, ExportMetadata, read_metadata
from sightd.engines.models.onnx_file import OnnxContent, Shape, read_content, require_any_batch, text

COCO_FORMS: Mapping[int, tuple[str, ...]] = {
    80: COCO_LABELS,
    90: COCO_IDENTIFIER_LABELS[1:],
    91: COCO_IDENTIFIER_LABELS,
}
"""Numbers of classes that are taken for COCO's if nothing names the classes."""

_ULTRALYTICS = ("yolo", "yolov5", "yolo-end-to-end", "ultralytics-detr")
_ONE_OUTPUT = ("yolox", "yolox-decoded", "nanodet", *_ULTRALYTICS)
_TWO_OUTPUTS = ("ssd", "yolo-nas", "detr", "rf-detr")
_ORIENTED = ("yolo-obb", "yolo-obb-end-to-end")
_UNSUPPORTED = {"classify": "this is a classifier: use it with the classifier plug-in"}
_SHAPES = {"segment": "masks", "pose": "keypoints", "obb": "oriented boxes"}
SIZE_INPUT = "orig_target_sizes"
"""The input (width, height) of exporters that put the post-processor into the file."""


@dataclass(frozen=True, slots=True)
class ImageInput:
    """The image input of a file. Sides that the file leaves open are None. `size_tensor` is "" if there is none."""

    tensor: str
    width: int | None
    height: int | None
    nhwc: bool
    dtype: str
    size_tensor: str


@dataclass(frozen=True, slots=True)
class FoundHead:
    """A head that a file can have: the number of classes that it would have, or None if that is not visible, and the
    number of columns behind them, of masks or keypoints."""

    head: str
    classes: int | None
    extra: int = 0


@dataclass(frozen=True, slots=True)
class Recognised:
    """What was found in a file, and why (`reasons`). `candidates` holds the heads that the file can have; exactly one
    if it is recognised. `near` holds those that would fit with another number of classes. `shapes` says
    what it finds besides boxes: masks, keypoints or oriented boxes, or ""."""

    path: Path
    content: OnnxContent
    image: ImageInput
    metadata: ExportMetadata | None
    candidates: tuple[FoundHead, ...]
    near: tuple[FoundHead, ...]
    reasons: tuple[str, ...]
    shapes: str = ""


def recognise(path: Path, *, head: str | None = None, classes: int | None = None) -> Recognised:
    """Reads a detector's file. `head` and the number of `classes` are what the user states; they exclude heads that do
    not fit. Runs nothing.

    Raises ModelFileError if the file cannot be read, has no image input, or is no detector.
    """
    content = read_content(path)
    try:
        metadata = read_metadata(content.metadata)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    _require_supported(path, metadata)
    image = _image_input(path, content)
    reasons: list[str] = []
    if metadata is not None:
        reasons.append(_told(metadata))
        classes = classes or len(metadata.names)
    possible, because = _possible(content, metadata)
    if head is not None:
        possible, because = (head,) if metadata is None or head in possible else (), ""
    if because:
        reasons.append(because)
    outputs, extra = _extra_columns(content.ends.outputs, metadata)
    near = tuple(
        one
        for name in possible
        for one in _FITS[name](_Outputs(outputs, image, extra, metadata, head is None), classes)
        if one.classes is None or one.classes > 0
    )
    if not near and (head is not None or metadata is not None) and _is_open(outputs):
        near = tuple(FoundHead(name, classes, extra) for name in possible)
    candidates = tuple(one for one in near if one.classes is None or one.classes in _wanted(one.head, classes))
    if {one.head for one in candidates} == {"yolox", "yolox-decoded"}:
        decoded = "Exp" in content.operators
        candidates = tuple(one for one in candidates if (one.head == "yolox-decoded") is decoded)
        reasons.append(f"the graph {'has' if decoded else 'does not have'} the exp() that decodes YOLOX boxes")
    if len(candidates) == 1:
        reasons.append(_why(candidates[0], content.ends.outputs))
    shapes = "masks" if len(outputs) < len(content.ends.outputs) else ""
    if metadata is not None and metadata.task in _SHAPES:
        shapes = _SHAPES[metadata.task]
    return Recognised(path, content, image, metadata, candidates, near, tuple(reasons), shapes)


def _is_open(outputs: Mapping[str, Shape]) -> bool:
    """Whether the file does not say what its outputs look like."""
    return bool(outputs) and all(len(shape) in (0, 3) and None in (shape[-2:] or (None,)) for shape in outputs.values())


def _wanted(head: str, classes: int | None) -> set[int]:
    """Returns the numbers of classes that a head may have: those of the labels, or else those of COCO."""
    if classes is None:
        return {91} if head == "rf-detr" else {80}
    coco = {91} if head == "rf-detr" and classes == 80 else set()
    return {classes, classes + 1, *coco} if head == "rf-detr" else {classes}


def _require_supported(path: Path, metadata: ExportMetadata | None) -> None:
    if metadata is None:
        return
    if metadata.task in _UNSUPPORTED:
        raise ModelFileError(f"{path} is a model of the task {metadata.task}: {_UNSUPPORTED[metadata.task]}")
    if metadata.channels != 3:
        raise ModelFileError(f"{path} takes images of {metadata.channels} channels: export it for three")


def _is_rtdetr(metadata: ExportMetadata) -> bool:
    return "rtdetr" in metadata.description.casefold().replace("-", "")


def _told(metadata: ExportMetadata) -> str:
    parts = [f"task {metadata.task}" if metadata.task else "no task, as YOLOv5 writes it"]
    parts.append(f"{len(metadata.names)} class names")
    if metadata.size:
        parts.append(f"size {metadata.size[0]}x{metadata.size[1]}")
    if metadata.end_to_end:
        parts.append("boxes are suppressed in the file")
    if _is_rtdetr(metadata):
        parts.append("RT-DETR")
    return f"the metadata says: {', '.join(parts)}"


def _why(found: FoundHead, outputs: Mapping[str, Shape]) -> str:
    classes = "" if found.classes is None else f" of {found.classes} classes"
    return f"the output {text(outputs)} fits head {found.head}{classes}"


def _possible(content: OnnxContent, metadata: ExportMetadata | None) -> tuple[Sequence[str], str]:
    """Returns the heads that metadata and names leave, and which of both decided."""
    if metadata is not None and metadata.task == "obb":
        return _ORIENTED, ""
    if metadata is not None:
        if _is_rtdetr(metadata):
            return ("ultralytics-detr",), ""
        return (_ULTRALYTICS if metadata.task else ("yolov5",)), ""
    outputs = {name.removesuffix(":0"): shape for name, shape in content.ends.outputs.items()}
    for names, heads in _NAMES:
        if names <= outputs.keys():
            return heads, f"the outputs are named {', '.join(sorted(names))}"
    if any(name.startswith("cls_pred_stride_") for name in outputs):
        return ("nanodet",), "the outputs are named cls_pred_stride_S"
    ranks = [len(shape) for shape in outputs.values()]
    if "output0" in outputs:
        return _ULTRALYTICS, "the output is named output0"
    return (_TWO_OUTPUTS if ranks.count(3) == 2 else _ONE_OUTPUT), ""


_NAMES: Sequence[tuple[frozenset[str], Sequence[str]]] = (
    (frozenset({"detection_boxes", "detection_classes", "detection_scores", "num_detections"}), ("tf-ssd",)),
    (frozenset({"boxes", "scores", "labels"}), ("detr-labelled",)),
    (frozenset({"logits", "pred_boxes"}), ("detr",)),
    (frozenset({"dets", "labels"}), ("rf-detr", "mmdeploy")),
    (frozenset({"boxes", "scores"}), ("ssd",)),
)


def _extra_columns(outputs: Mapping[str, Shape], metadata: ExportMetadata | None) -> tuple[Mapping[str, Shape], int]:
    """Returns the outputs without prototypes of masks, and the number of columns of masks or keypoints."""
    flat = {name: shape for name, shape in outputs.items() if len(shape) != 4}
    if metadata is not None and metadata.task == "pose":
        return flat, metadata.keypoints[0] * metadata.keypoints[1]
    prototypes = [shape[1] for shape in outputs.values() if len(shape) == 4]
    is_named = "output0" in outputs or metadata is not None
    return flat, prototypes[0] or 0 if prototypes and is_named else 0


@dataclass(frozen=True, slots=True)
class _Outputs:
    shapes: Mapping[str, Shape]
    image: ImageInput
    extra: int
    metadata: ExportMetadata | None
    counts_rows: bool
    """Whether the number of rows must be that of the grids; a stated head may have others."""

    def only(self) -> Shape | None:
        """Returns the shape [b, x, y] of the only output with three axes."""
        found = [shape for shape in self.shapes.values() if len(shape) == 3]
        return found[0] if len(found) == 1 else None

    def pair(self) -> Shape | None:
        """Returns the shape [b, n, c] of the scores if there are boxes [b, n, 4] as well."""
        found = sorted((shape for shape in self.shapes.values() if len(shape) == 3), key=lambda shape: shape[2] != 4)
        return found[1] if len(found) == 2 and found[0][2] in (4, None) else None

    def is_grid(self, rows: int | None, strides: Sequence[Sequence[int]], per_cell: int) -> bool:
        """Whether an input of this size has so many rows; True if one of both is not known
        or does not matter."""
        width, height = self.image.width, self.image.height
        if not self.counts_rows or rows is None or width is None or height is None:
            return True
        counts = [sum(-(-width // one) * -(-height // one) for one in each) * per_cell for each in strides]
        return rows in counts


_GRID = ((8, 16, 32), (8, 16, 32, 64))
_LEAST_QUERIES, _MOST_QUERIES = 100, 1000
"""Rows of transformers; usually 300."""
_MOST_KEPT = 3000
"""Rows of an output whose boxes are suppressed already; the exporters' default is 300."""


def _raw(head: str, angles: int = 0) -> Callable[[_Outputs, int | None], Iterator[FoundHead]]:
    """A head with four columns for the box, one per class and `angles` after these, in either order of the axes."""

    def fits(outputs: _Outputs, classes: int | None) -> Iterator[FoundHead]:
        if (shape := outputs.only()) is None:
            return
        _, first, last = shape
        other = 4 + angles + outputs.extra
        columns = None if classes is None else other + classes
        if last is not None and last == columns != first and outputs.metadata is None:
            if not outputs.counts_rows or not _are_queries(outputs, first):
                yield FoundHead(head, classes, outputs.extra)
        elif first is not None and (last is None or first == columns or first < last):
            yield FoundHead(head, first - other, outputs.extra)

    return fits


def _ultralytics_detr(outputs: _Outputs, classes: int | None) -> Iterator[FoundHead]:
    """Unless the metadata says so: a raw YOLO has rows and columns exchanged, or as many rows as there are cells, and
    six columns are those of boxes that are suppressed already."""
    shape = outputs.only()
    if shape is None or shape[2] is None or outputs.extra:
        return
    is_told = not outputs.counts_rows or (outputs.metadata is not None and _is_rtdetr(outputs.metadata))
    is_other = shape[2] == 6 or shape[1] == 4 + (80 if classes is None else classes)
    if is_told or (not is_other and _are_queries(outputs, shape[1])):
        yield FoundHead("ultralytics-detr", shape[2] - 4)


def _are_queries(outputs: _Outputs, rows: int | None) -> bool:
    """Whether so many rows can be the queries of a transformer, and not the cells of a grid."""
    if rows is None or not _LEAST_QUERIES <= rows <= _MOST_QUERIES:
        return False
    is_sized = outputs.image.width is not None and outputs.image.height is not None
    return not (is_sized and outputs.is_grid(rows, (*_GRID, (4, 8, 16, 32)), 1))


def _with_objectness(head: str, per_cell: int) -> Callable[[_Outputs, int | None], Iterator[FoundHead]]:
    def fits(outputs: _Outputs, classes: int | None) -> Iterator[FoundHead]:
        shape, extra = outputs.only(), outputs.extra if head == "yolov5" else 0
        if shape is not None and shape[2] is not None and outputs.is_grid(shape[1], _GRID, per_cell):
            yield FoundHead(head, shape[2] - 5 - extra, extra)

    return fits


def _end_to_end(head: str, columns: int) -> Callable[[_Outputs, int | None], Iterator[FoundHead]]:
    def fits(outputs: _Outputs, classes: int | None) -> Iterator[FoundHead]:
        shape = outputs.only()
        if shape is None or shape[2] != columns + outputs.extra or (shape[1] or 0) > _MOST_KEPT:
            return
        if shape[1] is not None or (outputs.metadata is not None and outputs.metadata.end_to_end):
            yield FoundHead(head, classes, outputs.extra)

    return fits


def _nanodet(outputs: _Outputs, classes: int | None) -> Iterator[FoundHead]:
    scores = [shape for name, shape in outputs.shapes.items() if name.startswith("cls_pred_stride_")]
    if scores:
        yield FoundHead("nanodet", scores[0][-1])
        return
    shape = outputs.only()
    if shape is None or shape[2] is None or not outputs.is_grid(shape[1], _GRID, 1):
        return
    sides = shape[2] - (80 if classes is None else classes)
    if sides >= 8 and sides % 4 == 0:
        yield FoundHead("nanodet", shape[2] - sides)


def _pair(head: str) -> Callable[[_Outputs, int | None], Iterator[FoundHead]]:
    def fits(outputs: _Outputs, classes: int | None) -> Iterator[FoundHead]:
        if (scores := _named(outputs, "scores", "logits", "labels") or outputs.pair()) and len(scores) == 3:
            yield FoundHead(head, scores[2])

    return fits


def _named(outputs: _Outputs, *names: str) -> Shape | None:
    return next((outputs.shapes[name] for name in names if name in outputs.shapes), None)


def _ranked(head: str, name: str, rank: int) -> Callable[[_Outputs, int | None], Iterator[FoundHead]]:
    """A head with classes per box, whose number is not visible."""

    def fits(outputs: _Outputs, classes: int | None) -> Iterator[FoundHead]:
        found = {one.removesuffix(":0"): shape for one, shape in outputs.shapes.items()}
        if name in found and len(found[name]) == rank:
            yield FoundHead(head, None)

    return fits


_FITS: Mapping[str, Callable[[_Outputs, int | None], Iterator[FoundHead]]] = {
    "ssd": _pair("ssd"),
    "yolo-nas": _pair("yolo-nas"),
    "detr": _pair("detr"),
    "rf-detr": _pair("rf-detr"),
    "yolox": _with_objectness("yolox", 1),
    "yolox-decoded": _with_objectness("yolox-decoded", 1),
    "yolov5": _with_objectness("yolov5", 3),
    "yolo": _raw("yolo"),
    "yolo-end-to-end": _end_to_end("yolo-end-to-end", 6),
    "yolo-obb": _raw("yolo-obb", angles=1),
    "yolo-obb-end-to-end": _end_to_end("yolo-obb-end-to-end", 7),
    "ultralytics-detr": _ultralytics_detr,
    "nanodet": _nanodet,
    "detr-labelled": _ranked("detr-labelled", "labels", 2),
    "tf-ssd": _ranked("tf-ssd", "detection_scores", 2),
    "mmdeploy": _ranked("mmdeploy", "labels", 2),
}


def _image_input(path: Path, content: OnnxContent) -> ImageInput:
    ends = content.ends
    images = {name: shape for name, shape in ends.inputs.items() if len(shape) == 4}
    rest = ends.inputs.keys() - images.keys()
    if len(images) != 1 or not rest <= {SIZE_INPUT}:
        raise ModelFileError(
            f"{path} has the input {text(ends.inputs)}; it must have one image [batch, 3, height, width] or [batch, "
            f"height, width, 3] as input, and may have {SIZE_INPUT} [batch, 2]"
        )
    ((name, (batch, first, middle, last)),) = images.items()
    require_any_batch(path, batch)
    nhwc = last == 3 and first != 3
    if not nhwc and first not in (3, None):
        raise ModelFileError(
            f"{path} has the input {text(ends.inputs)}; it must have one image [batch, 3, height, width] or [batch, "
            "height, width, 3] as input"
        )
    height, width = (first, middle) if nhwc else (middle, last)
    if max(height or 0, width or 0) > MOST_SIDE:
        raise ModelFileError(
            f"{path} has the input {text(ends.inputs)}: export it for images of up to {MOST_SIDE} pixels each way"
        )
    if ends.dtypes[name] not in ("float32", "float16", "uint8"):
        raise ModelFileError(f"{path}: the input {name} is {ends.dtypes[name]}: export it as float32, float16 or uint8")
    if rest and ends.dtypes[SIZE_INPUT] not in ("int64", "int32"):
        raise ModelFileError(f"{path}: the input {SIZE_INPUT} is {ends.dtypes[SIZE_INPUT]}, not int64 or int32")
    return ImageInput(name, width, height, nhwc, ends.dtypes[name], SIZE_INPUT if rest else "")
