"""Draws the snapshots of a frame: as viewers see it, and without annotations. Both are redacted alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightd.daemon.config.model import Render
from sightd.daemon.config.snapshots import Snapshots
from sightd.daemon.encode.encoder import encode_jpeg
from sightd.daemon.pipeline.camera_pipeline import CameraPipeline
from sightd.daemon.render.renderer import Renderer, output_size
from sightd.plugins.api import Frame, FrameOverride, PrivacyMask, Results, Tracks

_BARE = Render(boxes=False, masks=False, keypoints=False, labels=False, trails=False, status=False)


@dataclass(frozen=True, slots=True)
class Scene:
    """What snapshots are drawn from: a frame, its results and, for trails, the tracks of frames before it with their
    `captured_at`, oldest first. `fps` and `late_by` (s) are those of the camera then, for the status line."""

    frame: Frame
    results: Results
    before: Sequence[tuple[Tracks, float]] = ()
    fps: float | None = None
    late_by: float | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of its image on the host."""
        return 3 * self.frame.width * self.frame.height


class SnapshotDrawing:
    """Draws and encodes the snapshots of one camera. Any thread, several at a time: nothing is kept."""

    def __init__(
        self, title: str, render: Render, max_height: int | None, options: Snapshots, pipeline: CameraPipeline
    ) -> None:
        """`max_height` is that of the camera's output."""
        self._title, self._render, self._max_height = title, render, max_height
        self._options, self._pipeline = options, pipeline

    def is_redacted(self, scene: Scene) -> bool:
        """Returns whether it is certain that snapshots of the scene show nothing that the chain redacts.

        If the chain redacts, all plug-ins that do must have processed this very frame: of a frame that one has not, all
        is redacted, by a region that covers it, and there is nothing to see.
        """
        if not self._pipeline.redacts:
            return True
        mask = scene.results.get(PrivacyMask)
        if mask is None or not np.isfinite(mask.boxes).all() or _covers(mask, scene.frame):
            return False
        return FrameOverride in scene.results or not self._pipeline.replaces_picture

    def jpegs(self, scene: Scene) -> tuple[bytes, bytes]:
        """Returns two JPEG files: the annotated and the clean one. Raises ValueError if redaction is not certain, and
        EngineError if a GPU fails."""
        if not self.is_redacted(scene):
            raise ValueError("the frame was not redacted by all plug-ins that redact")
        return self._annotated(scene), self._clean(scene)

    def _annotated(self, scene: Scene) -> bytes:
        frame = scene.frame
        renderer = Renderer(self._title, self._render, self._height(frame, self._max_height))
        for tracks, at in scene.before:
            renderer.remember(tracks, at)
        canvas = renderer.render(frame, scene.results, fps=scene.fps, late_by=scene.late_by)
        self._pipeline.draw(canvas, frame, scene.results)
        return encode_jpeg(canvas.image, self._options.quality)

    def _clean(self, scene: Scene) -> bytes:
        """Draws nothing but the image that viewers see and its redaction."""
        seen = Results(*(part for part in scene.results if isinstance(part, (PrivacyMask, FrameOverride))))
        renderer = Renderer(self._title, _BARE, self._height(scene.frame, None))
        return encode_jpeg(renderer.render(scene.frame, seen, fps=None).image, self._options.quality)

    def _height(self, frame: Frame, max_height: int | None) -> int | None:
        """Returns the maximum height with which the image is not wider than `max_width` either."""
        width, height = output_size(frame.width, frame.height, max_height)
        most = self._options.max_width
        return max_height if most is None or width <= most else max(2, height * most // width)


def _covers(mask: PrivacyMask, frame: Frame) -> bool:
    """Returns whether a region covers the whole frame."""
    return any(
        crop is None and box[0] <= 0 and box[1] <= 0 and box[2] >= frame.width and box[3] >= frame.height
        for box, crop in zip(mask.boxes.tolist(), mask.crops, strict=True)
    )
