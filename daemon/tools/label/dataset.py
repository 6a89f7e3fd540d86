"""A dataset folder of sightd: `dataset.json`, a COCO file with states, and the images in `frames`."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sightd.daemon.tools.label.coco import read_coco, to_coco
from sightd.daemon.tools.label.labelled import (
    MOST_FRAMES,
    Box,
    LabelError,
    LabelledFrame,
    LabelledFrames,
    State,
    checked_labels,
)
from sightd.daemon.tools.label.yolo import is_yolo, read_yolo, write_yolo
from sightd.engines.files import locked, write_whole
from sightd.engines.text import json_text

FILE, FRAMES = "dataset.json", "frames"
_SUFFIX = ".jpg"


def read_labelled(path: Path, images: Path | None = None) -> LabelledFrames:
    """Reads a dataset folder, a COCO file or a YOLO folder. `images` is the folder that a COCO file's names start from;
    by default the file's own, or `images` in it. Raises LabelError."""
    if path.is_file():
        own = path.parent / "images"
        return read_coco(path, images or (own if own.is_dir() else path.parent))
    if (path / FILE).is_file():
        return read_coco(path / FILE, path / FRAMES)
    if is_yolo(path):
        return read_yolo(path)
    raise LabelError(
        f"{path}: expected a dataset folder (with {FILE}), a COCO JSON file, or a YOLO folder (with data.yaml or "
        "classes.txt)"
    )


