"""Seeded scenes of moving boxes with known identities, and a simulated detector with realistic errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sightd.plugins.api import Detections, FloatArray, Frame, IntArray

SIZE = (1280, 720)
LABELS = ("person", "car")


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """The ground truth at time `at` (s): boxes xyxy [n, 4] px of the objects `ids` [n], and the detections."""

    at: float
    boxes: FloatArray
    ids: IntArray
    detections: Detections

    def frame(self, seq: int, camera: str = "camera") -> Frame:
        return frame(seq, self.at, camera)


def frame(seq: int, at: float, camera: str = "camera", size: tuple[int, int] = SIZE) -> Frame:
    """Returns a frame with a black image; the tests do not look at it."""
    return Frame(camera, seq, size, lambda: np.zeros((size[1], size[0], 3), np.uint8), captured_at=at, wall_time=at)


def detections(boxes: object, scores: object = None, class_ids: object = None) -> Detections:
    """Returns detections of boxes xyxy [n, 4]; by default with score 0.9 and class 0."""
    corners = np.asarray(boxes, np.float32).reshape(-1, 4)
    count = len(corners)
    return Detections(
        corners,
        np.full(count, 0.9, np.float32) if scores is None else np.asarray(scores, np.float32),
        np.zeros(count, np.int64) if class_ids is None else np.asarray(class_ids, np.int64),
        LABELS,
    )


def box(x: float, y: float, width: float = 60, height: float = 150) -> list[float]:
    """Returns the box xyxy around a centre."""
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


@dataclass(frozen=True, slots=True)
class Crowd:
    """People who cross, stop, turn back at the edges and occlude each other, and what a detector reports."""

    objects: int = 14
    seconds: float = 40.0
    fps: float = 25.0
    seed: int = 0
    jitter: float = 0.03
    """Standard deviation of each side of a box, as a fraction of its size."""
    missed: float = 0.04
    false_alarms: float = 0.1
    """Expected number per frame."""
    doubles: float = 0.0
    """Share of people with a second box beside them, as coarse detectors draw it."""

    def moments(self) -> Iterator[Moment]:
        random = np.random.default_rng(self.seed)
        width, height = SIZE
        depth = random.uniform(0.5, 1.5, self.objects)
        sizes = np.stack((60 * depth, 150 * depth), axis=1)
        low, high = sizes / 2, np.array([width, height]) - sizes / 2
        places = random.uniform(low, high)
        velocities = _walk(random, self.objects) * depth[:, None]
        step = 1 / self.fps
        for index in range(int(self.seconds * self.fps)):
            turning = random.random(self.objects) < 0.15 * step
            velocities[turning] = (_walk(random, self.objects) * depth[:, None])[turning]
            velocities += random.normal(0, 15 * np.sqrt(step), velocities.shape)
            places += velocities * step
            velocities = np.where((places < low) | (places > high), -velocities, velocities)
            places = np.clip(places, low, high)
            boxes = np.concatenate((places - sizes / 2, places + sizes / 2), axis=1)
            hidden = _hidden(boxes)
            visible = hidden < 0.85
            yield Moment(
                100 + index * step,
                boxes[visible].astype(np.float32),
                np.flatnonzero(visible).astype(np.int64),
                self._seen(random, boxes, sizes, hidden),
            )

    def _seen(self, random: np.random.Generator, boxes: object, sizes: object, hidden: object) -> Detections:
        truth, share = np.asarray(boxes), np.asarray(hidden)
        noise = random.normal(0, self.jitter, truth.shape) * np.tile(np.asarray(sizes), 2)
        scores = np.clip(0.85 - 0.8 * share + random.normal(0, 0.08, len(truth)), 0.02, 0.99)
        found = (random.random(len(truth)) >= self.missed) & (share < 0.7)
        alarms = random.poisson(self.false_alarms)
        places = random.uniform(0, 1, (alarms, 2)) * SIZE
        half = np.array([30.0, 75.0])
        false = np.concatenate((places - half, places + half), axis=1)
        seen = np.concatenate(((truth + noise)[found], false)).clip(0, [*SIZE, *SIZE])
        score = np.concatenate((scores[found], random.uniform(0.05, 0.7, alarms)))
        if not self.doubles:
            return detections(seen, score)
        doubled = np.flatnonzero(random.random(int(found.sum())) < self.doubles)
        aside = (
            random.choice([-1, 1], len(doubled))
            * random.uniform(0.35, 0.7, len(doubled))
            * np.asarray(sizes)[found][doubled, 0]
        )
        beside = seen[doubled] + aside[:, None] * [1, 0, 1, 0]
        return detections(
            np.concatenate((seen, beside)), np.concatenate((score, random.uniform(0.25, 0.8, len(doubled))))
        )


def _walk(random: np.random.Generator, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Returns walking velocities in px/s at depth 1; one in five people does not move."""
    speed = random.uniform(40, 160, count) * (random.random(count) > 0.2)
    angle = random.choice([0.0, np.pi], count) + random.normal(0, 0.25, count)
    return np.stack((speed * np.cos(angle), speed * np.sin(angle)), axis=1)


def _hidden(boxes: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Returns, for each box, the largest fraction covered by any one nearer box (with a lower bottom edge)."""
    corners = np.asarray(boxes)
    low = np.maximum(corners[:, None, :2], corners[None, :, :2])
    high = np.minimum(corners[:, None, 2:], corners[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    nearer = corners[None, :, 3] > corners[:, None, 3]
    area = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    worst: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = ((shared * nearer) / area[:, None]).max(axis=1)
    return worst
