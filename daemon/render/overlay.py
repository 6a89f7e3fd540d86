"""The standard overlay: boxes, labels and trails of detections and tracks."""

from __future__ import annotations

from sightd.daemon.config.model import Render
from sightd.daemon.render.canvas import OutputCanvas
from sightd.daemon.render.palette import Colour, colour_of
from sightd.daemon.render.trails import Trails
from sightd.plugins.types import Detections, FloatArray, Frame, Results, Tracks, label_of


class Overlay:
    """Draws one camera's results: its tracks if a tracker ran, otherwise its detections. Used by one thread.

    A predicted track looks like a detected one, so nothing flickers if frames between analyses are predicted.
    """

    def __init__(self, options: Render) -> None:
        self._options = options
        self._trails = Trails(options.trail_length)

    def draw(self, canvas: OutputCanvas, frame: Frame, results: Results) -> None:
        """Draws the results of `frame`, all trails below all boxes."""
        tracks = results.get(Tracks)
        if tracks is not None:
            self._draw_tracks(canvas, frame, tracks)
            return
        detections = results.get(Detections)
        if detections is not None:
            self._draw_detections(canvas, detections)

    def _draw_tracks(self, canvas: OutputCanvas, frame: Frame, tracks: Tracks) -> None:
        by_track = self._options.colour_by == "track"
        ids, classes = tracks.ids.tolist(), tracks.class_ids.tolist()
        colours = [colour_of(number) for number in (ids if by_track else classes)]
        if self._options.trails and self._options.trail_length > 0:
            self._trails.update(tracks, frame.captured_at)
            for number, colour in zip(ids, colours, strict=True):
                self._trails.draw(canvas, number, colour)
        texts = [
            self._text(tracks.labels, class_id, score, number)
            for class_id, score, number in zip(classes, tracks.scores.tolist(), ids, strict=True)
        ]
        self._draw_boxes(canvas, tracks.boxes, colours, texts)

    def _draw_detections(self, canvas: OutputCanvas, detections: Detections) -> None:
        shown = detections.select(detections.scores >= self._options.min_score)
        classes = shown.class_ids.tolist()
        texts = [
            self._text(shown.labels, class_id, score, None)
            for class_id, score in zip(classes, shown.scores.tolist(), strict=True)
        ]
        self._draw_boxes(canvas, shown.boxes, [colour_of(number) for number in classes], texts)

    def _draw_boxes(self, canvas: OutputCanvas, boxes: FloatArray, colours: list[Colour], texts: list[str]) -> None:
        """Draws all boxes, then all labels, so that no line crosses a label."""
        if self._options.boxes:
            for box, colour in zip(boxes, colours, strict=True):
                canvas.outline(box, colour)
        for box, colour, text in zip(boxes, colours, texts, strict=True):
            if text:
                canvas.label(box, colour, text)

    def _text(self, labels: tuple[str, ...], class_id: int, score: float, number: int | None) -> str:
        """Returns a label's text, such as "person 0.87 #12"."""
        parts = []
        if self._options.labels:
            parts.append(label_of(labels, class_id))
        if self._options.scores:
            parts.append(f"{score:.2f}")
        if self._options.ids and number is not None:
            parts.append(f"#{number}")
        return " ".join(parts)
