"""The standard overlay: masks, skeletons, boxes, labels and trails of detections and tracks."""

from __future__ import annotations

import math
from collections import OrderedDict, deque

import numpy as np

from sightd.daemon.config.model import Render
from sightd.daemon.render.canvas import OutputCanvas
from sightd.daemon.render.shapes import draw_keypoints, draw_mask, draw_oriented
from sightd.daemon.render.theme import Colour, colour_of
from sightd.plugins.api import (
    Detections,
    FloatArray,
    Frame,
    Identities,
    Keypoints,
    Masks,
    OrientedBoxes,
    Results,
    Tracks,
    label_of,
)

MOST_TRACKS = 256
POINTS = 20
"""Positions kept per track: a trail of 2 s has one every 105 ms, whatever the frame rate."""
PIECES = 4
"""Steps in which a trail fades."""
_STEP = 0.012
"""Minimum distance between positions, as a share of the box's width plus height: standing still leaves no scribble."""
_FAR = 1 << 20
"""Positions beyond this many pixels are dropped: they would not fit a drawn coordinate."""

Point = tuple[float, float, float]
"""Position of a track: time (captured_at, s) and x, y in source pixels, the middle of its lower edge."""


class Trails:
    """Positions of each track of one camera in the last `length` seconds. Used by one thread."""

    def __init__(self, length: float) -> None:
        self._length = length
        self._trails: OrderedDict[int, deque[Point]] = OrderedDict()
        self._now = float("-inf")

    def __len__(self) -> int:
        return len(self._trails)

    def update(self, tracks: Tracks, now: float) -> None:
        """Records the tracks' positions at `now` (captured_at, s) and drops those older than the length."""
        if now < self._now:
            self._trails.clear()  # another source's clock: the positions would be out of order
        self._now = now
        for number, (x1, y1, x2, y2) in zip(tracks.ids.tolist(), tracks.boxes.tolist(), strict=True):
            x, y = (x1 + x2) / 2, y2
            if abs(x) < _FAR and abs(y) < _FAR:  # also false if they are not numbers
                self._remember(number, (now, x, y), _STEP * (y2 - y1 + x2 - x1))
        self._forget(now - self._length)

    def points(self, number: int) -> list[Point]:
        """Returns a track's positions, oldest first; empty for an unknown track."""
        return list(self._trails.get(number, ()))

    def draw(self, canvas: OutputCanvas, number: int, colour: Colour) -> None:
        """Draws a track's trail, fading out towards its old end."""
        points = self._trails.get(number, ())
        if len(points) < 2:
            return
        line = np.array(points)[:, 1:].astype(np.float32)
        step = -(-(len(points) - 1) // PIECES)
        for start in range(0, len(points) - 1, step):
            piece = line[start : start + step + 1]
            middle = start + len(piece) // 2
            strength = max(0.0, 1 - (self._now - points[middle][0]) / self._length)
            thickness = max(1, round(0.85 * canvas.layout.accent * strength))
            canvas.trail(piece, colour, strength, thickness)

    def _remember(self, number: int, point: Point, step: float) -> None:
        """Moves the trail's end to `point`; keeps the end before it if that is far enough from its predecessor."""
        points = self._trails.setdefault(number, deque(maxlen=POINTS))
        if len(points) > 1:
            (then, x, y), (end, end_x, end_y) = points[-2], points[-1]
            if end - then < self._length / (POINTS - 1) or math.hypot(end_x - x, end_y - y) < step:
                points.pop()
        points.append(point)
        self._trails.move_to_end(number)

    def _forget(self, before: float) -> None:
        for number, points in list(self._trails.items()):
            while points and points[0][0] < before:
                points.popleft()
            if not points:
                del self._trails[number]
        while len(self._trails) > MOST_TRACKS:
            self._trails.popitem(last=False)


class Overlay:
    """Draws one camera's results: its tracks if a tracker ran, otherwise its detections. Used by one thread.

    A predicted track looks like a detected one, so nothing flickers if frames between analyses are predicted.
    """

    def __init__(self, options: Render) -> None:
        self._options = options
        self._trails = Trails(options.trail_length)

    def remember(self, tracks: Tracks, at: float) -> None:
        """Adds the tracks of an earlier frame (captured at `at`, s) to the trails, without drawing."""
        self._trails.update(tracks, at)

    def draw(self, canvas: OutputCanvas, frame: Frame, results: Results) -> None:
        """Draws the results of `frame`: masks, trails, skeletons, boxes and labels, in this order."""
        tracks = results.get(Tracks)
        if tracks is not None:
            self._draw_tracks(canvas, frame, tracks, results.get(Identities))
            return
        detections = results.get(Detections)
        if detections is not None:
            self._draw_detections(canvas, detections, results)

    def _draw_tracks(self, canvas: OutputCanvas, frame: Frame, tracks: Tracks, identities: Identities | None) -> None:
        by_track = self._options.colour_by == "track"
        ids, classes = tracks.ids.tolist(), tracks.class_ids.tolist()
        colours = [colour_of(number) for number in (ids if by_track else classes)]
        self._draw_masks(canvas, tracks.masks, colours)
        if self._options.trails and self._options.trail_length > 0:
            self._trails.update(tracks, frame.captured_at)
            for number, colour in zip(ids, colours, strict=True):
                self._trails.draw(canvas, number, colour)
        identity_of = {} if identities is None else identities.by_track()
        texts = [
            self._text(tracks.labels, class_id, score, number, identity_of.get(number))
            for class_id, score, number in zip(classes, tracks.scores.tolist(), ids, strict=True)
        ]
        self._draw_keypoints(canvas, tracks.keypoints, colours)
        self._draw_boxes(canvas, tracks.boxes, tracks.oriented, colours, texts)

    def _draw_detections(self, canvas: OutputCanvas, detections: Detections, results: Results) -> None:
        masks, keypoints, oriented = results.get(Masks), results.get(Keypoints), results.get(OrientedBoxes)
        sure = detections.scores >= self._options.min_score
        shown = detections.select(sure)
        classes = shown.class_ids.tolist()
        colours = [colour_of(number) for number in classes]
        self._draw_masks(canvas, None if masks is None else masks.select(sure), colours)
        self._draw_keypoints(canvas, None if keypoints is None else keypoints.select(sure), colours)
        texts = [
            self._text(shown.labels, class_id, score)
            for class_id, score in zip(classes, shown.scores.tolist(), strict=True)
        ]
        self._draw_boxes(canvas, shown.boxes, None if oriented is None else oriented.select(sure), colours, texts)

    def _draw_masks(self, canvas: OutputCanvas, masks: Masks | None, colours: list[Colour]) -> None:
        if masks is not None and self._options.masks:
            for row, colour in enumerate(colours):
                draw_mask(canvas, masks, row, colour)

    def _draw_keypoints(self, canvas: OutputCanvas, keypoints: Keypoints | None, colours: list[Colour]) -> None:
        if keypoints is not None and self._options.keypoints:
            for row, colour in enumerate(colours):
                draw_keypoints(canvas, keypoints, row, colour)

    def _draw_boxes(
        self,
        canvas: OutputCanvas,
        boxes: FloatArray,
        oriented: OrientedBoxes | None,
        colours: list[Colour],
        texts: list[str],
    ) -> None:
        """Draws all boxes, then all labels, so that no line crosses a label."""
        if self._options.boxes:
            for row, (box, colour) in enumerate(zip(boxes, colours, strict=True)):
                if oriented is None:
                    canvas.outline(box, colour)
                else:
                    draw_oriented(canvas, oriented, row, colour)
        for box, colour, text in zip(boxes, colours, texts, strict=True):
            if text:
                canvas.label(box, colour, text)

    def _text(
        self,
        labels: tuple[str, ...],
        class_id: int,
        score: float,
        number: int | None = None,
        identity: int | None = None,
    ) -> str:
        """Returns a label's text, such as "person 0.87 #12 id 3"."""
        parts = []
        if self._options.labels:
            parts.append(label_of(labels, class_id))
        if self._options.scores:
            parts.append(f"{score:.2f}")
        if self._options.ids and number is not None:
            parts.append(f"#{number}" if identity is None else f"#{number} id {identity}")
        return " ".join(parts)
