"""Outputs whose size only the data decide: TensorRT asks for their memory while it runs."""

from __future__ import annotations

from typing import Any

from sightd.engines.errors import EngineError
from sightd.engines.trt import api
from sightd.engines.trt.seam import Device, DeviceBuffer


class GrowingOutput:
    """Memory of one output of one lane, larger whenever TensorRT asks for more; `target` is what TensorRT is given.

    Used by the thread that runs the lane.
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
        """What the last run wrote."""
        if self._buffer is None:
            raise EngineError("TensorRT asked for no memory for an output")
        return self._buffer

    def reallocate(self, size: int) -> int:
        """The address of at least `size` bytes; 0 where there are none, which TensorRT takes as a failure."""
        try:
            if self._buffer is None or size > self._size:
                self.free()
                self._buffer, self._size = self._device.allocate(max(size, 1)), max(size, 1)
            return self._buffer.address
        except Exception as error:  # noqa: BLE001  native code calls this, an exception would end the process
            self._failure = error
            return 0

    def check(self) -> None:
        """EngineError where the run that was just started got no memory; the next one may."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise EngineError(f"no memory for an output: {failure}") from failure

    def free(self) -> None:
        """Twice is safe."""
        buffer, self._buffer, self._size = self._buffer, None, 0
        if buffer is not None:
            buffer.free()


def _target(module: api.Module, output: GrowingOutput) -> Any:
    base: Any = module.IOutputAllocator

    class Target(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def reallocate_output_async(self, tensor_name: str, memory: int, size: int, alignment: int, stream: int) -> int:
            return output.reallocate(size)

        def notify_shape(self, tensor_name: str, shape: Any) -> None:
            output.shape = tuple(shape)

    return Target()
