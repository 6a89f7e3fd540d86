"""Execution slots: everything that one run at a time needs. Several slots of one engine run in parallel, each lent to
one caller at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod

import numpy as np

from sightd.engines.errors import EngineError
from sightd.engines.session import Tensor
from sightd.engines.sessions.tensorrt.binding import Binding, LoadedEngine, shaped_context
from sightd.engines.sessions.tensorrt.interfaces import DeviceBuffer, Event, PinnedArray, Stream

_BINDINGS = 32
"""Maximum number of bindings (batch size and addresses) that a slot keeps. The least recently used one is dropped."""


@dataclass(frozen=True, slots=True)
class _Staging:
    """Page-locked host memory and device memory of one input or output, for the largest batch."""

    host: PinnedArray
    device: DeviceBuffer


class ExecutionSlot:
    """An execution slot: a stream, memory, and contexts that share it. Used by one thread at a time; the device must be
    active in every call."""

    def __init__(self, loaded: LoadedEngine) -> None:
        self._loaded = loaded
        self._bindings: OrderedDict[tuple[int, tuple[int, ...]], Binding] = OrderedDict()
        self._staged: dict[str, _Staging] = {}
        self.busy_until: Event | None = None
        """Set if the last run may still be in progress on a caller's stream."""
        with ExitStack() as undo:
            self.stream: Stream = loaded.device.stream()
            undo.callback(self.stream.close)
            self._scratch = self._allocate(undo, max(loaded.engine.device_memory_size_v2, 1))
            context = shaped_context(loaded, loaded.ends.batch.most, self._scratch)
            shapes = {name: tuple(context.get_tensor_shape(name)) for name in loaded.ends.outputs}
            self._shapes = {name: shape for name, shape in shapes.items() if -1 not in shape}
            self._outputs = {
                name: self._allocate(undo, prod(shape) * loaded.ends.outputs[name].dtype.itemsize)
                for name, shape in self._shapes.items()
            }
            self._owned = undo.pop_all()

    def run(self, inputs: Mapping[str, Tensor], batch: int) -> dict[str, Tensor]:
        """Runs host arrays and returns new host arrays. Waits for the result."""
        self._settle(self.stream)
        try:
            return self._run(inputs, batch)
        except BaseException:
            self.stream.synchronize()  # copies in progress still use the host memory
            raise

    def enqueue(self, inputs: Mapping[str, DeviceBuffer], batch: int, stream: Stream) -> Binding:
        """Enqueues one run with device inputs on `stream` and returns without waiting."""
        self._settle(stream)
        binding = self._binding(batch, {name: buffer.address for name, buffer in inputs.items()})
        binding.enqueue(stream)
        return binding

    def close(self) -> None:
        """Waits for the last run, then frees everything. Idempotent."""
        if self.busy_until is not None:
            self._settle(self.stream)
            self.stream.synchronize()
        while self._bindings:
            self._bindings.popitem()[1].close()
        self._owned.close()

    def _run(self, inputs: Mapping[str, Tensor], batch: int) -> dict[str, Tensor]:
        for name, tensor in inputs.items():
            staging = self._stage_input(name)
            staging.host.array[:batch] = tensor
            staging.device.upload(staging.host.array[:batch], self.stream)
        binding = self._binding(batch, {name: self._stage_input(name).device.address for name in inputs})
        binding.enqueue(self.stream)
        if binding.dynamic:
            self.stream.synchronize()  # only now are their shapes known
        results: dict[str, Tensor] = {}
        for name, spec in self._loaded.ends.outputs.items():
            buffer, shape = binding.output(name)
            target = np.empty(shape, spec.dtype) if name in binding.dynamic else self._stage_output(name, shape)
            if target.size:
                buffer.download(target, self.stream)
            results[name] = target
        self.stream.synchronize()
        return {name: found if name in binding.dynamic else found.copy() for name, found in results.items()}

    def _binding(self, batch: int, inputs: Mapping[str, int]) -> Binding:
        key = batch, tuple(inputs[name] for name in self._loaded.ends.inputs)
        if found := self._bindings.get(key):
            self._bindings.move_to_end(key)
            return found
        if len(self._bindings) >= _BINDINGS:
            self._bindings.popitem(last=False)[1].close()
        made = Binding(self._loaded, batch, inputs, self._outputs, self._scratch)
        self._bindings[key] = made
        return made

    def _stage_input(self, name: str) -> _Staging:
        """Creates the staging memory on the first run from the host. A slot whose frames stay on the device never needs
        it."""
        if name not in self._staged:
            spec = self._loaded.ends.inputs[name]
            shape = self._loaded.ends.shape(name, self._loaded.ends.batch.most)
            device = self._allocate(self._owned, prod(shape) * spec.dtype.itemsize)
            self._staged[name] = _Staging(self._pinned(shape, spec.dtype), device)
        return self._staged[name]

    def _stage_output(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Returns page-locked host memory for an output of this shape."""
        if name not in self._staged:
            host = self._pinned((prod(self._shapes[name]),), self._loaded.ends.outputs[name].dtype)
            self._staged[name] = _Staging(host, self._outputs[name])
        return self._staged[name].host.array[: prod(shape)].reshape(shape)

    def _settle(self, stream: Stream) -> None:
        """Makes work that is queued on `stream` from now on wait for the slot's last run."""
        event, self.busy_until = self.busy_until, None
        if event is not None:
            stream.wait(event)
            event.close()

    def _allocate(self, owner: ExitStack, nbytes: int) -> DeviceBuffer:
        buffer = self._loaded.device.allocate(nbytes)
        owner.callback(buffer.free)
        return buffer

    def _pinned(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> PinnedArray:
        pinned = self._loaded.device.pinned(shape, dtype)
        self._owned.callback(pinned.free)
        return pinned


class ExecutionSlotPool:
    """Lends the most recently used slot, whose memory is warm. Thread-safe."""

    def __init__(self, execution_slots: Sequence[ExecutionSlot], name: str) -> None:
        self._slots, self._name = list(execution_slots), name
        self._free = list(execution_slots)
        self._changed = threading.Condition()
        self._closed = False

    def take(self) -> ExecutionSlot:
        """Waits for a free slot and returns it. Raises EngineError after `close`."""
        with self._changed:
            self._wait(lambda: bool(self._free))
            return self._free.pop()

    def take_all(self) -> Sequence[ExecutionSlot]:
        """Waits until all slots are free and returns them. Raises EngineError after `close`."""
        with self._changed:
            self._wait(lambda: len(self._free) == len(self._slots))
            taken, self._free = self._free, []
            return taken

    def give_back(self, slot: ExecutionSlot) -> None:
        with self._changed:
            self._free.append(slot)
            self._changed.notify_all()

    def close(self, within: float) -> list[ExecutionSlot]:
        """Stops lending and returns all slots once they are free, or an empty list if the pool was already closed.

        Raises EngineError if a slot is still in use after `within` seconds, because its memory cannot be freed during a
        run.
        """
        with self._changed:
            if self._closed:
                return []
            self._closed = True
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: len(self._free) == len(self._slots), within):
                out = len(self._slots) - len(self._free)
                raise EngineError(
                    f"{self._name}: {out} runs did not finish within {within:g} s; their memory is not released"
                )
            execution_slots, self._slots, self._free = self._slots, [], []
            return execution_slots

    def _wait(self, ready: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self._closed or ready())
        if self._closed:
            raise EngineError(f"{self._name}: called after close")
