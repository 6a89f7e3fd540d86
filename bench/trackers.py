"""Compares our tracker with those of the library `trackers` on the same seeded crowds: `python -m bench.trackers`.

The library is not a dependency (660 MB with its own). To install it into a temporary environment:

    python3 -m venv /tmp/trackers && /tmp/trackers/bin/pip install trackers pydantic lap
    PYTHONPATH=src:. /tmp/trackers/bin/python -m bench.trackers
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sightd.plugins.api import Detections, FloatArray, IntArray, Results, Tracks
from sightd.plugins.tracker import Tracker, TrackerConfig
from tests.support.mot_metrics import Score, Scorer
from tests.support.moving_world import Crowd, Moment

Tracked = tuple[FloatArray, IntArray]
"""Boxes xyxy [n, 4] and ids [n] that a tracker reports for a frame."""


@dataclass(frozen=True, slots=True)
class Run:
    """A tracker's score on a crowd, and its median time per frame."""

    score: Score
    milliseconds: float


def score_ours(crowd: Crowd, every: int = 1) -> Run:
    """Scores our tracker, fed with every n-th frame only, on all frames."""
    tracker = Tracker(TrackerConfig())

    def follow(index: int, moment: Moment) -> Tracked:
        frame = moment.frame(index)
        if index % every:
            found = tracker.predict(frame, Results())
        else:
            found = tracker.process([frame], [Results(moment.detections)])[0]
        tracks = found.get(Tracks) or Tracks.none()
        return tracks.boxes, tracks.ids

    return _run(crowd, follow)


def score_analysed(crowd: Crowd, every: int) -> Run:
    """Scores our tracker only on the frames that it gets and on what it sees there, like the library's trackers."""
    tracker = Tracker(TrackerConfig(show_lost=0))

    def follow(index: int, moment: Moment) -> Tracked:
        found = tracker.process([moment.frame(index)], [Results(moment.detections)])[0]
        tracks = found.get(Tracks) or Tracks.none()
        return tracks.boxes, tracks.ids

    return _run(crowd, follow, every)


def score_library(kind: str, crowd: Crowd, every: int) -> Run:
    """Scores one of the library's trackers, given by class name, in the same way and with our thresholds."""
    trackers, supervision = importlib.import_module("trackers"), importlib.import_module("supervision")
    options: dict[str, Any] = {"frame_rate": crowd.fps / every, "high_conf_det_threshold": 0.5}
    if kind == "ByteTrackTracker":
        options["track_activation_threshold"] = 0.5
    tracker = getattr(trackers, kind)(**options)

    def follow(_: int, moment: Moment) -> Tracked:
        found = _for_library(supervision, moment.detections)
        told = tracker.update(found)
        known = told.tracker_id >= 0
        return told.xyxy[known].astype(np.float32), told.tracker_id[known].astype(np.int64)

    return _run(crowd, follow, every)


def _for_library(supervision: Any, found: Detections) -> Any:
    return supervision.Detections(xyxy=found.boxes.copy(), confidence=found.scores.copy(), class_id=found.class_ids)


def _run(crowd: Crowd, follow: Callable[[int, Moment], Tracked], every: int = 1) -> Run:
    scorer, times = Scorer(), []
    for index, moment in enumerate(crowd.moments()):
        if index % every:
            continue
        begun = time.perf_counter()
        boxes, ids = follow(index, moment)
        times.append(time.perf_counter() - begun)
        scorer.add(moment.boxes, moment.ids, boxes, ids)
    return Run(scorer.score(), float(np.median(times)) * 1e3)


def _line(name: str, measured: Iterable[Run]) -> str:
    runs = list(measured)
    scores = [run.score for run in runs]
    mota, idf1 = np.mean([one.mota for one in scores]), np.mean([one.idf1 for one in scores])
    switches, taken = sum(one.switches for one in scores), np.median([run.milliseconds for run in runs])
    return f"  {name:17} MOTA {mota:6.3f}  IDF1 {idf1:.3f}  switches {switches:4d}  {taken:.2f} ms a frame"


def main() -> None:
    crowds = [Crowd(seed=seed, seconds=20) for seed in range(30, 34)]
    coarse = [replace(one, jitter=0.08, missed=0.12, false_alarms=0.3, doubles=0.1) for one in crowds]
    there = importlib.util.find_spec("trackers") is not None
    for name, some in (("good", crowds), ("coarse", coarse)):
        for every in (1, 3, 5):
            print(f"{name} detector, {some[0].fps / every:.3g} analysed frames a second, {some[0].objects} people")
            print(_line("sightd", (score_analysed(crowd, every) for crowd in some)))
            for kind in ("OCSORTTracker", "ByteTrackTracker") if there else ():
                print(_line(kind, (score_library(kind, crowd, every) for crowd in some)))
    print("between analysed frames, by prediction, judged on all frames:")
    for every in (1, 2, 4):
        print(_line(f"sightd, 1 in {every}", (score_ours(crowd, every) for crowd in crowds)))
    if not there:
        print((__doc__ or "").partition("\n\n")[2])


if __name__ == "__main__":
    main()
