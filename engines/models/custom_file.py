"""Builds a model description from a user's own ONNX file: defaults of its head, and what the file itself states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sightd.engines.errors import ModelFileError
from sightd.engines.heads import HEAD_FORMATS
from sightd.engines.labels import COCO_KEYPOINTS, COCO_SKELETON
from sightd.engines.model import ColourOrder, InputSpec, KeypointSpec, Model, Resize
from sightd.engines.models.label_files import ClassNames, LabelsError
from sightd.engines.models.onnx_file import Shape, last_operation, read_io_spec, require_any_batch, text
from sightd.engines.models.recognise import COCO_FORMS, FoundHead, Recognised, recognise

Triple = tuple[float, float, float]
_OWN_LICENCE = "the file's own"


@dataclass(frozen=True, slots=True)
class Stated:
    """What a user states about a file; None for what the file or the authors of its head decide. `size` is (width,
    height)."""

    head: str | None = None
    names: ClassNames | None = None
    size: tuple[int, int] | None = None
    colour: ColourOrder | None = None
    resize: Resize | None = None
    scale: float | None = None
    mean: Triple | None = None
    std: Triple | None = None


_NOTHING = Stated()


def model_from_file(path: Path, stated: Stated = _NOTHING) -> Model:
    """Builds a detector model from an ONNX file. What the user does not state comes from the file's metadata, the names
    and shapes of its tensors, and the preprocessing of its head's authors.

    Raises ModelFileError, with what to write, if the file cannot be read, does not show its head, class names or size,
    or contradicts what is stated.
    """
    return described_model(found_in(path, stated), stated)


def found_in(path: Path, stated: Stated = _NOTHING) -> Recognised:
    """Returns what the file shows, as far as it agrees with what is stated. Raises ModelFileError as `recognise`
    does."""
    if stated.head is not None and stated.head not in HEAD_FORMATS:
        raise ModelFileError(f"{path}: unknown head {stated.head!r}. Known heads: {', '.join(HEAD_FORMATS)}")
    return recognise(path, head=stated.head, classes=None if stated.names is None else len(stated.names))


def described_model(found: Recognised, stated: Stated = _NOTHING) -> Model:
    """Returns the model of a recognised file. Raises ModelFileError if it is not fully recognised, or contradicts what
    is stated."""
    head = _only_head(found, stated)
    return Model(
        name=found.path.stem,
        role="detector",
        head=head.head,
        licence=_OWN_LICENCE,
        input=_input(found, stated, HEAD_FORMATS[head.head].input),
        labels=_labels(found, head, stated.names),
        summary=f"your own file {found.path.name}",
        path=found.path,
        extra_columns=head.extra,
        keypoints=_keypoints(found),
    )


def _keypoints(found: Recognised) -> KeypointSpec | None:
    """Returns the keypoints that the metadata states. Seventeen without names are those of COCO."""
    if found.metadata is None or found.metadata.task != "pose":
        return None
    number, values = found.metadata.keypoints
    names = found.metadata.keypoint_names or (COCO_KEYPOINTS if number == len(COCO_KEYPOINTS) else ())
    skeleton = COCO_SKELETON if names == COCO_KEYPOINTS else ()
    if len(names) != number:
        names = tuple(f"point {index}" for index in range(number))
    return KeypointSpec(names, values, skeleton)


def _only_head(found: Recognised, stated: Stated) -> FoundHead:
    """Raises ModelFileError, with the heads that the file can have and what to write, unless there is exactly one."""
    if len(found.candidates) == 1:
        return found.candidates[0]
    outputs = f"{found.path} has the output {text(found.content.ends.outputs)}"
    given = stated.names or (found.metadata and ClassNames.listed(found.metadata.names))
    if found.candidates:
        heads = " or ".join(one.head for one in found.candidates)
        raise ModelFileError(f"{outputs}, which fits several heads: write head: {heads}")
    if found.near and given:
        told = " or ".join(f"{one.classes} classes (head {one.head})" for one in found.near)
        count = len(given)
        who = f"{count} labels are given" if stated.names else f"its metadata has {count} names: write labels:"
        raise ModelFileError(f"{outputs}: {told}, but {who}")
    if found.near:
        told = " or ".join(f"head {one.head} with {one.classes} labels" for one in found.near)
        raise ModelFileError(f"{outputs} and does not name its classes: write labels: for {told}")
    if stated.head is not None:
        raise ModelFileError(
            f"{outputs}, which is not that of head {stated.head} ({HEAD_FORMATS[stated.head].outputs}): remove head, "
            "and `sightd models inspect` says what the file has"
        )
    raise ModelFileError(
        f"{outputs}, which is not the format of any known head: `sightd models inspect {found.path.name}` lists them; "
        "export the model in one of these, or write a plug-in"
    )


def _labels(found: Recognised, head: FoundHead, names: ClassNames | None) -> tuple[str, ...]:
    classes = head.classes or found.content.labelled_classes
    from_one, background = head.head == "tf-ssd", head.head == "rf-detr"
    if names is None and found.metadata is not None and found.metadata.names:
        return found.metadata.names
    if names is None:
        if classes is not None and classes in COCO_FORMS:
            return COCO_FORMS[classes]
        number = "" if classes is None else f" of its {classes} classes"
        raise ModelFileError(
            f"{found.path} does not contain the names{number}: write labels: with the name of each class"
        )
    try:
        return names.for_classes(classes, from_one=from_one, background=background)
    except LabelsError as error:
        raise ModelFileError(f"{found.path} has the output {text(found.content.ends.outputs)}: {error}") from None


def _input(found: Recognised, stated: Stated, usual: InputSpec) -> InputSpec:
    image = found.image
    width, height = _size(found, stated)
    if image.dtype == "uint8" and (stated.scale or stated.mean or stated.std):
        raise ModelFileError(
            f"{found.path}: the input {image.tensor} is uint8 and takes plain pixels: remove scale, mean and std"
        )
    spec = replace(
        usual, tensor=image.tensor, width=width, height=height, nhwc=image.nhwc, size_tensor=image.size_tensor
    )
    choices = {key: getattr(stated, key) for key in ("colour", "resize", "scale", "mean", "std")}
    return replace(spec, **{key: value for key, value in choices.items() if value is not None})


_USUAL_SIZE = 640
_STRIDE = 32


def _size(found: Recognised, stated: Stated) -> tuple[int, int]:
    """Returns width and height: those of the file, else those stated, else those of the metadata, else 640."""
    image, metadata = found.image, found.metadata
    usual = (metadata and metadata.size) or (_USUAL_SIZE, _USUAL_SIZE)
    width, height = stated.size or (image.width or usual[0], image.height or usual[1])
    if (image.width or width, image.height or height) != (width, height):
        raise ModelFileError(
            f"{found.path} has the input {text(found.content.ends.inputs)}: it cannot run at {width}x{height}"
        )
    stride = max(_STRIDE, metadata.stride) if metadata is not None else _STRIDE
    open_sides = [side for side, fixed in ((width, image.width), (height, image.height)) if fixed is None]
    if any(side % stride for side in open_sides):
        raise ModelFileError(
            f"{found.path} cannot run at {width}x{height}: width and height must be multiples of {stride}"
        )
    return width, height


def with_input_name(model: Model, path: Path) -> Model:
    """Returns the model with the name of its image input, which is read from its file if the catalogue does not know
    it. Raises ModelFileError if the file has no or several image inputs."""
    if model.input.tensor:
        return model
    return replace(model, input=replace(model.input, tensor=recognise(path).image.tensor))


def is_own_file(model: Model) -> bool:
    """Returns whether a model was built from a user's own file by this module."""
    return model.licence == _OWN_LICENCE


