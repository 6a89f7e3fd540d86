"""The appearance plug-in: embeds detected objects between detector and tracker."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from sightd.plugins.api import (
    Appearances,
    BoolArray,
    Context,
    Detections,
    Frame,
    Image,
    Plugin,
    PluginConfig,
    Results,
    label_of,
)
from sightd.plugins.appearance.choice import LookedAt, after, chosen, covers, last_looks
from sightd.plugins.appearance.config import AppearanceConfig, OwnEmbedder
from sightd.plugins.appearance.embedder import ObjectEmbedder

_OUTAGE = 5.0
"""A camera's objects are all new after this long (s) without a frame, or if time goes back by this much."""


@dataclass(frozen=True, slots=True, eq=False)
class _Crops:
    """The objects to embed on a frame: rows of its `Detections`, and their crops."""

    rows: list[int]
    images: list[Image]


class AppearanceEmbedder(Plugin[AppearanceConfig]):
    """Embeds how objects look, so that the tracker finds them again after an occlusion.

    Produces `Appearances` for at most `max_objects` detections of a frame. Vectors stay in memory. A frame on a GPU is
    downloaded if one of its objects is embedded.

    Threads: what is known of a camera is immutable and replaced whole; `process` and `forget` exclude each other.
    """

    Config: ClassVar[type[PluginConfig]] = AppearanceConfig
    requires: ClassVar[frozenset[type]] = frozenset({Detections})
    produces: ClassVar[frozenset[type]] = frozenset({Appearances})

    def __init__(self, config: AppearanceConfig) -> None:
        super().__init__(config)
        self._embedder: ObjectEmbedder | None = None
        self._cameras: dict[str, LookedAt] = {}
        self._turn = threading.Lock()
        self._classes = None if config.classes is None else {name.casefold() for name in config.classes}

    def open(self, context: Context) -> None:
        """Loads the model and runs it once, so that one that does not embed is reported now."""
        model = self.config.model
        self._embedder = ObjectEmbedder(context.engine([model.model() if isinstance(model, OwnEmbedder) else model]))

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        assert self._embedder is not None, "process was called before open"
        with self._turn:
            crops = [self._crops_of(frame, found) for frame, found in zip(frames, results, strict=True)]
            vectors = self._embedder.embed([image for of in crops for image in of.images])
        found, begin = [], 0
        for of in crops:
            rows, own = np.array(of.rows, np.int64), vectors[begin : begin + len(of.rows)]
            begin += len(of.rows)
            has_look = own.any(axis=1)
            found.append(Results(Appearances(rows[has_look], own[has_look], self._embedder.model)))
        return found

    def forget(self, camera: str) -> None:
        with self._turn:
            self._cameras.pop(camera, None)

    def close(self) -> None:
        with self._turn:
            self._cameras.clear()

    def _crops_of(self, frame: Frame, results: Results) -> _Crops:
        """Chooses what is embedded on a frame, and notes it."""
        assert self._embedder is not None
        found = results.get(Detections)
        if found is None:
            return _Crops([], [])
        # an overlap that is not a number would put the objects beside that box in doubt
        found = replace(found, boxes=np.where(np.isfinite(found.boxes).all(axis=1, keepdims=True), found.boxes, 0))
        before, now = self._known(frame), frame.captured_at
        hiding = covers(found.boxes)
        hidden: BoolArray = np.asarray(hiding.any(axis=1))
        met: BoolArray = np.logical_or(hidden, hiding.any(axis=0))
        last = last_looks(before, found, met)
        rows = chosen(last, self._wanted(found) & ~hidden, now, self.config.refresh, self.config.max_objects)
        crops = [(row, self._embedder.crop(frame, found.boxes[row])) for row in rows.tolist()]
        last[rows] = now
        if not frame.still:
            self._cameras[frame.camera] = after(before, found, last, met, now)
        return _Crops(
            [row for row, image in crops if image is not None], [image for _, image in crops if image is not None]
        )

    def _known(self, frame: Frame) -> LookedAt:
        known = self._cameras.get(frame.camera)
        if known is None or frame.still or not len(known.seen_at):
            return LookedAt.nothing()
        is_near = abs(frame.captured_at - known.seen_at.max()) <= _OUTAGE
        return known if is_near else LookedAt.nothing()

    def _wanted(self, found: Detections) -> BoolArray:
        """Returns which detections may be embedded."""
        heights = found.boxes[:, 3] - found.boxes[:, 1]
        wanted: BoolArray = (
            ~found.carried & (found.scores >= self.config.min_score) & (heights >= self.config.min_height)
        )
        if self._classes is not None:
            labels = [label_of(found.labels, class_id).casefold() for class_id in found.class_ids.tolist()]
            wanted &= np.array([label in self._classes for label in labels], np.bool_)
        return wanted
