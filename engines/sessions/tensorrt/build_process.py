"""Builds engines in a subprocess, with progress and a deadline, so that a crash cannot take down the daemon.

`build` starts this module with `python -m` and sends it the order; `main` is what runs there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TextIO

from sightd.engines.errors import EngineBuildError, EngineError
from sightd.engines.sessions.tensorrt.builder import BatchRange, BuildOrder, BuildProgress, build_plan
from sightd.engines.sessions.tensorrt.names import Flavour, load
from sightd.engines.subprocess_path import with_package_path

DEADLINE = 3600.0
"""Seconds. The largest model of the catalogue takes minutes on an old card."""

_BEAT = 1.0
_GRACE = 5.0
_WORKER = (sys.executable, "-P", "-m", "sightd.engines.sessions.tensorrt.build_process")
_TAIL = 1500

_PAUSE = 0.2
_NICENESS = 10
"""A build must not slow down the processing of cameras."""


def encode(order: BuildOrder, plan: Path) -> str:
    """Serialises the order as one line of JSON."""
    return json.dumps(
        {
            "plan": str(plan),
            "onnx": str(order.onnx),
            "flavour": order.flavour.value,
            "batch": str(order.batch),
            "sizes": {name: list(size) for name, size in order.sizes.items()},
            "workspace": order.workspace,
            "level": order.level,
            "capabilities": [list(capability) for capability in order.capabilities],
            "timing_cache": str(order.timing_cache) if order.timing_cache else None,
        }
    )


def decode(line: str) -> tuple[BuildOrder, Path]:
    """Parses the output of `encode`. Returns the order and the path of the plan."""
    told = json.loads(line)
    order = BuildOrder(
        onnx=Path(told["onnx"]),
        flavour=Flavour(told["flavour"]),
        batch=BatchRange.parse(told["batch"]),
        sizes={name: tuple(size) for name, size in told["sizes"].items()},
        workspace=told["workspace"],
        level=told["level"],
        capabilities=tuple((major, minor) for major, minor in told["capabilities"]),
        timing_cache=Path(told["timing_cache"]) if told["timing_cache"] else None,
    )
    return order, Path(told["plan"])


class MessageWriter:
    """Writes JSON lines, and rate-limits progress within a phase. Thread-safe."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._next = 0.0

    def write(self, **message: Any) -> None:
        with self._lock:
            print(json.dumps(message), file=self._stream, flush=True)

    def progress(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next and 0 < done < total:
            return
        self._next = now + _PAUSE
        self.write(phase=phase, done=done, total=total)


def main() -> int:
    writer = MessageWriter(_private_output())
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    os.nice(_NICENESS)
    order, plan = decode(sys.stdin.readline())
    threading.Thread(target=_end_with_input, name="orphan-watch", daemon=True).start()
    try:
        content = build_plan(load([order.flavour]), order, writer.progress)
        _write(plan, content)
    except (EngineError, OSError) as error:
        writer.write(error=str(error))
        return 1
    writer.write(built=len(content))
    return 0


def _private_output() -> TextIO:
    """Reserves standard output for our lines. Redirects what native libraries print there to standard error."""
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return private


def _end_with_input() -> None:
    while os.read(0, 1024):  # not sys.stdin: its lock would be held at interpreter exit
        pass
    os._exit(1)  # the main thread may be in a native call, which only this can end


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


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


if __name__ == "__main__":
    sys.exit(main())
