"""Reduces a model's candidates to the detections that the configuration asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.launch.detect import BoxSelection, RawBoxes
from sightd.engines.preprocess import Geometry
from sightd.plugins.api import Detections, FloatArray, IntArray
from sightd.plugins.detector.config import DetectorConfig, ids_of, least_scores
from sightd.plugins.detector.heads.decoding import Candidates
from sightd.plugins.detector.shaped import Shaped
from sightd.plugins.geometry.nms import nms
from sightd.plugins.geometry.regions import allowed, standing_points

_SEEN_FOR_REGIONS = 1024
"""Boxes per frame that the GPU returns if regions filter them afterwards: many more than stand in one region."""


def of_views(config: DetectorConfig) -> DetectorConfig:
    """Returns options for the selection in parts of a frame: without those filters that depend on where in the frame an
    object is, or on how large it is there."""
    return config.model_copy(update={"only_inside": [], "ignore": [], "min_size": 0.0})


class Selection:
    """Suppression and filters, prepared once for a model's labels. Stateless and thread-safe.

    Raises PluginError if the configuration names a class that the model does not know.
    """

    def __init__(self, config: DetectorConfig, labels: Sequence[str], *, suppressed: bool = False) -> None:
        """`suppressed` says that the model returns each object once; its boxes then suppress each other only if the
        configuration asks for one class per object (`agnostic`)."""
        self.labels = tuple(labels)
        self._max_iou = 1.0 if suppressed and not config.agnostic else config.nms_iou
        self.min_score = least_scores(labels, config.min_score, config.class_min_score)
        """Least score of each class [c], for the decoder."""
        self._config = config
        self._classes: NDArray[np.bool_] | None = None
        if config.classes is not None:
            chosen = np.zeros(len(labels), np.bool_)
            chosen[ids_of(config.classes, labels, "classes")] = True
            if config.agnostic:
                self._classes = chosen  # applied later: a box of another class may still suppress one of these
            else:
                self.min_score[~chosen] = np.inf

    @property
    def choice(self) -> BoxSelection:
        """The suppression and filters that kernels apply: all but regions, for which they return more boxes."""
        config = self._config
        most = config.max_detections
        return BoxSelection(
            max_iou=self._max_iou,
            limit=max(most, _SEEN_FOR_REGIONS) if config.only_inside or config.ignore else most,
            by_class=not config.agnostic,
            min_size=config.min_size,
            classes=None if self._classes is None else frozenset(np.flatnonzero(self._classes).tolist()),
        )

    def within_regions(self, found: RawBoxes, geometry: Geometry) -> tuple[Detections, IntArray] | None:
        """Filters what kernels found with `choice` by region, the filter that they lack. Returns the detections and
        their rows in `found`.

        Returns None if kernels may have dropped boxes inside the regions because too many outside came first.
        """
        inside = np.flatnonzero(self._in_regions(found.boxes, geometry))
        most = self._config.max_detections
        if len(inside) < most <= len(found.scores) == self.choice.limit:
            return None
        kept = inside[:most]
        return Detections(found.boxes[kept], found.scores[kept], found.class_ids[kept], self.labels), kept

    def detections(self, candidates: Candidates, geometry: Geometry) -> Detections:
        """Returns the detections of one image, in its own pixels, best first.

        Suppression sees all boxes, before the filters: a weaker box must not get through only because the better box of
        the same object stands outside a region.
        """
        return self.selected(candidates, geometry)[0]

    def selected(self, candidates: Candidates, geometry: Geometry) -> tuple[Detections, IntArray]:
        """Returns what `detections` does, and the rows of the candidates."""
        boxes = geometry.boxes_to_source(candidates.boxes)
        kept = nms(
            candidates.boxes,
            candidates.scores,
            None if self._config.agnostic else candidates.class_ids,
            self._max_iou,
            limit=self._config.max_detections,
            wanted=self._wanted(boxes, candidates.class_ids, geometry),
            corners=candidates.corners,
        )
        found = Detections(boxes[kept], candidates.scores[kept], candidates.class_ids[kept], self.labels)
        return found, kept

    def of_frame(self, found: Shaped, width: int, height: int) -> Shaped:
        """Applies suppression and filters to objects found in views of a frame of `width` x `height` px."""
        given = found.detections
        corners = None if found.oriented is None else found.oriented.corners
        candidates = Candidates(given.boxes, given.scores, given.class_ids, corners=corners)
        _, kept = self.selected(candidates, Geometry(1, 1, 0, 0, width, height))
        return found.select(kept)

    def _wanted(self, boxes: FloatArray, class_ids: IntArray, geometry: Geometry) -> NDArray[np.bool_]:
        """Returns which boxes pass the filters; boxes without area or with NaN never do."""
        shorter = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
        wanted: NDArray[np.bool_] = (shorter > 0) & (shorter >= self._config.min_size)
        if self._classes is not None:
            wanted &= self._classes[class_ids]
        return wanted & self._in_regions(boxes, geometry)

    def _in_regions(self, boxes: FloatArray, geometry: Geometry) -> NDArray[np.bool_]:
        only_inside, ignore = self._config.only_inside, self._config.ignore
        if not only_inside and not ignore:
            return np.ones(len(boxes), np.bool_)
        points = standing_points(boxes, geometry.source_width, geometry.source_height)
        return allowed(points, only_inside, ignore)
