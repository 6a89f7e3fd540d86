"""Measures which share of faces of each size is found, and at what cost: `python -m bench.face_search`."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from bench.turned_faces import pictures
from sightd.daemon.common.progress import ProgressBar
from sightd.daemon.config.model import Engines, Models
from sightd.daemon.pipeline.model_loading import engine_loading
from sightd.engines.files import cache_directory
from sightd.engines.geometry import iou
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.samples import SampleStore
from sightd.engines.progress import silent
from sightd.plugins.api import FloatArray, Frame, Image
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.detector import DetectedFaces, FaceDetector, Plan, Search, face_detector_for, sure
from sightd.plugins.face.plugin import search_of
from sightd.plugins.face.search import FaceSearch
from sightd.plugins.images.still import read_still

SIZES = (10, 14, 20, 28, 40, 80)
"""Heights of faces in pixels."""
FRAMES = {"photograph 1024x768": (1024, 768), "video 1920x1080": (1920, 1080)}
LEAST_GAIN = 1.3
"""How many times as many faces of 20 to 40 pixels close-ups must find as the scaled-down frame does."""
_BACKGROUNDS = ("coffee.png", "motorcycle_left.png", "chelsea.png")
_SAME = 0.4
_SECONDS = 2.0
"""Length of the video: a still scene, so that every part had its turn."""
_RATE = 10


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A frame with faces of one size; boxes xyxy float32 [n, 4] px."""

    size: int
    image: Image
    boxes: FloatArray


@dataclass(frozen=True, slots=True)
class Figure:
    """`found` of `faces` faces of `size` pixels; detections that are no face; mean inputs and CPU seconds per frame."""

    frame: str
    way: str
    size: int
    faces: int
    found: int
    false: int
    inputs: float
    seconds: float


def scenes(
    people: Sequence[tuple[Image, FloatArray]], backgrounds: Sequence[Image], size: int, frame: tuple[int, int]
) -> Iterator[Scene]:
    """Yields one frame for each background, with all photographs scaled so that their faces are `size` pixels high, at
    random places."""
    random = np.random.default_rng(size)
    for background in backgrounds:
        image = np.asarray(cv2.resize(background, frame, interpolation=cv2.INTER_LINEAR), np.uint8)
        taken = np.zeros((0, 4), np.float32)
        boxes = [np.zeros((0, 4), np.float32)]
        for photo, faces in people:
            scale = size / float(np.median(faces[:, 3] - faces[:, 1]))
            small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            height, width = small.shape[:2]
            for _ in range(200):
                if width >= frame[0] or height >= frame[1]:
                    break
                left, top = int(random.integers(frame[0] - width)), int(random.integers(frame[1] - height))
                place = np.array([[left, top, left + width, top + height]], np.float32)
                if not len(taken) or iou(place, taken).max() == 0:
                    image[top : top + height, left : left + width] = small
                    taken = np.concatenate((taken, place))
                    boxes.append(faces * np.float32(scale) + np.tile(place[0, :2], 2))
                    break
        yield Scene(size, image, np.concatenate(boxes))


def matched(found: FloatArray, truth: FloatArray) -> tuple[int, int]:
    """Returns how many faces were found, and how many boxes show none."""
    if not len(found) or not len(truth):
        return 0, len(found)
    same = iou(truth.astype(np.float64), found.astype(np.float64)) >= _SAME
    return int(same.any(axis=1).sum()), int((~same.any(axis=0)).sum())


class _Counting:
    """Counts the inputs of a detector."""

    def __init__(self, face_detector: FaceDetector) -> None:
        self._face_detector, self.inputs = face_detector, 0

    def find(self, frames: Sequence[Frame], plans: Sequence[Plan]) -> list[DetectedFaces]:
        self.inputs += sum(len(plan.views) + len(plan.sheets) for plan in plans)
        return self._face_detector.find(frames, plans)

    def find_within(self, images: Sequence[Image]) -> list[DetectedFaces]:
        return self._face_detector.find_within(images)

    def close(self) -> None:
        self._face_detector.close()


