"""Dynamic outputs, whose size depends on the data: TensorRT requests their memory during the run."""

from __future__ import annotations

from typing import Any

from sightd.engines.errors import EngineError
from sightd.engines.trt import api
from sightd.engines.trt.interfaces import Device, DeviceBuffer


class DynamicOutput:
    """Memory of one output of one execution slot; it grows when TensorRT requests more. `target` is the allocator that
    TensorRT calls.

    Used by the thread that runs the slot.
    """

    def __init__(self, module: api.Module, device: Device) -> None:
        self._device = device
        self._buffer: DeviceBuffer | None = None
        self._size = 0
        self._failure: Exception | None = None
        self.shape: tuple[int, ...] = ()
        self.target = _target(module, self)

    @property
    def buffer(self) -> DeviceBuffer:
        """The memory that the last run wrote to."""
        if self._buffer is None:
            raise EngineError("TensorRT did not request memory for an output")
        return self._buffer

    def reallocate(self, size: int) -> int:
        """Returns the address of at least `size` bytes, or 0 if allocation failed, which TensorRT treats as an
        error."""
        try:
            if self._buffer is None or size > self._size:
                self.free()
                self._buffer, self._size = self._device.allocate(max(size, 1)), max(size, 1)
            return self._buffer.address
        except Exception as error:  # noqa: BLE001  called from native code, where an exception would end the process
            self._failure = error
            return 0

    def check(self) -> None:
        """Raises EngineError if memory allocation failed in the run just started. A later run may succeed."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise EngineError(f"no memory for an output: {failure}") from failure

    def free(self) -> None:
        """Frees the memory. Idempotent."""
        buffer, self._buffer, self._size = self._buffer, None, 0
        if buffer is not None:
            buffer.free()


def _target(module: api.Module, output: DynamicOutput) -> Any:
    base: Any = module.IOutputAllocator

    class Target(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def reallocate_output_async(self, tensor_name: str, memory: int, size: int, alignment: int, stream: int) -> int:
            return output.reallocate(size)

        def notify_shape(self, tensor_name: str, shape: Any) -> None:
            output.shape = tuple(shape)

    return Target()
