"""Several cameras: memory over the run, dropped frames, and whether viewers saw frames in order."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from bench.pipeline import procfs
from bench.pipeline.ages import Ages, ages_of, out_of_order, within
from bench.pipeline.options import Options
from bench.pipeline.report import heading, progress, table
from bench.pipeline.watching import watching

_CAMERAS = (1, 4, 8)
_EARLY = 0.2
"""Fraction of the run after which memory is first read."""


@dataclass(frozen=True, slots=True)
class Run:
    """The result for one number of cameras. Memory is in MiB; `dropped` is by stage and reason ("admission replaced");
    `ages` are of all viewers."""

    cameras: int
    seconds: float
    rss_early: float
    rss_end: float
    captured: int
    dropped: dict[str, int]
    pictures: int
    disordered: int
    ages: Ages


def measure(options: Options) -> list[Run]:
    return [_of(options, count) for count in options.cameras or _CAMERAS]


def show(runs: list[Run]) -> None:
    heading("Several cameras: memory, drops, order")
    table(
        ["cameras", "RSS at 20 %", "at the end", "captured", "dropped", "seen", "out of order", "p50", "p95 ms"],
        [
            [
                f"{run.cameras} for {run.seconds:.0f} s",
                f"{run.rss_early:.0f} MiB",
                f"{run.rss_end:.0f} MiB",
                str(run.captured),
                ", ".join(f"{count} {where}" for where, count in run.dropped.items()) or "none",
                str(run.pictures),
                str(run.disordered),
                f"{run.ages.p50:.0f}",
                f"{run.ages.p95:.0f}",
            ]
            for run in runs
        ],
    )


def as_json(runs: list[Run]) -> object:
    return [asdict(run) for run in runs]


def _of(options: Options, cameras: int) -> Run:
    seconds = 60 * options.minutes if options.minutes else 2 * options.seconds
    progress(f"cameras: {cameras} for {seconds:.0f} s")
    with watching(options, cameras) as watched:
        daemon = watched.daemon
        before, begin = daemon.counters(), time.monotonic()
        time.sleep(_EARLY * seconds)
        early = procfs.resident_mib(daemon.pid)
        time.sleep((1 - _EARLY) * seconds)
        late, end = procfs.resident_mib(daemon.pid), time.monotonic()
        grown = daemon.counters().since(before)
        daemon.check()
        seen = [within(pictures, begin, end) for pictures in watched.seen()]
    drops = grown.by_labels("sightd_frames_dropped_total", "stage", "reason")
    return Run(
        cameras,
        end - begin,
        early,
        late,
        round(grown.total("sightd_frames_total", stage="captured")),
        {" ".join(where): round(count) for where, count in drops.items()},
        sum(map(len, seen)),
        sum(map(out_of_order, seen)),
        Ages.of(age for pictures in seen for age in ages_of(pictures)),
    )
