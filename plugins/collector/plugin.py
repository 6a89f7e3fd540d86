"""The collector plug-in: stores frames for labelling. `sightd label collect` takes them into a dataset."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
from pydantic import Field

from sightd.engines.files import expanded, make_private, write_private
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
from sightd.plugins.api.units import Duration, Size
from sightd.plugins.collector.choice import CameraChoice, Sample
from sightd.plugins.images.worth_labelling import Reason

log = logging.getLogger(__name__)
_QUALITY = 95
_METRIC = "collected_frames"
_UNFINISHED = ".sightd-frame-"
"""How the names of files that are being written start. They are hidden, so nobody else looks at them."""
_RECOUNT = 60.0
"""Seconds after which a full folder is looked at again."""


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
    max_size: Size = Field(
        2 * 10**9, ge=10**6, description="Maximum size of the folder, whatever is in it; if it is full, none is added."
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
        self._stored = self._bytes = 0
        self._counted_at = 0.0
        self._was_full = False

    def open(self, context: Context) -> None:
        try:
            make_private(self._folder)
            for left in self._folder.glob(f"{_UNFINISHED}*"):  # the process was killed while it wrote
                left.unlink(missing_ok=True)
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
        """Writes the image, then what is known of it: `sightd label collect` takes no image without the latter. Each
        file is there as a whole or not at all."""
        path = self._folder / f"{_file_name(camera, sample)}.jpg"
        image = cv2.imencode(".jpg", sample.image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
        note = json_text(_described(camera, sample, reason)).encode()
        write_private(path, image, _UNFINISHED)
        try:
            write_private(path.with_suffix(".json"), note, _UNFINISHED)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._stored += 1
        self._bytes += len(image) + len(note)

    def _is_full(self) -> bool:
        """Counts again, once a minute, if the folder was full: frames may have been taken from it."""
        if self._exceeds() and time.monotonic() - self._counted_at > _RECOUNT:
            self._count()
        full = self._exceeds()
        if full and not self._was_full:
            log.warning(
                "%s is full (%s frames, %s MB): nothing is collected until `sightd label collect` has emptied it",
                self._folder, self._stored, self._bytes // 10**6,
            )  # fmt: skip
        self._was_full = full
        return full

    def _exceeds(self) -> bool:
        return self._stored >= self.config.max_frames or self._bytes >= self.config.max_size

    def _count(self) -> None:
        """Counts images, also those without a description, and the bytes of all files. Raises OSError unless it is a
        folder that may be read."""
        frames = size = 0
        with os.scandir(self._folder) as found:
            for one in found:
                with suppress(FileNotFoundError):  # `sightd label collect` may be emptying it
                    size += one.stat(follow_symlinks=False).st_size
                    frames += one.name.endswith(".jpg")
        self._stored, self._bytes, self._counted_at = frames, size, time.monotonic()


def _file_name(camera: str, sample: Sample) -> str:
    """Returns a name that starts with the camera's; cameras whose names differ only in special characters get different
    ones."""
    at = time.strftime("%Y%m%dT%H%M%S", time.gmtime(sample.wall_time))
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", camera)[-80:].strip("-") or "camera"
    name = plain if plain == camera else f"{plain}-{zlib.crc32(camera.encode()):08x}"
    return f"{name}-{at}-{sample.seq}"


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
