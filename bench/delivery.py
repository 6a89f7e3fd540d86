"""Measures the delivery of events: `python -m bench.delivery [rate|outages]`.

`rate`: events per second at a real MQTT broker, near and distant, with one message under way at a time and with
several. `outages`: a daemon with 20 events per second, whose broker and webhook are killed, frozen and slowed in turn;
with `--kill`, the daemon itself is killed again and again.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from sightd.daemon.delivery.mqtt import Mqtt
from sightd.daemon.events.journal_reader import JournalReader
from tests.daemon.delivery.harness import DeliveryHarness
from tests.support.daemon import DaemonProcess
from tests.support.delay_proxy import DelayProxy
from tests.support.http_process import HttpProcess
from tests.support.mosquitto import Broker, Subscriber
from tests.support.packages import package

FPS, CAMERAS = 10, 2
"""20 events per second: the plug-in reports one on each frame."""
KIND = "bench.frame"
_HEALTHY, _BROKEN = 1 / 3, 2 / 3
"""Shares of a round in which the receivers work, and do not."""
_SLOW = 0.4
"""Seconds by which data is delayed in each direction at a slow receiver."""
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
class Rate:
    """Events per second, with a round trip of `rtt` s and at most `window` messages under way."""

    rtt: float
    window: int
    events_per_second: float


def rates(count: int) -> Iterator[Rate]:
    """Measures how fast a backlog of events is delivered."""
    for rtt, number in ((0.0, count), (0.02, count // 5)):
        for window in (1, Mqtt.window):
            with tempfile.TemporaryDirectory() as folder:
                yield Rate(rtt, window, _rate(Path(folder), rtt, window, number))


def _rate(folder: Path, rtt: float, window: int, count: int) -> float:
    usual, Mqtt.window = Mqtt.window, window
    try:
        with (
            Broker(folder, "allow_anonymous true\nset_tcp_nodelay true") as broker,
            DelayProxy(broker.port) as proxy,
            DeliveryHarness(folder, 10**6) as events,
        ):
            proxy.delay = rtt / 2
            port = proxy.port if rtt else broker.port
            events.apply(home={"type": "mqtt", "host": "127.0.0.1", "port": port, "timeout": "60s"})
            events.settled("home")
            broker.freeze()
            for _ in range(count // 1000):
                events.note(1000)
            broker.thaw()
            begun, before = time.monotonic(), events.count("home", "delivered")
            while events.report("home").pending:
                time.sleep(0.005)
            return (events.count("home", "delivered") - before) / (time.monotonic() - begun)
    finally:
        Mqtt.window = usual


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
    """The receivers, and what stands between them and the daemon."""

    broker: Broker
    broker_proxy: DelayProxy
    subscriber: Subscriber
    hook: HttpProcess
    hook_proxy: DelayProxy
    outages: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def broken(self, kind: str) -> Iterator[None]:
        """Breaks both receivers for the length of the block; the broker's subscriber is back before the daemon is."""
        self.outages[kind] = self.outages.get(kind, 0) + 1
        proxies = (self.broker_proxy, self.hook_proxy)
        if kind == "killed":
            for proxy in proxies:
                proxy.refuse()
            self.subscriber.expect_restart()
            self.broker.kill()
            self.hook.kill()
            yield
            self.broker.start()
            self.hook.start()
            self.subscriber.resubscribed()
            for proxy in proxies:
                proxy.accept()
        elif kind == "frozen":
            self.broker.freeze()
            self.hook.freeze()
            yield
            self.broker.thaw()
            self.hook.thaw()
        else:
            for proxy in proxies:
                proxy.delay = _SLOW
            yield
            for proxy in proxies:
                proxy.delay = 0.0


def outages(seconds: float, folder: Path, *, kill_every: float | None = None, rounds: int = 6) -> Outages:
    """Runs a daemon for `seconds`, in which the receivers fail `rounds` times. With `kill_every`, the daemon is killed
    (SIGKILL) about that often, in s, and started again."""
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(folder))
        hook = stack.enter_context(HttpProcess(folder))
        site = _Site(
            broker,
            stack.enter_context(DelayProxy(broker.port)),
            stack.enter_context(Subscriber(broker.port)),
            hook,
            stack.enter_context(DelayProxy(hook.port)),
        )
        plugins = package(folder / "ticker", "ticker", {"sightd.plugins": {"ticker": "ticker:Ticker"}}, ticker=_PLUGIN)
        ages = folder / "ages"
        environ = {"PYTHONPATH": str(plugins), "TICKER_FILE": str(ages)}
        daemon = _Restarting(DaemonProcess(folder, _configuration(site), environ), kill_every)
        stack.callback(daemon.close)
        daemon.start()
        broken = list(_schedule(site, seconds, rounds))
        daemon.settle()
        read = daemon.read
        stored = {one.id: one.for_json() for one in _journal(folder)}
    wanted = [number for number, form in stored.items() if form["kind"] == KIND]
    mqtt = [json.loads(one.payload) for one in site.subscriber.messages if "/events/" in one.topic]
    web = [json.loads(one.body) for one in hook.requests()]
    return Outages(
        seconds,
        len(wanted),
        len(read),
        len(read - stored.keys()),
        daemon.kills,
        site.outages,
        {"mqtt": _result(wanted, mqtt), "webhook": _result(wanted, web)},
        _p95(ages, broken),
    )


