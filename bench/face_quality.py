"""Measures which names the quality gate costs and which strangers it keeps out: `python -m bench.face_quality`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.turned_faces import Face, faces_of, pictures, turned
from sightd.daemon.common.progress import ProgressBar
from sightd.daemon.config.model import Engines, Models
from sightd.daemon.pipeline.model_loading import engine_loading
from sightd.plugins.api import FloatArray, Frame, Image
from sightd.plugins.face.analyser import FaceAnalyser
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.detector import DetectedFaces, FaceDetector, Plan, Search, face_detector_for
from sightd.plugins.face.embedder import FaceEmbedder, face_embedder_for
from sightd.plugins.face.gallery.enrol import MIN_QUALITY
from sightd.plugins.face.matching.calibration import calibration_of
from sightd.plugins.face.quality import quality_of
from sightd.plugins.face.upright import upright

LOST = 0.1
"""Share of the names that similarity would give and that the gate may cost."""
_EYES = 35.0
"""Distance of the eyes in an aligned face; blurs are in its pixels."""
_CANVAS = 320

Change = Callable[[Image, FloatArray], Image]
"""Takes a scene and the five landmarks of the face in its middle, float32 [5, 2]."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A changed face: whose it is, its embedding and its quality."""

    person: str
    embedding: FloatArray
    quality: float


@dataclass(frozen=True, slots=True)
class Figure:
    """Of `faces` changed in one way, `looks` were found; `named` reach the threshold with their own photograph, and of
    these `kept` pass the gate. `strangers` reach it with somebody else's, `admitted` of them pass the gate. `alike`:
    share of pairs of different people, both changed, that reach the threshold of a single comparison: as if one were
    enrolled; `enrolled` counts those good enough for that."""

    change: str
    faces: int
    looks: int
    named: int
    kept: int
    strangers: int
    admitted: int
    alike: float
    enrolled: int


def _eyes(landmarks: FloatArray) -> float:
    return float(np.linalg.norm(landmarks[0] - landmarks[1]))


