"""Adds frames of films to a dataset, and proposes boxes with a model."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from sightd.daemon.tools.label.choice import Budget, Candidate, Chosen, choose
from sightd.daemon.tools.label.dataset import Dataset
from sightd.daemon.tools.label.finder import Finder, Found
from sightd.daemon.tools.label.labelled import MOST_BOXES, Box, LabelError, LabelledFrame, State, checked_box, inside
from sightd.daemon.tools.media import Item, MediaError, MediaSequence, frames, sequences
from sightd.engines.files import read_regular
from sightd.engines.progress import Progress
from sightd.plugins.api import Image
from sightd.plugins.images.worth_labelling import thumbnail

_QUALITY = 95
_MOST_NOTE = 1 << 20
_PER_GAP = 2
"""Frames looked at per `gap`: some choice, at little cost."""


@dataclass(frozen=True, slots=True)
class Added:
    """How many frames were added, for each reason."""

    counts: dict[str, int]

    def __str__(self) -> str:
        total = sum(self.counts.values())
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.counts.items())
        return f"{total} frames added" + (f" ({reasons})" if reasons else "")


def add_films(
    dataset: Dataset,
    sources: Sequence[Path],
    budget: Budget,
    finder: Finder | None,
    least: float,
    progress: Progress,
    report: Callable[[str], None],
) -> Added:
    """Adds the most useful frames of each film or folder: at most `budget.most` of each. With a finder, the boxes that
    it finds with a score of at least `least` become proposals. Frames that the dataset has already stay as they are.
    Raises MediaError if a source is missing, OSError if a
    frame cannot be stored."""
    counts: dict[str, int] = {}
    known = [thumbnail(frame.image()) for frame in dataset.frames]
    for sequence in [one for source in sources for one in sequences(source)]:
        gap = 0.0 if not sequence.is_video else budget.gap
        candidates = list(_candidates(sequence, gap / _PER_GAP, finder, progress, report))
        chosen = {one.candidate.key: one for one in choose(candidates, Budget(budget.most, gap), known)}
        for key, image in _images(sequence, chosen):
            one = chosen[key]
            known.append(one.candidate.thumbnail)
            if _store(dataset, sequence, one, image, least):
                counts[str(one.reason)] = counts.get(str(one.reason), 0) + 1
    return Added(counts)


def _candidates(
    sequence: MediaSequence,
    interval: float,
    finder: Finder | None,
    progress: Progress,
    report: Callable[[str], None],
) -> Iterator[Candidate]:
    last = -np.inf
    for key, item in enumerate(frames(sequence)):
        if isinstance(item, MediaError):
            report(str(item))
            continue
        if item.frame.captured_at - last < interval:
            continue
        last, image = item.frame.captured_at, item.frame.host()
        progress(f"looking at {sequence.files[0].name}, frames", key, None)
        yield Candidate(last, thumbnail(image), finder.find(image) if finder else None, key)


def _images(sequence: MediaSequence, wanted: Container[int]) -> Iterator[tuple[int, Image]]:
    for key, item in enumerate(frames(sequence)):
        if key in wanted and isinstance(item, Item):
            yield key, item.frame.host()


def _store(dataset: Dataset, sequence: MediaSequence, one: Chosen, image: Image, least: float) -> bool:
    name = Path(sequence.name).stem
    boxes = proposals(one.candidate.found, least) if one.candidate.found else ()
    height, width = image.shape[:2]
    frame = LabelledFrame(
        Path(f"{name}-{one.candidate.key:06}.jpg"),
        width,
        height,
        boxes,
        State.PROPOSED if boxes else State.NEW,
        Path(sequence.name).name,
        one.candidate.time,
        str(one.reason),
    )
    content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    return dataset.add(content, frame)


def proposals(found: Found, least: float) -> tuple[Box, ...]:
    """Returns the detections with a score of at least `least` as proposed boxes."""
    return tuple(
        Box(int(label), (float(box[0]), float(box[1]), float(box[2]), float(box[3])), State.PROPOSED, float(score))
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True)
        if score >= least and box[2] > box[0] and box[3] > box[1]
    )


def propose(dataset: Dataset, finder: Finder, least: float, progress: Progress) -> tuple[int, int]:
    """Replaces the boxes of all frames that nobody has corrected by what the finder finds. A frame on which it finds
    nothing is new: that the objects were missed must not look like a proposal. Returns the numbers of frames and
    boxes."""
    open_ = [frame for frame in dataset.frames if frame.state is not State.CORRECTED]
    boxes = 0
    for done, frame in enumerate(open_, 1):
        made = proposals(finder.find(frame.image()), least)
        boxes += len(made)
        dataset.relabel(frame.name, made, State.PROPOSED if made else State.NEW)
        progress("proposing boxes, frames", done, len(open_))
    return len(open_), boxes


def accept(dataset: Dataset, names: Sequence[str], least: float) -> int:
    """Marks proposed frames as corrected. Proposed boxes with a lower score than `least` are dropped. Frames without
    a box are confirmed, as showing none of the objects, only if they are named; without names, all proposed frames that
    keep a box are confirmed. Returns the number of frames. Raises LabelError if a name is unknown."""
    named = [dataset.frame(name) for name in names]
    open_ = named or [frame for frame in dataset.frames if frame.state is State.PROPOSED]
    kept = {frame.name: _kept(frame, least) for frame in open_}
    chosen = {name: boxes for name, boxes in kept.items() if named or boxes}
    for name, boxes in chosen.items():
        dataset.relabel(name, boxes, State.CORRECTED)
    return len(chosen)


def _kept(frame: LabelledFrame, least: float) -> list[Box]:
    """Returns the boxes as corrected, without proposals of a lower score."""
    return [
        Box(box.label, box.xyxy)
        for box in frame.boxes
        if box.state is State.CORRECTED or box.score is None or box.score >= least
    ]


class _FoundBox(BaseModel):
    label: str = Field(alias="class")
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    score: FiniteFloat = Field(ge=0, le=1)


class _Collected(BaseModel):
    """What the collector plug-in writes beside a frame."""

    source: str = Field(max_length=1000)
    time: FiniteFloat
    reason: str = Field(max_length=100)
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    boxes: list[_FoundBox] = Field(max_length=MOST_BOXES)


def add_collected(dataset: Dataset, folder: Path, least: float) -> tuple[Added, list[Path]]:
    """Adds the frames that the collector plug-in has stored in `folder`; detections of the dataset's classes with a
    score of at least `least` become proposals. Frames that the dataset has already stay as they are. Returns what was
    added, and the files that are no longer needed. Raises LabelError, which names the file, if one is damaged."""
    wanted = {label.casefold(): number for number, label in enumerate(dataset.labels)}
    if not folder.is_dir():
        raise LabelError(f"{folder}: no such folder; it is the option `folder` of the collector plug-in")
    counts: dict[str, int] = {}
    files: list[Path] = []
    for note in sorted(folder.glob("*.json")):
        image = inside(folder, note.with_suffix(".jpg").name, str(note))
        frame = _collected(note, image, wanted, least)
        frame.image()
        if dataset.add(image.read_bytes(), frame):
            counts[frame.reason] = counts.get(frame.reason, 0) + 1
        files += [note, image]
    return Added(counts), files


def _collected(note: Path, image: Path, wanted: Mapping[str, int], least: float) -> LabelledFrame:
    try:
        one = _Collected.model_validate_json(read_regular(note, _MOST_NOTE))
    except OSError as error:
        raise LabelError(f"{note}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise LabelError(f"{note}: {where}: {first['msg']}") from None
    boxes = tuple(
        Box(
            wanted[box.label.casefold()],
            checked_box(box.box, one.width, one.height, f"{note}: boxes.{n}"),
            State.PROPOSED,
            box.score,
        )
        for n, box in enumerate(one.boxes)
        if box.label.casefold() in wanted and box.score >= least
    )
    state = State.PROPOSED if boxes else State.NEW
    return LabelledFrame(image, one.width, one.height, boxes, state, one.source, one.time, one.reason)
