"""Compiled kernels: modules, functions, their arguments, and launches."""

from __future__ import annotations

import sys
import threading
from functools import partial
from typing import Any, Protocol

import numpy as np

from sightd.engines.cuda.context import CudaContext
from sightd.engines.cuda.errors import CudaError, KernelError, translated
from sightd.engines.cuda.stream import CudaStream

_POINTER = 8


class HasAddress(Protocol):
    """An object with memory on the device."""

    @property
    def address(self) -> int: ...


Argument = HasAddress | np.number[Any] | bytes
"""A buffer (its address is passed), a numpy scalar of the parameter's type, or the bytes of a struct."""


def pack(arguments: tuple[Argument, ...]) -> bytes:
    """Lays out the arguments as C does: each aligned to its own size; pointers and structs to 8 bytes.

    The alignment of a struct is not visible from its bytes and may be anything up to 8. So a struct must land at a
    multiple of 8 on its own (place it before an odd number of 4-byte scalars). Raises ValueError otherwise, because the
    kernel might read it at another offset. Structs with float4, double2 or similar members (alignment 16) are not
    supported. Raises TypeError for Python numbers, whose width is unknown.
    """
    packed = bytearray()
    for position, argument in enumerate(arguments):
        if isinstance(argument, bytes):
            if len(packed) % _POINTER:
                raise ValueError(
                    f"argument {position} is a struct at offset {len(packed)}: put structs before 4-byte scalars"
                )
            packed += argument
        elif isinstance(argument, np.number):
            packed += bytes(-len(packed) % argument.itemsize) + argument.tobytes()
        elif isinstance(argument, int | float):
            raise TypeError(f"argument {position} is {argument!r}: pass a numpy scalar, such as numpy.int32")
        else:
            packed += bytes(-len(packed) % _POINTER) + argument.address.to_bytes(_POINTER, sys.byteorder)
    return bytes(packed)


Size3 = tuple[int, int, int]


class _LoadedModule:
    """PyCUDA's module and functions. Each function keeps the module alive, so they must be destroyed together.

    A function is fetched and prepared only once, because PyCUDA stores its argument layout in the function object. A
    second, unprepared object in its place would break a launch on another thread.
    """

    __slots__ = ("_layouts", "_lock", "functions", "module")

    def __init__(self, module: Any) -> None:
        self.module = module
        self.functions: dict[str, Any] = {}
        self._layouts: dict[str, int] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> None:
        with self._lock:
            if name not in self.functions:
                self.functions[name] = self.module.get_function(name)

    def prepare(self, name: str, nbytes: int) -> None:
        """Prepares a function for `nbytes` of arguments. Raises ValueError if it was prepared for another number."""
        with self._lock:
            if name not in self._layouts:
                self.functions[name].prepare(f"{nbytes}s")
                self._layouts[name] = nbytes
            elif nbytes != self._layouts[name]:
                raise ValueError(
                    f"{name} was called with {self._layouts[name]} bytes of arguments before, now with {nbytes}"
                )


class CudaModule:
    """A loaded cubin. It and its functions are valid until `close`. Thread-safe."""

    def __init__(self, context: CudaContext, cubin: bytes) -> None:
        """Loads the cubin. Raises KernelError if the driver rejects it."""
        self._context = context
        context.sweep()
        with context.current("loading kernels"):
            try:
                self._key = context.adopt(_LoadedModule(context.api.module_from_buffer(cubin)))
            except (context.api.LogicError, context.api.RuntimeError) as error:
                what = f"loading {len(cubin)} bytes of kernels, which must be compiled for this device"
                raise _refused(context, what, error) from error.with_traceback(None)

    def function(self, name: str) -> CudaFunction:
        """Returns a kernel by its unmangled name (`extern "C"`). Raises KernelError if there is none."""
        with self._context.current("finding a kernel"):
            try:
                self._context[self._key].get(name)
            except self._context.api.LogicError as error:
                what = f'finding the kernel "{name}", which must be declared extern "C"'
                raise _refused(self._context, what, error) from error.with_traceback(None)
        return CudaFunction(self._context, self._key, name)

    def close(self) -> None:
        """Unloads the module. Launches in progress must have finished. Idempotent."""
        self._context.drop(self._key)

    def __del__(self) -> None:
        key = getattr(self, "_key", None)
        if key is not None:
            self._context.later(partial(self._context.drop, key))


class CudaFunction:
    """A kernel, created by `CudaModule.function`. The module must be kept alive. Thread-safe."""

    def __init__(self, context: CudaContext, module: int, name: str) -> None:
        self._context, self._module, self.name = context, module, name
        self._argument_bytes: int | None = None

    def launch(
        self, grid: Size3, block: Size3, *arguments: Argument, stream: CudaStream, shared_bytes: int = 0
    ) -> None:
        """Enqueues the kernel on `stream`. The arguments are copied; see `pack`.

        Raises KernelError if the driver rejects the launch. A fault inside the kernel is raised by the next wait for
        the stream.
        """
        packed = pack(arguments)
        with self._context.current(self.name):
            if len(packed) != self._argument_bytes:
                self._context[self._module].prepare(self.name, len(packed))
                self._argument_bytes = len(packed)
            try:
                self._native.prepared_async_call(grid, block, stream.native, packed, shared_size=shared_bytes)
            except self._context.api.LogicError as error:
                what = f"launching {self.name}, grid {grid}, block {block}, {shared_bytes} bytes shared"
                raise _refused(self._context, what, error) from error.with_traceback(None)

    @property
    def _native(self) -> Any:
        return self._context[self._module].functions[self.name]


def _refused(context: CudaContext, doing: str, error: Exception) -> CudaError:
    """Returns a KernelError, or CudaContextLostError if the whole device is lost."""
    cause = translated(f"cuda:{context.ordinal}: {doing}", error)
    return KernelError(str(cause)) if type(cause) is CudaError else cause
