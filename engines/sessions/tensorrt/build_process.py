"""Builds engines in a subprocess, with progress and a deadline, so that a crash cannot take down the daemon."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from sightd.engines.errors import EngineBuildError
from sightd.engines.sessions.tensorrt.build_worker import encode
from sightd.engines.sessions.tensorrt.builder import BuildOrder, BuildProgress
from sightd.engines.subprocess_path import with_package_path

DEADLINE = 3600.0
"""Seconds. The largest model of the catalogue takes minutes on an old card."""

_BEAT = 1.0
_GRACE = 5.0
_WORKER = (sys.executable, "-P", "-m", "sightd.engines.sessions.tensorrt.build_worker")
_TAIL = 1500


def build(
    order: BuildOrder,
    plan: Path,
    progress: BuildProgress,
    *,
    device: int = 0,
    deadline: float = DEADLINE,
    worker: Sequence[str] = _WORKER,
) -> None:
    """Builds on GPU `device` and writes the engine to `plan`, whose folder is the caller's scratch space.

    Calls `progress` from this thread at least once a second. Raises EngineBuildError if the build fails, crashes or
    exceeds `deadline` seconds. The process has always ended when this returns or raises.
    """
    log = plan.with_suffix(".log")
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            list(worker), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
            env=_environment(os.environ, device),
        ) as process,
    ):  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            try:
                process.stdin.write(f"{encode(order, plan)}\n".encode())
                process.stdin.flush()
            except BrokenPipeError:  # it died at once; its exit status shows why
                with contextlib.suppress(BrokenPipeError):  # close() tries again to flush the buffer
                    process.stdin.close()
            outcome = _follow(process.stdout, progress, order, deadline)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
        finally:
            _end(process)
    if "error" in outcome:
        raise EngineBuildError(outcome["error"])
    if "built" not in outcome:
        raise EngineBuildError(_death(order, process.returncode, log))


def visible_device(environ: Mapping[str, str], device: int) -> str:
    """Returns the value of CUDA_VISIBLE_DEVICES with which a process sees only this process's GPU number `device`."""
    shown = environ.get("CUDA_VISIBLE_DEVICES")
    if not shown:
        return str(device)
    names = [name.strip() for name in shown.split(",")]
    return names[device] if device < len(names) else str(device)


def _environment(environ: Mapping[str, str], device: int) -> dict[str, str]:
    """Returns our environment with this package's folder on PYTHONPATH and only one GPU visible."""
    return with_package_path(environ) | {"CUDA_VISIBLE_DEVICES": visible_device(environ, device)}


def _follow(stream: IO[bytes], progress: BuildProgress, order: BuildOrder, deadline: float) -> dict[str, Any]:
    """Returns the final message, or {} if the process ended without one."""
    latest = ("starting", 0, 1)
    progress(*latest)
    for line in _lines(stream, deadline, f"{order.onnx.name} was not built within {deadline:g} s: build stopped"):
        message: dict[str, Any] = json.loads(line) if line else {}
        if message.keys() & {"built", "error"}:
            return message
        if message:
            latest = (message["phase"], message["done"], message["total"])
        progress(*latest)
    return {}


def _lines(stream: IO[bytes], deadline: float, too_late: str) -> Iterator[bytes]:
    """Yields complete lines as they arrive, and an empty line after each second without data. Raises EngineBuildError
    at the deadline."""
    until = time.monotonic() + deadline
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if not selector.select(min(left, _BEAT)):
                yield b""
                continue
            chunk = os.read(stream.fileno(), 65536)
            if not chunk:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            yield from lines
    raise EngineBuildError(too_late)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kills the process if it is still running."""
    if process.poll() is None:
        process.kill()
        process.wait()


def _death(order: BuildOrder, code: int, log: Path) -> str:
    how = f"exited with code {code}"
    if code < 0:
        how = f"was killed by {signal.Signals(-code).name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")
    words = log.read_text(errors="replace").strip()[-_TAIL:]
    return f"{order.onnx.name} was not built: the build process {how}. Its output: {words or 'none'}"
