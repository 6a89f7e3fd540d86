"""Compiles kernels once per type of card and caches them as files."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

from sightd.engines.cuda.launch.interfaces import Device, Function, Module
from sightd.engines.errors import EngineError

logger = logging.getLogger(__name__)

OPTIONS = ("--std=c++17", "--fmad=false", "--restrict")
"""Without fused multiply-add, results round as on the CPU path. Equal results matter more here than the few per cent of
speed that fusing would give these memory-bound kernels.
"""
_FOLDER = Path(__file__).parent / "kernels"


class Compiler(Protocol):
    """Compiles CUDA source code; in production this is `engines.cuda.nvrtc.Nvrtc`."""

    @property
    def version(self) -> str: ...
    def compile(
        self, name: str, source: str, headers: Mapping[str, str], capability: tuple[int, int], options: Sequence[str]
    ) -> bytes: ...


def sources() -> list[str]:
    """Returns the names of all kernel sources, without ".cu"."""
    return sorted(path.stem for path in _FOLDER.glob("*.cu"))


class CubinCache:
    """Folder of cubins, keyed by source, headers, options, compute capability and compiler version.

    Threads and processes may share the folder, because files are written atomically.
    """

    def __init__(self, folder: Path, compiler: Compiler) -> None:
        self._folder = folder
        self._compiler = compiler

    def cubin(self, source: str, capability: tuple[int, int]) -> bytes:
        """Returns the machine code of kernels/<source>.cu. Raises EngineError if it does not compile or cannot be
        stored."""
        text, headers = _read(f"{source}.cu"), _headers()
        architecture = f"sm_{capability[0]}{capability[1]}"
        parts = [
            self._compiler.version,
            architecture,
            *OPTIONS,
            text,
            *(part for item in headers.items() for part in item),
        ]
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        path = self._folder / f"{source}-{architecture}-{key[:24]}.cubin"
        if path.exists():
            return path.read_bytes()
        started = time.monotonic()
        cubin = self._compiler.compile(f"{source}.cu", text, headers, capability, OPTIONS)
        logger.info("compiled %s.cu for %s in %.1f s", source, architecture, time.monotonic() - started)
        _write(path, cubin)
        return cubin


class DeviceKernels:
    """The kernels of one open device. Each source is compiled and loaded once, on first use. Thread-safe."""

    def __init__(self, device: Device, capability: tuple[int, int], cubins: CubinCache) -> None:
        self._device = device
        self._capability = capability
        self._cubins = cubins
        self._modules: dict[str, Module] = {}
        self._lock = threading.Lock()

    def function(self, source: str, name: str) -> Function:
        """Returns the kernel `name` of kernels/<source>.cu."""
        with self._lock:
            if source not in self._modules:
                self._modules[source] = self._device.module(self._cubins.cubin(source, self._capability))
            return self._modules[source].function(name)


@cache
def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _headers() -> dict[str, str]:
    return {path.name: _read(path.name) for path in sorted(_FOLDER.glob("*.cuh"))}


def _write(path: Path, content: bytes) -> None:
    """Writes the file atomically, even if power fails. Raises EngineError if it cannot be stored."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as handle:
            try:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
                Path(handle.name).replace(path)
            except BaseException:
                Path(handle.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise EngineError(
            f"cannot store compiled kernels in {path.parent}: {error.strerror or error}. Free disk space, make "
            "the folder writable, or set SIGHTD_CACHE_DIR"
        ) from error
