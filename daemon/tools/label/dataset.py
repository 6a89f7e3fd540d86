"""A dataset folder of sightd: `dataset.json`, a COCO file with states, and the images in `frames`."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
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
from sightd.daemon.tools.label.upright import upright_frame, upright_image
from sightd.daemon.tools.label.yolo import is_yolo, read_yolo, write_yolo
from sightd.engines.files import lock_file, make_private, write_whole
from sightd.engines.text import json_text

FILE, FRAMES = "dataset.json", "frames"
_SUFFIX = ".jpg"
_SAME = 0.05
"""Difference of coordinates, in pixels, that comes from rounding in files."""


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
        self._added: list[Path] = []
        self._removed: list[Path] = []

    @classmethod
    def create(cls, folder: Path, labels: Sequence[str]) -> Dataset:
        """Makes an empty dataset that only its owner can read. Raises LabelError if there is one already, the class
        names are unusable, or it cannot be stored."""
        if (folder / FILE).exists():
            raise LabelError(f"{folder}: is a dataset already")
        made = cls(folder, LabelledFrames(checked_labels(labels, "--classes"), ()))
        with _storing(folder):
            make_private(folder)
            (folder / FRAMES).mkdir(exist_ok=True)
        made._store()
        return made

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Reads a dataset. Raises LabelError if it is none, or is damaged."""
        _require_dataset(folder)
        return cls(folder, read_coco(folder / FILE, folder / FRAMES))

    @classmethod
    @contextmanager
    def edit(cls, folder: Path) -> Iterator[Dataset]:
        """Opens a dataset to change it, and stores it at the end. If an exception is raised, which passes unchanged,
        nothing is changed. Raises LabelError if it is no dataset, is damaged, or cannot be locked or stored."""
        _require_dataset(folder)
        with ExitStack() as held:
            with _storing(folder):
                held.enter_context(lock_file(folder / ".lock", str(folder)))
            dataset = cls.open(folder)
            try:
                yield dataset
                dataset._store()
            except BaseException:
                dataset._discard()
                raise

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

    def add(self, content: bytes, frame: LabelledFrame) -> bool:
        """Stores an image file, upright and without metadata, with what is known of it; its boxes are those of the
        upright image. The same image with the same name stays as it is. Returns whether it is new. Raises LabelError
        if it cannot be read or stored, or there are too many."""
        return self._added_or_known(content, frame) is None

    def merge(self, content: bytes, frame: LabelledFrame, *, replace: bool) -> Merged:
        """Like `add`, but a known image gets the boxes and the state of `frame`, and its source, time and reason if
        they are known. A frame that is corrected here and has other boxes or another state there is kept, unless
        `replace` is set."""
        known = self._added_or_known(content, frame)
        if known is None:
            return Merged(is_new=True)
        if known.state is State.CORRECTED and not replace and not _agrees(known, frame):
            return Merged(kept=known.name)
        self._frames[known.name] = _merged(known, frame)
        return Merged()

    def _added_or_known(self, content: bytes, frame: LabelledFrame) -> LabelledFrame | None:
        """Returns the frame that has this image already; otherwise stores it and returns None."""
        content, name = upright_image(content, frame.path)
        path = self.folder / FRAMES / _name(content, name)
        if path.name in self._frames:
            return self._frames[path.name]
        if len(self._frames) >= MOST_FRAMES:
            raise LabelError(f"{self.folder}: has {MOST_FRAMES} frames already")
        with _storing(path):
            write_whole(path, content)
        self._added.append(path)
        self._frames[path.name] = dataclasses.replace(frame, path=path, source=frame.source or frame.folder)
        return None

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
        with _storing(self.folder / FILE):
            write_whole(self.folder / FILE, (json_text(document, indent=1) + "\n").encode())
        self._added = []
        for path in self._removed:
            if path.name not in self._frames:
                with _storing(path, "removed"):
                    path.unlink(missing_ok=True)
        self._removed = []

    def _discard(self) -> None:
        """Removes the image files that were added since the dataset was stored, and leaves those that it has."""
        stored = {path.name for path in self._removed}
        for path in self._added:
            if path.name not in stored:
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def _require_dataset(folder: Path) -> None:
    if not (folder / FILE).is_file():
        raise LabelError(f"{folder}: not a dataset: it has no {FILE}; make one with `sightd label create`")


@contextmanager
def _storing(path: Path, what: str = "stored") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LabelError(
            f"{path} cannot be {what}: {error.strerror or error}: free disk space, or make the folder writable"
        ) from error


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of a frame: it is new, or its labels were taken, unless `kept` names the frame of ours that stays."""

    is_new: bool = False
    kept: str = ""


def _agrees(known: LabelledFrame, stated: LabelledFrame) -> bool:
    """Whether `stated` is corrected too, with the same boxes."""
    if stated.state is not State.CORRECTED or len(stated.boxes) != len(known.boxes):
        return False
    left = list(stated.boxes)
    for box in known.boxes:
        same = next((one for one in left if _is_same(box, one)), None)
        if same is None:
            return False
        left.remove(same)
    return True


def _is_same(one: Box, other: Box) -> bool:
    return one.label == other.label and all(abs(a - b) <= _SAME for a, b in zip(one.xyxy, other.xyxy, strict=True))


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


@dataclass(frozen=True, slots=True)
class Imported:
    """How many frames were new, and of how many known ones the labels were taken; `kept` names those that stay as they
    are, because they are corrected here and differ."""

    new: int
    taken: int
    kept: tuple[str, ...]


def import_labelled(dataset: Dataset, data: LabelledFrames, source: str, *, replace: bool = False) -> Imported:
    """Adds labelled frames to a dataset; their classes are matched by name. New frames without a source get their
    folder or `source`; known ones get boxes and state, and keep source, time and reason unless they are stated.
    Frames that are corrected here change only with `replace`. Raises LabelError if a class is unknown or an image is
    unreadable or of another size than its labels say."""
    wanted = {label.casefold(): number for number, label in enumerate(dataset.labels)}
    used = {box.label for frame in data.frames for box in frame.boxes}
    if missing := [data.labels[number] for number in sorted(used) if data.labels[number].casefold() not in wanted]:
        raise LabelError(
            f"the dataset has no class {', '.join(map(repr, missing))}; its classes are {', '.join(dataset.labels)}"
        )
    found: list[Merged] = []
    for frame in [upright_frame(one) for one in data.frames]:  # all are readable, before anything is stored
        boxes = tuple(dataclasses.replace(box, label=wanted[data.labels[box.label].casefold()]) for box in frame.boxes)
        stated = dataclasses.replace(frame, boxes=boxes, folder=frame.folder or source)
        found.append(dataset.merge(frame.path.read_bytes(), stated, replace=replace))
    new, kept = sum(one.is_new for one in found), tuple(one.kept for one in found if one.kept)
    return Imported(new, len(found) - new - len(kept), kept)


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
