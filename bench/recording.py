"""What recording costs and keeps: `python -m bench.recording [cpu|soak|clips|all]`.

`cpu`: CPU time of receiving four RTSP cameras with recording, against receiving them without at the same time.
`soak`: an hour of four cameras on clocks that this program moves. `clips`: how soon after its end a clip is listed, and
at which time it begins.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import numpy as np
from pydantic import SecretStr

from bench.pipeline.procfs import load_average, resident_mib
from bench.pipeline.report import heading, progress, table
from sightd.daemon.capture import rtsp_gstreamer
from sightd.daemon.capture.rtsp import RtspCapture
from sightd.daemon.capture.stream import Clock, Playback
from sightd.daemon.config.model import Camera, Recording
from sightd.daemon.config.recording import CameraRules
from sightd.daemon.config.source import source_of
from sightd.daemon.events.event import PendingEvent
from sightd.daemon.events.journal import Journal
from sightd.daemon.recording.camera_clips import CameraClips
from sightd.daemon.recording.camera_segments import CameraSegments
from sightd.daemon.recording.index import ClipFilter, ClipReader
from sightd.daemon.recording.recorder import Recorder
from sightd.daemon.recording.store import ClipStore
from sightd.daemon.recording.tap import PacketTap
from sightd.daemon.recording.writer import FileWriter
from tests.daemon.recording.counts import Counts
from tests.daemon.recording.packets import FPS, GOP, encoded
from tests.support.camera import CameraSimulator, Look
from tests.support.clips import Scene
from tests.support.waiting import eventually

CAMERAS = 4
RATIO, DELAY = 1.10, 1.0
"""Aims: CPU time with recording per CPU time without; seconds from the end of a clip until it is listed."""
_SIZE, _BITS, _FILM_SECONDS = (1920, 1080), 6_000_000, 10
_SETTLE, _CONNECTED_WITHIN = 15.0, 60.0
"""Seconds for which cameras send before CPU time is measured: what is kept in memory has its final size then. Seconds
in which they must be connected."""
_EVENT_EVERY = 4.0
"""Seconds; less than `post`, so that clips show all of the time and share it."""
_RULES: dict[str, dict[str, Any]] = {
    "clips": {"clips": {"kinds": ["zone.*"], "pre": "10s", "post": "5s"}},
    "continuous": {"segments": {}},
}


def film(folder: Path) -> Path:
    """Writes 1080p25 with 6 Mbit/s and a key frame every two seconds, which is repeated without transcoding."""
    path, scene, grain = folder / "film.mp4", Scene(*_SIZE), random.Random(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *_SIZE, "yuv420p", _BITS
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(2 * FPS), "nal-hrd": "cbr",
                          "maxrate": str(_BITS), "bufsize": str(_BITS)}  # fmt: skip
        for number in range(_FILM_SECONDS * FPS):
            frame = scene.frame(number).to_ndarray(format="bgr24").astype(np.uint8)
            frame[200::2, grain.randrange(2) :: 2] ^= grain.randrange(64)  # so that the bit rate is used
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode(None))
    return path


class _NoDecoder:
    """Replaces the decoder: only receiving is measured."""

    def decode(self, packet: object) -> list[Any]:
        return []

    def close(self) -> None: ...


class Receivers:
    """Threads that receive cameras without decoding; a context manager."""

    def __init__(self, addresses: Sequence[str], taps: Sequence[PacketTap | None]) -> None:
        self._ending = threading.Event()
        self._counts = [0] * len(addresses)
        self._threads = [
            threading.Thread(target=self._receive, args=(number, *one))
            for number, one in enumerate(zip(addresses, taps, strict=True))
        ]

    @property
    def packets(self) -> int:
        """Packets received so far."""
        return sum(self._counts)

    def wait_until_connected(self) -> None:
        """Returns when each camera has sent packets. Raises AssertionError if one does not."""
        eventually(lambda: min(self._counts) > 0, _CONNECTED_WITHIN, "each camera sends")

    def _receive(self, number: int, address: str, tap: PacketTap | None) -> None:
        source = source_of(Camera(source=SecretStr(address)))
        capture = RtspCapture(source, Playback(Clock(), lambda _: self._ending.is_set(), packets=tap), 20.0)
        capture._decoding = _NoDecoder()
        try:
            for _ in capture.frames():
                self._counts[number] += 1
        finally:
            if tap is not None:
                tap.stream_closed()
            capture.close()

    def __enter__(self) -> Receivers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()


class Site:
    """A recorder of several cameras, with its journal."""

    def __init__(self, folder: Path, mode: str, cameras: int) -> None:
        self.counts = Counts()
        self.journal = Journal(folder / "events.db", 1e6, 100_000, self.counts)
        options = Recording.model_validate({**_RULES[mode], "min_free": 0})
        self.recorder = Recorder(folder / "clips", options, self.journal, self.counts)
        rules = CameraRules(options.clips, options.segments, options.max_memory)
        self.taps = [self.recorder.tap(f"cam{number}", rules, self.counts) for number in range(cameras)]

    def happens(self, camera: int) -> float:
        at = time.time()
        self.journal.record(PendingEvent("zone.entered", at, f"cam{camera}"))
        return at

    def __enter__(self) -> Site:
        self.journal.start()
        self.recorder.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.recorder.close(10)
        self.journal.close()


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU ms per received packet: without recording, and with; `ratios` of the same windows."""

    mode: str
    bare: list[float]
    recorded: list[float]

    @property
    def ratios(self) -> list[float]:
        return [with_it / without for without, with_it in zip(self.bare, self.recorded, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


def measure_cost(addresses: Sequence[str], seconds: float, turns: int) -> list[Cost]:
    """Receives the cameras in three processes at the same time, so that all of them have the same load beside them."""
    costs = {mode: Cost(mode, [], []) for mode in _RULES}
    modes = (None, *costs)
    for turn in range(turns):
        progress(f"cpu: turn {turn + 1} of {turns}")
        with ProcessPoolExecutor(len(modes), get_context("spawn")) as processes:
            runs = {mode: processes.submit(_received, mode, addresses, seconds) for mode in modes}
            bare, *recorded = (run.result() for run in runs.values())
        for cost, value in zip(costs.values(), recorded, strict=True):
            cost.bare.append(bare)
            cost.recorded.append(value)
    return list(costs.values())


def _received(mode: str | None, addresses: Sequence[str], seconds: float) -> float:
    """Returns the CPU ms of this process per packet, with recording by the rules of `mode`, or without."""
    rtsp_gstreamer.load()  # before threads need it
    if mode is None:
        with Receivers(addresses, [None] * len(addresses)) as bare:
            return _per_packet(bare, seconds, None)
    with (
        tempfile.TemporaryDirectory() as folder,
        Site(Path(folder), mode, len(addresses)) as site,
        Receivers(addresses, site.taps) as receivers,
    ):
        return _per_packet(receivers, seconds, site if mode == "clips" else None)


def _per_packet(receivers: Receivers, seconds: float, site: Site | None) -> float:
    """Returns the CPU ms of this process per packet, once all is connected and memory is filled. With `site`, events
    of each camera happen all the time."""
    receivers.wait_until_connected()
    _let_pass(_SETTLE, site)
    used, packets = time.process_time(), receivers.packets
    _let_pass(seconds, site)
    return 1000 * (time.process_time() - used) / max(1, receivers.packets - packets)


def _let_pass(seconds: float, site: Site | None) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if site is not None:
            for camera in range(CAMERAS):
                site.happens(camera)
        time.sleep(min(_EVENT_EVERY, left))


@dataclass(frozen=True, slots=True)
class Soak:
    """An hour of `CAMERAS` cameras: packets sent and found in segments, clips, memory in MiB after 20 % and at the
    end."""

    hours: float
    took: float
    sent: int
    found: int
    clips: int
    incomplete: int
    early: float
    late: float


class _Moved:
    """A clock that this program moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now


def soak(folder: Path, hours: float) -> Soak:
    """Passes packets through memory, clips and segments to the disk, as fast as possible."""
    clock, counts, pictures = _Moved(), Counts(), encoded()
    options = Recording.model_validate({**_RULES["clips"], **_RULES["continuous"], "min_free": 0})
    assert options.clips is not None
    assert options.segments is not None
    store = ClipStore(folder, options, counts, clock=clock.wall)
    taps = [PacketTap(12.0, options.max_memory, counts) for _ in range(CAMERAS)]
    parts: list[CameraClips | CameraSegments] = []
    clips = []
    for number, tap in enumerate(taps):
        tap.stream_opened("h264")
        writers = [FileWriter(f"cam{number}", kind, counts, clock, clock.wall) for kind in ("clip", "segment")]
        clips.append(CameraClips(options.clips, tap, writers[0]))
        parts += [clips[-1], CameraSegments(options.segments, tap, writers[1])]
    began, total, early = time.monotonic(), round(hours * 3600 * FPS), 0.0
    for frame in range(total):
        clock.now = frame / FPS
        packet = pictures[frame % len(pictures)]._replace(pts=clock.now, received_at=clock.now)
        for tap in taps:
            tap.packet_received(packet)
        if frame % (30 * FPS) == 15 * FPS:
            for one in clips:
                one.event(frame, clock.wall())
        if frame % 5 == 0:
            for part in parts:
                part.step(store)
        if frame % (5 * FPS) == 0:
            store.tidy(0)
        if frame == total // 5:
            early = resident_mib(os.getpid())
        if frame % (600 * FPS) == 0:
            progress(f"soak: minute {frame // FPS // 60}, {resident_mib(os.getpid()):.0f} MiB")
    late = resident_mib(os.getpid())
    for part in parts:
        part.close(store)
    store.close()
    took = time.monotonic() - began
    reader = ClipReader(folder)
    segments = [one for number in range(CAMERAS) for one in reader.segments(f"cam{number}", 0.0, 1e12)]
    found = sum(_packets_in(folder / one.path) for one in segments)
    lengths = [_packets_in(folder / one.path) for one in reader.clips(ClipFilter(), 1000)]
    incomplete = sum(length < 15 * FPS for length in lengths[CAMERAS:])
    return Soak(hours, took, total * CAMERAS, found, len(lengths), incomplete, early, late)


def _packets_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


@dataclass(frozen=True, slots=True)
class Clips:
    """Seconds from the end of each clip until it was listed, and by which each began before `pre`."""

    delays: list[float]
    leads: list[float]


def measure_clips(addresses: Sequence[str], rounds: int) -> Clips:
    result = Clips([], [])
    with (
        tempfile.TemporaryDirectory() as folder,
        Site(Path(folder), "clips", len(addresses)) as site,
        Receivers(addresses, site.taps),
    ):
        time.sleep(25.0)  # memory holds `pre` in any case
        for number in range(rounds):
            progress(f"clips: round {number + 1} of {rounds}")
            _round(site, len(addresses), result)
    return result


def _round(site: Site, cameras: int, result: Clips) -> None:
    before = {one.id for one in site.recorder.reader.clips(ClipFilter(), 1000)}
    happened = {f"cam{number}": site.happens(number) for number in range(cameras)}
    until = time.time() + 15.0
    while happened and time.time() < until:
        time.sleep(0.02)
        for one in site.recorder.reader.clips(ClipFilter(), cameras):
            if one.id not in before and one.camera in happened:
                at = happened.pop(one.camera)
                result.delays.append(time.time() - (at + 5.0))
                result.leads.append(at - 10.0 - one.begin)
    result.delays.extend([float("inf")] * len(happened))


@contextmanager
def cameras() -> Iterator[list[str]]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        rtsp_gstreamer.load()  # before threads need it
        progress("making the film")
        simulator = stack.enter_context(CameraSimulator(Look(files=[film(Path(folder))]), mounts=CAMERAS))
        yield [simulator.address(number) for number in range(CAMERAS)]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if all aims are met."""
    parser = argparse.ArgumentParser(prog="python -m bench.recording", description=__doc__)
    parser.add_argument("part", nargs="?", default="all", choices=["cpu", "soak", "clips", "all"])
    parser.add_argument("--seconds", type=float, default=15.0, help="length of a window of cpu")
    parser.add_argument("--turns", type=int, default=5, help="windows of each kind")
    parser.add_argument("--hours", type=float, default=1.0, help="length of the soak on its own clock")
    parser.add_argument("--rounds", type=int, default=6, help="events of each camera")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures")
    args = parser.parse_args(argv)
    figures: dict[str, Any] = {"load": load_average()}
    met = True
    if args.part != "soak":
        with cameras() as addresses:
            if args.part in ("cpu", "all"):
                costs = measure_cost(addresses, args.seconds, args.turns)
                figures["cpu"] = [asdict(one) | {"ratio": one.ratio} for one in costs]
                met &= _show_costs(costs)
            if args.part in ("clips", "all"):
                clips = measure_clips(addresses, args.rounds)
                figures["clips"] = asdict(clips)
                met &= _show_clips(clips)
    if args.part in ("soak", "all"):
        with tempfile.TemporaryDirectory() as folder:
            outcome = soak(Path(folder), args.hours)
        figures["soak"] = asdict(outcome)
        met &= _show_soak(outcome)
    if args.json is not None:
        args.json.write_text(json.dumps(figures, indent=2))
    return 0 if met else 1


def _show_costs(costs: Sequence[Cost]) -> bool:
    heading(f"CPU ms per packet of {CAMERAS} cameras of 1080p25 over RTSP/TCP, without decoding; aim: ratio {RATIO}")
    rows = [
        [one.mode, f"{statistics.median(one.bare):.3f}", f"{statistics.median(one.recorded):.3f}", f"{one.ratio:.3f}",
         f"{min(one.ratios):.3f} … {max(one.ratios):.3f}"]
        for one in costs
    ]  # fmt: skip
    table(["mode", "received", "recorded", "median ratio", "ratios"], rows)
    return all(one.ratio <= RATIO for one in costs)


def _show_clips(clips: Clips) -> bool:
    heading(f"Clips: seconds until listed (aim: {DELAY}), and how much before `pre` they begin (key frame every 2 s)")
    rows = [
        [name, str(len(values)), f"{statistics.median(values):.2f}", f"{min(values):.2f}", f"{max(values):.2f}"]
        for name, values in (("listed after its end", clips.delays), ("begins before pre", clips.leads))
    ]
    table(["", "clips", "median", "min", "max"], rows)
    return max(clips.delays) <= DELAY and min(clips.leads) >= -0.1 and max(clips.leads) <= 2.1


def _show_soak(one: Soak) -> bool:
    heading(f"{one.hours:g} h of {CAMERAS} cameras at {FPS} fps, with a key frame every {GOP / FPS:g} s")
    table(
        ["took", "packets sent", "in segments", "clips", "incomplete", "MiB after 20 %", "MiB at the end"],
        [[f"{one.took:.0f} s", str(one.sent), str(one.found), str(one.clips), str(one.incomplete), f"{one.early:.1f}",
          f"{one.late:.1f}"]],
    )  # fmt: skip
    return one.sent == one.found and not one.incomplete and one.late - one.early < 10.0


if __name__ == "__main__":
    sys.exit(main())
