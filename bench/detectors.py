"""Accuracy of the detector plug-in beside a plain script with the same weights: `python -m bench.detectors`.

Both see the same files: photographs, read by each in its own way, and the same images as films (H.264 without loss, so
YUV 4:2:0 as from a camera), decoded by the daemon's decoder and by `cv2.VideoCapture`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from bench.eyes.measure import OneModel, detector
from bench.plain_detectors import FAMILIES, Array, Plain, PlainDetector, selected
from sightd.daemon.tools.label.coco import read_coco
from sightd.daemon.tools.label.finder import Found
from sightd.daemon.tools.media import Item, frames, sequences
from sightd.daemon.tools.training.detector.evaluation import Evaluation, Truth, evaluate
from sightd.engines.files import cache_directory
from sightd.engines.labels import COCO_LABELS
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.samples import SampleStore
from sightd.engines.models.store import ModelStore
from sightd.engines.progress import silent
from sightd.plugins.api import Detections, Results
from sightd.plugins.detector import Detector

AIM = 0.2
"""Largest difference, in points of AP@[.5:.95]."""
MODELS = ("deimv2-femto", "deimv2-atto", "yolox-nano", "ssd-mobilenet-v2")
SETTINGS = {"as COCO": (0.01, 0.65), "defaults": (0.25, 0.5)}
"""Least score and overlap of suppression: those that accuracy is stated with, and those of the plug-in."""
_FILMS = ("bikes.mp4", "single_face.mp4", "face_noface.mov", "no_face.mp4")
_PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "multi_face.jpg", "obama.jpg", "biden.jpg")
_TEACHERS, _TRUE_SCORE, _LEAST_OBJECTS = ("deimv2-femto", "ssd-mobilenet-v2"), 0.5, 10


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file and its objects: boxes xyxy [n, 4] in its pixels, and indices of `COCO_LABELS` [n]."""

    file: Path
    truth: Truth


