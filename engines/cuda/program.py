"""Compiled kernels: modules, their functions, and launches."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

from sightd.engines.cuda.arguments import Argument, pack
from sightd.engines.cuda.context import Context
from sightd.engines.cuda.errors import CudaError, KernelError, translated
from sightd.engines.cuda.stream import Stream

Size3 = tuple[int, int, int]


class _Loaded:
    """PyCUDA's module and functions. Each function keeps the module alive, so that they must go together.

    A function is got and prepared once, whoever asks for it: PyCUDA keeps the layout of its arguments in it, and a
    second one in its place would have none while another thread launches it.
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
        """ValueError where it was prepared for another number of bytes."""
        with self._lock:
            if name not in self._layouts:
                self.functions[name].prepare(f"{nbytes}s")
                self._layouts[name] = nbytes
            elif nbytes != self._layouts[name]:
                raise ValueError(f"{name} took {self._layouts[name]} bytes of arguments before, now {nbytes}")


class Module:
    """A loaded cubin; it and its functions serve until `close`. From any thread."""

    def __init__(self, context: Context, cubin: bytes) -> None:
        """KernelError where the driver does not take it."""
        self._context = context
        context.sweep()
        with context.current("loading kernels"):
            try:
                self._key = context.adopt(_Loaded(context.api.module_from_buffer(cubin)))
            except (context.api.LogicError, context.api.RuntimeError) as error:
                what = f"loading kernels of {len(cubin)} bytes, which must be compiled for this device"
                raise _refused(context, what, error) from error.with_traceback(None)

    def function(self, name: str) -> Function:
        """A kernel by its unmangled name (`extern "C"`); KernelError where there is none."""
        with self._context.current("finding a kernel"):
            try:
                self._context[self._key].get(name)
            except self._context.api.LogicError as error:
                what = f'finding the kernel "{name}", which must be declared extern "C"'
                raise _refused(self._context, what, error) from error.with_traceback(None)
        return Function(self._context, self._key, name)

    def close(self) -> None:
        """Unloads it, twice is safe; launches that are under way must be done."""
        self._context.drop(self._key)

    def __del__(self) -> None:
        key = getattr(self, "_key", None)
        if key is not None:
            self._context.later(partial(self._context.drop, key))


class Function:
    """A kernel, made by `Module.function`; the module must be kept. From any thread."""

    def __init__(self, context: Context, module: int, name: str) -> None:
        self._context, self._module, self.name = context, module, name
        self._argument_bytes: int | None = None

    def launch(self, grid: Size3, block: Size3, *arguments: Argument, stream: Stream, shared_bytes: int = 0) -> None:
        """Gives the kernel to `stream`. See `engines.cuda.arguments.pack` for the arguments, which are copied.

        KernelError where the driver refuses it; a fault inside the kernel shows where the stream is next waited for.
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


def _refused(context: Context, doing: str, error: Exception) -> CudaError:
    """A KernelError, unless the whole device is lost."""
    cause = translated(f"cuda:{context.ordinal}: {doing}", error)
    return KernelError(str(cause)) if type(cause) is CudaError else cause
