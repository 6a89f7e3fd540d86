"""Adds and removes a thousand cameras, each with its own name: `python -m bench.cycles`.

Prints memory, threads, descriptors and metric series over time. Everything that a camera takes must be released with
it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.camera import CameraSimulator, Look
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.process import Sample, sample
from tests.support.waiting import eventually

_PATTERN = {"source": "testpattern://", "width": 320, "height": 240, "fps": 15}
_LOOK = Look(size=(320, 240), fps=15)
SPARE_THREADS = 2
"""GLib keeps this many idle threads for 15 s, to reuse them."""
GROWTH = 4.0
"""Aim: maximum growth in MiB over a thousand cycles, after the first tenth."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`samples` were taken after each tenth of the cycles; `series` are the numbers of metric series at those times."""

    cycles: int
    samples: list[Sample]
    series: list[int]

    def flat(self) -> bool:
        """Whether nothing is left of the removed cameras: threads and series as before, at most two more
        descriptors."""
        first, last = self.samples[0], self.samples[-1]
        same = last.threads <= first.threads + SPARE_THREADS and self.series[-1] <= self.series[0]
        return same and last.descriptors <= first.descriptors + 2 and last.memory - first.memory < GROWTH


def cycles(folder: Path, count: int, report: Callable[[int, Sample, int], None]) -> Outcome:
    """Runs `count` cycles. Takes a sample after each tenth of them, once everything has settled."""
    settings: dict[str, Any] = {
        "cameras": {"stays": _PATTERN},
        "chain": ["detector", "tracker"],
        "plugins": {"detector": one_object_network(folder)},
        "log": {"level": "warning"},
    }
    samples, series = [], []
    with CameraSimulator(_LOOK) as camera, DaemonProcess(folder, settings) as daemon:
        guests: list[dict[str, Any]] = [
            {"source": camera.address(), "transport": transport} for transport in ("tcp", "udp")
        ]
        guests.append(_PATTERN)
        base = yaml.safe_load(daemon.path.read_text())
        eventually(lambda: daemon.readiness()["cameras"]["stays"]["state"] == "live", 10, "stays sends")
        sum(1 for _ in _series(daemon))  # the HTTP server starts a thread for the first /metrics request and keeps it
        for number, guest in enumerate(guests):  # GStreamer keeps a clock thread from the first camera on
            _come_and_go(daemon, base, f"first{number}", guest)
        threads = _at_rest(daemon.pid)
        for number in range(1, count + 1):
            _come_and_go(daemon, base, f"guest{number}", guests[number % len(guests)])
            if number % (count // 10) == 0:
                series.append(sum(1 for _ in _series(daemon)))
                samples.append(_settled(daemon.pid, threads))
                report(number, samples[-1], series[-1])
    return Outcome(count, samples, series)


def _come_and_go(daemon: DaemonProcess, base: dict[str, Any], name: str, guest: dict[str, Any]) -> None:
    _become(daemon, {**base, "cameras": {**base["cameras"], name: guest}})
    eventually(lambda: daemon.readiness()["cameras"][name]["state"] == "live", 10, f"{name} sends")
    _become(daemon, base)


def _become(daemon: DaemonProcess, settings: dict[str, Any]) -> None:
    daemon.path.write_text(yaml.safe_dump(settings))
    answer = httpx.post(daemon.url("/api/v1/reload"), headers={"X-Sightd": "1"}, timeout=30)
    answer.raise_for_status()


def _settled(pid: int, threads: int, within: float = 10.0) -> Sample:
    """Returns a sample taken once no more than `threads` threads are left, or after `within` seconds.

    `Thread.join` returns before the kernel has ended the thread, so a removed camera's last thread may still be counted
    just after the reload. A thread that leaks stays.
    """
    deadline = time.monotonic() + within
    while (now := sample(pid)).threads > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    return now


def _at_rest(pid: int, within: float = 10.0) -> int:
    """Returns the number of threads once it has stayed the same for a second, or after `within` seconds."""
    counts: list[int] = []
    for _ in range(round(within / 0.1)):
        counts.append(sample(pid).threads)
        if len(counts) >= 10 and len(set(counts[-10:])) == 1:
            break
        time.sleep(0.1)
    return counts[-1]


def _series(daemon: DaemonProcess) -> Iterator[str]:
    return (line for line in daemon.get("/metrics").text.splitlines() if not line.startswith("#"))


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if nothing has grown more than allowed, else 1."""
    parser = argparse.ArgumentParser(prog="bench.cycles", description=__doc__)
    parser.add_argument("--cycles", type=int, default=1000, help="ten or more (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    print(f"{'cycles':>8} {'MiB':>7} {'threads':>8} {'descriptors':>12} {'series':>7}", file=sys.stderr)

    def report(number: int, now: Sample, series: int) -> None:
        print(f"{number:8} {now.memory:7.1f} {now.threads:8} {now.descriptors:12} {series:7}", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        found = cycles(Path(folder), args.cycles, report)
    grown = found.samples[-1].memory - found.samples[0].memory
    print(f"{args.cycles} cameras came and went: {'flat' if found.flat() else 'NOT FLAT'}, memory {grown:+.1f} MiB")
    if args.json:
        args.json.write_text(json.dumps(asdict(found), indent=1))
    return 0 if found.flat() else 1


if __name__ == "__main__":
    raise SystemExit(main())