def is_file_name(name: str) -> bool:
    """Returns whether a name is the path of an ONNX file, and not that of a model of the catalogue."""
    return name.lower().endswith(".onnx")


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
    return Model(path.stem, "style", "single", _OWN_LICENCE, spec, summary=f"your own file {path.name}", path=path)


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
        licence=_OWN_LICENCE,
        input=InputSpec(name, width, height, colour, Resize.STRETCH, scale, mean, std),
        labels=tuple(labels),
        summary=f"your own file {path.name}",
        path=path,
    )


def embedder_from_file(
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    colour: ColourOrder = ColourOrder.RGB,
    scale: float = 1 / 255,
    mean: Triple = (0.485, 0.456, 0.406),
    std: Triple = (0.229, 0.224, 0.225),
) -> Model:
    """Builds a model from an ONNX file that outputs one vector per image [batch, n], which is similar for images of one
    object. `size` and the preprocessing are as in `classifier_from_file`. Raises ModelFileError if the file cannot be
    read or has another form."""
    ends = read_io_spec(path)
    name, width, height = _picture(path, ends.inputs, size)
    match list(ends.outputs.values()):
        case [(_, _)] | [(_, _, 1, 1)]:
            pass
        case _:
            raise ModelFileError(
                f"{path} has the output {text(ends.outputs)}; an embedder has one vector per image [batch, n]"
            )
    if last_operation(path) in ("Softmax", "Sigmoid"):
        raise ModelFileError(f"{path} ends in scores of classes; an embedder ends in the features before them")
    return Model(
        name=path.stem,
        role="embedder",
        head="embedding",
        licence=_OWN_LICENCE,
        input=InputSpec(name, width, height, colour, Resize.STRETCH, scale, mean, std),
        summary=f"your own file {path.name}",
        path=path,
    )


def _picture(path: Path, inputs: Mapping[str, Shape], size: tuple[int, int] | None) -> tuple[str, int, int]:
    """Returns name, width and height of the file's only input, an image."""
    match list(inputs.items()):
        case [(name, (batch, 3 | None, height, width))]:
            require_any_batch(path, batch)
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
