"""The subjects to classify on a frame."""

from __future__ import annotations

from dataclasses import dataclass

from sightd.plugins.api import Detections, Frame, Results, Tracks
from sightd.plugins.classifier.config import ClassifierConfig
from sightd.plugins.classifier.scores import PICTURE


@dataclass(frozen=True, slots=True)
class ClassifiedSubject:
    """The whole frame, or an object on it: box xyxy in pixels. `key` identifies it in the memory: the track id, or the
    row of a detection, which means nothing on the next frame. `track` and `detection` are -1 if there is none."""

    key: int
    box: list[float]
    track: int = -1
    detection: int = -1

    @property
    def lasts(self) -> bool:
        """Whether its key is still valid on the next frame."""
        return self.key == PICTURE or self.track >= 0


def subjects_of(frame: Frame, results: Results, config: ClassifierConfig) -> list[ClassifiedSubject]:
    """Returns the whole frame, or the objects of the requested classes: tracks, else detections."""
    if config.of == "picture":
        return [ClassifiedSubject(PICTURE, [0, 0, frame.width, frame.height])]
    tracks, detections = results.get(Tracks), results.get(Detections)
    if tracks is not None:
        rows = zip(tracks.boxes.tolist(), tracks.ids.tolist(), tracks.detection.tolist(), strict=True)
        return _wanted([ClassifiedSubject(number, box, number, row) for box, number, row in rows], tracks, config)
    if detections is None:
        return []
    found = [ClassifiedSubject(row, box, -1, row) for row, box in enumerate(detections.boxes.tolist())]
    return _wanted(found, detections, config)


def _wanted(
    found: list[ClassifiedSubject], source: Tracks | Detections, config: ClassifierConfig
) -> list[ClassifiedSubject]:
    if config.classes is None:
        return found
    wanted = {name.casefold() for name in config.classes}
    names = [source.labels[class_id].casefold() for class_id in source.class_ids.tolist()]
    return [one for one, name in zip(found, names, strict=True) if name in wanted]
