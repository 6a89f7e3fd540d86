"""NVIDIA's runtime compiler: compiles kernel sources to machine code for one type of card. Needs no GPU.

NVRTC is a separate shared library (wheel `nvidia-cuda-nvrtc`, or part of a CUDA toolkit), loaded on first use.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

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
