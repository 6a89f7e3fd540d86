"""Compresses months of operation into minutes of random, seeded events: `python -m bench.soak`.

Runs a daemon with one camera that suffers faults and one that must not be affected. Every few seconds something
happens: cameras come and go, faults, viewers, reloads. From time to time everything that was added is removed, and
resource use at rest is compared. Prints what happened, frames lost without being counted, and how memory, threads and
descriptors grew after the warm-up.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from sightd.daemon.common.process import TRIM_EVERY
from tests.support.fault_harness import FaultHarness
from tests.support.faults import FAULTS
from tests.support.process import Sample, sample
from tests.support.viewer import Viewer

_WARM_UP = 600.0
"""Seconds after which growth is measured; until then the pools of FFmpeg, GStreamer and the allocator fill up. In a
shorter soak, its first third."""
_RESTS = 6
_REST = TRIM_EVERY + 5.0
"""Seconds at rest, long enough that freed memory is trimmed once. Shorter in a short soak."""
GROWTH = 1.0
"""Aim: maximum growth of memory, MiB in ten minutes."""
_MOST_CAMERAS, _MOST_VIEWERS = 4, 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """`lost`: frames of the unaffected camera that are missing and were not counted. Growth between rests after the
    warm-up, per ten minutes (memory in MiB): the slope of a linear fit."""

    seconds: float
    happened: dict[str, int]
    recovered: int
    lost: int
    memory_growth: float
    thread_growth: float
    descriptor_growth: float
    faults_of_plugins: int


class Soak:
    """Applies random events to the daemon of a test harness."""

    def __init__(self, harness: FaultHarness, seed: int) -> None:
        self._harness, self._random = harness, random.Random(seed)
        self._watching: list[Viewer] = []
        self._cameras: dict[str, dict[str, Any]] = {}
        self._next = 0
        self.happened: Counter[str] = Counter()
        self.recovered = 0
        self._base = yaml.safe_load(harness.daemon.path.read_text())

    def turn(self) -> None:
        """Applies one random event."""
        acts: list[tuple[str, Callable[[], None]]] = [
            ("camera added", self._add),
            ("camera removed", self._remove),
            ("camera changed", self._change),
            ("viewer came", self._come),
            ("viewer left", self._leave),
            ("faulty configuration", self._refused),
            ("fault", self._fault),
        ]
        name, act = self._random.choice(acts)
        act()
        self.happened[name] += 1

    def rest(self) -> None:
        """Removes all added cameras and viewers."""
        while self._watching:
            self._watching.pop().stop()
        self._cameras.clear()
        self._reload()

    def _add(self) -> None:
        if len(self._cameras) < _MOST_CAMERAS:
            self._next += 1
            self._cameras[f"extra{self._next}"] = {"source": "testpattern://", "width": 320, "height": 240, "fps": 10}
            self._reload()

    def _remove(self) -> None:
        if self._cameras:
            del self._cameras[self._random.choice(list(self._cameras))]
            self._reload()

    def _change(self) -> None:
        if self._cameras:
            camera = self._cameras[self._random.choice(list(self._cameras))]
            camera["title"] = f"Camera {self._random.randrange(1000)}"
            self._reload()

    def _come(self) -> None:
        if len(self._watching) < _MOST_VIEWERS:
            viewer = Viewer(self._harness.daemon.rtsp(self._random.choice(["other", "patient", *self._cameras])))
            viewer.start()
            self._watching.append(viewer)

    def _leave(self) -> None:
        if self._watching:
            self._watching.pop(self._random.randrange(len(self._watching))).stop()

    def _refused(self) -> None:
        self._harness.daemon.path.write_text("cameras: {a: {sorce: x}}\n")
        assert self._asked().status_code == 409
        self._write()

    def _fault(self) -> None:
        self._harness.suffer(self._random.choice(FAULTS), well=0.2, ill=self._random.uniform(0.5, 4))
        self.recovered += 1

    def _reload(self) -> None:
        self._write()
        answer = self._asked()
        assert answer.status_code == 200, answer.text

    def _write(self) -> None:
        cameras = {**self._base["cameras"], **self._cameras}
        self._harness.daemon.path.write_text(yaml.safe_dump({**self._base, "cameras": cameras}))

    def _asked(self) -> httpx.Response:
        return httpx.post(self._harness.daemon.url("/api/v1/reload"), headers={"X-Sightd": "1"}, timeout=30)


def soak(folder: Path, seconds: float, seed: int, report: Callable[[str], None]) -> Outcome:
    """Runs the soak for `seconds` s."""
    rests: list[tuple[float, Sample]] = []
    with FaultHarness(folder) as harness:
        doing, begun, lost = Soak(harness, seed), time.monotonic(), harness.uncounted()
        for end in (seconds * (number + 1) / _RESTS for number in range(_RESTS)):
            resting = min(_REST, seconds / _RESTS / 4)
            while (at := time.monotonic() - begun) < end - resting:
                doing.turn()
                now, things = sample(harness.daemon.pid), sum(doing.happened.values())
                report(f"{at:5.0f} s  {now.memory:.0f} MiB, {now.threads} threads, {things} things")
                time.sleep(0.5)
            doing.rest()
            rests.append((time.monotonic() - begun, now := _at_rest(harness.daemon.pid, resting)))
            report(f"{at:5.0f} s  at rest: {now.memory:.1f} MiB, {now.threads} threads, {now.descriptors} descriptors")
        faults = sum(harness.daemon.values("sightd_plugin_faults_total", "reason").values())
        lost = harness.lost_since(lost)
    warm = [(at, one) for at, one in rests if at > min(_WARM_UP, seconds / 3)]
    return Outcome(
        seconds=seconds,
        happened=dict(doing.happened),
        recovered=doing.recovered,
        lost=lost,
        memory_growth=_growth([(at, one.memory) for at, one in warm]),
        thread_growth=_growth([(at, one.threads) for at, one in warm]),
        descriptor_growth=_growth([(at, one.descriptors) for at, one in warm]),
        faults_of_plugins=int(faults),
    )


def _at_rest(pid: int, seconds: float) -> Sample:
    """Returns the lowest values within that time."""
    until, seen = time.monotonic() + seconds, [sample(pid)]
    while time.monotonic() < until:
        time.sleep(0.5)
        seen.append(sample(pid))
    return Sample(
        memory=min(one.memory for one in seen),
        threads=min(one.threads for one in seen),
        descriptors=min(one.descriptors for one in seen),
    )


def _growth(rests: Sequence[tuple[float, float]]) -> float:
    """Returns the growth in ten minutes, from (time in s, value) pairs."""
    return statistics.linear_regression(*zip(*rests, strict=True)).slope * 600


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if no frame was lost uncounted and memory growth was below the aim, else 1."""
    parser = argparse.ArgumentParser(prog="bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="(default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="the same things happen again (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), args.minutes * 60, args.seed, lambda line: print(line, file=sys.stderr))
    print(", ".join(f"{name} x{count}" for name, count in sorted(found.happened.items())))
    print(f"recovered from {found.recovered} faults; frames lost without a count: {found.lost}")
    print(
        f"growth in 10 minutes: {found.memory_growth:+.2f} MiB (aim {GROWTH:g}), {found.thread_growth:+.2f} threads, "
        f"{found.descriptor_growth:+.2f} descriptors"
    )
    if args.json:
        args.json.write_text(json.dumps(asdict(found), indent=1))
    return 0 if found.lost == 0 and found.memory_growth < GROWTH else 1


if __name__ == "__main__":
    raise SystemExit(main())