class Runs:
    """Searches a scene as the plug-in does: a photograph once, a video for two seconds, of which the last frame
    counts."""

    def __init__(self, face_detector: FaceDetector, search: Search) -> None:
        """`face_detector` returns doubtful faces, too."""
        self._face_detector, self._search = face_detector, search
        self._sure = replace(search, min_score=search.sure_score)

    def __call__(self, scene: Scene, *, still: bool) -> tuple[FloatArray, float, float]:
        """Returns the boxes found, and inputs and CPU seconds per frame."""
        counted, boxes = _Counting(self._face_detector), np.zeros((0, 4), np.float32)
        search = FaceSearch(counted, self._search)
        frames = 1 if still else int(_SECONDS * _RATE)
        begun = time.process_time()
        for n in range(frames):
            frame = Frame.of(scene.image, captured_at=n / _RATE, still=still)
            (found,) = search.find([frame], [None], [boxes])
            boxes = found.boxes[sure(found, self._sure)]
        return boxes, counted.inputs / frames, (time.process_time() - begun) / frames


def measure(runs: Runs, of_size: Sequence[Scene], name: str, way: str) -> Figure:
    still = name.startswith("photo")
    results = [(*matched(boxes, scene.boxes), inputs, seconds) for scene in of_size
               for boxes, inputs, seconds in [runs(scene, still=still)]]  # fmt: skip
    found, false, inputs, seconds = (float(sum(column)) for column in zip(*results, strict=True))
    faces = sum(len(scene.boxes) for scene in of_size)
    count = len(of_size)
    return Figure(name, way, of_size[0].size, faces, int(found), int(false), inputs / count, seconds / count)


def gain(figures: Sequence[Figure], name: str) -> float:
    """Returns how many times as many faces of 20 to 40 pixels are found with close-ups as without."""
    found = {
        way: sum(one.found for one in figures if one.frame == name and one.way == way and 20 <= one.size <= 40)
        for way in ("frame", "close-ups")
    }
    return found["close-ups"] / max(found["frame"], 1)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if close-ups find as many more faces as they should, else 1."""
    parser = argparse.ArgumentParser(prog="bench.face_search", description=__doc__)
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="more photographs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    with ProgressBar() as progress:
        detector = engine_loading(Models(), Engines(), progress)(["yunet"], 1, FaceConfig())
    search = replace(search_of(FaceConfig()), min_score=0.3)
    face_detector = face_detector_for(detector, search)
    ways = {"frame": replace(search, close_ups=0), "close-ups": search}
    photos = face_detector_for(detector, Search())
    people = [(image, boxes) for _, image in pictures(args.photos) if len(boxes := _faces(photos, image))]
    store, fetcher = SampleStore(cache_directory(os.environ) / "samples"), Fetcher(silent, default_mirror(os.environ))
    backgrounds = [read_still(store.ensure(name, fetcher)) for name in _BACKGROUNDS]
    figures = []
    print(f"{'':>20} {'face':>6} {'faces':>6}   {'frame':^30}   {'close-ups':^30}")
    for name, frame in FRAMES.items():
        for size in SIZES:
            of_size = list(scenes(people, backgrounds, size, frame))
            rows = [measure(Runs(face_detector, ways[way]), of_size, name, way) for way in ways]
            figures += rows
            print(f"{name:>20} {size:>3} px {rows[0].faces:>6}   {'   '.join(map(_cells, rows))}")
    gains = {name: gain(figures, name) for name in FRAMES}
    for name, factor in gains.items():
        print(f"{name}: {factor:.2f} times as many faces of 20 to 40 px, at least {LEAST_GAIN}")
    if args.json:
        args.json.write_text(json.dumps([asdict(one) for one in figures], indent=1))
    return 0 if min(gains.values()) >= LEAST_GAIN else 1


def _faces(face_detector: FaceDetector, image: Image) -> FloatArray:
    (found,) = face_detector.find([frame := Frame.of(image, still=True)], [Plan.whole(frame)])
    return found.boxes


def _cells(one: Figure) -> str:
    return f"{one.found / one.faces:>4.0%} {one.false:>3} false {one.inputs:>3.1f} inputs {1e3 * one.seconds:>4.0f} ms"


if __name__ == "__main__":
    raise SystemExit(main())
