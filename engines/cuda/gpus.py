"""The GPUs of this process. Each is opened once, on first use, and shared by all users."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from sightd.engines.cache import cache_directory
from sightd.engines.cuda.cubins import Compiler, CubinCache, DeviceKernels
from sightd.engines.cuda.driver import CudaDevice, open_device
from sightd.engines.cuda.launch.interfaces import Kernels
from sightd.engines.cuda.nvrtc import Nvrtc, find_library


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
