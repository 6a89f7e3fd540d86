"""Reports how good a trained classifier is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.daemon.render.text import cap_height, fitted, width_of, write_text
from sightd.daemon.tools.training.classifier import Trained
from sightd.daemon.tools.training.softmax_regression import Validation
from sightd.engines.files import write_whole
from sightd.plugins.api import Image

_CELL, _SIZE, _MARGIN = 46, 15, 14
_LEAST_CELL, _MOST_PIXELS = 8, 2400
"""With many classes the cells become smaller, and have no numbers and names if these would not fit."""
_MOST_LETTERS = 220
"""Maximum width of a class's name, in pixels."""
_DARK, _LIGHT, _RIGHT, _WRONG = (40, 36, 32), (245, 245, 245), (130, 150, 60), (70, 80, 200)
"""BGR."""
Cover = np.ndarray[Any, np.dtype[np.float32]]


def table(validation: Validation) -> Iterator[str]:
    """Yields lines for people: per class its images, the share of them that was found (recall) and the share of its
    predictions that is right (precision)."""
    width = max(len(label) for label in validation.labels)
    yield f"{'CLASS':{width}}    IMAGES  FOUND  RIGHT"
    rows = zip(validation.labels, validation.confusion, validation.recall, validation.precision, strict=True)
    for label, row, recall, precision in rows:
        right = "    -" if np.isnan(precision) else f"{precision:5.0%}"
        yield f"{label:{width}}  {row.sum():8}  {recall:5.0%}  {right}"
    yield f"accuracy {validation.accuracy:.1%}, cross-validated"
    worst = _confused(validation)
    if worst:
        count, label, other = worst
        yield f"most frequent mistake: {label} for {other}, {count} times"


def as_json(validation: Validation, more: Mapping[str, Any]) -> str:
    """Returns the same for programs; an undefined precision is null."""
    return json.dumps(
        {
            **more,
            "labels": validation.labels,
            "accuracy": round(validation.accuracy, 4),
            "surprise": round(validation.surprise, 4),
            "recall": [round(value, 4) for value in validation.recall.tolist()],
            "precision": [None if np.isnan(value) else round(value, 4) for value in validation.precision.tolist()],
            "confusion": validation.confusion.tolist(),
        },
        indent=2,
        ensure_ascii=False,
    )


def write_report(folder: Path, trained: Trained, pictures: int) -> None:
    """Writes the confusion matrix as an image, the figures as JSON, the model and its labels. Raises OSError if they
    cannot be written."""
    model, validation = trained.model, trained.validation
    assert model.path is not None
    write_whole(folder / f"{model.name}.onnx", model.path.read_bytes())
    write_whole(folder / f"{model.name}.txt", ("\n".join(model.labels) + "\n").encode())
    figures = as_json(validation, {"name": model.name, "made": model.summary, "pictures": pictures})
    write_whole(folder / "report.json", (figures + "\n").encode())
    write_whole(folder / "confusion.png", png(picture(validation.labels, validation.confusion)))


def png(image: Image) -> bytes:
    """Returns an image as a PNG file."""
    return cv2.imencode(".png", image)[1].tobytes()


def picture(labels: Sequence[str], confusion: NDArray[np.int64]) -> Image:
    """Draws a confusion matrix, BGR: a row for each class, a column for what its examples were taken for."""
    names = [fitted(label, _SIZE, _MOST_LETTERS) for label in labels]
    room = max(width_of(name, _SIZE) for name in names) + 2 * _MARGIN
    cell = max(_LEAST_CELL, min(_CELL, _MOST_PIXELS // len(labels)))
    side = len(labels) * cell
    cover = np.zeros((room + side + _MARGIN, room + side + _MARGIN), np.float32)
    sheet = np.full((*cover.shape, 3), _LIGHT, np.uint8)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    for row in range(len(labels)):
        for column in range(len(labels)):
            colour = np.array(_RIGHT if row == column else _WRONG)
            tint = np.array(_LIGHT) * (1 - shares[row, column]) + colour * shares[row, column]
            top, left = room + row * cell, room + column * cell
            sheet[top : top + cell - 2, left : left + cell - 2] = tint
            if confusion[row, column] and cell >= 2 * _SIZE:
                _centred(cover, str(confusion[row, column]), left + cell // 2 - 1, top + cell // 2 - 1)
    if cell > _SIZE:
        _name(cover, names, room, cell)
    inked = cover > 0
    ink = cover[inked][:, None]
    sheet[inked] = np.rint(sheet[inked] * (1 - ink) + np.array(_DARK) * ink)
    return sheet


def _name(cover: Cover, names: Sequence[str], room: int, cell: int) -> None:
    """Writes the names beside the rows, and vertically above the columns."""
    side, columns = len(names) * cell, np.zeros((len(names) * cell, room), np.float32)
    for n, name in enumerate(names):
        baseline = n * cell + (cell + cap_height(_SIZE)) // 2
        write_text(cover, name, room - _MARGIN - width_of(name, _SIZE), room + baseline, _SIZE)
        write_text(columns, name, _MARGIN, baseline, _SIZE)
    cover[:room, room : room + side] = np.rot90(columns)


def _centred(cover: Cover, text: str, x: int, y: int) -> None:
    left = x - width_of(text, _SIZE) // 2
    write_text(cover, text, left, y + cap_height(_SIZE) // 2, _SIZE)


def _confused(validation: Validation) -> tuple[int, str, str] | None:
    wrong = validation.confusion - np.diag(np.diag(validation.confusion))
    if not wrong.any():
        return None
    row, column = np.unravel_index(wrong.argmax(), wrong.shape)
    return int(wrong.max()), validation.labels[row], validation.labels[column]
