"""Films are split by time, single images by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightd.daemon.tools.label.labelled import Box, LabelledFrame, LabelledFrames, State
from sightd.daemon.tools.training.detector.shares import relabelled, split, usable
from sightd.daemon.tools.training.preflight import TrainingError


def film(source: str, count: int) -> list[LabelledFrame]:
    return [LabelledFrame(Path(f"{source}-{n}.jpg"), 10, 10, source=source, time=float(n)) for n in range(count)]


def names(frames: tuple[LabelledFrame, ...]) -> set[str]:
    return {frame.name for frame in frames}


def test_the_end_of_each_film_is_held_out() -> None:
    frames = [*film("a", 20), *film("b", 10)]
    shares = split(frames[::-1], 0.4)
    assert names(shares.train) == {f"a-{n}.jpg" for n in range(12)} | {f"b-{n}.jpg" for n in range(6)}
    assert names(shares.choice) == {f"a-{n}.jpg" for n in range(12, 16)} | {"b-6.jpg", "b-7.jpg"}
    assert names(shares.test) == {f"a-{n}.jpg" for n in range(16, 20)} | {"b-8.jpg", "b-9.jpg"}


def test_frames_without_a_source_are_ordered_by_the_number_in_their_name() -> None:
    frames = [LabelledFrame(Path(f"yard_{n}.jpg"), 10, 10) for n in (10, 2, 9, 1, 3, 4, 5, 6, 7, 8)]
    shares = split(frames, 0.4)
    assert [frame.name for frame in shares.test] == ["yard_9.jpg", "yard_10.jpg"]


def test_single_images_are_dealt_out_in_the_same_way_every_time() -> None:
    frames = [LabelledFrame(Path(f"{name}.jpg"), 10, 10) for name in "abcdefghij"]
    one, other = split(frames, 0.4), split(frames[::-1], 0.4)
    assert one == other
    assert len(one.train) == 6


def test_frames_of_their_own_for_the_test_leave_the_held_out_ones_to_the_choice() -> None:
    shares = split(film("a", 20), 0.4, test=film("t", 3))
    assert names(shares.test) == {"t-0.jpg", "t-1.jpg", "t-2.jpg"}
    assert len(shares.choice) == 8


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(TrainingError, match="5 labelled frames are too few to hold out 20%"):
        split(film("a", 5), 0.2)


def test_only_corrected_frames_are_learnt_from_unless_proposals_are_wanted() -> None:
    states = (State.NEW, State.PROPOSED, State.CORRECTED)
    data = LabelledFrames(("a",), tuple(LabelledFrame(Path(f"{one}.jpg"), 10, 10, state=one) for one in states))
    assert names(usable(data, proposed=False).frames) == {"corrected.jpg"}
    assert names(usable(data, proposed=True).frames) == {"corrected.jpg", "proposed.jpg"}
    with pytest.raises(TrainingError, match="none of the 1 frames is corrected"):
        usable(LabelledFrames(("a",), data.frames[:1]), proposed=True)


def test_classes_of_other_frames_are_matched_by_name() -> None:
    boxes = tuple(Box(n, (0, 0, 5, 5)) for n in range(3))
    data = LabelledFrames(("Cog", "lamp", "parcel"), (LabelledFrame(Path("a.jpg"), 10, 10, boxes),))
    (frame,) = relabelled(data, ("parcel", "cog")).frames
    assert [box.label for box in frame.boxes] == [1, 0]
