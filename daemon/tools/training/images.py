"""Training images: one folder per class for a classifier, random crops for a style; previews of a style."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sightd.daemon.tools.media import PICTURES, MediaError, contents, frames, length, not_read, read_picture
from sightd.daemon.tools.training.preflight import TrainingError
from sightd.engines.files import digest_of, write_whole
from sightd.plugins.api import Image

LEAST = 5
"""Minimum number of images per class: cross-validation holds out a fifth at a time."""


@dataclass(frozen=True, slots=True)
class LabelledPictures:
    """Image files and the class of each, as an index into `labels`. `left_out` are lines that say which files were
    skipped, and why."""

    labels: tuple[str, ...]
    files: tuple[Path, ...]
    classes: tuple[int, ...]
    left_out: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.files)

    def pictures(self) -> Iterator[Image]:
        """Yields each image in order, BGR."""
        return (read_picture(file) for file in self.files)


def labelled(folder: Path) -> LabelledPictures:
    """Finds every image below each folder in `folder`; the folder's name is the class. An image that cannot be read, or
    is a duplicate in its class, is skipped. Raises TrainingError if there are too few classes or images, or one image
    is in two classes."""
    if not folder.is_dir():
        raise TrainingError(f"{folder} is not a folder; choose one that contains a folder of images for each class")
    classes = sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    if len(classes) < 2:
        found = f"only {classes[0].name!r}" if classes else "none"
        raise TrainingError(f"{folder} must contain at least two folders of images, one for each class; found {found}")
    if odd := [one for one in classes if not one.name.isprintable()]:
        raise TrainingError(
            f"{odd[0].name!r} in {folder} cannot be a class name: rename it in UTF-8, without special characters"
        )
    files: list[Path] = []
    numbers: list[int] = []
    left_out: list[str] = []
    known: dict[str, Path] = {}
    for number, one in enumerate(classes):
        within = sorted(path for path in one.rglob("*") if path.is_file())
        left_out += not_read((path for path in within if path.suffix.lower() not in PICTURES), "image")
        for file in (path for path in within if path.suffix.lower() in PICTURES):
            if fault := _unreadable(file):
                left_out.append(fault)
            elif (twin := known.setdefault(digest_of(file).sha256, file)) is not file:
                _require_same_class(twin, file, folder)
                left_out.append(f"{file}: the same image as {twin.name}")
            else:
                files.append(file)
                numbers.append(number)
    _require_enough(folder, [one.name for one in classes], numbers)
    return LabelledPictures(tuple(one.name for one in classes), tuple(files), tuple(numbers), tuple(left_out))


def _require_same_class(one: Path, other: Path, folder: Path) -> None:
    if one.relative_to(folder).parts[0] != other.relative_to(folder).parts[0]:
        raise TrainingError(f"{one} and {other} are the same image in two classes: remove one")


def _unreadable(file: Path) -> str:
    try:
        read_picture(file)
    except MediaError as error:
        return str(error)
    return ""


def _require_enough(folder: Path, labels: Sequence[str], numbers: Sequence[int]) -> None:
    few = [f"{label} ({numbers.count(number)})" for number, label in enumerate(labels) if numbers.count(number) < LEAST]
    if few:
        raise TrainingError(
            f"{folder}: each class requires at least {LEAST} readable images, and 20 to be useful; too few: "
            + ", ".join(few)
        )


MOST_IN_MEMORY = 300
"""Maximum number of images held in memory."""
_LEAST_SIDE = 64
_CLOSEST = 0.5
"""Smallest side of a square, as a share of the image's shorter side."""


def squares(pictures: Sequence[Image], side: int, count: int, seed: tuple[int, ...]) -> list[Image]:
    """Returns `count` squares of `side` pixels, BGR. `seed` decides from which images, where and how large; some are
    mirrored."""
    random, cut_out = np.random.default_rng(seed), []
    for _ in range(count):
        picture = pictures[int(random.integers(len(pictures)))]
        height, width = picture.shape[:2]
        cut = max(1, round(min(height, width) * random.uniform(_CLOSEST, 1)))
        top, left = (int(random.integers(whole - cut + 1)) for whole in (height, width))
        square = picture[top : top + cut, left : left + cut]
        if random.random() < 0.5:
            square = square[:, ::-1]
        how = cv2.INTER_AREA if cut > side else cv2.INTER_LINEAR
        cut_out.append(np.asarray(cv2.resize(square, (side, side), interpolation=how), np.uint8))
    return cut_out


def pictures_of(sources: Sequence[Path], side: int) -> tuple[list[Image], list[str]]:
    """Returns up to 300 images, evenly spread over the sources and scaled down to what squares of `side` pixels need;
    and lines that say what could not be read. Raises MediaError if a source is missing, TrainingError if they contain
    no image that is large enough."""
    holdings = [contents(source) for source in sources]
    found = [sequence for held in holdings for sequence in held.sequences]
    total = sum(length(one) or sum(not isinstance(item, MediaError) for item in frames(one)) for one in found)
    wanted = {n * total // MOST_IN_MEMORY for n in range(MOST_IN_MEMORY)} if total > MOST_IN_MEMORY else range(total)
    pictures, seen = list[Image](), 0
    left_out = [line for held in holdings for line in held.left_out]
    for sequence in found:
        for item in frames(sequence):
            if isinstance(item, MediaError):
                left_out.append(str(item))
                continue
            if seen in wanted and min(item.frame.width, item.frame.height) >= _LEAST_SIDE:
                pictures.append(_smaller(item.frame.host(), round(side / _CLOSEST)))
            seen += 1
    if not pictures:
        raise TrainingError(
            f"no image with at least {_LEAST_SIDE} pixels on its shorter side in "
            f"{', '.join(map(str, sources))}: specify images or videos similar to those to be painted"
            + "".join(f"\n  {one}" for one in left_out)
        )
    return pictures, left_out


def _smaller(picture: Image, side: int) -> Image:
    """Scales it down if its shorter side exceeds `side`; contiguous, in memory of its own."""
    height, width = picture.shape[:2]
    ratio = side / min(height, width)
    if ratio >= 1:
        return picture.copy()
    size = round(width * ratio), round(height * ratio)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def write_preview(path: Path, painting: Image, pictures: Sequence[Image], painted: Sequence[Image]) -> None:
    """Writes the painting, and images (squares of one size) above what the style makes of them. Raises OSError."""
    side = pictures[0].shape[0]
    height, width = painting.shape[:2]
    size = max(1, round(width * 2 * side / height)), 2 * side
    example = cv2.resize(painting, size, interpolation=cv2.INTER_AREA)
    sheet = np.hstack([example, *(np.vstack(pair) for pair in zip(pictures, painted, strict=True))])
    write_whole(path, cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())
