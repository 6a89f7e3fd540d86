"""Measures the cost of running a plug-in in its own process: `python -m bench.isolation`.

Runs the same plug-in in this process and in its own, alternating frame by frame, so that other load affects both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bench.null_plugins import Blind, Looking, NullObserver
from bench.pipeline.procfs import load_average
from sightd.daemon.common.process import lower_thread_priority
from sightd.daemon.config.model import Engines, Models
from sightd.daemon.pipeline.manager import Instance, PluginManager
from sightd.daemon.pipeline.model_loading import engine_loading
from sightd.plugins.api import AnyPlugin, Frame, Image, PluginConfig, Results
from sightd.plugins.detector import Detector
from sightd.plugins.detector.config import DetectorConfig

SIZES = ((640, 360), (1920, 1080))
NETWORK = "ssd-mobilenet-v2"
FPS = 25
_FRAMES, _WARM_UP = 100, 10


@dataclass(slots=True)
class Usage(NullObserver):
    """A plug-in observer that adds up the CPU seconds used by an isolated plug-in's process."""

    cpu: float = 0.0

    def used(self, cpu: float) -> None:
        self.cpu += cpu


@dataclass(frozen=True, slots=True)
class Figure:
    """Median times of a call, and mean CPU times per call of both processes together, in ms."""

    plugin: str
    width: int
    height: int
    here: float
    isolated: float
    cpu_here: float
    cpu_isolated: float

    @property
    def share(self) -> float:
        """Additional load as a fraction of one core, at FPS frames a second."""
        return (self.cpu_isolated - self.cpu_here) * FPS / 1e3


def measure(name: str, plugin: type[AnyPlugin], options: Callable[..., PluginConfig], size: tuple[int, int]) -> Figure:
    loading = partial(engine_loading, Models(), Engines())
    usages = {"here": Usage(), "isolated": Usage()}
    host = PluginManager(loading(), usages.__getitem__, networks=loading)
    kinds = {"here": options(), "isolated": options(isolate=True)}
    try:
        instances = {kind: host.open(kind, plugin, config, cameras=1) for kind, config in kinds.items()}
        noise = np.random.default_rng(0).integers(0, 256, (8, size[1], size[0], 3), np.uint8)
        for instance in instances.values():
            for n in range(_WARM_UP):
                _seconds(instance, noise[n % len(noise)], n)
        for instance in instances.values():
            instance.check_hung()
        usages["isolated"].cpu = 0.0
        took: dict[str, list[float]] = {kind: [] for kind in kinds}
        cpu = dict.fromkeys(kinds, 0.0)
        for n in range(_FRAMES):
            for kind, instance in instances.items():
                begun = time.process_time()
                took[kind].append(_seconds(instance, noise[n % len(noise)], _WARM_UP + n))
                cpu[kind] += time.process_time() - begun
        instances["isolated"].check_hung()
        for instance in instances.values():
            host.discard(instance)
    finally:
        host.close()
    cpu["isolated"] += usages["isolated"].cpu
    here, isolated = (statistics.median(took[kind]) * 1e3 for kind in kinds)
    return Figure(name, *size, here, isolated, *(cpu[kind] * 1e3 / _FRAMES for kind in kinds))


def _seconds(instance: Instance, image: Image, seq: int) -> float:
    frame = Frame.of(image.copy(), seq=seq)
    begun = time.perf_counter()
    if instance.supervisor.process([frame], [Results()]) is None:
        raise RuntimeError(f"the plug-in failed: {instance.supervisor.last_fault}")
    return time.perf_counter() - begun


def main(argv: Sequence[str] | None = None) -> int:
    """Prints and writes the figures. Returns 0."""
    parser = argparse.ArgumentParser(prog="bench.isolation", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    lower_thread_priority()  # as inference threads do, and as the plug-in's own process does
    plugins: tuple[tuple[str, type[AnyPlugin], Callable[..., PluginConfig]], ...] = (
        ("asks for no picture", Blind, PluginConfig),
        ("asks for the picture", Looking, PluginConfig),
        (f"detector, {NETWORK}", Detector, partial(DetectorConfig, model=NETWORK)),
    )
    figures = [measure(*plugin, size) for plugin in plugins for size in SIZES]
    print(f"{os.cpu_count()} cores, load {load_average():.1f}; {_FRAMES} frames each, in turns")
    print(
        f"{'plug-in':26}  {'picture':>9}  {'here':>9}  {'isolated':>9}  {'added':>8}  {'ratio':>6}  "
        f"{'CPU here':>9}  {'isolated':>9}  a core's share at {FPS} fps"
    )
    for one in figures:
        ratio = f"{one.isolated / one.here:.2f} x" if one.here >= 1 else "–"
        print(
            f"{one.plugin:26}  {f'{one.width}x{one.height}':>9}  {one.here:>6.2f} ms  {one.isolated:>6.2f} ms  "
            f"{one.isolated - one.here:>5.2f} ms  {ratio:>6}  {one.cpu_here:>6.2f} ms  {one.cpu_isolated:>6.2f} ms  "
            f"{one.share:+.1%}"
        )
    if args.json:
        args.json.write_text(json.dumps([asdict(one) for one in figures], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
