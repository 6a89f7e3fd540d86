"""The results that plug-ins produce: structs of arrays, in pixels of the source frame."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.image import DeviceImage
from sightd.plugins.api.appearance import Appearances, Identities
from sightd.plugins.api.frame import BoolArray, FloatArray, Frame, Image, IntArray
from sightd.plugins.api.reports import Count, CounterSpec, Event, GaugeValue, JsonOptions, JsonValue
from sightd.plugins.api.shapes import Keypoints, Masks, OrientedBoxes


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Detected objects: boxes xyxy float32 [n, 4] px, scores float32 [n] 0-1, class_ids int64 [n].

    `labels[class_id]` is the class name; all results of one detector share the tuple. `carried` bool [n] marks objects
    that were not found on this frame but are expected there, because they were found before and their place was not
    looked at since; box and score are then no observation, and they are not counted. Empty, the default, means none.
    `reliable_score` is the detector's own statement from which score (0-1) a detection is usually right; trackers start
    tracks from there.
    """

    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray
    labels: tuple[str, ...]
    carried: BoolArray = field(default_factory=lambda: np.zeros(0, np.bool_))
    reliable_score: float = 0.5

    metrics: ClassVar[tuple[CounterSpec, ...]] = (
        CounterSpec("detections", "Objects found on analysed frames, by class; without carried ones.", "class"),
    )

    def __post_init__(self) -> None:
        if not len(self.carried):
            object.__setattr__(self, "carried", np.zeros(len(self.scores), np.bool_))
        check_lengths(self, "boxes", "scores", "class_ids", "carried")
        if not 0 <= self.reliable_score <= 1:
            raise ValueError(f"Detections.reliable_score is {self.reliable_score}, not in 0 to 1")
        _check_columns(self, boxes=4)

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls, labels: tuple[str, ...] = ()) -> Detections:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), labels)

    def select(self, keep: NDArray[Any]) -> Detections:
        """Returns the detections selected by `keep`: a boolean mask [n] or indices."""
        return replace(
            self,
            boxes=self.boxes[keep],
            scores=self.scores[keep],
            class_ids=self.class_ids[keep],
            carried=self.carried[keep],
        )

    def counts(self) -> Iterator[Count]:
        for class_id, number in Counter(self.class_ids[~self.carried].tolist()).items():
            yield Count("detections", label_of(self.labels, class_id), number)

    def to_json(self, results: Results, options: JsonOptions) -> dict[str, JsonValue]:
        """Returns "detections", one object per row with the row's track, identity, classification, mask, keypoints and
        corners of its oriented box, if `results` has them, and its vector ("appearance") if `options` ask for it.
        Carried ones have `"carried": true`, and the track that they keep alive. A mask is COCO's: the frame's size and
        compressed run lengths. Keypoints are lists of x, y and score; their names are in "keypoint_names"."""
        tracks, classified = results.get(Tracks), results.get(Classification)
        track_of = {} if tracks is None else tracks.ids_by_row()
        class_of = {} if classified is None else {row: n for n, row in enumerate(classified.detection.tolist())}
        found: list[dict[str, JsonValue]] = [
            {
                "box": [round(side, 2) for side in box],
                "score": round(score, 5),
                "class": label_of(self.labels, class_id),
                "class_id": class_id,
                "track": track_of.get(row),
            }
            for row, (box, score, class_id) in enumerate(
                zip(self.boxes.tolist(), self.scores.tolist(), self.class_ids.tolist(), strict=True)
            )
        ]
        for row, detection in enumerate(found):
            if self.carried[row]:
                detection["carried"] = True
            if classified is not None and row in class_of:
                detection["classification"] = classified.json_of_row(class_of[row])
        masks, keypoints, oriented = results.get(Masks), results.get(Keypoints), results.get(OrientedBoxes)
        if oriented is not None:
            for detection, corners in zip(found, oriented.corners.tolist(), strict=False):
                detection["corners"] = [[round(x, 2), round(y, 2)] for x, y in corners]
        _add_looks(found, results, options)
        if masks is not None:
            _add_masks(found, masks)
        if keypoints is not None:
            _add_keypoints(found, keypoints)
        form: dict[str, JsonValue] = {"detections": found}
        if keypoints is not None:
            form |= {"keypoint_names": list(keypoints.names), "skeleton": [list(pair) for pair in keypoints.skeleton]}
        return form


