"""A daemon with 20 events per second, whose receivers are killed, frozen and slowed in turn; if asked for, the daemon
itself is killed again and again."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench.delivery.receivers import RECEIVERS, Receiver
from sightd.daemon.events.journal_reader import JournalReader
from tests.support.daemon import DaemonProcess
from tests.support.packages import package

FPS, CAMERAS = 10, 2
"""20 events per second: the plug-in reports one on each frame."""
KIND = "bench.frame"
_HEALTHY, _BROKEN = 1 / 3, 2 / 3
"""Shares of a round in which the receivers work, and do not."""
_OUTAGES: Mapping[str, tuple[Callable[[Receiver], None], Callable[[Receiver], None]]] = {
    "killed": (lambda one: one.kill(), lambda one: one.start_again()),
    "frozen": (lambda one: one.freeze(), lambda one: one.thaw()),
    "slow": (lambda one: one.slow_down(), lambda one: one.speed_up()),
}
"""How each kind of outage begins and ends."""
_PLUGIN = f'''
import struct, time
from sightd.plugins.api import Event, Events, EventSpec, Plugin, Results

class Ticker(Plugin):
    """Reports each frame, and writes when it saw it and how old it was (s) to a file."""
    produces = frozenset({{Events}})
    events = (EventSpec("{KIND}", "Each frame."),)

    def open(self, context):
        import os
        self.file = open(os.environ["TICKER_FILE"], "ab", buffering=0)

    def process(self, frames, results):
        now = time.monotonic()
        for frame in frames:
            self.file.write(struct.pack("dd", time.time(), now - frame.captured_at))
        return [Results(Events((Event("{KIND}", {{"frame": frame.seq}}),))) for frame in frames]
'''


@dataclass(frozen=True, slots=True)
class SinkResult:
    """What a receiver got of the events that are in the journal. `repeated`: arrivals of an event that had arrived
    before; `changed`: of these, with another content than before."""

    missing: int
    repeated: int
    changed: int
    out_of_order: int


@dataclass(frozen=True, slots=True)
class Outages:
    """`read`: events that were read over HTTP while the daemon ran; `lost_after_reading` of them are not in the journal
    at the end. `p95` are milliseconds from the capture of a frame until its plug-in had it, while the receivers worked
    (True) and did not."""

    seconds: float
    stored: int
    read: int
    lost_after_reading: int
    kills: int
    outages: Mapping[str, int]
    sinks: Mapping[str, SinkResult]
    p95: Mapping[bool, float]

    @property
    def met(self) -> bool:
        """Whether nothing was lost or out of order, and nothing repeated looked like a new event."""
        fine = not any(one.missing or one.changed or one.out_of_order for one in self.sinks.values())
        return fine and not self.lost_after_reading and self.stored > 0


@dataclass
class _Site:
    """The receivers, and how often they failed, by kind of outage."""

    receivers: Mapping[str, Receiver]
    daemon: _Restarting
    outages: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def broken(self, kind: str) -> Iterator[None]:
        """Breaks all receivers for the length of the block."""
        self.outages[kind] = self.outages.get(kind, 0) + 1
        begin, end = _OUTAGES[kind]
        if kind == "killed":
            self._kill()
        else:
            self._all(begin)
        yield
        self._all(end)

    def _kill(self) -> None:
        """Kills all receivers. While what one would lose is read, the daemon is stopped (SIGSTOP): nothing may be
        acknowledged in between."""
        losing = [one for one in self.receivers.values() if one.loses_data]
        with self.daemon.paused() if losing else nullcontext():
            for one in losing:
                one.save()
                one.kill()
        for one in self.receivers.values():
            if one not in losing:
                one.kill()

    def _all(self, do: Callable[[Receiver], None]) -> None:
        for one in self.receivers.values():
            do(one)


def run(
    seconds: float, folder: Path, *, sinks: Sequence[str], kill_every: float | None = None, rounds: int = 6
) -> Outages:
    """Runs a daemon for `seconds`, in which the receivers (names of `RECEIVERS`) fail `rounds` times. With
    `kill_every`, the daemon is killed (SIGKILL) about that often, in s, and started again."""
    with ExitStack() as stack:
        receivers = {name: stack.enter_context(RECEIVERS[name](folder)) for name in sinks}
        plugins = package(folder / "ticker", "ticker", {"sightd.plugins": {"ticker": "ticker:Ticker"}}, ticker=_PLUGIN)
        ages = folder / "ages"
        environ = {"PYTHONPATH": str(plugins), "TICKER_FILE": str(ages)}
        daemon = _Restarting(DaemonProcess(folder, _configuration(receivers), environ), kill_every)
        site = _Site(receivers, daemon)
        stack.callback(daemon.close)
        daemon.start()
        broken = list(_schedule(site, seconds, rounds))
        daemon.settle()
        read = daemon.read
        stored = {one.id: one.for_json() for one in _journal(folder)}
        wanted = [number for number, form in stored.items() if form["kind"] == KIND]
        results = {name: _result(wanted, one.arrived()) for name, one in receivers.items()}
    return Outages(
        seconds,
        len(wanted),
        len(read),
        len(read - stored.keys()),
        daemon.kills,
        site.outages,
        results,
        _p95(ages, broken),
    )


def _configuration(receivers: Mapping[str, Receiver]) -> dict[str, Any]:
    camera = {"source": "testpattern://", "width": 320, "height": 240, "fps": FPS}
    retry = {"initial_delay": "200ms", "max_delay": "2s"}
    common = {"kinds": [KIND], "timeout": "2s", "retry": retry}
    return {
        "cameras": {f"camera{number}": camera for number in range(CAMERAS)},
        "chain": ["ticker"],
        "rtsp": {"enabled": False},
        "delivery": {
            "instance": "bench",
            "sinks": {name: {**one.options, **common} for name, one in receivers.items()},
        },
    }


def _schedule(site: _Site, seconds: float, rounds: int) -> Iterator[tuple[float, float]]:
    """Lets time pass; yields the times (s since the epoch) between which the receivers did not work."""
    each = seconds / rounds
    for number in range(rounds):
        time.sleep(_HEALTHY * each)
        begun = time.time()
        with site.broken(tuple(_OUTAGES)[number % len(_OUTAGES)]):
            time.sleep(_BROKEN * each)
        yield begun, time.time()


class _Restarting:
    """The daemon, which is killed again and again if asked for, and the events that can be read from it meanwhile."""

    def __init__(self, daemon: DaemonProcess, kill_every: float | None) -> None:
        self._daemon, self._kill_every = daemon, kill_every
        self.read: set[int] = set()
        self.kills = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        """Held while the daemon is killed and started, read, or paused."""
        self._thread = threading.Thread(target=self._run, name="daemon-killer")

    def start(self) -> None:
        self._daemon.start()
        self._thread.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the daemon's threads (SIGSTOP) for the length of the block."""
        with self._lock:
            self._daemon.signal(signal.SIGSTOP)
            yield
            self._daemon.signal(signal.SIGCONT)

    def settle(self, within: float = 60.0) -> None:
        """Stops killing, and waits until both sinks have caught up and the daemon has stopped."""
        self._over.set()
        self._thread.join()
        until = time.monotonic() + within
        while any(sink["pending"] > 100 or sink["fault"] for sink in self._sinks()) and time.monotonic() < until:
            time.sleep(0.2)
        time.sleep(1.0)  # a stop waits two seconds for sinks; what they have still to do is little
        self._daemon.terminate()

    def close(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._daemon.close()

    def _run(self) -> None:
        due = self._next()
        while not self._over.wait(0.25):
            with self._lock:
                self._look()
                if time.monotonic() > due:
                    self._daemon.signal(signal.SIGKILL)
                    self._daemon.exit_code()
                    self.kills += 1
                    self._daemon.start()
                    due = self._next()

    def _next(self) -> float:
        return (
            float("inf") if self._kill_every is None else time.monotonic() + self._kill_every * random.uniform(0.5, 1.5)
        )

    def _look(self) -> None:
        last = max(self.read, default=0)
        while events := self._daemon.get(f"/api/v1/events?after={last}&limit=1000&kind={KIND}").json():
            self.read |= {one["id"] for one in events}
            last = max(self.read)

    def _sinks(self) -> Sequence[Mapping[str, Any]]:
        try:
            found: Sequence[Mapping[str, Any]] = self._daemon.get("/api/v1/status").json()["sinks"]
        except httpx.HTTPError:
            return [{"pending": 10**6, "fault": "the daemon does not answer"}]
        return found


def _journal(folder: Path) -> Iterator[Any]:
    reader, last = JournalReader(folder / "state" / "events.db"), 0
    while events := reader.after(last, 1000):
        yield from events
        last = events[-1].id


def _result(wanted: Sequence[int], arrived: Sequence[Sequence[Mapping[str, Any]]]) -> SinkResult:
    """Compares events of the journal with the sequences in which they arrived."""
    first: dict[int, Mapping[str, Any]] = {}
    changed = out_of_order = 0
    for sequence in arrived:
        newest = 0
        for event in sequence:
            number = event["id"]
            if number in first:
                changed += first[number] != event
                continue
            first[number] = event
            out_of_order += number < newest
            newest = max(newest, number)
    return SinkResult(len(set(wanted) - first.keys()), sum(map(len, arrived)) - len(first), changed, out_of_order)


def _p95(file: Path, broken: Sequence[tuple[float, float]]) -> dict[bool, float]:
    values = np.fromfile(file, np.float64)[: file.stat().st_size // 16 * 2].reshape(-1, 2)
    at, age = values.T
    failing = np.zeros(len(at), bool)
    for begun, ended in broken:
        failing |= (at > begun) & (at < ended)
    ages = {works: age[failing != works] for works in (True, False)}
    return {works: 1000 * float(np.percentile(values, 95)) for works, values in ages.items() if len(values)}


def show(found: Outages) -> None:
    print(f"{found.seconds / 60:.1f} min, outages {dict(found.outages)}, daemon killed {found.kills} times")
    print(f"stored {found.stored} events; read meanwhile {found.read}, of which lost {found.lost_after_reading}")
    for name, one in found.sinks.items():
        print(
            f"{name}: {one.missing} missing, {one.out_of_order} out of order, {one.repeated} repeated "
            f"({one.changed} with another content)"
        )
    if found.kills:
        return  # starts are slow
    works, fails = found.p95[True], found.p95[False]
    print(f"capture to plug-in, p95: {works:.1f} ms, in outages {fails:.1f} ms ({100 * (fails / works - 1):+.0f} %)")
