"""The collector plug-in: stores frames for labelling. `sightd label collect` takes them into a dataset."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
from pydantic import Field

from sightd.engines.files import expanded, make_private, write_whole
from sightd.engines.text import json_text
from sightd.plugins.api import (
    Context,
    Count,
    CounterSpec,
    Detections,
    Frame,
    Plugin,
    PluginConfig,
    PluginError,
    PrivacyMask,
    Results,
)
from sightd.plugins.api.units import Duration
from sightd.plugins.collector.choice import CameraChoice, Sample
from sightd.plugins.images.worth_labelling import Reason

log = logging.getLogger(__name__)
_QUALITY = 95
_METRIC = "collected_frames"


class CollectorConfig(PluginConfig):
    """Stores frames that are worth labelling. Cameras whose chain redacts are left out."""

    folder: Path = Field(
        description="Folder that the frames are stored in, created for its owner only. `sightd label collect` takes "
        "them from there.",
        examples=["/var/lib/sightd/collected"],
    )
    per_hour: int = Field(12, ge=1, le=3600, description="Maximum number of frames per camera and hour.")
    gap: Duration = Field(20.0, description="Minimum time between two frames of a camera.")
    max_frames: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="Maximum number of frames in the folder; if it is full, none is added.",
    )
    max_fps: float | None = Field(
        2.0, gt=0, description="Maximum number of frames per second and camera that are looked at."
    )


@dataclass(frozen=True)
class CollectedFrames:
    """How many frames were stored with this one, by reason."""

    reasons: tuple[Reason, ...]

    def counts(self) -> Iterator[Count]:
        yield from (Count(_METRIC, str(reason)) for reason in self.reasons)


class Collector(Plugin[CollectorConfig]):
    """Stores frames on which the detector is uncertain, has missed an object, or that look new.

    It collects nothing from a camera whose chain redacts: there, every frame has a `PrivacyMask`, and what nobody may
    see must not be stored either.
    """

    Config: ClassVar[type[PluginConfig]] = CollectorConfig
    requires: ClassVar[frozenset[type]] = frozenset({Detections})
    uses: ClassVar[frozenset[type]] = frozenset({PrivacyMask})
    produces: ClassVar[frozenset[type]] = frozenset({CollectedFrames})
    metrics: ClassVar[tuple[CounterSpec, ...]] = (
        CounterSpec(_METRIC, "Frames stored for labelling.", "reason", tuple(map(str, Reason))),
    )

    def __init__(self, config: CollectorConfig) -> None:
        super().__init__(config)
        self._folder = expanded(config.folder)
        self._choices: dict[str, CameraChoice] = {}
        self._lock = threading.Lock()
        self._stored = 0
        self._counted_at = 0.0

    def open(self, context: Context) -> None:
        try:
            make_private(self._folder)
            os.scandir(self._folder).close()  # fails unless it is a folder that may be read
            self._count()
        except OSError as error:
            raise PluginError(f"plug-in {context.name}: {self._folder} cannot be used: {error.strerror}") from error

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        """Raises OSError if a frame cannot be stored."""
        return [self._processed(*pair) for pair in zip(frames, results, strict=True)]

    def forget(self, camera: str) -> None:
        with self._lock:
            self._choices.pop(camera, None)

    def _processed(self, frame: Frame, results: Results) -> Results:
        found = results.get(Detections)
        with self._lock:
            choice = self._choices.setdefault(frame.camera, CameraChoice(self.config.per_hour, self.config.gap))
        if found is None or PrivacyMask in results or self._is_full() or not choice.is_due(frame.captured_at):
            choice.reset()
            return Results(CollectedFrames(()))
        sample = Sample(frame.host(), frame.captured_at, frame.wall_time, frame.seq, found)
        chosen = choice.judge(sample)
        if chosen is None:
            return Results(CollectedFrames(()))
        self._store(frame.camera, *chosen)
        return Results(CollectedFrames((chosen[1],)))

    def _store(self, camera: str, sample: Sample, reason: Reason) -> None:
        """Writes the image, then what is known of it: an image without the latter is incomplete."""
        at = time.strftime("%Y%m%dT%H%M%S", time.gmtime(sample.wall_time))
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", camera)[-80:].strip("-") or "camera"
        path = self._folder / f"{name}-{at}-{sample.seq}.jpg"
        write_whole(path, cv2.imencode(".jpg", sample.image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())
        write_whole(path.with_suffix(".json"), json_text(_described(camera, sample, reason)).encode())
        self._stored += 1

    def _is_full(self) -> bool:
        """Counts again, once a minute, if the folder was full: frames may have been taken from it."""
        if self._stored >= self.config.max_frames and time.monotonic() - self._counted_at > 60:
            self._count()
            if self._stored >= self.config.max_frames:
                log.warning("%s is full (%s frames): nothing is collected", self._folder, self._stored)
        return self._stored >= self.config.max_frames

    def _count(self) -> None:
        self._stored, self._counted_at = sum(1 for _ in self._folder.glob("*.json")), time.monotonic()


def _described(camera: str, sample: Sample, reason: Reason) -> dict[str, Any]:
    height, width = sample.image.shape[:2]
    found = sample.found
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True)
    return {
        "source": camera,
        "time": round(sample.wall_time, 3),
        "reason": str(reason),
        "width": width,
        "height": height,
        "boxes": [
            {"class": found.labels[number], "box": [round(value, 2) for value in box], "score": round(score, 4)}
            for box, score, number in rows
        ],
    }