def _add_looks(found: list[dict[str, JsonValue]], results: Results, options: JsonOptions) -> None:
    identities, appearances = results.get(Identities), results.get(Appearances)
    if identities is not None:
        numbers = identities.by_track()
        for detection in found:
            track = detection["track"]
            detection["identity"] = numbers.get(track) if isinstance(track, int) else None
    if appearances is not None and options.embeddings:
        for row, vector in zip(appearances.detection.tolist(), appearances.vectors.tolist(), strict=True):
            found[row]["appearance"] = [round(value, 6) for value in vector]


def _add_masks(found: list[dict[str, JsonValue]], masks: Masks) -> None:
    width, height = masks.size
    for row, detection in enumerate(found):
        counts = masks.rle(row) if masks.has(row) else None
        detection["mask"] = None if counts is None else {"size": [height, width], "counts": counts}


def _add_keypoints(found: list[dict[str, JsonValue]], keypoints: Keypoints) -> None:
    rows = np.concatenate((keypoints.points, keypoints.scores[..., None]), axis=2).tolist()
    for detection, points in zip(found, rows, strict=False):
        detection["keypoints"] = [[round(x, 2), round(y, 2), round(score, 4)] for x, y, score in points]


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Objects followed over time, one row per track.

    boxes xyxy float32 [m, 4] px · scores float32 [m] (of the last detection) · class_ids int64 [m] · ids int64 [m],
    unique within a camera · ages float32 [m] s since the track began · velocities float32 [m, 2] px/s (centre) ·
    detection int64 [m]: row of the matched detection in this frame's `Detections`, -1 if the track is predicted,
    also where `Detections` has a carried row · masks, keypoints, oriented: those of the last detection that had some,
    moved with the box; None if the detector finds none · carried int64 [m]: row of the carried detection that keeps the
    track alive, -1 if there is none. Empty, the default, means none.
    """

    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray
    ids: IntArray
    ages: FloatArray
    velocities: FloatArray
    detection: IntArray
    labels: tuple[str, ...]
    masks: Masks | None = None
    keypoints: Keypoints | None = None
    carried: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    oriented: OrientedBoxes | None = None

    def __post_init__(self) -> None:
        if not len(self.carried):
            object.__setattr__(self, "carried", np.full(len(self.ids), -1, np.int64))
        check_lengths(self, "boxes", "scores", "class_ids", "ids", "ages", "velocities", "detection", "carried")
        _check_columns(self, boxes=4, velocities=2)
        for name in ("masks", "keypoints", "oriented"):
            if getattr(self, name) is not None:
                check_lengths(self, "boxes", name)

    def __len__(self) -> int:
        return len(self.ids)

    def ids_by_row(self) -> dict[int, int]:
        """Returns the track id of each row of the frame's `Detections` that has one: observed and carried rows."""
        rows = np.where(self.detection >= 0, self.detection, self.carried)
        return {row: number for row, number in zip(rows.tolist(), self.ids.tolist(), strict=True) if row >= 0}

    @classmethod
    def none(cls, labels: tuple[str, ...] = ()) -> Tracks:
        rows, whole = np.zeros(0, np.float32), np.zeros(0, np.int64)
        two = np.zeros((0, 2), np.float32)
        return cls(np.zeros((0, 4), np.float32), rows, whole, whole, rows, two, whole, labels)


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Faces on a frame, one row per face.

    boxes xyxy float32 [n, 4] px · scores float32 [n] 0-1 · landmarks float32 [n, 5, 2] px: the person's right eye, left
    eye, tip of the nose, right and left corner of the mouth · qualities float32 [n] 0-1: how suitable the image is for
    recognition · tracks int64 [n]: face track id, unique within a camera · identities: the person's name, None if
    unknown · similarities float32 [n]: cosine to the most similar person, NaN if the gallery is empty or the face was
    not embedded · margins float32 [n]: lead of that person over the next · reasons: explanation of the identity, as
    text · embeddings float32 [n, d] of unit length, NaN if the face was not embedded on this frame.
    """

    boxes: FloatArray
    scores: FloatArray
    landmarks: FloatArray
    qualities: FloatArray
    tracks: IntArray
    identities: tuple[str | None, ...]
    similarities: FloatArray
    margins: FloatArray
    reasons: tuple[str, ...]
    embeddings: FloatArray

    metrics: ClassVar[tuple[CounterSpec, ...]] = (
        CounterSpec(
            "face_matches",
            "Faces on analysed frames, by whether they were identified.",
            "outcome",
            ("known", "unknown"),
        ),
    )

    def __post_init__(self) -> None:
        others = ("scores", "landmarks", "qualities", "tracks", "identities", "similarities", "margins", "reasons")
        check_lengths(self, "boxes", *others, "embeddings")
        _check_columns(self, boxes=4)

    def __len__(self) -> int:
        return len(self.scores)

    def counts(self) -> Iterator[Count]:
        """Counts known and unknown faces; never by name."""
        known = sum(identity is not None for identity in self.identities)
        yield Count("face_matches", "known", known)
        yield Count("face_matches", "unknown", len(self) - known)

    def to_json(self, results: Results, options: JsonOptions) -> dict[str, JsonValue]:
        """Returns "faces", one object per row; with its embedding if `options` ask for it."""
        return {"faces": [self._json_of_row(row, options) for row in range(len(self))]}

    def _json_of_row(self, row: int, options: JsonOptions) -> dict[str, JsonValue]:
        face: dict[str, JsonValue] = {
            "box": [round(side, 2) for side in self.boxes[row].tolist()],
            "score": round(float(self.scores[row]), 5),
            "landmarks": [[round(x, 2), round(y, 2)] for x, y in self.landmarks[row].tolist()],
            "quality": _finite(self.qualities[row]),
            "track": None if self.tracks[row] < 0 else int(self.tracks[row]),
            "identity": self.identities[row],
            "similarity": _finite(self.similarities[row]),
            "margin": _finite(self.margins[row]),
            "reason": self.reasons[row],
        }
        if options.embeddings:
            embedding = self.embeddings[row]
            is_known = np.isfinite(embedding).all()
            face["embedding"] = [round(value, 6) for value in embedding.tolist()] if is_known else None
        return face


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """Classes of the whole frame, or of several regions of it: one row per region, the most likely classes first.

    boxes float32 [n, 4] px: the region · tracks int64 [n]: its track id, -1 if none · detection int64 [n]: its row in
    this frame's `Detections`, -1 if none · class_ids int64 [n, k] · scores float32 [n, k], 0-1. A row for the whole
    frame has neither track nor detection. `labels[class_id]` is the class name. Classes with scores below `shown_from`
    are too unlikely to be shown or counted.
    """

    boxes: FloatArray
    tracks: IntArray
    detection: IntArray
    class_ids: IntArray
    scores: FloatArray
    labels: tuple[str, ...]
    shown_from: float = 0.0

    metrics: ClassVar[tuple[CounterSpec, ...]] = (
        CounterSpec(
            "classifications",
            "Frames and objects by their most likely class, if its probability is high enough.",
            "class",
        ),
    )

    def __post_init__(self) -> None:
        check_lengths(self, "boxes", "tracks", "detection", "class_ids", "scores")
        _check_columns(self, boxes=4, class_ids=self.scores.shape[-1])

    def __len__(self) -> int:
        return len(self.boxes)

    def of_row(self, row: int) -> list[tuple[str, int, float]]:
        """Returns label, class id and score of one region, best first."""
        return [
            (label_of(self.labels, class_id), class_id, score)
            for class_id, score in zip(self.class_ids[row].tolist(), self.scores[row].tolist(), strict=True)
        ]

    def counts(self) -> Iterator[Count]:
        for row in range(len(self)):
            label, _, score = self.of_row(row)[0]
            if score >= self.shown_from:
                yield Count("classifications", label)

    def to_json(self, results: Results, options: JsonOptions) -> dict[str, JsonValue]:
        """Returns "classification" if the whole frame was classified; that of an object is part of its detection."""
        whole = np.flatnonzero((self.detection < 0) & (self.tracks < 0)).tolist()
        return {"classification": self.json_of_row(whole[-1])} if whole else {}

    def json_of_row(self, row: int) -> list[JsonValue]:
        """Returns the classes of one region, best first."""
        return [
            {"label": label, "class_id": class_id, "score": round(score, 5)}
            for label, class_id, score in self.of_row(row)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class PrivacyMask:
    """Regions to redact on the output, pixelated before anything is drawn: boxes xyxy float32 [n, 4] px, and `crops`,
    bool [h, w] each or None for the whole box: which part of its box, over which it is stretched, to redact. Without
    `crops`, all boxes are redacted whole. Code that ignores crops and redacts the boxes is safe. An empty array is a
    result too: the whole frame may be shown."""

    boxes: FloatArray
    crops: tuple[BoolArray | None, ...] = ()

    def __post_init__(self) -> None:
        _check_columns(self, boxes=4)
        if not self.crops:
            object.__setattr__(self, "crops", (None,) * len(self.boxes))
        check_lengths(self, "boxes", "crops")

    @classmethod
    def all_of(cls, frame: Frame) -> PrivacyMask:
        """Redacts the whole frame."""
        return cls(np.array([[0, 0, frame.width, frame.height]], np.float32))


@dataclass(frozen=True, slots=True)
class Events:
    """What happened on a frame, 16 events at most of one plug-in. Those of several plug-ins are merged.

    Only `process` may return events, so that none is written twice: a prediction has none.
    """

    items: tuple[Event, ...]

    def to_json(self, results: Results, options: JsonOptions) -> dict[str, JsonValue]:
        """Returns "events", with the kind, phase and facts of each."""
        return {
            "events": [{"kind": event.kind, "phase": str(event.phase), "facts": event.facts} for event in self.items]
        }


class FrameOverride:
    """An image that replaces the frame on the output: BGR uint8 [height, width, 3], or an image on a GPU made from a
    frame there. It must not be written to. Thread-safe."""

    __slots__ = ("_image", "_lock", "on_device")

    def __init__(self, image: Image | DeviceImage) -> None:
        self.on_device = image if isinstance(image, DeviceImage) else None
        self._image = None if isinstance(image, DeviceImage) else image
        self._lock = threading.Lock()
        given = self._image
        if given is not None and (given.ndim != 3 or given.shape[2] != 3 or given.dtype != np.uint8 or not given.size):
            raise ValueError(f"Picture.image is {given.dtype} {list(given.shape)}, expected uint8 [height, width, 3]")

    @property
    def image(self) -> Image:
        """The image in host memory. An image on a GPU is downloaded on first use."""
        with self._lock:
            if self._image is None:
                assert self.on_device is not None
                self._image = self.on_device.bgr()
            return self._image

    def device(self, ordinal: int) -> DeviceImage | None:
        """Returns the image if it is already on GPU `ordinal` (0 for "cuda:0"), else None."""
        image = self.on_device
        return image if image is not None and image.ordinal == ordinal else None


def _finite(value: float) -> float | None:
    """Returns the value for JSON, or None if it is not finite: JSON has no NaN."""
    return round(float(value), 5) if math.isfinite(value) else None


def label_of(labels: tuple[str, ...], class_id: int) -> str:
    """Returns the name of a class, or "class N" if there is no label for it."""
    return labels[class_id] if 0 <= class_id < len(labels) else f"class {class_id}"


def check_lengths(result: object, first: str, *others: str) -> None:
    """Raises ValueError if the columns of a struct of arrays differ in length."""
    expected = len(getattr(result, first))
    for name in others:
        if len(getattr(result, name)) != expected:
            raise ValueError(
                f"{type(result).__name__}.{name} has {len(getattr(result, name))} rows, {first} has {expected}"
            )


def _check_columns(result: object, **columns: int) -> None:
    """Raises ValueError if an array is not two-dimensional with the expected number of columns."""
    for name, expected in columns.items():
        shape = getattr(result, name).shape
        if len(shape) != 2 or shape[1] != expected:
            raise ValueError(f"{type(result).__name__}.{name} has the shape {list(shape)}, expected [n, {expected}]")


class CountedResult(Protocol):
    """A result type that adds to counters. The daemon calls `counts` once for each frame that `process` analysed, and
    not for predictions.

    The plug-in's class declares the counters in `metrics`; a result type may also have `metrics` of its own, which
    every plug-in that produces it then declares. Anything else is a fault of the plug-in.
    """

    def counts(self) -> Iterable[Count]:
        """Returns what to add to the counters, in well under 1 ms."""
        ...


class MeasuredResult(Protocol):
    """A result type that sets gauges, which are declared like counters (see `CountedResult`). The daemon calls `gauges`
    once for each frame that `process` analysed, and not for predictions.

    What it returns replaces all values that the plug-in has set for the camera before: what it does not name any more,
    such as a removed zone, is no longer exported. Nor is anything while the camera is offline, its analysis paused or
    the plug-in disabled, so that no stale number looks like a current one.
    """

    def gauges(self) -> Iterable[GaugeValue]:
        """Returns all values of the camera, in well under 1 ms."""
        ...


T = TypeVar("T")


class Results:
    """Results of one frame, keyed by type: `results.get(Detections)`. Immutable; `merged` returns a new instance."""

    __slots__ = ("_found",)

    def __init__(self, *found: object) -> None:
        self._found: dict[type, object] = {type(item): item for item in found}

    def get(self, kind: type[T]) -> T | None:
        item = self._found.get(kind)
        return item if isinstance(item, kind) else None

    def merged(self, later: Results) -> Results:
        """Returns these results combined with `later`, which wins if both contain the same type. `Events` are joined,
        and so are the regions of `PrivacyMask`: what one plug-in redacts stays redacted. `Masks`, `Keypoints` and
        `OrientedBoxes` belong to the `Detections` that came with them, and `Appearances` to those before them; they go
        if `later` has others."""
        both = Results()
        both._found = {**self._found, **later._found}
        if Detections in later:
            for kind in (Masks, Keypoints, OrientedBoxes, Appearances):
                if kind not in later:
                    both._found.pop(kind, None)
        before, after = self.get(Events), later.get(Events)
        if before is not None and after is not None:
            both._found[Events] = Events(before.items + after.items)
        hidden, more = self.get(PrivacyMask), later.get(PrivacyMask)
        if hidden is not None and more is not None:
            boxes = np.concatenate((hidden.boxes, more.boxes))
            both._found[PrivacyMask] = PrivacyMask(boxes, hidden.crops + more.crops)
        return both

    def redacted(self, frame: Frame) -> Results:
        """Returns these results of a plug-in that redacts: with the whole frame redacted if it did not say which
        regions are."""
        return self if PrivacyMask in self else self.merged(Results(PrivacyMask.all_of(frame)))

    def __contains__(self, kind: type) -> bool:
        return kind in self._found

    def __iter__(self) -> Iterator[object]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)
