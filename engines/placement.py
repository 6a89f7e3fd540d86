"""Chooses the GPU of a model whose `device` is "auto", in round-robin order."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from sightd.engines.errors import BackendUnavailableError


def gpu_count(environ: Mapping[str, str], proc: Path = Path("/proc")) -> int:
    """Returns the number of NVIDIA GPUs visible to this process, without loading CUDA.

    Respects CUDA_VISIBLE_DEVICES, and returns 0 if it hides all GPUs. Otherwise returns at least 1, even if the driver
    does not list its GPUs (Jetson) or lists none; opening the device then shows whether there is one.
    """
    try:
        here = sum(1 for _ in (proc / "driver/nvidia/gpus").iterdir())
    except OSError:
        here = 0
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return max(here, 1)
    shown = sum(1 for _ in itertools.takewhile(lambda part: _is_gpu(part.strip(), here), visible.split(",")))
    return min(max(here, 1), shown)


def _is_gpu(entry: str, here: int) -> bool:
    """Returns whether an entry of CUDA_VISIBLE_DEVICES can name one of `here` GPUs (0: unknown). CUDA ignores all
    entries from the first invalid one on."""
    if entry.isdecimal():
        return not here or int(entry) < here
    return entry.startswith(("GPU-", "MIG-"))


_TRACES = ("proc/driver/nvidia/version", "dev/nvidiactl", "dev/nvhost-gpu", "dev/dxg")
"""Paths that exist if a driver is loaded: on a PC (two), on a Jetson, and under WSL."""


def no_gpu(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> str | None:
    """Returns a message if no NVIDIA driver is loaded or CUDA_VISIBLE_DEVICES hides all GPUs, or None if a GPU may be
    usable. Does not load CUDA."""
    if not any((root / trace).exists() for trace in _TRACES):
        return "no NVIDIA GPU found (the driver is not loaded)"
    if gpu_count(environ, root / "proc") == 0:
        return f"no NVIDIA GPU is visible (CUDA_VISIBLE_DEVICES={environ['CUDA_VISIBLE_DEVICES']!r} hides them)"
    return None


class RoundRobin:
    """An `engines.backends.Placement` that cycles through cuda:0, cuda:1, … Thread-safe."""

    def __init__(self, gpus: int) -> None:
        self._turns = itertools.cycle(range(gpus))
        self._lock = threading.Lock()

    def next(self) -> str:
        """Raises BackendUnavailableError if there are no GPUs."""
        with self._lock:
            turn = next(self._turns, None)
        if turn is None:
            raise BackendUnavailableError("no NVIDIA GPU is visible: see CUDA_VISIBLE_DEVICES")
        return f"cuda:{turn}"
