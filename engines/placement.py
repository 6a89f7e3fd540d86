"""Chooses the GPU of a model whose `device` is "auto", in round-robin order."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from pathlib import Path


def gpu_count(environ: Mapping[str, str], proc: Path = Path("/proc")) -> int:
    """Returns the number of NVIDIA GPUs visible to this process, without loading CUDA.

    Respects CUDA_VISIBLE_DEVICES. Returns 1 if the driver does not list its GPUs (Jetson), or lists none; opening the
    device then shows whether there is one.
    """
    try:
        here = sum(1 for _ in (proc / "driver/nvidia/gpus").iterdir())
    except OSError:
        here = 1
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return max(here, 1)
    return max(min(here, sum(1 for part in visible.split(",") if part.strip())), 1)


_TRACES = ("proc/driver/nvidia/version", "dev/nvidiactl", "dev/nvhost-gpu", "dev/dxg")
"""Paths that exist if a driver is loaded: on a PC (two), on a Jetson, and under WSL."""


def no_gpu(root: Path = Path("/")) -> str | None:
    """Returns a message if no NVIDIA driver is loaded, or None if one is. Does not load CUDA."""
    if any((root / trace).exists() for trace in _TRACES):
        return None
    return "no NVIDIA GPU found (the driver is not loaded)"


class RoundRobin:
    """An `engines.backends.Placement` that cycles through cuda:0, cuda:1, … Thread-safe."""

    def __init__(self, gpus: int) -> None:
        self._turns = itertools.cycle(range(gpus))
        self._lock = threading.Lock()

    def next(self) -> str:
        with self._lock:
            return f"cuda:{next(self._turns)}"
