"""The style plug-in: repaints each frame, keeping the paintings consistent over time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from sightd.engines.cuda.launch.style import Finish
from sightd.engines.cuda.pipelines.pools import StylePipelines
from sightd.engines.cuda.pipelines.style import StyleInput
from sightd.engines.model import ColourOrder
from sightd.engines.preprocess import feed
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import (
    Context,
    FloatArray,
    Frame,
    FrameOverride,
    Image,
    Plugin,
    PluginConfig,
    PluginError,
    Results,
)
from sightd.plugins.style.compositing import cover_of, enlarged, strokes
from sightd.plugins.style.config import OwnStyle, StyleConfig
from sightd.plugins.style.mixture import Cycle, weights_of
from sightd.plugins.style.pace import Pace, size_for
from sightd.plugins.style.temporal_smoother import Painted, TemporalSmoother

_WEIGHTS = "style_weights"
_OUTAGE = 1.0
"""Gap in s between two frames after which the last painting is no longer used for the next."""


@dataclass(frozen=True, slots=True, eq=False)
class _Feed:
    """State of one camera."""

    pace: Pace
    painted: Painted | None = None
    at: float = float("-inf")

    def last_before(self, frame: Frame) -> Painted | None:
        """Returns the last painting if the frame continues from it."""
        return self.painted if 0 <= frame.captured_at - self.at < _OUTAGE and not frame.still else None


class Stylist(Plugin[StyleConfig]):
    """Repaints the frame in a style.

    Produces `FrameOverride`. Threads: only `process` uses a camera's state.
    """

    Config: ClassVar[type[PluginConfig]] = StyleConfig
    produces: ClassVar[frozenset[type]] = frozenset({FrameOverride})

    def __init__(self, config: StyleConfig) -> None:
        super().__init__(config)
        self._feeds: dict[str, _Feed] = {}
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        """Held by `process` and `reconfigure`."""
        self._steadier = TemporalSmoother(config.smoothing)
        self._cycle: Cycle | None = None
        self._engine: Engine | None = None
        self._fixed: tuple[int, int] | None = None
        self._pipelines: StylePipelines | None = None
        self._ordinal = -1
        self._many = True

    def open(self, context: Context) -> None:
        """Loads the model and paints a black image, so that a file of the wrong kind is reported now."""
        config, network = self.config, self.config.network
        engine = context.engine([network.model() if isinstance(network, OwnStyle) else network])
        self._many = engine.model.head == "styles"
        if isinstance(network, str):
            _require_style(engine)
        self._cycle = self._cycle_of(engine, config)
        height, width = engine.session.inputs[engine.model.input.tensor].shape[2:]
        self._fixed = None if height is None or width is None else (width, height)
        self._engine = engine
        wanted = engine.model.input.width, engine.model.input.height
        if self._many and engine.gpu is not None and self._fixed == wanted:
            self._ordinal = engine.gpu.device.ordinal
            self._pipelines = engine.style_pipelines(_style_input(config))
        self._paint(np.zeros((64, 64, 3), np.uint8), self._weights(0.0), self._fixed or (64, 64))

    def reconfigure(self, config: StyleConfig) -> None:
        """Takes over other options between two batches."""
        assert self._engine is not None, "reconfigure was called before open"
        cycle = self._cycle_of(self._engine, config)
        made = None if self._pipelines is None else self._engine.style_pipelines(_style_input(config))
        with self._turn:
            self.config, self._cycle, before, self._pipelines = config, cycle, self._pipelines, made
            self._steadier = TemporalSmoother(config.smoothing)
            if before is not None:
                before.close()

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        """Paints frames that are on the model's GPU there, as one batch, and all others one by one."""
        with self._turn:
            there = self._painted_there(frames, results)
            return [
                Results(there.get(row) or self._painted(frame, given))
                for row, (frame, given) in enumerate(zip(frames, results, strict=True))
            ]

    def lines_of(self, camera: str) -> int:
        """Returns the height of the model's input for a camera that was painted before. Raises KeyError otherwise."""
        with self._lock:
            return self._feeds[camera].pace.lines

    def forget(self, camera: str) -> None:
        with self._lock:
            self._feeds.pop(camera, None)

    def close(self) -> None:
        if self._pipelines is not None:
            self._pipelines.close()
        with self._lock:
            self._feeds.clear()

    def _cycle_of(self, engine: Engine, config: StyleConfig) -> Cycle:
        """Raises PluginError if the model does not have a style."""
        styles = engine.model.labels
        if not self._many or (len(styles) == 1 and "style" not in config.model_fields_set):
            looks = [np.ones(1, np.float32)]
        else:
            looks = [weights_of(look, styles) for look in config.looks]
        return Cycle.of(looks, max(config.interval, 1e-3), config.fade)

    def _weights(self, at: float) -> FloatArray:
        """Returns the weight of each style at a time (s)."""
        assert self._cycle is not None, "process was called before open"
        return self._cycle.at(at)

    def _painted_there(self, frames: Sequence[Frame], results: Sequence[Results]) -> dict[int, FrameOverride]:
        """Paints, by row, the frames of a batch that need not leave the GPU: the whole frame is painted, and no earlier
        plug-in has replaced it."""
        pipelines = self._pipelines
        if pipelines is None or self.config.where is not None:
            return {}
        images = [
            (row, frame.device(self._ordinal)) for row, frame in enumerate(frames) if FrameOverride not in results[row]
        ]
        taken = [(row, image) for row, image in images if image is not None and pipelines.takes(image)]
        if not taken:
            return {}
        weights = np.array([self._weights(frames[row].captured_at) for row, _ in taken], np.float32)

        def steady(number: int, small: Image, paint: Image) -> FloatArray:
            painted = self._steadied(frames[taken[number][0]], small, paint.astype(np.float32))
            return strokes(painted.paint, painted.grey)

        made = pipelines.paint([image for _, image in taken], weights, steady)
        return {row: FrameOverride(image) for (row, _), image in zip(taken, made, strict=True)}

    def _steadied(self, frame: Frame, small: Image, paint: FloatArray) -> Painted:
        """Blends the painting with the camera's last one, and remembers the result."""
        with self._lock:
            feed = self._feeds.get(frame.camera) or self._new_feed()
        painted = self._steadier.steadied(feed.last_before(frame), small, paint)
        if not frame.still:
            with self._lock:
                self._feeds[frame.camera] = replace(feed, painted=painted, at=frame.captured_at)
        return painted

    def _painted(self, frame: Frame, results: Results) -> FrameOverride:
        config, begun = self.config, time.perf_counter()
        with self._lock:
            feed = self._feeds.get(frame.camera) or self._new_feed()
        given = results.get(FrameOverride)
        source = frame.host() if given is None else given.image
        lines = config.max_lines if frame.still else feed.pace.lines
        size = self._fixed or size_for(frame.width, frame.height, lines)
        small = np.asarray(cv2.resize(source, size, interpolation=cv2.INTER_AREA), np.uint8)
        paint = self._paint(small, self._weights(frame.captured_at), size)
        painted = self._steadier.steadied(feed.last_before(frame), small, paint)
        picture = self._finished(frame, results, source, painted)
        if not frame.still:
            self._remember(frame, feed.pace, painted, time.perf_counter() - begun)
        return FrameOverride(picture)

    def _new_feed(self) -> _Feed:
        return _Feed(Pace.new(self.config.min_lines, self.config.max_lines, self.config.max_fps))

    def _remember(self, frame: Frame, pace: Pace, painted: Painted, took: float) -> None:
        at = frame.captured_at
        with self._lock:
            others = sum(abs(at - feed.at) < _OUTAGE for name, feed in self._feeds.items() if name != frame.camera)
            self._feeds[frame.camera] = _Feed(pace.after(took, at, frame.seq, others + 1), painted, at)

    def _paint(self, small: Image, weights: FloatArray, size: tuple[int, int]) -> FloatArray:
        """Returns the model's painting of an image of the working size, BGR float32 [h, w, 3] 0-255."""
        assert self._engine is not None, "process was called before open"
        spec = replace(self._engine.model.input, width=size[0], height=size[1])
        fed, _ = feed([small], spec, self._engine.session.inputs)
        outputs = self._engine.session.run(fed | ({_WEIGHTS: weights[None]} if self._many else {}))
        (planes,) = next(iter(outputs.values()))
        if planes.shape != (3, size[1], size[0]):
            raise PluginError(
                f"model {self._engine.model.name!r} produces images {list(planes.shape)}, which is not its input size"
            )
        colours = planes if spec.colour is ColourOrder.BGR else planes[::-1]
        paint = np.ascontiguousarray(colours.transpose(1, 2, 0), np.float32)
        paint *= np.float32(1 / spec.scale)
        return np.clip(paint, 0, 255, out=paint)  # models of Johnson et al. overshoot

    def _finished(self, frame: Frame, results: Results, source: Image, painted: Painted) -> Image:
        """Returns the painting at the frame's size, blended with the source image as configured."""
        config = self.config
        large = enlarged(painted.paint, source, painted.grey)
        if config.keep_colours:
            large = _with_colours_of(large, source)
        cover = cover_of(config.where, frame, results)
        if cover is None and config.strength >= 1:
            return np.rint(large).astype(np.uint8)
        share = np.float32(config.strength) if cover is None else cover * np.float32(config.strength)
        mixed = source + share * (large - source)
        return np.rint(mixed).astype(np.uint8)