def smaller(eyes: float) -> Change:
    """Shrinks the scene until the eyes are `eyes` pixels apart."""

    def change(scene: Image, landmarks: FloatArray) -> Image:
        factor = min(1.0, eyes / _eyes(landmarks), _CANVAS / max(scene.shape[:2]))
        small = cv2.resize(scene, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        canvas = np.full((_CANVAS, _CANVAS, 3), 114, np.uint8)
        top, left = (_CANVAS - small.shape[0]) // 2, (_CANVAS - small.shape[1]) // 2
        canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
        return canvas

    return change


def blurred(pixels: float) -> Change:
    return lambda scene, landmarks: np.asarray(
        cv2.GaussianBlur(scene, (0, 0), pixels * _eyes(landmarks) / _EYES), np.uint8
    )


def darker(gain: float) -> Change:
    """Scales brightness and adds noise of five grey levels."""

    def change(scene: Image, _: FloatArray) -> Image:
        noise = np.random.default_rng(0).normal(0, 5, scene.shape)
        return np.clip(scene * gain + noise, 0, 255).astype(np.uint8)

    return change


def rolled(degrees: float) -> Change:
    return lambda scene, _: turned(scene, degrees)


def masked(colour: tuple[int, int, int]) -> Change:
    """Covers nose and mouth."""

    def change(scene: Image, landmarks: FloatArray) -> Image:
        right, left, nose, *mouth = landmarks
        across, down = left - right, (mouth[0] + mouth[1]) / 2 - (right + left) / 2
        outline = [(-0.75, -0.05), (0, -0.15), (0.75, -0.05), (0.7, 0.6), (0, 1.15), (-0.7, 0.6)]
        corners = np.array([nose + x * across + y * down for x, y in outline]).astype(np.int32)
        return np.asarray(cv2.fillPoly(scene.copy(), [corners], colour), np.uint8)

    return change


CHANGES: Mapping[str, Change] = {
    **{f"eyes {eyes} px": smaller(eyes) for eyes in (7, 8, 10, 12, 16, 20, 30)},
    **{f"blur {pixels} px": blurred(pixels) for pixels in (1, 2, 3, 4, 5)},
    **{f"light {gain}": darker(gain) for gain in (0.5, 0.25, 0.12)},
    **{f"roll {degrees}": rolled(degrees) for degrees in (0, 10, 20, 30, 45, 60, 90, 135, 180)},
    "mask blue": masked((220, 180, 120)),
    "mask black": masked((30, 30, 30)),
}


def probes(
    face_detector: FaceDetector, face_embedder: FaceEmbedder, faces: Sequence[Face], change: Change
) -> Iterator[Probe]:
    """Yields each face that is still found after the change."""
    for face in faces:
        if (before := _in_middle(face_detector, Frame.of(face.scene))) is None:
            continue
        frame = Frame.of(np.ascontiguousarray(change(face.scene, before[1])))
        if (after := _in_middle(face_detector, frame)) is None:
            continue
        up = upright(face_detector, frame, after[0], [True])
        read = face_embedder.read([(frame, up.landmarks[0])], [True])
        yield Probe(face.person, read.embeddings[0], float(quality_of(read.crops, up).totals[0]))


def measure(change: str, faces: Sequence[Face], seen: Sequence[Probe], thresholds: tuple[float, float],
            min_quality: float) -> Figure:  # fmt: skip
    """`thresholds` of a comparison with all faces, and with a single one."""
    persons = np.array([face.person for face in faces])
    theirs = np.array([probe.person for probe in seen])
    gallery = np.array([face.embedding for face in faces])
    looks = np.array([probe.embedding for probe in seen]).reshape(-1, gallery.shape[1])
    good = np.array([probe.quality for probe in seen])
    own = theirs[:, None] == persons
    cosines = looks @ gallery.T
    named = np.where(own, cosines, -1).max(axis=1, initial=-1) >= thresholds[0]
    strange = np.where(own, -1, cosines).max(axis=1, initial=-1) >= thresholds[0]
    passed = good >= min_quality
    fit = good >= MIN_QUALITY
    pairs = np.triu(theirs[fit][:, None] != theirs[fit], 1)
    alike = (looks[fit] @ looks[fit].T)[pairs] >= thresholds[1]
    return Figure(
        change, len(faces), len(seen), int(named.sum()), int((named & passed).sum()), int(strange.sum()),
        int((strange & passed).sum()), float(alike.mean()) if len(alike) else 0.0, int(fit.sum()),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if the gate costs few enough names, else 1."""
    parser = argparse.ArgumentParser(prog="bench.face_quality", description=__doc__)
    parser.add_argument(
        "--photos", type=Path, metavar="FOLDER", help="more photographs; a folder in it holds one person's"
    )
    parser.add_argument(
        "--min-quality", type=float, default=FaceConfig().min_quality, help="the gate (default: that of the plug-in)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    calibration = calibration_of("sface")
    assert calibration is not None
    with ProgressBar() as progress:
        load = engine_loading(Models(), Engines(), progress)
        detector, recogniser = load(["yunet"], 1, FaceConfig()), load(["sface"], 1, FaceConfig())
    face_detector = face_detector_for(detector, Search(min_size=0, min_score=0.3))
    face_embedder = face_embedder_for(recogniser)
    photos = FaceAnalyser(face_detector_for(detector, Search()), face_embedder)
    faces = faces_of(photos, list(pictures(args.photos)))
    persons = len({face.person for face in faces})
    thresholds = calibration.threshold(1e-3, persons, len(faces)), calibration.threshold(1e-3, 1, 1)
    print(
        f"{len(faces)} faces of {persons} persons; threshold {thresholds[0]:.2f}; quality at least {args.min_quality:g}"
    )
    print(
        f"{'':>12} {'found':>7} {'own name':>9} {'after gate':>11} {'stranger':>9} {'after gate':>11} "
        f"{'enrollable':>11} {'alike':>6}"
    )
    figures = []
    for name, change in CHANGES.items():
        seen = list(probes(face_detector, face_embedder, faces, change))
        one = measure(name, faces, seen, thresholds, args.min_quality)
        figures.append(one)
        print(
            f"{name:>12} {one.looks:>7} {one.named:>9} {one.kept:>11} {one.strangers:>9} {one.admitted:>11} "
            f"{one.enrolled:>11} {one.alike:>6.2%}"
        )
    named, kept = sum(one.named for one in figures), sum(one.kept for one in figures)
    print(f"the gate costs {1 - kept / max(named, 1):.1%} of the names, at most {LOST:.0%}")
    if args.json:
        args.json.write_text(json.dumps([asdict(one) for one in figures], indent=1))
    return 0 if named - kept <= LOST * named else 1


def _in_middle(face_detector: FaceDetector, frame: Frame) -> tuple[DetectedFaces, FloatArray] | None:
    """Returns the face in the middle of an image, and its landmarks."""
    (found,) = face_detector.find([frame], [Plan.whole(frame)])
    middle = np.array((frame.width, frame.height), np.float32) / 2
    away = np.abs((found.boxes[:, :2] + found.boxes[:, 2:]) / 2 - middle).max(axis=1, initial=0)
    if not len(found) or away.min() > frame.height / 8:
        return None
    one = found.select(np.arange(len(found)) == away.argmin())
    return one, one.landmarks[0]


if __name__ == "__main__":
    raise SystemExit(main())
