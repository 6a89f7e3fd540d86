"""The GPUs of this process, each opened once for all who use it, when a network first needs it."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from sightd.engines.cache import cache_directory
from sightd.engines.cuda.cubins import Compiler, CubinCache, DeviceKernels
from sightd.engines.cuda.driver import Device, open_device
from sightd.engines.cuda.launch.seam import Kernels
from sightd.engines.cuda.nvrtc import Nvrtc, find_library


@dataclass(frozen=True, slots=True)
class Gpu:
    """An open device and the kernels that are compiled for it."""

    device: Device
    kernels: Kernels


def with_kernels(device: Device, folder: Path, compiler: Compiler) -> Gpu:
    """An open device with its kernels, which are kept in `folder`."""
    return Gpu(device, DeviceKernels(device, device.compute_capability, CubinCache(folder, compiler)))


@dataclass(frozen=True, slots=True)
class Gpus:
    """Each GPU once, open until the process ends; networks and kernels share it. Any thread."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _devices: dict[str, Device] = field(default_factory=dict)
    _with_kernels: dict[str, Gpu] = field(default_factory=dict)

    def device(self, which: str) -> Device:
        """The device "cuda:N"; nobody closes it. CudaUnavailableError where it cannot be used."""
        with self._lock:
            return self._device(which)

    def get(self, which: str) -> Gpu:
        """The GPU "cuda:N". CompilerUnavailableError or CudaUnavailableError, with what to install, where its memory
        or its kernels cannot be had."""
        with self._lock:
            if which not in self._with_kernels:
                compiler = Nvrtc(find_library())  # first: without kernels the device need not be opened
                folder = cache_directory(os.environ) / "kernels"
                self._with_kernels[which] = with_kernels(self._device(which), folder, compiler)
            return self._with_kernels[which]

    def _device(self, which: str) -> Device:
        if which not in self._devices:
            self._devices[which] = open_device(which)
        return self._devices[which]
