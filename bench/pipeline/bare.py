"""The bare stages in one plain loop over a file: the cost of the daemon's work without a daemon.

Runs in its own process (`python -m bench.pipeline.bare FILE …`) and prints one JSON object with the CPU ms of each
stage.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import av
import cv2
import numpy as np

from bench.pipeline.drawing import draw
from bench.pipeline.weigh import PER_STAGE
from sightd.daemon.capture.picture import to_bgr
from sightd.daemon.config.model import Engines, Models, Output
from sightd.daemon.encode.encoder import H264Encoder
from sightd.daemon.pipeline.model_loading import engine_loading
from sightd.engines.preprocess import prepare
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import Detections, Image, PluginConfig
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.heads.registry import head_of
from sightd.plugins.detector.selection import Selection

_WARM_UP = 25
T = TypeVar("T")


class Stopwatch:
    """Measures CPU time of this process, over all threads, by stage."""

    def __init__(self) -> None:
        self._used: dict[str, float] = defaultdict(float)
        self._times: dict[str, int] = defaultdict(int)

    def time(self, stage: str, call: Callable[[], T]) -> T:
        begun = time.process_time()
        result = call()
        self._used[stage] += time.process_time() - begun
        self._times[stage] += 1
        return result

    def reset(self) -> None:
        self._used.clear()
        self._times.clear()

    def means(self) -> dict[str, float]:
        """Returns the mean CPU ms per call of each stage."""
        return {stage: 1000 * self._used[stage] / max(1, self._times[stage]) for stage in PER_STAGE}


class Loop:
    """Decodes, converts, analyses a share of the frames, draws and encodes, one after another."""

    def __init__(self, engine: Engine, analysed_share: float) -> None:
        self._engine = engine
        self._head = head_of(engine.model)
        self._selection = Selection(DetectorConfig(), engine.model.labels)
        self._share, self._due = analysed_share, 1.0
        self._found = Detections.none()
        self._encoder: H264Encoder | None = None
        self.watch = Stopwatch()

    def picture(self, packet: av.Packet[av.VideoStream], number: int) -> None:
        time = self.watch.time
        for frame in time("decode", packet.decode):
            image = time("to BGR", lambda frame=frame: to_bgr(frame))  # type: ignore[misc]
            self._due += self._share
            if self._due >= 1:
                self._due -= 1
                self._analyse(image)
            time("draw", lambda image=image: draw(image, self._found))  # type: ignore[misc]
            time("x264", lambda image=image: self._encode(image, number / 25))  # type: ignore[misc]

    def _analyse(self, image: Image) -> None:
        model, time = self._engine.model, self.watch.time
        tensor, geometries = time("pre-process", lambda: prepare([image], model.input))
        outputs = time("network", lambda: self._engine.session.run({model.input.tensor: tensor}))
        self._found = time(
            "decode boxes, NMS",
            lambda: self._selection.detections(
                self._head(outputs, model.input, self._selection.min_score)[0], geometries[0]
            ),
        )

    def _encode(self, image: Image, captured_at: float) -> None:
        if self._encoder is None:
            self._encoder = H264Encoder(image.shape[1], image.shape[0], 25, Output())
        self._encoder.encode(np.asarray(image), captured_at)


def packets(path: Path) -> Iterator[av.Packet[av.VideoStream]]:
    """Yields the packets of the file in an endless loop; its decoder uses no threads."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        while True:
            yield from (packet for packet in container.demux(stream) if packet.dts is not None)
            container.seek(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("film", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--share", type=float, default=1.0, help="share of the pictures that are analysed")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of the network")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    loop = Loop(engine_loading(Models(fetch=False), Engines())([args.model], args.threads, PluginConfig()), args.share)
    end = float("inf")
    for number, packet in zip(itertools.count(), packets(args.film), strict=False):
        if number == _WARM_UP:
            loop.watch.reset()
            end = time.monotonic() + args.seconds
        if time.monotonic() >= end:
            break
        loop.picture(packet, number)
    print(json.dumps(loop.watch.means()))


if __name__ == "__main__":
    main()
