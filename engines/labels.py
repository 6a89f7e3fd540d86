"""Class names of published models: COCO, ImageNet, and the styles of the style model."""

from __future__ import annotations

from importlib import resources

COCO_LABELS: tuple[str, ...] = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear",
    "hair drier", "toothbrush",
)  # fmt: skip
"""Indexed by class_id, 0 to 79."""

_COCO_GAPS = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})

COCO_IDENTIFIERS: tuple[int, ...] = tuple(i for i in range(1, 91) if i not in _COCO_GAPS)
"""The category id in COCO's annotation files (1 to 90, with gaps) of each of the 80 classes."""


COCO_IDENTIFIER_LABELS: tuple[str, ...] = tuple(
    dict(zip(COCO_IDENTIFIERS, COCO_LABELS, strict=True)).get(i, "") for i in range(91)
)
"""Indexed by COCO's category id, 0 to 90. Ids without a category are "": no object has them."""

_BACKGROUND = frozenset({"", "background", "__background__"})


def is_unnamed(label: str) -> bool:
    """Returns whether a class is no object: the background, or a gap in the numbering."""
    return label.casefold() in _BACKGROUND


IMAGENET_LABELS: tuple[str, ...] = tuple(
    resources.files("sightd.engines").joinpath("imagenet.txt").read_text(encoding="utf-8").splitlines()
)
"""Indexed by class_id, 0 to 999, in WordNet id order, as in published models."""


STYLES: tuple[str, ...] = (
    "watercolour", "yellow-ink", "gouache", "carnival", "poster", "impasto", "honeycomb",
    "bold-oil", "pastel-sketch", "terrazzo", "rust", "engraving", "haze", "jungle",
    "frost", "stained-glass", "crayon", "weave", "parchment", "starry", "ember",
    "cutout", "fresco", "soft-oil", "delft", "mosaic",
)  # fmt: skip
"""In the model's order, named after their appearance (docs/styles.jpg)."""

WITH_OWN = "style26-own"
"""The model that also includes the styles learnt on this machine."""

COCO_KEYPOINTS: tuple[str, ...] = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
"""The 17 points of a person in COCO's annotations, in their order."""
COCO_SKELETON: tuple[tuple[int, int], ...] = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
    (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip
"""The pairs of COCO's points that are joined by a line."""
