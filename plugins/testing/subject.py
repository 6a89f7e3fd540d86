"""The plug-in under test, and checks of the results that it returns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.model import Model
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import (
    STANDARD_KEYS,
    AnyPlugin,
    Detections,
    Frame,
    FrameOverride,
    JsonOptions,
    PluginConfig,
    Results,
    Tracks,
    json_of,
)
from sightd.plugins.testing.stubs import EngineLoader, Scene, StubContext


class BrokenRuleError(AssertionError):
    """A plug-in breaks a rule of the contract. The message says how."""


class Subject:
    """A plug-in class with its options and a loader for its models. `close` closes the engines."""

    def __init__(self, plugin: type[AnyPlugin], options: Mapping[str, Any], load: EngineLoader | None) -> None:
        self.plugin = plugin
        self.options = dict(options)
        self._networks = StubContext(plugin.__name__, load)
        self._loaded: dict[tuple[str | Model, ...], Engine] = {}

    def config(self) -> PluginConfig:
        return self.plugin.Config.model_validate(self.options)

    @contextmanager
    def opened(self) -> Iterator[AnyPlugin]:
        """Yields a new, opened instance and closes it afterwards."""
        instance = self.plugin(self.config())
        try:
            instance.open(StubContext(self.plugin.__name__, self.engine))
            yield instance
        finally:
            instance.close()

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        """Loads a model, each of them once."""
        key = tuple(choice)
        if key not in self._loaded:
            self._loaded[key] = self._networks.engine(choice)
        return self._loaded[key]

    def given(self, scene: Scene, index: int) -> Results:
        """Returns what earlier plug-ins would have found on a frame of the scene."""
        return scene.results(index, self.plugin.requires)

    def run(self, instance: AnyPlugin, scene: Scene, indices: Sequence[int]) -> list[Results]:
        """Processes frames of one camera one after the other, each in its own batch."""
        return [self.one(instance, scene.frame(index), self.given(scene, index)) for index in indices]

    def one(self, instance: AnyPlugin, frame: Frame, given: Results) -> Results:
        return self.batch(instance, [frame], [given])[0]

    def batch(self, instance: AnyPlugin, frames: Sequence[Frame], given: Sequence[Results]) -> list[Results]:
        """Calls `process` and checks that it returns one Results per frame."""
        found = instance.process(frames, given)
        if not isinstance(found, Sequence) or len(found) != len(frames):
            raise BrokenRuleError(f"process returned {_amount(found)} for {len(frames)} frames")
        for one in found:
            if not isinstance(one, Results):
                raise BrokenRuleError(f"process returned a {type(one).__name__} instead of Results")
        return list(found)

    def close(self) -> None:
        self._networks.close()


def _amount(found: object) -> str:
    return f"{len(found)} results" if isinstance(found, Sequence) else f"a {type(found).__name__}"


Rule = Callable[[Subject], None]
"""A rule. Raises if the plug-in breaks it, preferably BrokenRuleError."""


_ROUNDING = 1e-3
"""Tolerance, in pixels, for boxes that extend beyond the frame."""


def verify(found: Results, given: Results, frame: Frame, allowed: frozenset[type]) -> None:
    """Raises BrokenRuleError if the results of a frame are invalid."""
    for item in found:
        kind = type(item)
        if kind not in allowed:
            raise BrokenRuleError(f"returns {kind.__name__}, which `produces` does not declare")
        for name, column in columns(item):
            if np.issubdtype(column.dtype, np.floating) and not np.isfinite(column).all():
                raise BrokenRuleError(f"{kind.__name__}.{name} contains values that are not finite")
        boxes = getattr(item, "boxes", None)
        if isinstance(boxes, np.ndarray):
            _verify_boxes(boxes, frame, kind.__name__)
        if isinstance(item, (Detections, Tracks)):
            _verify_objects(item)
    tracks, picture = found.get(Tracks), found.get(FrameOverride)
    if tracks is not None:
        _verify_tracks(tracks, given.merged(found).get(Detections))
    if picture is not None and (
        picture.image.shape != (frame.height, frame.width, 3) or picture.image.dtype != np.uint8
    ):
        raise BrokenRuleError(
            f"FrameOverride is {picture.image.dtype} {picture.image.shape}, not uint8 of the frame's size "
            f"{(frame.height, frame.width, 3)}"
        )


def verify_json(item: object, results: Results) -> None:
    """Raises BrokenRuleError if a result's JSON form cannot be written, or uses a key of a standard result type."""
    name = type(item).__name__
    form = json_of(item, results, JsonOptions(embeddings=True))
    try:
        json.dumps(dict(form), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BrokenRuleError(f"{name}.to_json returns what cannot be written as JSON: {error}") from None
    for key in form:
        owner = STANDARD_KEYS.get(key)
        if owner is not None and not isinstance(item, owner):
            raise BrokenRuleError(f'{name}.to_json uses the key "{key}", which belongs to {owner.__name__}')


def columns(item: object) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yields the arrays of a struct of arrays, or the image of a `FrameOverride`, by name."""
    if isinstance(item, FrameOverride):
        yield "image", item.image
    if is_dataclass(item):
        for field in fields(item):
            value = getattr(item, field.name)
            if isinstance(value, np.ndarray):
                yield field.name, value


def same(first: Results, second: Results) -> bool:
    """Whether two results are equal up to rounding."""
    left, right = {type(item): item for item in first}, {type(item): item for item in second}
    if left.keys() != right.keys():
        return False
    return all(_alike(left[kind], right[kind]) for kind in left)


def _alike(left: object, right: object) -> bool:
    pairs = zip(columns(left), columns(right), strict=True)
    return all(one.shape == two.shape and _close(one, two) for (_, one), (_, two) in pairs)


def _close(one: NDArray[Any], two: NDArray[Any]) -> bool:
    if np.issubdtype(one.dtype, np.floating):
        return bool(np.allclose(one, two, rtol=1e-3, atol=1e-2))
    return bool((one == two).all())


def _verify_boxes(boxes: NDArray[Any], frame: Frame, kind: str) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise BrokenRuleError(f"{kind}.boxes has shape {boxes.shape}, not [n, 4]")
    if (boxes[:, :2] > boxes[:, 2:]).any():
        raise BrokenRuleError(f"{kind}.boxes are not x1, y1, x2, y2: some end before they begin")
    limit = np.array([frame.width, frame.height, frame.width, frame.height]) + _ROUNDING
    if (boxes < -_ROUNDING).any() or (boxes > limit).any():
        raise BrokenRuleError(f"{kind}.boxes exceed the frame of {frame.width}x{frame.height} pixels")


def _verify_objects(item: Detections | Tracks) -> None:
    kind = type(item).__name__
    if len(item) and (item.scores.min() < 0 or item.scores.max() > 1):
        raise BrokenRuleError(f"{kind}.scores are not in 0 to 1")
    if len(item) and (item.class_ids.min() < 0 or item.class_ids.max() >= len(item.labels)):
        raise BrokenRuleError(f"{kind}.class_ids exceed the {len(item.labels)} labels")
    if isinstance(item, Detections) and item.carried.dtype != np.bool_:
        raise BrokenRuleError(f"Detections.carried is {item.carried.dtype}, not bool")


def _verify_tracks(tracks: Tracks, detections: Detections | None) -> None:
    if len(set(tracks.ids.tolist())) != len(tracks):
        raise BrokenRuleError("Tracks.ids contains an id twice")
    rows = 0 if detections is None else len(detections)
    if len(tracks) and (tracks.detection.min() < -1 or tracks.detection.max() >= rows):
        raise BrokenRuleError(f"Tracks.detection exceeds the {rows} rows of the frame's Detections")
    if detections is not None and detections.carried[tracks.detection[tracks.detection >= 0]].any():
        raise BrokenRuleError("Tracks.detection names a carried row of the frame's Detections, which is no observation")
    expected = tracks.carried[tracks.carried >= 0]
    if len(expected) and (detections is None or expected.max() >= rows or not detections.carried[expected].all()):
        raise BrokenRuleError("Tracks.carried names a row that is not carried in the frame's Detections")
