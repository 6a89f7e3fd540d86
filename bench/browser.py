"""Live video in a browser: `python -m bench.browser [latency|viewers|all]`.

`latency`: from the creation of a frame in the camera until Chromium shows it, by WebRTC and over a WebSocket (MSE),
and how soon the first frame is shown. `viewers`: CPU time of the daemon with 1 and with 20 viewers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
from aiortc import RTCPeerConnection, RTCSessionDescription

from bench.pipeline import procfs, scene
from bench.pipeline.ages import Ages
from bench.pipeline.daemon_process import ROOT, DaemonProcess, stop
from bench.pipeline.report import heading, progress, table
from tests.support.barcode import Bar, get_bar
from tests.support.browser import LIVE_PAGE, chromium_page
from tests.support.camera import CameraSimulator, Look
from tests.support.websocket import WebSocketClient

Way = Literal["webrtc", "mse"]
_WAYS: tuple[Way, ...] = ("webrtc", "mse")
P95, FIRST, RATIO = 0.150, 1.0, 1.3
"""Aims: seconds until 95 % of the frames are shown, and until the first is; CPU time with 20 viewers per CPU time with
one."""
MANY = 20
_MODEL, _CHAIN = "deimv2-femto", ("detector", "tracker")
_SETTLE = 3.0
_SHOW = {"webrtc": "showByWebRtc", "mse": "showByMse"}
_THREADS = {"webrtc": "webrtc", "mse": "http"}
_CELLS, _CELL = 80, scene.SIZE[0] // 80


@dataclass(frozen=True, slots=True)
class Latency:
    """`first` are the seconds until the first frame was shown, of several pages."""

    way: Way
    ages: Ages
    fps: float
    first: list[float]
    load: float


@dataclass(frozen=True, slots=True)
class Cost:
    """Shares of a core that the daemon used, one for each window; `sending`: those of the thread that sends to many."""

    way: Way
    one: list[float]
    many: list[float]
    sending: list[float]
    load: float

    @property
    def ratio(self) -> float:
        return statistics.median(self.many) / statistics.median(self.one)


@contextmanager
def _daemon() -> Iterator[DaemonProcess]:
    """Yields a daemon that analyses a camera of 720p25, which stamps its frames while sending them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        look = Look(size=scene.SIZE, fps=scene.FPS, background=scene.photograph(folder))
        with (
            CameraSimulator(look) as camera,
            DaemonProcess(folder, [camera.address()], _CHAIN, {"model": _MODEL}) as daemon,
        ):
            daemon.wait_until_analysing(1)
            time.sleep(_SETTLE)
            yield daemon


def measure_latency(way: Way, seconds: float, pages: int) -> Latency:
    with _daemon() as daemon:
        first = []
        for number in range(pages):
            progress(f"latency: {way}, page {number + 1} of {pages}")
            with chromium_page(f"{daemon.web()}/healthz") as page:
                page.add_script_tag(path=LIVE_PAGE)
                began = page.evaluate("performance.now()")
                shown = page.evaluate(f"async () => firstFrame(window.video = await {_SHOW[way]}('cam0'))")
                first.append((shown - began) / 1000)
                if number == pages - 1:
                    seen = _watched(page, seconds)
        ages = [bar.age(round(at * 1e6) & (1 << 40) - 1) for at, bar in seen]
        return Latency(way, Ages.of(ages), len(seen) / seconds, first, procfs.load_average())


def _watched(page: Any, seconds: float) -> list[tuple[float, Bar]]:
    """Returns when (monotonic s) which bars were shown."""
    part = [0, scene.SIZE[1] - 2 * _CELL, _CELLS * _CELL, 2 * _CELL]
    page.evaluate(
        """part => { window.seen = []; watchFrames(window.video, part, (now, image) => {
            const row = part[3] / 2 * part[2] * 4, cell = part[2] / 80;
            const bits = Array.from({length: 80}, (_, n) => image[row + 4 * (n * cell + cell / 2) + 1] > 127 ? 1 : 0);
            window.seen.push([now, bits.join("")]); }); }""",
        part,
    )
    time.sleep(seconds)
    found = page.evaluate("window.seen")
    offset = _clock_offset(page)
    bars = [(now / 1000 + offset, _bar(bits)) for now, bits in found]
    return [(at, bar) for at, bar in bars if bar is not None]


def _bar(bits: str) -> Bar | None:
    row = np.repeat(np.array([255 * (bit == "1") for bit in bits], np.uint8), _CELL)
    return get_bar(np.tile(row, (2 * _CELL, 1)))


def _clock_offset(page: Any) -> float:
    """Returns how many s CLOCK_MONOTONIC is ahead of the page's clock."""
    tries = []
    for _ in range(20):
        before = time.monotonic()
        there = float(page.evaluate("performance.now()")) / 1000
        after = time.monotonic()
        tries.append((after - before, (before + after) / 2 - there))
    return min(tries)[1]


def measure_cost(way: Way, seconds: float, turns: int) -> Cost:
    """Measures windows with one viewer and with many in turns."""
    costs: dict[int, list[float]] = {1: [], MANY: []}
    sending: dict[int, list[float]] = {1: [], MANY: []}
    with _daemon() as daemon:
        for turn in range(turns):
            for count, found in costs.items():
                progress(f"viewers: {way}, {count}, window {turn + 1} of {turns}")
                with _viewers(way, daemon.web(), count):
                    time.sleep(_SETTLE)
                    used, groups = _observe(daemon.pid, seconds)
                    found.append(used)
                    sending[count].append(groups.get(_THREADS[way], 0.0) / seconds)
                    encoded = daemon.counters().total("sightd_stream_clients", protocol=way)
                    if encoded != count:
                        raise RuntimeError(f"{encoded:.0f} of {count} viewers are there")
        return Cost(way, costs[1], costs[MANY], sending[MANY], procfs.load_average())


