"""Builds a model description from a user's own ONNX file: defaults of its head, and what the file itself states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sightd.engines.errors import ModelFileError
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize
from sightd.engines.models.onnx_file import Shape, last_operation, read_io_spec, text

Triple = tuple[float, float, float]

_DEFAULTS: Mapping[str, InputSpec] = {
    "yolox": InputSpec("", 0, 0, ColourOrder.BGR, Resize.LETTERBOX_TOP_LEFT),
    "yolox-decoded": InputSpec("", 0, 0, ColourOrder.BGR, Resize.LETTERBOX_TOP_LEFT),
    "ssd": InputSpec("", 0, 0, ColourOrder.RGB, Resize.STRETCH),
    "nanodet": InputSpec(
        "", 0, 0, ColourOrder.BGR, Resize.STRETCH, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395)
    ),
}
"""The preprocessing used by the heads' authors (NanoDet's configurations say `keep_ratio: false`). Name and size come
from the file."""


def model_from_file(
    path: Path,
    head: str,
    labels: Sequence[str],
    *,
    size: tuple[int, int] | None = None,
    colour: ColourOrder | None = None,
    resize: Resize | None = None,
    scale: float | None = None,
    mean: Triple | None = None,
    std: Triple | None = None,
) -> Model:
    """Builds a detector model from an ONNX file. For arguments that are None, the authors' values for the `head`
    ("ssd", "yolox", "nanodet") are used.

    `size` (width, height) is required if the file leaves its input size open. Raises ModelFileError if the file cannot
    be read, does not take one image [batch, 3, height, width], or has a number of classes that differs from the labels.
    """
    if head not in _DEFAULTS:
        raise ModelFileError(f"{path}: unknown head {head!r}. Known heads: {', '.join(_DEFAULTS)}")
    ends = read_io_spec(path)
    name, width, height = _picture(path, ends.inputs, size)
    _require_classes(path, head, labels, ends.outputs)
    usual = _DEFAULTS[head]
    spec = replace(
        usual,
        tensor=name,
        width=width,
        height=height,
        colour=usual.colour if colour is None else colour,
        resize=usual.resize if resize is None else resize,
        scale=usual.scale if scale is None else scale,
        mean=usual.mean if mean is None else mean,
        std=usual.std if std is None else std,
    )
    return Model(
        name=path.stem,
        role="detector",
        head=head,
        licence="the file's own",
        input=spec,
        labels=tuple(labels),
        summary=f"your own file {path.name}",
        path=path,
    )


def style_from_file(path: Path, *, colour: ColourOrder, scale: float) -> Model:
    """Builds a style model from an ONNX file with one image as input and one as output. Where a size is needed, sides
    that the file leaves open are 448x256. Raises ModelFileError if the file cannot be read or has another form.
    """
    ends = read_io_spec(path)
    match list(ends.inputs.values()), list(ends.outputs.values()):
        case [(_, 3 | None, height, width)], [(_, 3 | None, _, _)]:
            (tensor,) = ends.inputs
            spec = InputSpec(tensor, width or 448, height or 256, colour, Resize.STRETCH, scale=scale)
        case _:
            raise ModelFileError(
                f"{path} has the input {text(ends.inputs)} and the output {text(ends.outputs)}; a style model has one "
                "image [batch, 3, height, width] as input and as output"
            )
    return Model(path.stem, "style", "single", "the file's own", spec, summary=f"your own file {path.name}", path=path)


def classifier_from_file(
    path: Path,
    labels: Sequence[str],
    *,
    size: tuple[int, int] | None = None,
    colour: ColourOrder = ColourOrder.RGB,
    scale: float = 1 / 255,
    mean: Triple = (0.485, 0.456, 0.406),
    std: Triple = (0.229, 0.224, 0.225),
) -> Model:
    """Builds a model from an ONNX file that outputs one score per class [batch, classes]. The preprocessing defaults to
    that of ImageNet models. `size` (width, height) is required if the file leaves its input size open.

    The head is "probabilities" if the file ends in a softmax or a sigmoid, else "logits". Raises ModelFileError if the
    file cannot be read or has another form.
    """
    ends = read_io_spec(path)
    name, width, height = _picture(path, ends.inputs, size)
    match list(ends.outputs.values()):
        case [(_, classes)] | [(_, classes, 1, 1)] if classes in (None, len(labels)):
            pass
        case [(_, int(classes))] | [(_, int(classes), 1, 1)]:
            raise ModelFileError(
                f"{path} has the output {text(ends.outputs)}: {classes} classes, but {len(labels)} labels are given"
            )
        case _:
            raise ModelFileError(
                f"{path} has the output {text(ends.outputs)}; a classifier has one score per class [batch, n]"
            )
    return Model(
        name=path.stem,
        role="classifier",
        head="probabilities" if last_operation(path) in ("Softmax", "Sigmoid") else "logits",
        licence="the file's own",
        input=InputSpec(name, width, height, colour, Resize.STRETCH, scale, mean, std),
        labels=tuple(labels),
        summary=f"your own file {path.name}",
        path=path,
    )


def _picture(path: Path, inputs: Mapping[str, Shape], size: tuple[int, int] | None) -> tuple[str, int, int]:
    """Returns name, width and height of the file's only input, an image."""
    match list(inputs.items()):
        case [(name, (_, 3 | None, height, width))]:
            pass
        case _:
            raise ModelFileError(
                f"{path} has the input {text(inputs)}; it must have one image [batch, 3, height, width] as input"
            )
    if size is not None:
        if (width or size[0], height or size[1]) != size:
            raise ModelFileError(f"{path} has the input {text(inputs)}: it cannot run at {size[0]}x{size[1]}")
        width, height = size
    if width is None or height is None:
        raise ModelFileError(
            f"{path} has the input {text(inputs)}, whose size is not fixed. Export it with a fixed height and width"
        )
    return name, width, height


def _require_classes(path: Path, head: str, labels: Sequence[str], outputs: Mapping[str, Shape]) -> None:
    """Raises ModelFileError if the file shows its number of classes and it differs from the number of labels."""
    match head, list(outputs.items()):
        case "yolox", [(_, (*_, int(columns)))]:
            classes = columns - 5
        case "ssd", _ if outputs.get("scores"):
            classes = outputs["scores"][-1] or len(labels)
        case _:
            return
    if classes != len(labels):
        raise ModelFileError(
            f"{path} has the output {text(outputs)}: {classes} classes, but {len(labels)} labels are given"
        )