def _style_input(config: StyleConfig) -> StyleInput:
    return StyleInput(_WEIGHTS, Finish(config.strength, config.keep_colours))


def _require_style(engine: Engine) -> None:
    """Raises PluginError unless the model is a style model with the expected inputs."""
    inputs, model = engine.session.inputs, engine.model
    if model.role != "style":
        raise PluginError(f"{model.name!r} is a {model.role} model, not a style model")
    if model.head == "styles" and (_WEIGHTS not in inputs or inputs[_WEIGHTS].shape[-1] != len(model.labels)):
        raise PluginError(
            f"model {model.name!r} has the inputs {sorted(inputs)}, but no {_WEIGHTS} of {len(model.labels)} styles"
        )


def _with_colours_of(paint: FloatArray, source: Image) -> FloatArray:
    """Combines the painting's luma with the source's chroma (Gatys et al. 2016, "Preserving color in neural artistic
    style transfer")."""
    ours = cv2.cvtColor(np.rint(paint).astype(np.uint8), cv2.COLOR_BGR2YCrCb)
    ours[:, :, 1:] = cv2.cvtColor(source, cv2.COLOR_BGR2YCrCb)[:, :, 1:]
    return np.asarray(cv2.cvtColor(ours, cv2.COLOR_YCrCb2BGR), np.float32)