def _configuration(site: _Site) -> dict[str, Any]:
    camera = {"source": "testpattern://", "width": 320, "height": 240, "fps": FPS}
    retry = {"initial_delay": "200ms", "max_delay": "2s"}
    common = {"kinds": [KIND], "timeout": "2s", "retry": retry}
    return {
        "cameras": {f"camera{number}": camera for number in range(CAMERAS)},
        "chain": ["ticker"],
        "rtsp": {"enabled": False},
        "delivery": {
            "instance": "bench",
            "sinks": {
                "home": {"type": "mqtt", "host": "127.0.0.1", "port": site.broker_proxy.port, **common},
                "hook": {"type": "webhook", "url": f"http://127.0.0.1:{site.hook_proxy.port}/hook", **common},
            },
        },
    }


def _schedule(site: _Site, seconds: float, rounds: int) -> Iterator[tuple[float, float]]:
    """Lets time pass; yields the times (s since the epoch) between which the receivers did not work."""
    each = seconds / rounds
    for number in range(rounds):
        time.sleep(_HEALTHY * each)
        begun = time.time()
        with site.broken(("killed", "frozen", "slow")[number % 3]):
            time.sleep(_BROKEN * each)
        yield begun, time.time()


class _Restarting:
    """The daemon, which is killed again and again if asked for, and the events that can be read from it meanwhile."""

    def __init__(self, daemon: DaemonProcess, kill_every: float | None) -> None:
        self._daemon, self._kill_every = daemon, kill_every
        self.read: set[int] = set()
        self.kills = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="daemon-killer")

    def start(self) -> None:
        self._daemon.start()
        self._thread.start()

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


def _result(wanted: Sequence[int], arrived: Sequence[Mapping[str, Any]]) -> SinkResult:
    first: dict[int, Mapping[str, Any]] = {}
    changed = out_of_order = newest = 0
    for event in arrived:
        number = event["id"]
        if number in first:
            changed += first[number] != event
            continue
        first[number] = event
        out_of_order += number < newest
        newest = max(newest, number)
    return SinkResult(len(set(wanted) - first.keys()), len(arrived) - len(first), changed, out_of_order)


def _p95(file: Path, broken: Sequence[tuple[float, float]]) -> dict[bool, float]:
    values = np.fromfile(file, np.float64)[: file.stat().st_size // 16 * 2].reshape(-1, 2)
    at, age = values.T
    failing = np.zeros(len(at), bool)
    for begun, ended in broken:
        failing |= (at > begun) & (at < ended)
    ages = {works: age[failing != works] for works in (True, False)}
    return {works: 1000 * float(np.percentile(values, 95)) for works, values in ages.items() if len(values)}


def main() -> int:
    args = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # like Ctrl-C: ends what was started
    figures: dict[str, Any] = {}
    met = True
    try:
        if args.part in ("rate", "all"):
            figures["rate"] = [asdict(_shown(one)) for one in rates(args.events)]
        if args.part in ("outages", "all"):
            with tempfile.TemporaryDirectory() as folder:
                found = outages(60 * args.minutes, Path(folder), kill_every=args.kill, rounds=args.rounds)
            _show(found)
            met, figures["outages"] = found.met, asdict(found)
    except KeyboardInterrupt:
        return 130
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if met else 1


def _shown(one: Rate) -> Rate:
    print(f"round trip {1000 * one.rtt:4.0f} ms, {one.window:2} under way: {one.events_per_second:7.0f} events/s")
    return one


def _show(found: Outages) -> None:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.delivery", description=__doc__)
    parser.add_argument("part", nargs="?", choices=("rate", "outages", "all"), default="all")
    parser.add_argument("--events", type=int, default=5000, help="backlog of `rate` (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of `outages` (default: %(default)g)")
    parser.add_argument("--rounds", type=int, default=6, help="outages in that time (default: %(default)s)")
    parser.add_argument("--kill", type=float, metavar="SECONDS", help="kill the daemon about that often")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
