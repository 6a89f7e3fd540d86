"""A network ready to run: the model that was chosen, why, and the session that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.detection_lane import DetectionLane, Reading
from sightd.engines.cuda.face_lane import FaceLane
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.lanes import DetectionLanes, FaceLanes, StyleLanes
from sightd.engines.cuda.style_lane import StyleInput, StyleLane
from sightd.engines.device_session import DeviceSession
from sightd.engines.model import Model
from sightd.engines.preprocess import Geometry, prepare
from sightd.engines.session import Session, Tensor


@dataclass(frozen=True, slots=True)
class Engine:
    """What `context.engine(...)` gives a plug-in. Safe to run from several threads at once; the daemon closes it.

    `reason` says in a sentence why this model of the stated preference runs. `gpu` is where the session runs, if its
    pictures can be prepared and its outputs be read there.
    """

    model: Model
    session: Session
    reason: str
    gpu: Gpu | None = None

    def run(self, images: Sequence[NDArray[np.uint8]]) -> tuple[dict[str, Tensor], list[Geometry]]:
        """Runs a batch of BGR uint8 [h, w, 3] pictures of any sizes.

        Gives the network's raw outputs (first axis is the batch) and, for each picture, the geometry that maps
        the network's pixels back to the picture's.
        """
        tensor, geometries = prepare(images, self.model.input)
        return self.session.run({self.model.input.tensor: tensor}), geometries

    def detection_lanes(self, reading: Reading) -> DetectionLanes | None:
        """Detection that leaves pictures, tensors and outputs on the GPU; None where the network runs on the CPU, or
        `reason` says that this cannot be had. The caller closes it, before the engine."""
        gpu, session, model = self.gpu, self.session, self.model
        if gpu is None or not isinstance(session, DeviceSession):
            return None
        return DetectionLanes(lambda: DetectionLane(gpu, session, model, reading))

    def face_lanes(self) -> FaceLanes | None:
        """Crops and embeddings of faces without leaving the GPU; None where `detection_lanes` gives none. Likewise."""
        gpu, session, model = self.gpu, self.session, self.model
        if gpu is None or not isinstance(session, DeviceSession):
            return None
        return FaceLanes(lambda: FaceLane(gpu, session, model))

    def style_lanes(self, style: StyleInput) -> StyleLanes | None:
        """Paintings of frames that lie on the GPU; None where `detection_lanes` gives none. Likewise."""
        gpu, session, model = self.gpu, self.session, self.model
        if gpu is None or not isinstance(session, DeviceSession):
            return None
        return StyleLanes(lambda: StyleLane(gpu, session, model, style))

    def close(self) -> None:
        self.session.close()
