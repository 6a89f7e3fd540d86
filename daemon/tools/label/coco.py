"""COCO JSON, as sightd reads and writes it: https://cocodataset.org/#format-data, object detection.

sightd's own additions, which other tools ignore: an image's `source`, `time`, `state` and `reason`, an annotation's
`state` and `score`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from sightd.daemon.tools.label.labelled import (
    MOST_BOXES,
    MOST_FRAMES,
    Box,
    LabelError,
    LabelledFrame,
    LabelledFrames,
    State,
    checked_box,
    checked_labels,
    inside,
)
from sightd.engines.files import read_regular

MOST_BYTES = 512 << 20
_MOST_SIDE = 65_535
Id = Annotated[int, Field(strict=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Category(_Part):
    id: Id
    name: str


class _Image(_Part):
    id: Id
    file_name: str = Field(max_length=1000)
    width: int = Field(ge=1, le=_MOST_SIDE)
    height: int = Field(ge=1, le=_MOST_SIDE)
    source: str = Field("", max_length=1000)
    time: FiniteFloat | None = None
    state: State | None = None
    reason: str = Field("", max_length=1000)


class _Annotation(_Part):
    image_id: Id
    category_id: Id
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    iscrowd: int = 0
    state: State = State.CORRECTED
    score: FiniteFloat | None = None


class _Document(_Part):
    images: list[_Image] = Field(max_length=MOST_FRAMES)
    annotations: list[_Annotation] = Field(default_factory=list)
    categories: list[_Category]


def read_coco(path: Path, images: Path) -> LabelledFrames:
    """Reads a COCO file whose image files lie below the folder `images`. Classes are in the order of their ids. Raises
    LabelError, which gives the position of the first fault, such as "annotations[3].bbox"."""
    document = _document(path)
    order = sorted(document.categories, key=lambda one: one.id)
    numbers = {one.id: number for number, one in enumerate(order)}
    if len(numbers) < len(order):
        raise LabelError(f"{path}: categories: two have the same id")
    labels = checked_labels([one.name for one in order], f"{path}: categories")
    boxes, left_out = _boxes(document, numbers, path)
    frames = []
    for number, one in enumerate(document.images):
        where = f"{path}: images[{number}]"
        found = boxes.get(one.id, [])
        frames.append(
            LabelledFrame(
                inside(images, one.file_name, f"{where}.file_name"),
                one.width,
                one.height,
                tuple(found),
                one.state or State.CORRECTED,
                one.source,
                one.time,
                one.reason,
            )
        )
    return LabelledFrames(labels, tuple(frames), tuple(left_out))


def _document(path: Path) -> _Document:
    try:
        return _Document.model_validate(json.loads(read_regular(path, MOST_BYTES)))
    except OSError as error:
        raise LabelError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise LabelError(f"{path}: {_position(first['loc'])}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise LabelError(f"{path}: not JSON: {error}") from None


def _position(loc: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".") or "document"


def _boxes(document: _Document, numbers: Mapping[int, int], path: Path) -> tuple[dict[int, list[Box]], list[str]]:
    images = {one.id: one for one in document.images}
    if len(images) < len(document.images):
        raise LabelError(f"{path}: images: two have the same id")
    boxes: dict[int, list[Box]] = {}
    crowds = 0
    for number, one in enumerate(document.annotations):
        where = f"{path}: annotations[{number}]"
        if one.image_id not in images:
            raise LabelError(f"{where}.image_id: there is no image {one.image_id}")
        if one.category_id not in numbers:
            raise LabelError(f"{where}.category_id: there is no category {one.category_id}")
        if one.iscrowd:
            crowds += 1
            continue
        image, (x, y, width, height) = images[one.image_id], one.bbox
        xyxy = checked_box((x, y, x + width, y + height), image.width, image.height, f"{where}.bbox")
        of_image = boxes.setdefault(one.image_id, [])
        if len(of_image) == MOST_BOXES:
            raise LabelError(f"{where}: image {one.image_id} has more than {MOST_BOXES} boxes")
        of_image.append(Box(numbers[one.category_id], xyxy, one.state, one.score))
    return boxes, [f"{path}: {crowds} crowd regions were skipped"] if crowds else []


def to_coco(data: LabelledFrames, names: Mapping[Path, str], *, states: bool) -> dict[str, Any]:
    """Returns the COCO document; `names` are the images' file names in it. Ids count from 1. Without `states`, what
    another tool makes of the document counts as corrected when it is read again."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, frame in enumerate(data.frames, 1):
        more = {"source": frame.source, "time": frame.time, "reason": frame.reason}
        images.append(
            {
                "id": number,
                "file_name": names[frame.path],
                "width": frame.width,
                "height": frame.height,
                **({"state": str(frame.state)} if states else {}),
                **{key: value for key, value in more.items() if value not in ("", None)},
            }
        )
        annotations += [
            {"id": len(annotations) + n, "image_id": number, **_annotation(box, states)}
            for n, box in enumerate(frame.boxes, 1)
        ]
    categories = [{"id": number, "name": label} for number, label in enumerate(data.labels, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _annotation(box: Box, states: bool) -> dict[str, Any]:
    x1, y1, x2, y2 = box.xyxy
    found: dict[str, Any] = {
        "category_id": box.label + 1,
        "bbox": [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)],
        "area": round((x2 - x1) * (y2 - y1), 2),
        "iscrowd": 0,
    }
    if states:
        found["state"] = str(box.state)
        found |= {} if box.score is None else {"score": round(box.score, 4)}
    return found
