"""Compiles kernels with NVRTC, NVIDIA's runtime compiler, once per type of card, and caches them as files.

NVRTC needs no GPU. It is a separate shared library (wheel `nvidia-cuda-nvrtc`, or part of a CUDA toolkit), loaded
on first use.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

from sightd.engines.cuda.launch.device import Device, Function, Module
from sightd.engines.errors import EngineError

_MAJORS = (13, 12)
_INSTALL = (
    "install it with `pip install nvidia-cuda-nvrtc` (CUDA 13) or `pip install nvidia-cuda-nvrtc-cu12` (CUDA 12), "
    "whichever your driver supports"
)


class CompilerUnavailableError(EngineError):
    """NVRTC is not installed. The message says how to install it."""


class KernelCompileError(EngineError):
    """NVRTC rejected a kernel, or does not support the card. The message contains its log."""


def find_library(folders: Sequence[Path] | None = None) -> Path:
    """Returns the newest NVRTC library. Of equally new ones, prefers that of a wheel to that of a CUDA toolkit.

    `folders` are searched instead of the usual ones. Raises CompilerUnavailableError if there is none.
    """
    looked = list(_usual_folders() if folders is None else folders)
    for major in _MAJORS:
        for folder in looked:
            library = folder / f"libnvrtc.so.{major}"
            if library.exists():
                return library
    raise CompilerUnavailableError(f"NVRTC, which compiles the CUDA kernels, was not found: {_INSTALL}")


def _usual_folders() -> Iterator[Path]:
    spec = importlib.util.find_spec("nvidia")
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        yield from sorted(Path(location).glob("*/lib"), reverse=True)
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if value := os.environ.get(variable):
            yield Path(value) / "lib64"
    yield Path("/usr/local/cuda/lib64")


class Nvrtc:
    """A loaded compiler. Thread-safe; only one thread compiles at a time."""

    def __init__(self, library: Path) -> None:
        """Loads the library. Raises CompilerUnavailableError if that fails."""
        try:
            self._library = ctypes.CDLL(str(library))
        except OSError as error:
            raise CompilerUnavailableError(f"NVRTC cannot be loaded ({error}): {_INSTALL}") from error
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
        self._lock = threading.Lock()
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._check("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        self.version = f"{major.value}.{minor.value}"

    def capabilities(self) -> tuple[int, ...]:
        """Returns the compute capabilities that it supports, in ascending order; 75 means 7.5."""
        count = ctypes.c_int()
        self._check("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        known = (ctypes.c_int * count.value)()
        self._check("nvrtcGetSupportedArchs", known)
        return tuple(known)

    def compile(
        self, name: str, source: str, headers: Mapping[str, str], capability: tuple[int, int], options: Sequence[str]
    ) -> bytes:
        """Compiles `source` to a cubin for that compute capability. `headers` are its include files by name.

        Raises KernelCompileError with the compiler's log if it does not compile.
        """
        number = 10 * capability[0] + capability[1]
        if number not in self.capabilities():
            raise KernelCompileError(
                f"NVRTC {self.version} does not compile for compute capability {capability[0]}.{capability[1]}, only "
                f"for {', '.join(f'{one // 10}.{one % 10}' for one in self.capabilities())}: install another version"
            )
        program = ctypes.c_void_p()
        with self._lock:
            texts = (ctypes.c_char_p * len(headers))(*(text.encode() for text in headers.values()))
            names = (ctypes.c_char_p * len(headers))(*(header.encode() for header in headers))
            self._check(
                "nvrtcCreateProgram",
                ctypes.byref(program),
                source.encode(),
                name.encode(),
                ctypes.c_int(len(headers)),
                texts,
                names,
            )
            try:
                return self._compiled(program, name, [f"--gpu-architecture=sm_{number}", *options])
            finally:
                self._check("nvrtcDestroyProgram", ctypes.byref(program))

    def _compiled(self, program: ctypes.c_void_p, name: str, options: Sequence[str]) -> bytes:
        flags = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if self._library.nvrtcCompileProgram(program, ctypes.c_int(len(options)), flags) != 0:
            log = self._bytes(program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog").rstrip(b"\0")
            raise KernelCompileError(f"{name} does not compile ({' '.join(options)}):\n{log.decode(errors='replace')}")
        return self._bytes(program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN")

    def _bytes(self, program: ctypes.c_void_p, size_of: str, content_of: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(size_of, program, ctypes.byref(size))
        content = ctypes.create_string_buffer(size.value)
        self._check(content_of, program, content)
        return content.raw

    def _check(self, call: str, *arguments: object) -> None:
        code = self._library[call](*arguments)
        if code != 0:
            text = self._library.nvrtcGetErrorString(code).decode()
            raise KernelCompileError(f"{call}: {text} ({code})")


logger = logging.getLogger(__name__)

OPTIONS = ("--std=c++17", "--fmad=false", "--restrict")
"""Without fused multiply-add, results round as on the CPU path. Equal results matter more here than the few per cent of
speed that fusing would give these memory-bound kernels.
"""
_FOLDER = Path(__file__).parent / "kernels"


class Compiler(Protocol):
    """Compiles CUDA source code; in production this is `Nvrtc`."""

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
