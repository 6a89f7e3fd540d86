"""Which GPU a network comes onto where its `device` is "auto": one after the other."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from pathlib import Path


def gpu_count(environ: Mapping[str, str], proc: Path = Path("/proc")) -> int:
    """NVIDIA GPUs that this process sees, told without loading CUDA.

    CUDA_VISIBLE_DEVICES hides some. 1 where the driver does not list them (Jetson): opening it tells the rest.
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
"""What a driver leaves: on a PC (twice), on a Jetson, under WSL."""


def no_gpu(root: Path = Path("/")) -> str | None:
    """That there is no driver of an NVIDIA GPU here, told without loading CUDA; None where there is one."""
    if any((root / trace).exists() for trace in _TRACES):
        return None
    return "no NVIDIA GPU here (its driver is not loaded)"


class RoundRobin:
    """An `engines.backends.Placement`: cuda:0, cuda:1, … and over again. Any thread."""

    def __init__(self, gpus: int) -> None:
        self._turns = itertools.cycle(range(gpus))
        self._lock = threading.Lock()

    def next(self) -> str:
        with self._lock:
            return f"cuda:{next(self._turns)}"
