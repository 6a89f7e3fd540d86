"""What snapshots of events cost: the thread that analyses, and the one that draws and writes them."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from sightd.daemon.config.model import Render
from sightd.daemon.snapshots.drawing import Scene, SnapshotDrawing
from sightd.plugins.api import Frame, Image, Phase, Results, Tracks
from tests.daemon.snapshots.site import START, Site, event

SIZES = ((1280, 720), (1920, 1080), (3840, 2160))
_TRACKS = 10
_OPEN = 20
"""Events that have begun and not ended, all of tracks that are in the picture."""


def tracks(size: tuple[int, int]) -> Tracks:
    """Returns people of different sizes all over the frame."""
    random = np.random.default_rng(1)
    corners = random.uniform(0, 0.8, (_TRACKS, 2)) * size
    boxes = np.hstack([corners, corners + random.uniform(0.05, 0.2, (_TRACKS, 2)) * size]).astype(np.float32)
    scores = np.full(_TRACKS, 0.8, np.float32)
    rows = np.arange(_TRACKS)
    speeds = np.zeros((_TRACKS, 2), np.float32)
    return Tracks(boxes, scores, np.zeros(_TRACKS, np.int64), rows + 1, scores, speeds, rows, ("person",))


def spent(call: Callable[[], object]) -> float:
    """Returns the CPU seconds of this thread."""
    began = time.thread_time()
    call()
    return time.thread_time() - began


def analysed(image: Image, found: Results) -> dict[str, float]:
    """Returns the µs that the analysing thread spends on a frame without and with open events, and on an event."""
    size = (image.shape[1], image.shape[0])
    costs: dict[str, list[float]] = {"frame": [], "open": [], "event": []}
    with tempfile.TemporaryDirectory() as folder, Site(Path(folder), render=Render()).start() as site:
        for number in range(600):
            happens = 200 <= number < 200 + 10 * _OPEN and number % 10 == 0
            at = number / 15
            frame = Frame.of(image, camera="gate", seq=number, captured_at=at, wall_time=START + number / 10)
            assert (frame.width, frame.height) == size

            def step(frame: Frame = frame, number: int = number, happens: bool = happens) -> None:
                with site.camera.of_frame(frame, found, {Tracks}, events=happens):
                    if happens:
                        site.recorded(event(number, "zone.entered", Phase.BEGAN))

            kind = "event" if happens else "frame" if number < 200 else "open" if number >= 400 else None
            seconds = spent(step)
            if kind is not None:
                costs[kind].append(seconds)
            if happens:
                time.sleep(0.15)  # the other thread draws
    return {name: 1e6 * statistics.median(values) for name, values in costs.items()}


def drawn(image: Image, found: Results, repeats: int) -> tuple[float, float, int]:
    """Returns the ms of drawing and encoding both pictures, those of merely encoding the image twice, and the bytes."""
    with tempfile.TemporaryDirectory() as folder, Site(Path(folder)) as site:
        drawing = SnapshotDrawing("Gate", Render(), None, site.writer.options, site.pipeline)
        scene = Scene(Frame.of(image, camera="gate", wall_time=START), found, fps=25.0)
        ours, bare = [], []
        quality = (cv2.IMWRITE_JPEG_QUALITY, site.writer.options.quality)
        for _ in range(repeats):
            ours.append(spent(lambda: drawing.jpegs(scene)))
            bare.append(spent(lambda: [cv2.imencode(".jpg", image, quality) for _ in range(2)]))
        size = sum(map(len, drawing.jpegs(scene)))
    return 1e3 * statistics.median(ours), 1e3 * statistics.median(bare), size


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.snapshots", description=__doc__)
    parser.add_argument("image", type=Path, help="a photograph, which is scaled to the sizes")
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    photograph = cv2.imread(str(args.image))
    if photograph is None:
        raise SystemExit(f"{args.image} is no image")
    print("analysing thread, µs: a frame, with 20 open events, an event | writer, ms: both pictures, bare JPEG twice")
    for size in SIZES:
        image = np.asarray(cv2.resize(photograph, size), np.uint8)
        found = Results(tracks(size))
        costs, (ours, bare, bytes_) = analysed(image, found), drawn(image, found, args.repeats)
        figures = " ".join(f"{costs[name]:6.0f}" for name in ("frame", "open", "event"))
        print(f"{size[0]}x{size[1]} {figures} | {ours:6.1f} {bare:6.1f} = {ours / bare:.2f}, {bytes_ / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
