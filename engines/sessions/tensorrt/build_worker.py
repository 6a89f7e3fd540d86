"""The build subprocess: `python -m sightd.engines.sessions.tensorrt.build_worker`, started only by `build_process`.

Reads the build order as one JSON line from standard input and writes JSON lines to standard output: `{"phase", "done",
"total"}` during the build, then `{"built": bytes}` or `{"error": reason}`. Exits when its input is closed, which means
that the parent process has died and nobody needs the engine.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from sightd.engines.errors import EngineError
from sightd.engines.sessions.tensorrt.builder import BatchRange, BuildOrder, build_plan
from sightd.engines.sessions.tensorrt.names import Flavour, load

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


if __name__ == "__main__":
    sys.exit(main())
