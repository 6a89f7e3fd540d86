"""How good a detector is on labelled frames: average precision as COCO defines it, and what is confused with what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.daemon.tools.label.finder import Found
from sightd.engines.geometry import iou
from sightd.plugins.api import FloatArray, IntArray

THRESHOLDS = np.arange(10) * 0.05 + 0.5
"""The overlaps at which COCO counts a box as found: 0.5, 0.55, …, 0.95."""
_RECALLS = np.linspace(0, 1, 101)
SHOWN = 0.4
"""Least score of a detection in the confusion matrix: about what is drawn."""
_SAME = 0.5


Truth = tuple[FloatArray, IntArray]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """`precision` [c, 10] is the average precision of each class at each of `THRESHOLDS`, NaN for classes without
    objects; `objects` [c] counts them. `confusion` [c + 1, c + 1] counts, for each object (row), what was found at its
    place (column); the last row is for detections that hit nothing, the last column for objects not found."""

    labels: tuple[str, ...]
    precision: NDArray[np.float64]
    objects: IntArray
    confusion: IntArray
    frames: int

    @property
    def map50(self) -> float:
        """Mean average precision at an overlap of 0.5; NaN if there are no objects."""
        return _mean(self.precision[:, 0])

    @property
    def map50_95(self) -> float:
        """Mean over overlaps of 0.5 to 0.95: COCO's main figure."""
        return _mean(self.precision)

    def __str__(self) -> str:
        return f"mAP50 {self.map50:.3f}, mAP50-95 {self.map50_95:.3f}"


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def evaluate(labels: Sequence[str], frames: Iterable[tuple[Truth, Found]]) -> Evaluation:
    """Compares detections with the truth, one pair per frame."""
    pairs = list(frames)
    count = len(labels)
    precision = np.array([_precision_of(label, pairs) for label in range(count)]).reshape(count, len(THRESHOLDS))
    objects = np.array([sum(int((truth[1] == label).sum()) for truth, _ in pairs) for label in range(count)], np.int64)
    confusion = sum((_confusion(truth, found, count) for truth, found in pairs), np.zeros((count + 1,) * 2, np.int64))
    return Evaluation(tuple(labels), precision, objects, confusion, len(pairs))


def _precision_of(label: int, pairs: Sequence[tuple[Truth, Found]]) -> NDArray[np.float64]:
    scores, hits, total = [], [], 0
    for (boxes, labels), found in pairs:
        objects, mine = boxes[labels == label], found.labels == label
        total += len(objects)
        scores.append(found.scores[mine])
        hits.append(_hits(objects, found.boxes[mine]))
    if not total:
        return np.full(len(THRESHOLDS), np.nan)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return np.array([average_precision(hit[order], total) for hit in np.concatenate(hits, 1)])


def _hits(objects: FloatArray, boxes: FloatArray) -> NDArray[np.bool_]:
    """Returns, at each threshold, which boxes (best first) hit an object that no better box has hit: bool [10, n]."""
    hits = np.zeros((len(THRESHOLDS), len(boxes)), np.bool_)
    overlaps = iou(boxes.astype(np.float64), objects.astype(np.float64))
    for n, threshold in enumerate(THRESHOLDS):
        free = np.ones(len(objects), np.bool_)
        for box in range(len(boxes)):
            best = int(np.where(free, overlaps[box], -1).argmax()) if free.any() else -1
            if best >= 0 and overlaps[box, best] >= threshold:
                hits[n, box], free[best] = True, False
    return hits


def average_precision(hits: NDArray[np.bool_], total: int) -> float:
    """Returns the mean, over 101 recalls, of the best precision at that recall or a higher one (COCO). `hits` are those
    of all detections, best first, of `total` objects."""
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(right / total, _RECALLS - 1e-12, side="left")
    return float(np.append(envelope, 0.0)[at].mean())


def _confusion(truth: Truth, found: Found, count: int) -> NDArray[np.int64]:
    """Assigns detections to objects greedily by overlap, whatever their classes."""
    made = np.zeros((count + 1, count + 1), np.int64)
    boxes, labels = truth
    seen = found.scores >= SHOWN
    overlaps = iou(boxes.astype(np.float64), found.boxes[seen].astype(np.float64))
    guesses, met_rows, met_columns = found.labels[seen], set[int](), set[int]()
    for flat in np.argsort(-overlaps, axis=None, kind="stable"):
        row, column = divmod(int(flat), overlaps.shape[1])
        if overlaps[row, column] < _SAME:
            break
        if row not in met_rows and column not in met_columns:
            met_rows.add(row)
            met_columns.add(column)
            made[labels[row], guesses[column]] += 1
    for row in set(range(len(labels))) - met_rows:
        made[labels[row], count] += 1
    for column in set(range(len(guesses))) - met_columns:
        made[count, guesses[column]] += 1
    return made
