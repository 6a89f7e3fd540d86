"""Reads what exporters write into the metadata of an ONNX file: Ultralytics states task, class names and size.

The file comes from anybody: values are parsed as literals, never evaluated, within limits on their size.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from sightd.engines.errors import ModelFileError
from sightd.engines.text import printable

_MOST_TEXT = 512 * 1024
"""Characters of one value. The names of 20,000 classes take less."""
MOST_CLASSES = 20_000
_MOST_NAME = 200
MOST_SIDE = 1 << 14
"""Pixels of an image's side."""
_MOST_KEYPOINTS = 512


@dataclass(frozen=True, slots=True)
class ExportMetadata:
    """What an exporter states. `task` is "" for YOLOv5, which states only names and stride; `names` is empty if there
    are none; `size` is (width, height) or None; `keypoints` is their number and the values per point, or (0, 0);
    `keypoint_names` is empty if they are not named; `end_to_end` is True if the file suppresses boxes itself."""

    task: str
    names: tuple[str, ...]
    size: tuple[int, int] | None
    stride: int
    keypoints: tuple[int, int]
    keypoint_names: tuple[str, ...]
    end_to_end: bool
    channels: int
    description: str


def read_metadata(values: Mapping[str, str]) -> ExportMetadata | None:
    """Returns what the metadata states, or None if it is not that of such an exporter. Raises ModelFileError for values
    that are no literals, too long, or of another form."""
    if "names" not in values or "stride" not in values:
        return None
    arguments = _literal(values, "args", {})
    keypoints = _literal(values, "kpt_shape", None)
    return ExportMetadata(
        printable(values.get("task", "")[:_MOST_NAME]),
        class_names(_literal(values, "names", {})),
        _size(_literal(values, "imgsz", None)),
        _number(values, "stride", 32),
        (0, 0) if keypoints is None else _keypoints(keypoints),
        _keypoint_names(_literal(values, "kpt_names", {})),
        values.get("end2end") == "True" or (isinstance(arguments, dict) and arguments.get("nms") is True),
        _number(values, "channels", 3),
        printable(values.get("description", "")[:_MOST_NAME]),
    )


def class_names(value: object) -> tuple[str, ...]:
    """Returns class names given as a list, or as a dict by class id; ids without a name are "". Raises ModelFileError
    if it is neither, or has too many or too long names."""
    named = dict(enumerate(value)) if isinstance(value, (list, tuple)) else value
    if not isinstance(named, dict) or not all(isinstance(key, int) and 0 <= key < MOST_CLASSES for key in named):
        raise ModelFileError(
            f"the names in the metadata are no list, and no dict with ids from 0 to {MOST_CLASSES - 1}: write labels:"
        )
    if any(not isinstance(name, str) or len(name) > _MOST_NAME for name in named.values()):
        raise ModelFileError(f"the metadata has names that are no text or longer than {_MOST_NAME}: write labels:")
    return tuple(printable(named.get(index, "").strip()) for index in range(max(named, default=-1) + 1))


def _literal(values: Mapping[str, str], key: str, otherwise: object) -> object:
    text = values.get(key, "")
    if not text:
        return otherwise
    if len(text) > _MOST_TEXT:
        raise ModelFileError(f"the metadata {key!r} has {len(text)} characters; at most {_MOST_TEXT} are read")
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ModelFileError(f"the metadata {key!r} is no Python literal: {printable(text[:60])}") from None


def _number(values: Mapping[str, str], key: str, otherwise: int) -> int:
    value = _literal(values, key, otherwise)
    if isinstance(value, (list, tuple)) and value:
        value = max((one for one in value if isinstance(one, (int, float))), default=None)
    if not isinstance(value, (int, float)) or not 0 < value <= MOST_SIDE:
        raise ModelFileError(f"the metadata {key!r} is no number from 1 to {MOST_SIDE}: {str(value)[:60]}")
    return int(value)


def _size(value: object) -> tuple[int, int] | None:
    """Ultralytics writes [height, width], or one number."""
    sides = [value, value] if isinstance(value, int) else value
    if value is None or sides == []:
        return None
    if not isinstance(sides, (list, tuple)) or len(sides) != 2 or not all(_is_side(side) for side in sides):
        raise ModelFileError(f"the metadata 'imgsz' is no size: {str(value)[:60]}")
    return sides[1], sides[0]


def _is_side(value: object) -> bool:
    return isinstance(value, int) and 0 < value <= MOST_SIDE


def _keypoints(value: object) -> tuple[int, int]:
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not all(_is_side(side) for side in value):
        raise ModelFileError(f"the metadata 'kpt_shape' is no pair of numbers: {str(value)[:60]}")
    number, values = value
    if number > _MOST_KEYPOINTS or values not in (2, 3):
        raise ModelFileError(
            f"the metadata 'kpt_shape' is {number} points of {values} values, not up to {_MOST_KEYPOINTS} of 2 or 3"
        )
    return number, values


def _keypoint_names(value: object) -> tuple[str, ...]:
    """Ultralytics writes a dict from class id to a list of names; all classes have the same points."""
    listed = next(iter(value.values()), ()) if isinstance(value, dict) else value
    if not isinstance(listed, (list, tuple)) or not all(isinstance(name, str) for name in listed):
        raise ModelFileError(f"the metadata 'kpt_names' has no list of names: {str(value)[:60]}")
    return tuple(printable(name[:_MOST_NAME]) for name in listed)
