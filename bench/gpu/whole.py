"""The whole path from images on the host to boxes, compared to the bare model and to decoding on the CPU."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.gpu.desk import Desk, Image
from bench.gpu.row import Row, not_run, within
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.launch.detect import Detect
from sightd.engines.cuda.launch.heads import DeviceTensor
from sightd.engines.cuda.launch.preprocess import Preprocess
from sightd.engines.cuda.pipelines.detection import LARGEST_BATCH, HeadParameters
from sightd.engines.geometry import iou
from sightd.engines.session import DeviceSession
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import Detections, Frame
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.heads.registry import head_of
from sightd.plugins.detector.plugin import DeviceObjectDetector, HostObjectDetector, object_detector_for
from sightd.plugins.detector.selection import Selection

_TURNS = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """An engine whose session runs on `gpu`, and images to show it; `seconds` is the length of a window."""

    gpu: Gpu
    engine: Engine
    session: DeviceSession
    pictures: Sequence[Image]
    seconds: float

    @property
    def batch(self) -> int:
        return min(self.session.largest_batch, LARGEST_BATCH)

    def batch_of_pictures(self) -> list[Image]:
        return [self.pictures[i % len(self.pictures)] for i in range(self.batch)]


def rows(subject: Subject) -> list[Row]:
    backend = subject.session.backend
    name = f"{subject.engine.model.name} on {backend.name} {backend.precision}"
    return [*_agreement(subject, name), *_throughput(subject, name), *_stages(subject, name)]


def _agreement(subject: Subject, name: str) -> list[Row]:
    """Compares boxes decoded on the device and on the CPU from the same session, so its precision does not matter."""
    what = f"{name}: boxes of GPU and CPU path"
    model = subject.engine.model
    selection = Selection(DetectorConfig(min_score=0.1), model.labels)
    host = HostObjectDetector(subject.engine, head_of(model), selection)
    device = object_detector_for(subject.engine, head_of(model), selection)
    if not isinstance(device, DeviceObjectDetector):
        return [not_run(what, subject.engine.reason)]
    frames = [Frame.of(picture) for picture in subject.pictures]
    try:
        pairs = list(zip(device.find(frames), host.find(frames), strict=True))
    finally:
        device.close()
    overlaps = np.concatenate([_best(*pair) for pair in pairs] + [_best(other, one) for one, other in pairs])
    if not len(overlaps):
        return [not_run(what, "nothing is found on the pictures: give others with --pictures")]
    least, mean = float(overlaps.min()), float(overlaps.mean())
    figure = f"overlap {least:.3f} at the least, {mean:.4f} in the mean, {len(overlaps) // 2} boxes"
    return [within(what, figure, "0.90 at the least, 0.99 in the mean", least >= 0.9 and mean >= 0.99)]


def _best(of: Detections, among: Detections) -> np.ndarray:
    """Returns, for each box clearly above the minimum score, the IoU of the nearest box of the same class."""
    clear = of.select(of.scores >= 0.12)
    if not len(among):
        return np.zeros(len(clear))
    overlaps = iou(clear.boxes, among.boxes)
    overlaps[clear.class_ids[:, None] != among.class_ids] = 0
    best: np.ndarray = overlaps.max(axis=1)
    return best


def _throughput(subject: Subject, name: str) -> list[Row]:
    """Measures the GPU pipeline and the bare model alternately; the ratio of the medians counts."""
    found = []
    for threads in (1, 2):
        bare, pipeline = [], []
        for _ in range(_TURNS):
            bare.append(_bare_rate(subject))
            pipeline.append(_pipeline_rate(subject, threads))
        share = float(np.median(pipeline) / np.median(bare))
        figure = f"{np.median(pipeline):.0f} of {np.median(bare):.0f} pictures/s, {100 * share:.0f} %"
        what = f"{name}: lane with {threads} thread{'s'[: threads - 1]} beside the bare network, batch {subject.batch}"
        found.append(within(what, figure, "90 %", share >= 0.9) if threads == 2 else Row(what, figure))
    return found


def _bare_rate(subject: Subject) -> float:
    """Returns images per second of model runs only, on a tensor that is already on the device."""
    with Desk(subject.gpu) as desk:
        spec = subject.engine.model.input
        dtype = subject.session.inputs[spec.tensor].dtype
        tensor = desk.put(np.zeros((subject.batch, 3, spec.height, spec.width), dtype))

        def run() -> None:
            with subject.session.run_device({spec.tensor: tensor}, subject.batch, desk.stream):
                pass
            desk.stream.synchronize()

        return subject.batch * _rate(run, subject.seconds)


def _pipeline_rate(subject: Subject, threads: int) -> float:
    """Returns images per second from the host to boxes on the host."""
    labels = subject.engine.model.labels
    selection = Selection(DetectorConfig(), labels)
    pipelines = subject.engine.detection_pipelines(HeadParameters(selection.min_score, selection.choice))
    if pipelines is None:
        raise AssertionError("the agreement came first and found pipelines")
    rates: list[float] = []
    images = subject.batch_of_pictures()
    workers = [
        threading.Thread(
            target=lambda: rates.append(_rate(lambda: pipelines.find(images), subject.seconds)), name=f"bench-{n}"
        )
        for n in range(threads)
    ]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        pipelines.close()
    return subject.batch * sum(rates)


def _rate(run: Callable[[], object], seconds: float) -> float:
    """Returns calls per second; the first call is a warm-up and not counted."""
    run()
    begin, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - begin) < seconds or not count:
        run()
        count += 1
    return count / elapsed if elapsed else float(count)


def _stages(subject: Subject, name: str) -> list[Row]:
    """Measures each stage separately with a synchronisation, so launch costs are included."""
    model, batch = subject.engine.model, subject.batch
    spec, selection = model.input, Selection(DetectorConfig(), model.labels)
    dtype = subject.session.inputs[spec.tensor].dtype
    with Desk(subject.gpu) as desk:
        pictures = [desk.bgr(image)[0] for image in subject.batch_of_pictures()]
        tensor = desk.take(batch * 3 * spec.width * spec.height * dtype.itemsize)
        before = Preprocess(desk.device, desk.kernels, spec, batch, dtype)
        desk.callback(before.close)
        after = Detect(desk.device, desk.kernels, model.head, spec, selection.min_score, selection.choice, batch)
        desk.callback(after.close)
        spent: list[tuple[float, float, float]] = []
        for _ in range(20):
            marks = [time.perf_counter()]
            geometries = before.launch(pictures, tensor, desk.stream)
            desk.stream.synchronize()
            marks.append(time.perf_counter())
            with subject.session.run_device({spec.tensor: tensor}, batch, desk.stream) as run:
                desk.stream.synchronize()
                marks.append(time.perf_counter())
                after.run(
                    {n: DeviceTensor(t.buffer.address, t.shape, t.dtype) for n, t in run.outputs.items()},
                    geometries,
                    desk.stream,
                )
            marks.append(time.perf_counter())
            spent.append((marks[1] - marks[0], marks[2] - marks[1], marks[3] - marks[2]))
    pre, network, post = (1000 * float(np.median(part)) for part in zip(*spent[2:], strict=True))
    share = (pre + post) / network
    figure = f"{pre:.2f} + {post:.2f} ms beside {network:.2f} ms, {100 * share:.0f} %"
    return [within(f"{name}: before and after the network, batch {batch}", figure, "10 %", share <= 0.1)]