@dataclass(frozen=True, slots=True)
class Row:
    """What a model reached on one kind of files with one of `SETTINGS`, by the plug-in and by the plain script."""

    model: str
    kind: str
    setting: str
    product: Evaluation
    plain: Evaluation

    @property
    def difference(self) -> float:
        """Points of AP@[.5:.95] that the product has more."""
        return 100 * (self.product.map50_95 - self.plain.map50_95)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if the product is within `AIM` of the plain script everywhere, else 1."""
    parser = argparse.ArgumentParser(prog="bench.detectors", description=__doc__)
    parser.add_argument("models", nargs="*", help=f"models in the store (default: those of {', '.join(MODELS)})")
    parser.add_argument("--coco", nargs=2, type=Path, metavar=("JSON", "IMAGES"), help="labelled images")
    parser.add_argument("--pictures", type=int, default=240, help="at most so many images (default: %(default)s)")
    args = parser.parse_args(argv)
    cv2.setNumThreads(1)
    stored = _stored(args.models or MODELS)
    with tempfile.TemporaryDirectory() as folder:
        pictures = labelled(*args.coco) if args.coco else taught(samples(Path(folder), args.pictures))
        pictures = pictures[: args.pictures]
        print(f"{len(pictures)} images, {sum(len(picture.truth[1]) for picture in pictures)} objects")
        films = [filmed(picture, Path(folder) / f"{n}.mp4") for n, picture in enumerate(pictures)]
        rows = [row for name in stored for row in compared(name, stored[name], pictures, films)]
    print(f"{'':18} {'':12} {'':9} {'product AP   AP50':>18} {'script AP   AP50':>18}   difference of AP")
    for row in rows:
        figures = [100 * value for one in (row.product, row.plain) for value in (one.map50_95, one.map50)]
        print(
            f"{row.model:18} {row.kind:12} {row.setting:9} {figures[0]:11.2f} {figures[1]:6.2f} {figures[2]:11.2f} "
            f"{figures[3]:6.2f}   {row.difference:+.2f}{'' if abs(row.difference) <= AIM else '  MISSED'}"
        )
    return int(any(abs(row.difference) > AIM for row in rows))


def _stored(names: Sequence[str]) -> dict[str, PlainDetector]:
    """Returns a plain script for each model that is in the store."""
    catalogue, store = Catalog.load(), ModelStore(cache_directory(os.environ) / "models")
    found = {}
    for name in names:
        model = catalogue.get(name)
        file = store.find(model)
        if file is None or model.head not in FAMILIES:
            print(f"{name}: left out, {store.problem(model) or f'no script for head {model.head!r}'}", file=sys.stderr)
            continue
        found[name] = PlainDetector(file, model.head)
    return found


def labelled(document: Path, images: Path) -> list[Picture]:
    """Returns the images of a COCO file; classes are matched by name."""
    data = read_coco(document, images)
    numbers = {name: number for number, name in enumerate(COCO_LABELS)}
    found = []
    for frame in data.frames:
        known = [box for box in frame.boxes if data.labels[box.label] in numbers]
        boxes = np.array([box.xyxy for box in known], np.float32).reshape(-1, 4)
        found.append(Picture(frame.path, (boxes, np.array([numbers[data.labels[b.label]] for b in known], np.int64))))
    return found


def samples(folder: Path, most: int) -> list[Path]:
    """Returns the sample photographs and, as PNG files in `folder`, frames of the sample films."""
    store, fetcher = SampleStore(cache_directory(os.environ) / "samples"), Fetcher(silent, default_mirror(os.environ))
    photographs = [store.ensure(name, fetcher) for name in _PHOTOGRAPHS]
    found = []
    for name in _FILMS:
        images = list(_read_film(store.ensure(name, fetcher)))
        wanted = (most - len(photographs)) // len(_FILMS)
        for number in np.unique(np.linspace(0, len(images) - 1, wanted).astype(int)):
            found.append(folder / f"{Path(name).stem}-{number:05}.png")
            cv2.imwrite(str(found[-1]), images[number])
    return [*photographs, *found]


def taught(files: Sequence[Path]) -> list[Picture]:
    """Labels images without labels: what two plain models find from a score of 0.5 on in their mirror images, so
    that the truth is no output of either side of the comparison."""
    teachers = _stored(_TEACHERS).values()
    found = []
    for file in files:
        image = _read_photograph(file)
        mirrored = np.ascontiguousarray(image[:, ::-1])
        seen = [teacher.read(mirrored) for teacher in teachers]
        every = Plain(*(np.concatenate([getattr(one, part) for one in seen]) for part in Plain.__slots__))
        true = selected(every, _TRUE_SCORE, 0.5)
        boxes = true.boxes.astype(np.float32)
        boxes[:, [0, 2]] = image.shape[1] - boxes[:, [2, 0]]
        found.append(Picture(file, (boxes, true.classes.astype(np.int64))))
    return without_rare(found, _LEAST_OBJECTS)


def without_rare(pictures: Sequence[Picture], least: int) -> list[Picture]:
    """Leaves out objects of classes that have fewer than `least`: each class counts the same for the mean, so one box
    more or less of a rare one would move it further than what is measured."""
    counts = np.bincount(np.concatenate([picture.truth[1] for picture in pictures]), minlength=len(COCO_LABELS))
    found = []
    for picture in pictures:
        boxes, classes = picture.truth
        common = counts[classes] >= least
        found.append(Picture(picture.file, (boxes[common], classes[common])))
    return found


def filmed(picture: Picture, path: Path) -> Picture:
    """Returns the picture as a film of one frame: H.264 without loss. An odd last row or column is cut off."""
    image = _read_photograph(picture.file)
    height, width = (side - side % 2 for side in image.shape[:2])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, options={"qp": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="bgr24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return Picture(path, picture.truth)


def compared(name: str, plain: PlainDetector, pictures: Sequence[Picture], films: Sequence[Picture]) -> Iterator[Row]:
    context = OneModel()
    for kind, files in {"photographs": pictures, "films": films}.items():
        seen = [plain.read(_as_a_script(one.file)) for one in files]
        for setting, (min_score, max_iou) in SETTINGS.items():
            print(f"{name}: {kind}, {setting}", file=sys.stderr, flush=True)
            product = detector(context, name, {"min_score": min_score, "nms_iou": max_iou})
            ours = [_by_product(product, one.file) for one in files]
            theirs = [_found(plain.selected(one, min_score, max_iou)) for one in seen]
            yield Row(name, kind, setting, _evaluated(files, ours), _evaluated(files, theirs))


def _evaluated(pictures: Sequence[Picture], found: Sequence[Found]) -> Evaluation:
    return evaluate(COCO_LABELS, zip((picture.truth for picture in pictures), found, strict=True))


def _as_a_script(file: Path) -> Array:
    """Reads a photograph or the first frame of a film."""
    return next(_read_film(file)) if file.suffix == ".mp4" else _read_photograph(file)


def _read_photograph(file: Path) -> Array:
    image = cv2.imread(str(file))
    if image is None:
        raise SystemExit(f"{file}: not a readable image")
    return image


def _read_film(file: Path) -> Iterator[Array]:
    film = cv2.VideoCapture(str(file))
    while True:
        more, image = film.read()
        if not more:
            return
        yield image


def _by_product(product: Detector, file: Path) -> Found:
    (sequence,) = sequences(file)
    item = next(frames(sequence))
    if not isinstance(item, Item):
        raise item
    (result,) = product.process([item.frame], [Results()])
    product.forget(item.frame.camera)
    found = result.get(Detections) or Detections.none()
    return Found(found.boxes, found.scores, found.class_ids)


def _found(plain: Plain) -> Found:
    return Found(plain.boxes.astype(np.float32), plain.scores.astype(np.float32), plain.classes.astype(np.int64))


if __name__ == "__main__":
    raise SystemExit(main())