class Dataset:
    """A dataset folder in memory. `edit` excludes other processes and stores the changes."""

    def __init__(self, folder: Path, data: LabelledFrames) -> None:
        self.folder = folder
        self.labels = data.labels
        self._frames = {frame.name: frame for frame in data.frames}
        self._removed: list[Path] = []

    @classmethod
    def create(cls, folder: Path, labels: Sequence[str]) -> Dataset:
        """Makes an empty dataset. Raises LabelError if there is one already, or the class names are unusable."""
        if (folder / FILE).exists():
            raise LabelError(f"{folder}: is a dataset already")
        made = cls(folder, LabelledFrames(checked_labels(labels, "--classes"), ()))
        (folder / FRAMES).mkdir(parents=True, exist_ok=True)
        made._store()
        return made

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Reads a dataset. Raises LabelError if it is none, or is damaged."""
        if not (folder / FILE).is_file():
            raise LabelError(f"{folder}: not a dataset: it has no {FILE}; make one with `sightd label create`")
        return cls(folder, read_coco(folder / FILE, folder / FRAMES))

    @classmethod
    @contextmanager
    def edit(cls, folder: Path) -> Iterator[Dataset]:
        """Opens a dataset to change it; stores it at the end unless an exception is raised. Raises LabelError, and
        EngineError if it cannot be stored."""
        with locked(folder / ".lock", str(folder)):
            dataset = cls.open(folder)
            yield dataset
            dataset._store()

    @property
    def frames(self) -> tuple[LabelledFrame, ...]:
        """All frames, in order of source, time and name."""
        return tuple(sorted(self._frames.values(), key=lambda one: (one.source, one.time or 0.0, one.name)))

    def labelled(self, states: Iterable[State]) -> LabelledFrames:
        """Returns the frames in one of the states."""
        wanted = set(states)
        return LabelledFrames(self.labels, tuple(frame for frame in self.frames if frame.state in wanted))

    def frame(self, name: str) -> LabelledFrame:
        """Raises LabelError if there is none of that name."""
        if name not in self._frames:
            raise LabelError(f"{self.folder}: has no frame {name!r}; see `sightd label list`")
        return self._frames[name]

    def add(self, content: bytes, frame: LabelledFrame, *, replace: bool = False) -> bool:
        """Stores an image file with what is known of it. The same image with the same name stays as it is; with
        `replace` it gets the boxes and the state of `frame`, and its source, time and reason if they are known. Returns
        whether it is new. Raises LabelError if there are too many."""
        path = self.folder / FRAMES / _name(content, frame.path)
        known = self._frames.get(path.name)
        if known is None:
            if len(self._frames) >= MOST_FRAMES:
                raise LabelError(f"{self.folder}: has {MOST_FRAMES} frames already")
            write_whole(path, content)
            self._frames[path.name] = dataclasses.replace(frame, path=path, source=frame.source or frame.folder)
        elif replace:
            self._frames[path.name] = _merged(known, frame)
        return known is None

    def relabel(self, name: str, boxes: Sequence[Box], state: State) -> None:
        """Replaces the boxes of a frame."""
        self._frames[name] = dataclasses.replace(self.frame(name), boxes=tuple(boxes), state=state)

    def remove(self, names: Iterable[str]) -> int:
        """Removes frames; their image files go after the dataset was stored without them. Returns their number. Raises
        LabelError, and removes none, if a name is unknown."""
        frames = {name: self.frame(name) for name in names}
        for name, frame in frames.items():
            del self._frames[name]
            self._removed.append(frame.path)
        return len(frames)

    def _store(self) -> None:
        data = LabelledFrames(self.labels, self.frames)
        document = to_coco(data, {frame.path: frame.name for frame in data.frames}, states=True)
        write_whole(self.folder / FILE, (json_text(document, indent=1) + "\n").encode())
        for path in self._removed:
            if path.name not in self._frames:
                path.unlink(missing_ok=True)
        self._removed = []


def _name(content: bytes, path: Path) -> str:
    """Returns the name of an image in a dataset: its own one and a digest of its content."""
    digest = hashlib.sha256(content).hexdigest()[:8]
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem)[:80].strip(".-") or "frame"
    suffix = path.suffix.lower() or _SUFFIX
    return f"{stem}{suffix}" if stem.endswith(digest) else f"{stem}-{digest}{suffix}"


def _merged(known: LabelledFrame, stated: LabelledFrame) -> LabelledFrame:
    """Returns `known` with what `stated` says."""
    return dataclasses.replace(
        known,
        boxes=stated.boxes,
        state=stated.state,
        source=stated.source or known.source,
        time=known.time if stated.time is None else stated.time,
        reason=stated.reason or known.reason,
    )


def import_labelled(dataset: Dataset, data: LabelledFrames, source: str) -> tuple[int, int]:
    """Adds labelled frames to a dataset; their classes are matched by name. New frames without a source get their
    folder or `source`; known ones get boxes and state, and keep source, time and reason unless they are stated.
    Returns how many were new and how many were known. Raises LabelError if a class is unknown or an image is unreadable
    or of another size than its labels say."""
    wanted = {label.casefold(): number for number, label in enumerate(dataset.labels)}
    used = {box.label for frame in data.frames for box in frame.boxes}
    if missing := [data.labels[number] for number in sorted(used) if data.labels[number].casefold() not in wanted]:
        raise LabelError(
            f"the dataset has no class {', '.join(map(repr, missing))}; its classes are {', '.join(dataset.labels)}"
        )
    for frame in data.frames:
        frame.image()  # readable, and of the stated size: before anything is stored
    new = 0
    for frame in data.frames:
        boxes = tuple(dataclasses.replace(box, label=wanted[data.labels[box.label].casefold()]) for box in frame.boxes)
        stated = dataclasses.replace(frame, boxes=boxes, folder=frame.folder or source)
        new += dataset.add(frame.path.read_bytes(), stated, replace=True)
    return new, len(data.frames) - new


def export_coco(data: LabelledFrames, folder: Path) -> None:
    """Writes `annotations.json` and the folder `images`. Raises OSError."""
    names = _copied(data, folder / "images")
    write_whole(folder / "annotations.json", (json_text(to_coco(data, names, states=False), indent=1) + "\n").encode())


def export_yolo(data: LabelledFrames, folder: Path) -> None:
    """Writes `data.yaml` and the folders `images` and `labels`. Raises OSError."""
    write_yolo(data, folder, dict(_copied(data, folder / "images")))


def _copied(data: LabelledFrames, folder: Path) -> Mapping[Path, str]:
    folder.mkdir(parents=True, exist_ok=True)
    for frame in data.frames:
        write_whole(folder / frame.name, frame.path.read_bytes())
    return {frame.path: frame.name for frame in data.frames}
