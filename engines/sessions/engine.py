"""A loaded model: the chosen model, the reason for the choice, and the session that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.pipelines.detection import DetectionPipeline, HeadParameters
from sightd.engines.cuda.pipelines.faces import FacePipeline
from sightd.engines.cuda.pipelines.pools import DetectionPipelines, FacePipelines, StylePipelines
from sightd.engines.cuda.pipelines.style import StyleInput, StylePipeline
from sightd.engines.model import Model
from sightd.engines.preprocess import Geometry, feed
from sightd.engines.session import DeviceSession, Session, Tensor


@dataclass(frozen=True, slots=True)
class Engine:
    """What `context.engine(...)` returns to a plug-in. May be run from several threads at once. The daemon closes it.

    `reason` explains in one sentence why this model was chosen from the preference list. `gpu` is the GPU of the
    session, if images can be preprocessed and outputs decoded there.
    """

    model: Model
    session: Session
    reason: str
    gpu: Gpu | None = None

    def run(self, images: Sequence[NDArray[np.uint8]]) -> tuple[dict[str, Tensor], list[Geometry]]:
        """Runs a batch of BGR uint8 [h, w, 3] images of any sizes.

        Returns the model's raw outputs (the first axis is the batch) and, for each image, the geometry that maps model
        pixels back to image pixels.
        """
        inputs, geometries = feed(images, self.model.input, self.session.inputs)
        return self.session.run(inputs), geometries

    def detection_pipelines(self, reading: HeadParameters) -> DetectionPipelines | None:
        """Returns detection pipelines that keep images, tensors and outputs on the GPU, or None if the model runs on
        the CPU or `reason` says that this GPU cannot do it. The caller must close them before the engine."""
        gpu, session, model = self.gpu, self.session, self.model
        if gpu is None or not isinstance(session, DeviceSession):
            return None
        return DetectionPipelines(lambda: DetectionPipeline(gpu, session, model, reading))

    def face_pipelines(self) -> FacePipelines | None:
        """Returns pipelines that crop and embed faces on the GPU, or None as for `detection_pipelines`. The caller must
        close them before the engine."""
        gpu, session, model = self.gpu, self.session, self.model
        if gpu is None or not isinstance(session, DeviceSession):
            return None
        return FacePipelines(lambda: FacePipeline(gpu, session, model))

    def style_pipelines(self, style: StyleInput) -> StylePipelines | None:
        """Returns pipelines that stylise frames on the GPU, or None as for `detection_pipelines`. The caller must close
        them before the engine."""
        gpu, session, model = self.gpu, self.session, self.model
        if gpu is None or not isinstance(session, DeviceSession):
            return None
        return StylePipelines(lambda: StylePipeline(gpu, session, model, style))

    def close(self) -> None:
        self.session.close()
