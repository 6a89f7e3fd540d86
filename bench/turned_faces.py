"""Measures wrong and right names of rotated faces, compared to upright ones: `python -m bench.turned_faces`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from sightd.daemon.common.progress import ProgressBar
from sightd.daemon.config.model import Engines, Models
from sightd.daemon.pipeline.model_loading import engine_loading
from sightd.engines.files import cache_directory
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.samples import SampleStore
from sightd.engines.progress import silent
from sightd.plugins.api import FloatArray, Frame, Image
from sightd.plugins.face.analyser import FaceAnalyser
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.detector import FaceDetector, Plan, Search, face_detector_for
from sightd.plugins.face.embedder import FaceEmbedder, face_embedder_for
from sightd.plugins.face.matching.calibration import calibration_of
from sightd.plugins.face.matching.matcher import DIMENSIONS
from sightd.plugins.face.quality import quality_of
from sightd.plugins.face.upright import UprightFaces, upright
from sightd.plugins.images.still import StillError, read_still

ANGLES = (0, 15, 30, 45, 60, 90, 135, 180, 225, 270, 315)
COST = 1.05
_SAMPLES = {
    "obama": ("obama.jpg", "obama2.jpg", "obama3.jpg"), "biden": ("biden.jpg",), "astronaut": ("astronaut.png",),
    "single": ("single_face.jpg",), "": ("multi_face.jpg",),
}  # fmt: skip
_LONGEST = 1200
_SCENE = 480
_AROUND = 4.0
"""Side of the rotated scene, as a multiple of the face's box."""
_GOOD = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in an upright image: whose it is, a scene with it in the centre (BGR), and its embedding float32 [d]."""

    person: str
    scene: Image
    embedding: FloatArray


@dataclass(frozen=True, slots=True)
class Figure:
    """Results for faces rotated by `angle` degrees: how many gave an embedding, the fraction recognised by their own
    upright embedding, and how many pairs of different people reach the threshold, with upright faces and with each
    other."""

    angle: int
    faces: int
    looks: int
    recognised: float
    false_upright: int
    pairs_upright: int
    false_turned: int
    pairs_turned: int


def faces_of(analyser: FaceAnalyser, pictures: Sequence[tuple[str, Image]]) -> list[Face]:
    """Returns all faces of good quality; each face of a group picture counts as a separate person."""
    faces = []
    for number, (person, image) in enumerate(pictures):
        (looks,) = analyser.looks([Frame.of(image)])
        for row in np.flatnonzero(looks.quality.totals >= _GOOD).tolist():
            name = person if person and len(looks) == 1 else f"{number}.{row}"
            faces.append(Face(name, _scene(image, looks.boxes[row]), looks.embeddings[row]))
    return faces


def turned(scene: Image, angle: float) -> Image:
    way = cv2.getRotationMatrix2D((_SCENE / 2, _SCENE / 2), -angle, 1)
    return np.asarray(cv2.warpAffine(scene, way, (_SCENE, _SCENE), borderValue=(114, 114, 114)), np.uint8)


def measure(
    looks_at: Callable[[Image], FloatArray | None], faces: Sequence[Face], angle: int, threshold: float
) -> Figure:
    """Measures faces rotated by `angle` degrees. `looks_at` returns the embedding of the face in the centre of a scene,
    None if there is no usable one."""
    found = [(face, looks_at(turned(face.scene, angle))) for face in faces]
    seen = [(face, embedding) for face, embedding in found if embedding is not None]
    probes = np.array([embedding for _, embedding in seen], np.float32).reshape(-1, DIMENSIONS)
    theirs = np.array([face.person for face, _ in seen])
    enrolled, names = np.array([face.embedding for face in faces]), np.array([face.person for face in faces])
    own = np.array([embedding @ face.embedding for face, embedding in seen])
    upright_pairs = (probes @ enrolled.T)[theirs[:, None] != names] if len(seen) else np.zeros(0)
    turned_pairs = (probes @ probes.T)[theirs[:, None] < theirs]
    return Figure(
        angle, len(faces), len(seen), float(np.mean(own >= threshold)) if len(own) else 0.0,
        int(np.count_nonzero(upright_pairs >= threshold)), len(upright_pairs),
        int(np.count_nonzero(turned_pairs >= threshold)), len(turned_pairs),
    )  # fmt: skip


class LooksAt:
    """Computes the embedding of the face in the centre of a scene; `turns`: rotates it upright first, as the plug-in
    does."""

    def __init__(self, face_detector: FaceDetector, face_embedder: FaceEmbedder, *, turns: bool) -> None:
        self._face_detector, self._face_embedder, self._turns = face_detector, face_embedder, turns

    def __call__(self, scene: Image) -> FloatArray | None:
        frame = Frame.of(scene)
        (found,) = self._face_detector.find([frame], [Plan.whole(frame)])
        middle = np.abs((found.boxes[:, :2] + found.boxes[:, 2:]) / 2 - _SCENE / 2).max(axis=1, initial=0)
        if not len(found) or middle.min() > _SCENE / _AROUND / 2:
            return None
        one = found.select(np.arange(len(found)) == middle.argmin())
        if self._turns:
            faces = upright(self._face_detector, frame, one, [True])
        else:
            faces = UprightFaces(one.landmarks, one.scores, np.ones(1, np.bool_))
        read = self._face_embedder.read([(frame, faces.landmarks[0])], [True])
        embedding: FloatArray = read.embeddings[0]
        return embedding if quality_of(read.crops, faces).totals[0] >= _GOOD else None


def cost(face_detector: FaceDetector, face_embedder: FaceEmbedder, scenes: Sequence[Image], rounds: int = 7) -> float:
    """Returns the CPU time of embedding upright faces with the rotation step, as a multiple of that without. Takes each
    scene's minimum over all rounds, measured alternately."""
    ways = LooksAt(face_detector, face_embedder, turns=True), LooksAt(face_detector, face_embedder, turns=False)
    least = np.full((len(scenes), 2), np.inf)
    for _ in range(rounds):
        for row, scene in enumerate(scenes):
            for column, way in enumerate(ways):
                begun = time.process_time()
                way(scene)
                least[row, column] = min(least[row, column], time.process_time() - begun)
    with_, without = least.sum(axis=0)
    return float(with_ / without)


