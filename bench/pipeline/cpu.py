"""CPU cost of an output frame, compared to the sum of the bare stages."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.pipeline import procfs, scene
from bench.pipeline.daemon_process import ROOT, DaemonProcess, stop
from bench.pipeline.options import Options
from bench.pipeline.report import heading, progress, table
from bench.pipeline.weigh import Row, Window, mean_costs, merged, weighed
from tests.support.camera import CameraSimulator, Look
from tests.support.viewer import Viewer

_SETTLE = 3.0
_BARE_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Cpu:
    """The daemon's windows, merged and separately; its threads; the bare stages, with and without a second loop."""

    window: Window
    per_window: list[float]
    groups: dict[str, float]
    """CPU ms of each group of threads per output frame."""
    alone: list[Row]
    crowded: list[Row]
    load: float


def measure(options: Options) -> Cpu:
    """Measures the daemon and the bare loop alternately, with the same camera and a viewer running in both."""
    windows: list[Window] = []
    groups: list[Mapping[str, float]] = []
    alone: list[Mapping[str, float]] = []
    crowded: list[Mapping[str, float]] = []
    with tempfile.TemporaryDirectory() as scratch, CameraSimulator(Look(files=[scene.film(Path(scratch))])) as camera:
        film = Path(scratch) / "film.mp4"
        for turn in range(options.turns):
            progress(f"cpu: daemon, window {turn + 1} of {options.turns}")
            window, used = _daemon_window(options, camera.address(), Path(scratch))
            windows.append(window)
            groups.append(used)
            share = window.per_shown("analysed")
            with Viewer(camera.address()):
                progress("cpu: bare stages, without the daemon")
                alone.append(_bare(options, film, share, loops=1)[0])
                progress("cpu: bare stages, two loops side by side")
                crowded.append(mean_costs(_bare(options, film, share, loops=2)))
    whole = merged(windows)
    names = dict.fromkeys(name for used in groups for name in used)
    return Cpu(
        whole,
        [window.cpu_per_shown for window in windows],
        {name: 1000 * sum(used.get(name, 0.0) for used in groups) / whole.frames["shown"] for name in names},
        weighed(mean_costs(alone), whole),
        weighed(mean_costs(crowded), whole),
        procfs.load_average(),
    )


def show(cpu: Cpu) -> None:
    heading("CPU for each picture of the output: the daemon against its bare stages")
    print(
        f"  1 camera 1280x720 at {cpu.window.rate('captured'):.1f} fps, 1 RTSP viewer: shown "
        f"{cpu.window.rate('shown'):.1f} fps, analysed {cpu.window.rate('analysed'):.1f} fps; "
        f"daemon {cpu.window.cpu / cpu.window.seconds:.2f} of {os.cpu_count()} cores; load {cpu.load:.1f}\n"
    )
    rows = [
        [a.stage, f"{a.each:.2f}", f"{b.each:.2f}", f"{a.times:.2f}", f"{a.per_frame:.2f}", f"{b.per_frame:.2f}"]
        for a, b in zip(cpu.alone, cpu.crowded, strict=True)
    ]
    sums = [sum(row.per_frame for row in part) for part in (cpu.alone, cpu.crowded)]
    rows.append(["sum of the bare stages", "", "", "", *(f"{s:.2f}" for s in sums)])
    daemon = cpu.window.cpu_per_shown
    rows.append(["daemon", "", "", "", f"{daemon:.2f}", f"{daemon:.2f}"])
    rows.append(["ratio (aim: 1.15 at most)", "", "", "", *(f"{daemon / s:.2f}" for s in sums)])
    table(["stage, CPU ms", "alone", "crowded", "times a frame", "alone", "crowded"], rows)
    spread = f"{min(cpu.per_window):.2f}–{max(cpu.per_window):.2f}, median {statistics.median(cpu.per_window):.2f}"
    print(f"\n  daemon's windows: {spread} ms a picture. Its threads, by name:")
    table(["threads", "CPU ms a picture"], [[name, f"{used:.2f}"] for name, used in cpu.groups.items()])


def as_json(cpu: Cpu) -> dict[str, object]:
    sums = {"alone": cpu.alone, "crowded": cpu.crowded}
    return {
        "daemon_ms_per_picture": cpu.window.cpu_per_shown,
        "windows_ms_per_picture": cpu.per_window,
        "bare_ms": {name: {row.stage: row.per_frame for row in rows} for name, rows in sums.items()},
        "ratio": {name: cpu.window.cpu_per_shown / sum(r.per_frame for r in rows) for name, rows in sums.items()},
        "fps": {counter: cpu.window.rate(counter) for counter in cpu.window.frames},
        "threads_ms_per_picture": cpu.groups,
        "load": cpu.load,
    }


def _daemon_window(options: Options, source: str, folder: Path) -> tuple[Window, Mapping[str, float]]:
    with DaemonProcess(folder, [source], options.chain, options.detector) as daemon:
        daemon.wait_until_analysing(1)
        with Viewer(daemon.address()) as viewer:
            viewer.wait_for(1)
            time.sleep(_SETTLE)
            return observe(daemon, options.seconds)


def observe(daemon: DaemonProcess, seconds: float) -> tuple[Window, dict[str, float]]:
    """Returns what a daemon does in `seconds` s, and the CPU seconds of its groups of threads."""
    before = daemon.counters()
    begun, cpu, groups = time.monotonic(), procfs.cpu_seconds(daemon.pid), procfs.cpu_by_group(daemon.pid)
    time.sleep(seconds)
    took, cpu = time.monotonic() - begun, procfs.cpu_seconds(daemon.pid) - cpu
    used = procfs.used_between(groups, procfs.cpu_by_group(daemon.pid))
    frames = daemon.counters().since(before).by_labels("sightd_frames_total", "stage")
    daemon.check()
    return Window(took, cpu, {stage: count for (stage,), count in frames.items()}), used


def _bare(options: Options, film: Path, share: float, *, loops: int) -> list[Mapping[str, float]]:
    """Returns the costs of the bare loop's stages, measured by `loops` processes at once."""
    command = [sys.executable, "-m", "bench.pipeline.bare", str(film), "--model", options.model]
    command += ["--share", f"{share:.4f}", "--seconds", f"{options.seconds:g}"]
    with ExitStack() as processes:
        running = []
        for _ in range(loops):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
            processes.callback(stop, process)
            running.append(process)
        answers = [process.communicate(timeout=options.seconds + _BARE_TIMEOUT)[0] for process in running]
    if not all(answers):
        raise RuntimeError("the bare loop failed; its own message is above")
    return [json.loads(answer) for answer in answers]