def _observe(pid: int, seconds: float) -> tuple[float, dict[str, float]]:
    """Returns the share of a core that a process uses, and the CPU seconds of its groups of threads."""
    began, before, groups = time.monotonic(), procfs.cpu_seconds(pid), procfs.cpu_by_group(pid)
    time.sleep(seconds)
    share = (procfs.cpu_seconds(pid) - before) / (time.monotonic() - began)
    return share, procfs.used_between(groups, procfs.cpu_by_group(pid))


@contextmanager
def _viewers(way: Way, url: str, count: int) -> Iterator[None]:
    """Runs viewers that receive and decode nothing, in a process of their own."""
    command = [sys.executable, "-m", "bench.browser", "receive", way, url, str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "receiving\n":
            raise RuntimeError("the viewers could not connect; their own message is above")
        yield
    finally:
        stop(process)


def _receive(way: Way, url: str, count: int) -> None:
    if way == "webrtc":
        asyncio.run(_receive_webrtc(url, count))
    else:
        _receive_mse(url, count)


async def _receive_webrtc(url: str, count: int) -> None:
    peers = [await _peer(url) for _ in range(count)]
    print("receiving", flush=True)
    await asyncio.Event().wait()
    del peers


async def _peer(url: str) -> RTCPeerConnection:
    peer = RTCPeerConnection()
    transceiver = peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    headers = {"Content-Type": "application/sdp", "X-Sightd": "1"}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/api/v1/whep/cam0", content=peer.localDescription.sdp, headers=headers)
    connected = asyncio.Event()

    @peer.on("connectionstatechange")
    def changed() -> None:
        if peer.connectionState == "connected":
            connected.set()

    await peer.setRemoteDescription(RTCSessionDescription(answer.raise_for_status().text, "answer"))
    await asyncio.wait_for(connected.wait(), 10)
    transport: Any = transceiver.receiver.transport
    transport._handle_rtp_data = _ignore  # only what the daemon does is measured
    return peer


async def _ignore(_data: bytes, arrival_time_ms: int) -> None: ...


def _receive_mse(url: str, count: int) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    clients = [WebSocketClient((host, int(port)), "/api/v1/mse/cam0", buffer=1 << 18) for _ in range(count)]
    threads = [threading.Thread(target=client.wait_closed) for client in clients]
    for thread in threads:
        thread.start()
    print("receiving", flush=True)
    for thread in threads:
        thread.join()


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if all aims are met."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["receive"]:
        _receive("webrtc" if arguments[1] == "webrtc" else "mse", arguments[2], int(arguments[3]))
        return 0
    parser = argparse.ArgumentParser(prog="python -m bench.browser", description=__doc__)
    parser.add_argument("part", nargs="?", default="all", choices=["latency", "viewers", "all"])
    parser.add_argument("--seconds", type=float, default=15.0, help="length of a window")
    parser.add_argument("--turns", type=int, default=3, help="windows with one and with many viewers; pages opened")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures")
    args = parser.parse_args(arguments)
    figures: dict[str, Any] = {}
    met = True
    if args.part in ("latency", "all"):
        latencies = [measure_latency(way, args.seconds, args.turns) for way in _WAYS]
        figures["latency"] = [asdict(one) for one in latencies]
        met &= _show_latency(latencies)
    if args.part in ("viewers", "all"):
        costs = [measure_cost(way, args.seconds, args.turns) for way in _WAYS]
        figures["viewers"] = [asdict(one) | {"ratio": one.ratio} for one in costs]
        met &= _show_costs(costs)
    if args.json is not None:
        args.json.write_text(json.dumps(figures, indent=2))
    return 0 if met else 1


def _show_latency(latencies: Sequence[Latency]) -> bool:
    heading(f"Glass to glass in Chromium, ms (aim: p95 {1000 * P95:.0f} by WebRTC); first frame, s (aim: {FIRST:g})")
    rows = [
        [one.way, *(f"{value:.0f}" for value in (one.ages.p50, one.ages.p95, one.ages.most)), f"{one.fps:.1f}",
         ", ".join(f"{value:.2f}" for value in one.first), f"{one.load:.1f}"]
        for one in latencies
    ]  # fmt: skip
    table(["way", "p50", "p95", "max", "fps", "first frame", "load"], rows)
    fast = all(one.ages.p95 <= 1000 * P95 for one in latencies if one.way == "webrtc")
    return fast and all(max(one.first) <= FIRST for one in latencies)


def _show_costs(costs: Sequence[Cost]) -> bool:
    heading(f"CPU of the daemon with 1 and {MANY} viewers of one camera of 720p25, detector on; aim: ratio {RATIO}")
    rows = [
        [one.way, f"{100 * statistics.median(one.one):.1f} %", f"{100 * statistics.median(one.many):.1f} %",
         f"{100 * statistics.median(one.sending):.1f} %", f"{one.ratio:.2f}", f"{one.load:.1f}"]
        for one in costs
    ]  # fmt: skip
    table(["way", "1 viewer", f"{MANY} viewers", "of which sending", "ratio", "load"], rows)
    return all(one.ratio <= RATIO for one in costs)


if __name__ == "__main__":
    sys.exit(main())
