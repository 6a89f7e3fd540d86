"""Splits labelled frames into those that are trained on, those that choose the best step, and those that are only
measured.

Neighbouring frames of a film look alike, so a random split would measure memory. Each source is split by time instead:
its beginning is trained on, its end is held out.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sightd.daemon.tools.label.labelled import LabelledFrame, LabelledFrames, State
from sightd.daemon.tools.training.preflight import TrainingError

_LEAST_FILM = 5
"""A source with fewer frames is not split by time; its frames are dealt out by the hash of their names."""


@dataclass(frozen=True, slots=True)
class Shares:
    """`train` is trained on; `choice` decides which step is kept; `test` is only measured at the end."""

    train: tuple[LabelledFrame, ...]
    choice: tuple[LabelledFrame, ...]
    test: tuple[LabelledFrame, ...]


def split(frames: Sequence[LabelledFrame], held_out: float, *, test: Sequence[LabelledFrame] = ()) -> Shares:
    """Holds out the share `held_out` of each source: half of it for the choice, half for the test. If other frames are
    given for the test, all of it is for the choice. Raises TrainingError if a part would be empty."""
    train: list[LabelledFrame] = []
    choice: list[LabelledFrame] = []
    measured: list[LabelledFrame] = list(test)
    for ordered in _sources(frames):
        count = round(len(ordered) * held_out)
        last = 0 if test else count // 2
        train += ordered[: len(ordered) - count]
        choice += ordered[len(ordered) - count : len(ordered) - last]
        measured += ordered[len(ordered) - last :] if last else []
    if not train or not choice or not measured:
        raise TrainingError(
            f"{len(frames)} labelled frames are too few to hold out {held_out:.0%} for the choice and the test: label "
            "more frames (50 are a good start), or name others for the test with --test"
        )
    return Shares(tuple(train), tuple(choice), tuple(measured))


def _sources(frames: Sequence[LabelledFrame]) -> list[list[LabelledFrame]]:
    """Returns the frames of each source in order of time; single frames together, in an order that looks random."""
    by_source: dict[str, list[LabelledFrame]] = defaultdict(list)
    for frame in frames:
        by_source[source_of(frame)].append(frame)
    films = [sorted(one, key=_order) for one in by_source.values() if len(one) >= _LEAST_FILM]
    singles = [frame for one in by_source.values() if len(one) < _LEAST_FILM for frame in one]
    shuffled = sorted(singles, key=lambda frame: hashlib.sha256(frame.name.encode()).hexdigest())
    return [*films, shuffled] if shuffled else films


def source_of(frame: LabelledFrame) -> str:
    """Returns what the frame was taken from, as far as that is known: frames of one source look alike."""
    return frame.source or frame.folder or _series(frame)


def _series(frame: LabelledFrame) -> str:
    """Returns the file's name without its number: "yard_0017.jpg" belongs to the series "yard_"."""
    return f"{frame.path.parent}/{re.sub(r'[0-9]+$', '', frame.path.stem)}"


def _order(frame: LabelledFrame) -> tuple[float, list[tuple[int, str]]]:
    parts = re.split(r"(\d+)", frame.name)
    natural = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
    return (frame.time if frame.time is not None else 0.0), natural


def usable(data: LabelledFrames, *, proposed: bool) -> LabelledFrames:
    """Returns the frames that can be learnt from: the corrected ones and, if wanted, those with proposed boxes. Raises
    TrainingError if there are none."""
    states = {State.CORRECTED, State.PROPOSED} if proposed else {State.CORRECTED}
    frames = tuple(frame for frame in data.frames if frame.state in states)
    if not frames:
        raise TrainingError(
            f"none of the {len(data.frames)} frames is corrected: correct their boxes, or confirm them with `sightd "
            "label accept`; --proposed trains on proposals as they are"
        )
    return replace(data, frames=frames)


def relabelled(data: LabelledFrames, labels: tuple[str, ...]) -> LabelledFrames:
    """Returns the same frames with other numbers for their classes, matched by name. Boxes of other classes are
    dropped."""
    wanted = {label.casefold(): number for number, label in enumerate(labels)}
    numbers = [wanted.get(label.casefold(), -1) for label in data.labels]
    frames = [
        replace(
            frame,
            boxes=tuple(replace(box, label=numbers[box.label]) for box in frame.boxes if numbers[box.label] >= 0),
        )
        for frame in data.frames
    ]
    return replace(data, labels=labels, frames=tuple(frames))
