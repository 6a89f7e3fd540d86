"""Latency: from the creation of a frame in a camera until a viewer of the daemon has decoded it."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict, dataclass

from bench.pipeline import procfs
from bench.pipeline.ages import Ages, ages_of, within
from bench.pipeline.cpu import observe
from bench.pipeline.options import Options
from bench.pipeline.report import heading, progress, table
from bench.pipeline.watching import watching

_CAMERAS = (1, 4)


@dataclass(frozen=True, slots=True)
class Latency:
    """The result for one number of cameras. Rates are frames per second and camera; `first` and `last` are parts of the
    window; `cores` is the number of CPU cores used."""

    cameras: int
    seconds: float
    ages: Ages
    first: Ages
    last: Ages
    shown_fps: float
    analysed_fps: float
    cores: float
    load: float


def measure(options: Options) -> list[Latency]:
    return [_of(options, count) for count in options.cameras or _CAMERAS]


def show(results: list[Latency]) -> None:
    heading("Glass to glass: made in the camera → decoded by the viewer, ms")
    table(
        ["cameras", "p50", "p95", "max", "shown fps", "analysed fps", "cores used", "p50 first", "p50 last", "load"],
        [
            [
                f"{r.cameras} for {r.seconds:.0f} s",
                *(f"{value:.0f}" for value in (r.ages.p50, r.ages.p95, r.ages.most)),
                *(f"{value:.1f}" for value in (r.shown_fps, r.analysed_fps)),
                f"{r.cores:.2f}",
                *(f"{ages.p50:.0f}" for ages in (r.first, r.last)),
                f"{r.load:.1f}",
            ]
            for r in results
        ],
    )
    print("\n  Rates are those of one camera. First and last: the first and last fifth, a minute at most.")


def as_json(results: list[Latency]) -> object:
    return [asdict(result) for result in results]


def _of(options: Options, cameras: int) -> Latency:
    seconds = 60 * options.minutes if options.minutes else 2 * options.seconds
    progress(f"latency: {cameras} camera{'s' * (cameras > 1)} for {seconds:.0f} s")
    with watching(options, cameras) as watched:
        begin = time.monotonic()
        window, _ = observe(watched.daemon, seconds)
        end = time.monotonic()
        load = procfs.load_average()
        seen = list(itertools.chain.from_iterable(watched.seen()))
    part = min(60.0, seconds / 5)
    return Latency(
        cameras,
        window.seconds,
        Ages.of(ages_of(within(seen, begin, end))),
        Ages.of(ages_of(within(seen, begin, begin + part))),
        Ages.of(ages_of(within(seen, end - part, end))),
        len(within(seen, begin, end)) / (end - begin) / cameras,
        window.rate("analysed") / cameras,
        window.cpu / window.seconds,
        load,
    )
