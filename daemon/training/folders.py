"""Labelled images: a folder that contains one folder per class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightd.daemon.analyze.media import PICTURES, MediaError, not_read, read_picture
from sightd.daemon.training.errors import TrainingError
from sightd.engines.digest import digest_of
from sightd.plugins.types import Image

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
