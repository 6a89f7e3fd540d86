"""The GPUs of this machine: how many there are, which one a model gets, and each opened once for all users."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sightd.engines.cuda.compile import Compiler, CubinCache, DeviceKernels, Nvrtc, find_library
from sightd.engines.cuda.driver import CudaDevice, open_device
from sightd.engines.cuda.launch.device import Kernels
from sightd.engines.errors import BackendUnavailableError
from sightd.engines.files import cache_directory


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
    """An `engines.sessions.backends.Placement` that cycles through cuda:0, cuda:1, … Thread-safe."""

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


@dataclass(frozen=True, slots=True)
class Gpu:
    """An open device and the kernels compiled for it."""

    device: CudaDevice
    kernels: Kernels


def with_kernels(device: CudaDevice, folder: Path, compiler: Compiler) -> Gpu:
    """Returns an open device with its kernels, whose compiled code is cached in `folder`."""
    return Gpu(device, DeviceKernels(device, device.compute_capability, CubinCache(folder, compiler)))


@dataclass(frozen=True, slots=True)
class Gpus:
    """Opens each GPU once and keeps it open until the process ends. Models and kernels share it. Thread-safe."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _devices: dict[str, CudaDevice] = field(default_factory=dict)
    _with_kernels: dict[str, Gpu] = field(default_factory=dict)

    def device(self, which: str) -> CudaDevice:
        """Returns the device "cuda:N", which must not be closed. Raises CudaUnavailableError if it cannot be used."""
        with self._lock:
            return self._device(which)

    def get(self, which: str) -> Gpu:
        """Returns the GPU "cuda:N" with kernels. Raises CompilerUnavailableError or CudaUnavailableError, which says
        what to install, if the device or its kernels are not available."""
        with self._lock:
            if which not in self._with_kernels:
                compiler = Nvrtc(find_library())  # first: without kernels there is no need to open the device
                folder = cache_directory(os.environ) / "kernels"
                self._with_kernels[which] = with_kernels(self._device(which), folder, compiler)
            return self._with_kernels[which]

    def _device(self, which: str) -> CudaDevice:
        if which not in self._devices:
            self._devices[which] = open_device(which)
        return self._devices[which]
