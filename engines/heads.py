"""The formats of detector outputs ("heads"): what each contains, and the preprocessing that its authors use.

The decoders are in `plugins/detector/heads` (host) and `engines/cuda` (GPU).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sightd.engines.model import ColourOrder, InputSpec, Resize


@dataclass(frozen=True, slots=True)
class HeadFormat:
    """One format of outputs.

    `outputs` describes them, for people. `suppressed` is True if the model returns each object once, so that its boxes
    must not be suppressed again. `input` is the preprocessing of the head's authors; name and size of the input come
    from the file. `reliable_score` is the score from which its detections are usually right
    (`Detections.reliable_score`). `oriented` is True if boxes may be turned by any angle.
    """

    outputs: str
    input: InputSpec
    suppressed: bool = False
    reliable_score: float = 0.5
    oriented: bool = False


def _input(
    colour: ColourOrder,
    resize: Resize,
    scale: float = 1.0,
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
    std: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> InputSpec:
    return InputSpec("", 0, 0, colour, resize, scale, mean, std)


_BGR_MEAN, _BGR_STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
_YOLOX = _input(ColourOrder.BGR, Resize.LETTERBOX_TOP_LEFT)
_ULTRALYTICS = _input(ColourOrder.RGB, Resize.LETTERBOX_CENTRE, 1 / 255)
_DETR = _input(ColourOrder.RGB, Resize.STRETCH, 1 / 255)
_DETR_RELIABLE = 0.4
"""Transformers score the same objects lower. Of DEIMv2-Femto's boxes of pedestrians with at least 0.4, 95 % are right,
as many as of YOLOX-nano's with 0.6. Not measured with other transformers; examples of D-FINE and DEIM use 0.4 too."""

HEAD_FORMATS: Mapping[str, HeadFormat] = {
    "ssd": HeadFormat(
        "boxes [b, n, 4] x1, y1, x2, y2 from 0 to 1; scores [b, n, c]", _input(ColourOrder.RGB, Resize.STRETCH)
    ),
    "yolox": HeadFormat("[b, n, 5 + c] of grid cells, not decoded, with objectness", _YOLOX),
    "yolox-decoded": HeadFormat("[b, n, 5 + c] x, y, w, h in pixels, objectness, class scores", _YOLOX),
    "nanodet": HeadFormat(
        "[b, n, c + 4 * bins], or cls_pred_stride_S and dis_pred_stride_S",
        _input(ColourOrder.BGR, Resize.STRETCH, 1.0, _BGR_MEAN, _BGR_STD),
    ),
    "yolo": HeadFormat("[b, 4 + c, n] or [b, n, 4 + c]: x, y, w, h in pixels, class scores", _ULTRALYTICS),
    "yolov5": HeadFormat("[b, n, 5 + c]: x, y, w, h in pixels, objectness, class scores", _ULTRALYTICS),
    "yolo-end-to-end": HeadFormat("[b, n, 6]: x1, y1, x2, y2 in pixels, score, class", _ULTRALYTICS, suppressed=True),
    "yolo-obb": HeadFormat(
        "[b, 4 + c + 1, n] or [b, n, 4 + c + 1]: x, y, w, h in pixels, class scores, angle in radians",
        _ULTRALYTICS,
        oriented=True,
    ),
    "yolo-obb-end-to-end": HeadFormat(
        "[b, n, 7]: x, y, w, h in pixels, score, class, angle in radians",
        _ULTRALYTICS,
        suppressed=True,
        oriented=True,
    ),
    "yolo-nas": HeadFormat("boxes [b, n, 4] x1, y1, x2, y2 in pixels; scores [b, n, c]", _ULTRALYTICS),
    "detr": HeadFormat(
        "logits [b, n, c] before the sigmoid; pred_boxes [b, n, 4] x, y, w, h from 0 to 1",
        _DETR,
        suppressed=True,
        reliable_score=_DETR_RELIABLE,
    ),
    "rf-detr": HeadFormat(
        "dets (or pred_boxes) [b, n, 4] x, y, w, h from 0 to 1; labels (or logits) [b, n, c] before the sigmoid",
        _input(ColourOrder.RGB, Resize.STRETCH, 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        suppressed=True,
        reliable_score=_DETR_RELIABLE,
    ),
    "detr-labelled": HeadFormat(
        "labels [b, n]; boxes [b, n, 4] x1, y1, x2, y2 in pixels; scores [b, n]",
        _DETR,
        suppressed=True,
        reliable_score=_DETR_RELIABLE,
    ),
    "ultralytics-detr": HeadFormat(
        "[b, n, 4 + c]: x, y, w, h from 0 to 1, class scores; each object once",
        _DETR,
        suppressed=True,
        reliable_score=_DETR_RELIABLE,
    ),
    "tf-ssd": HeadFormat(
        "detection_boxes [b, n, 4] y1, x1, y2, x2 from 0 to 1; detection_classes [b, n] from 1; detection_scores "
        "[b, n]; num_detections [b]",
        _input(ColourOrder.RGB, Resize.STRETCH),
        suppressed=True,
    ),
    "mmdeploy": HeadFormat(
        "dets [b, n, 5] x1, y1, x2, y2 in pixels, score; labels [b, n]",
        _input(ColourOrder.BGR, Resize.LETTERBOX_TOP_LEFT_ROUNDED, 1.0, _BGR_MEAN, _BGR_STD),
        suppressed=True,
    ),
}
"""By the name that `Model.head` and the option `head` use. NanoDet's configurations say `keep_ratio: false`; MMDeploy's
preprocessing is that of RTMDet."""


def suppresses(head: str) -> bool:
    """Returns whether models with that head return each object once."""
    return head in HEAD_FORMATS and HEAD_FORMATS[head].suppressed


def reliable_score(head: str) -> float:
    """Returns the score from which detections of models with that head are usually right."""
    return HEAD_FORMATS[head].reliable_score


def is_oriented(head: str) -> bool:
    """Returns whether models with that head find boxes of any angle."""
    return head in HEAD_FORMATS and HEAD_FORMATS[head].oriented


PROBED_ROWS = 256
"""Scores of at least so many rows per image are checked, or of all if there are fewer; that costs microseconds."""
ROUNDING = 1e-3
"""Probabilities may be so far outside of 0 to 1."""
CORNER = 2
"""Boxes in fractions of the image are within so many pixels of the input's corner."""
_TOO_FEW = 3
"""So many boxes can be wrong by chance."""
WRONG_HEAD = "it was probably exported in another format; run `sightd models inspect FILE` and choose another head"


def probe_every(rows: int) -> int:
    """Returns of how many rows one is checked."""
    return max(1, rows // PROBED_ROWS)


def wrong_boxes(boxes: int, wrong: int) -> bool:
    """Returns whether so many of an image's boxes are wrong that they are those of another head."""
    return wrong >= _TOO_FEW and 2 * wrong > boxes


def only_in_corner(boxes: int, spec: InputSpec) -> bool:
    """Returns whether `boxes` within `CORNER` pixels of the input's corner, and no others, are fractions of the image
    instead of pixels."""
    return boxes >= _TOO_FEW and spec.width / 8 > CORNER