def _scene(image: Image, box: FloatArray) -> Image:
    """Returns a square scene centred on a box."""
    scale = _SCENE / (float((box[2:] - box[:2]).max()) * _AROUND)
    shift = _SCENE / 2 - scale * (box[:2] + box[2:]) / 2
    way = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(image, way, (_SCENE, _SCENE), flags=how, borderValue=(114, 114, 114)), np.uint8)


def pictures(folder: Path | None) -> Iterator[tuple[str, Image]]:
    """Yields the samples, and the images of a folder; images in a subfolder are of one person, named after it."""
    store, fetcher = SampleStore(cache_directory(os.environ) / "samples"), Fetcher(silent, default_mirror(os.environ))
    files = [(person, store.ensure(name, fetcher)) for person, names in _SAMPLES.items() for name in names]
    if folder is not None:
        files += [("" if file.parent == folder else file.parent.name, file) for file in sorted(folder.rglob("*.*"))]
    for person, file in files:
        try:
            image = read_still(file)
        except StillError as error:
            print(f"bench: left out: {error}", file=sys.stderr)
            continue
        shrunk = min(1.0, _LONGEST / max(image.shape[:2]))
        yield person, np.asarray(cv2.resize(image, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA), np.uint8)


def no_worse(figure: Figure, before: Figure) -> bool:
    """Whether rotated faces get wrong names no more often than upright ones, within three standard errors."""

    def within(false: int, pairs: int, false_before: int, pairs_before: int) -> bool:
        usual = max(false_before / max(pairs_before, 1), 1e-3)
        return false <= usual * pairs + 3 * float(np.sqrt(usual * max(pairs, 1)))

    return within(figure.false_upright, figure.pairs_upright, before.false_upright, before.pairs_upright) and within(
        figure.false_turned, figure.pairs_turned, before.false_turned, before.pairs_turned
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if rotated faces get no more wrong names than upright ones and upright ones cost no more, else 1."""
    parser = argparse.ArgumentParser(prog="bench.turned_faces", description=__doc__)
    parser.add_argument(
        "--photos", type=Path, metavar="FOLDER", help="more pictures; a folder in it holds one person's"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    table, config = calibration_of("sface"), FaceConfig()
    assert table is not None
    threshold = table.threshold(1e-3, 1, 1)
    with ProgressBar() as progress:
        load = engine_loading(Models(), Engines(), progress)
        detector, recogniser = load(["yunet"], 1, config), load(["sface"], 1, config)
    face_detector, face_embedder = face_detector_for(detector, Search()), face_embedder_for(recogniser)
    faces = faces_of(FaceAnalyser(face_detector, face_embedder), list(pictures(args.photos)))
    figures = {
        turns: [
            measure(LooksAt(face_detector, face_embedder, turns=turns), faces, angle, threshold) for angle in ANGLES
        ]
        for turns in (True, False)
    }
    _print(figures, len(faces), len({face.person for face in faces}), threshold)
    sure = [
        face.scene
        for face in faces
        if face_detector.find([frame := Frame.of(face.scene)], [Plan.whole(frame)])[0].scores.max(initial=0) > 0.92
    ]
    ratio = cost(face_detector, face_embedder, sure[:10])
    print(f"upright faces of a video: {ratio:.2f} times the CPU time, at most {COST}")
    kept = all(no_worse(one, figures[True][0]) for one in figures[True]) and ratio <= COST
    print("kept" if kept else "MISSED")
    if args.json:
        args.json.write_text(json.dumps({str(key): [asdict(one) for one in rows] for key, rows in figures.items()}))
    return 0 if kept else 1


def _print(figures: dict[bool, list[Figure]], faces: int, persons: int, threshold: float) -> None:
    print(f"{faces} faces of {persons} persons; pairs of different persons with a cosine of {threshold:.2f} or more")
    print(f"{'':>5}  {'turned upright':^40}  {'as they were found':^40}")
    columns = f"{'looks':>6} {'known':>6} {'false, upright':>13} {'false, turned':>13}"
    print(f"{'angle':>5}  {columns}  {columns}")
    for one, other in zip(figures[True], figures[False], strict=True):
        print(f"{one.angle:>4}°  {_cells(one)}  {_cells(other)}")


def _cells(one: Figure) -> str:
    upright_ones = f"{one.false_upright}/{one.pairs_upright}"
    turned_ones = f"{one.false_turned}/{one.pairs_turned}"
    return f"{one.looks:>6} {one.recognised:>6.0%} {upright_ones:>14} {turned_ones:>13}"


if __name__ == "__main__":
    raise SystemExit(main())
