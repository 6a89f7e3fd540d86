"""Stopping: all parts share one deadline, so hanging parts neither add up nor use all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.app.daemon import STOP_TIME, Daemon
from sightd.daemon.cli.run import STOP_LIMIT, _stop
from sightd.daemon.common.process import Deadline
from sightd.daemon.config.load import load_text
from sightd.engines.cuda.gpus import Gpus
from tests.support.stub_plugins import STUBS


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Parts:
    """Simulates what a stop waits for. A hanging part takes all the time that it is given, any other none."""

    def __init__(self, clock: Clock, hanging: Callable[[str], bool]) -> None:
        self._clock, self._hanging = clock, hanging
        self.given: dict[str, float] = {}

    def part(self, name: str) -> Any:
        parts = self

        class Part:
            rtsp: Any = None
            ptz: Any = None
            nvdec = None

            def close(self, within: float) -> None:
                parts.wait(name, within)

            settle = close

            def acquire(self, timeout: float) -> bool:
                return not parts.wait(name, timeout)

            def release(self) -> None:
                pass

            def note(self, *_: object, **_facts: object) -> None:
                pass

        return Part()

    def wait(self, name: str, seconds: float) -> bool:
        self.given[name] = seconds
        hangs = self._hanging(name)
        self._clock.now += seconds if hangs else 0.0
        return hangs


def no_engine(*_: object) -> Any:
    raise AssertionError("no network is asked for")


def stop(parts: Parts, clock: Clock) -> None:
    """Stops a daemon with these parts, like `sightd run`."""

    text = "cameras: {a: {source: 'testpattern://'}}\nrtsp: {enabled: false}\nhttp: {enabled: false}\n"
    daemon: Any = Daemon(load_text(text, Path("site.yaml"), environ={}, plugins=STUBS), no_engine, Gpus())
    daemon.journal.close(1.0)
    daemon._changing, daemon._camera_manager, daemon._manager = (
        parts.part("change"),
        parts.part("cameras"),
        parts.part("plugins"),
    )
    daemon._camera_manager.rtsp, daemon._camera_manager.ptz = parts.part("rtsp"), parts.part("ptz")
    daemon._http, daemon._webrtc, daemon._administration = map(parts.part, ("http", "webrtc", "administration"))
    daemon._services, daemon.journal = parts.part("services"), parts.part("journal")
    _stop(
        Deadline(STOP_TIME, clock),
        parts.part("watchdog"),
        parts.part("trimmer"),
        parts.part("start"),
        parts.part("reloads"),
        daemon,
    )


ALL = {"watchdog", "trimmer", "start", "reloads", "change", "cameras", "plugins", "ptz", "rtsp", "http"} | {
    "administration",
    "webrtc",
    "services",
    "journal",
}


def test_if_all_parts_hang_they_end_before_the_stop_is_broken_off_and_each_has_had_some_time() -> None:
    clock = Clock()
    parts = Parts(clock, lambda _: True)
    stop(parts, clock)
    assert clock.now - 100.0 <= STOP_TIME < STOP_LIMIT
    assert parts.given.keys() == ALL
    assert all(seconds >= 0.5 for name, seconds in parts.given.items() if name != "change"), parts.given


@pytest.mark.parametrize("hangs", sorted(ALL))
def test_a_part_that_hangs_has_its_full_time_and_leaves_each_later_one_a_second(hangs: str) -> None:
    clock = Clock()
    parts = Parts(clock, lambda name: name == hangs)
    stop(parts, clock)
    without = Parts(clock, lambda _: False)
    stop(without, clock)
    later = set(list(parts.given)[list(parts.given).index(hangs) + 1 :])
    if hangs == "reloads":  # then the pending change is the reload's, which had its time
        later.remove("change")
    assert all(parts.given[name] >= 1.0 for name in later), parts.given
    assert parts.given[hangs] == without.given[hangs]


def test_the_stop_is_broken_off_before_systemd_kills_the_service() -> None:
    unit = Path(__file__).parents[3] / "config" / "systemd" / "sightd.service"
    (limit,) = [line for line in unit.read_text().splitlines() if line.startswith("TimeoutStopSec=")]
    assert STOP_TIME < STOP_LIMIT < float(limit.removeprefix("TimeoutStopSec=").removesuffix("s"))


def test_a_deadline_gives_what_is_left_and_never_less_than_nothing() -> None:
    clock = Clock()
    deadline = Deadline(10.0, clock)
    assert deadline.within(4.0) == 4.0
    assert deadline.within(20.0) == 10.0
    assert deadline.within(20.0, keep=3.0) == 7.0
    clock.now += 8.0
    assert deadline.within(4.0) == 2.0
    assert deadline.within(4.0, keep=3.0) == 0.0
    clock.now += 8.0
    assert deadline.within(4.0) == 0.0
