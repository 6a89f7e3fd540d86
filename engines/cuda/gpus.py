"""The GPUs of this process with their kernels, opened when a network first needs them."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from engines.cache import cache_directory
from engines.cuda.cubins import Compiler, CubinCache, DeviceKernels
from engines.cuda.driver import Device, open_device
from engines.cuda.launch.seam import Kernels
from engines.cuda.nvrtc import Nvrtc, find_library


@dataclass(frozen=True, slots=True)
class Gpu:
    """An open device and the kernels that are compiled for it."""

    device: Device
    kernels: Kernels


def open_gpu(which: str, folder: Path, compiler: Compiler) -> Gpu:
    """Opens "cuda:N"; kernels are kept in `folder`. CudaUnavailableError where that device cannot be used."""
    device = open_device(which)
    return Gpu(device, DeviceKernels(device, device.compute_capability, CubinCache(folder, compiler)))


@dataclass(frozen=True, slots=True)
class Gpus:
    """Each GPU once, open until the process ends. Any thread."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: dict[str, Gpu] = field(default_factory=dict)

    def get(self, which: str) -> Gpu:
        """The GPU "cuda:N". CompilerUnavailableError or CudaUnavailableError, with what to install, where its memory
        or its kernels cannot be had."""
        with self._lock:
            if which not in self._open:
                compiler = Nvrtc(find_library())  # first: without kernels the device need not be opened
                self._open[which] = open_gpu(which, cache_directory(os.environ) / "kernels", compiler)
            return self._open[which]
