"""Runs models on an NVIDIA GPU with TensorRT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from sightd.engines.errors import EngineError
from sightd.engines.session import Backend, Tensor, TensorSpec, joined
from sightd.engines.sessions.tensorrt.binding import LoadedEngine, read_io_spec
from sightd.engines.sessions.tensorrt.execution_slots import ExecutionSlot, ExecutionSlotPool
from sightd.engines.sessions.tensorrt.interfaces import Device, DeviceBuffer, Stream
from sightd.engines.sessions.tensorrt.names import Flavour, TensorRT, make_log

EXECUTION_SLOTS = 2
"""Two slots overlap the copies of one run with the computation of another. More would only use memory."""

_CLOSE_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class DeviceTensor:
    """An output on the device. The session owns the memory."""

    buffer: DeviceBuffer
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class DeviceRun:
    """A run enqueued on a stream. `outputs` are valid for work on that stream until `release`.

    Use it in a `with` block around everything that reads the outputs. Afterwards the execution slot serves other
    callers.
    """

    def __init__(self, outputs: Mapping[str, DeviceTensor], release: Callable[[], None]) -> None:
        self.outputs = outputs
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Returns the execution slot. Work already queued on the stream still sees the outputs. Idempotent."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class TensorRTSession:
    """An engine on one GPU; an `engines.session.Session`. `run` may be called from several threads at once; `close` is
    idempotent."""

    def __init__(
        self,
        trt: TensorRT,
        plan: bytes,
        device: Device,
        *,
        name: str,
        precision: str,
        execution_slots: int = EXECUTION_SLOTS,
    ) -> None:
        """Loads `plan`, an engine that this TensorRT version built for this type of card. Raises EngineError if
        TensorRT rejects it.

        `device` remains owned by the caller and must be closed after the session. `name` is used in messages.
        """
        self._device, self._name = device, name
        log = make_log(trt.module)
        with device.active(), ExitStack() as undo:
            runtime = trt.module.Runtime(log.target)
            engine = runtime.deserialize_cuda_engine(plan)
            if engine is None:
                reasons = "; ".join(log.errors()) or "no reason given"
                raise EngineError(
                    f"{name}: {trt.title} rejects the engine on {device.name}: {reasons}. Run `sightd engine prune "
                    "--all` to rebuild it"
                )
            loaded = LoadedEngine(trt, engine, read_io_spec(trt.module, engine), device, name)
            made = []
            for _ in range(execution_slots):
                made.append(ExecutionSlot(loaded))
                undo.callback(made[-1].close)
            undo.pop_all()
        self._alive: tuple[object, ...] = (loaded, runtime, log)
        self._ends = loaded.ends
        self._pool = ExecutionSlotPool(made, name)
        backend = "tensorrt" if trt.flavour is Flavour.TENSORRT else "tensorrt-rtx"
        self._backend = Backend(backend, f"cuda:{device.ordinal}", precision)

    @property
    def backend(self) -> Backend:
        return self._backend

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        return self._ends.inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return self._ends.outputs

    @property
    def largest_batch(self) -> int:
        """Maximum number of rows per `run_device` call; `run` accepts any number, in several runs."""
        return self._ends.batch.most

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs one batch; see `Session.run`. Raises EngineError if names, shapes or dtypes do not match the engine."""
        rows = self._require(inputs)
        most = self._ends.batch.most
        slot = self._pool.take()
        try:
            with self._device.active():
                parts = [
                    self._run_rows(slot, {name: tensor[first : first + most] for name, tensor in inputs.items()})
                    for first in range(0, rows, most)
                ]
        finally:
            self._pool.give_back(slot)
        return parts[0] if len(parts) == 1 else joined(parts)

    def run_device(self, inputs: Mapping[str, DeviceBuffer], batch: int, stream: Stream) -> DeviceRun:
        """Enqueues one run with inputs on this device on `stream`. Waits only for a free execution slot.

        `inputs` hold `batch` contiguous rows each, in the engine's dtypes. They must stay valid until the stream has
        passed the run. Reuse the same addresses for best speed: such runs are replayed as a CUDA graph. Raises
        EngineError if names or batch size do not fit.
        """
        if inputs.keys() != self._ends.inputs.keys():
            raise EngineError(f"{self._name} has the inputs {sorted(self._ends.inputs)}, not {sorted(inputs)}")
        if not self._ends.batch.least <= batch <= self._ends.batch.most:
            raise EngineError(f"{self._name}: batch size {batch} is outside the range {self._ends.batch} of the engine")
        slot = self._pool.take()
        try:
            with self._device.active():
                binding = slot.enqueue(inputs, batch, stream)
                outputs = {
                    name: DeviceTensor(*binding.output(name), spec.dtype) for name, spec in self._ends.outputs.items()
                }
        except BaseException:
            self._pool.give_back(slot)
            raise

        def release() -> None:
            try:
                slot.busy_until = stream.record()
            finally:
                self._pool.give_back(slot)

        return DeviceRun(outputs, release)

    def warm_up(self) -> None:
        """Runs zeros until the least and the usual batch size are captured on every execution slot."""
        execution_slots = self._pool.take_all()
        try:
            with self._device.active():
                for slot in execution_slots:
                    self._warm(slot)
        finally:
            for slot in execution_slots:
                self._pool.give_back(slot)

    def close(self) -> None:
        """Waits for current runs, then frees all device memory. Raises EngineError if a run does not end."""
        execution_slots = self._pool.close(_CLOSE_WITHIN)
        if execution_slots:
            with self._device.active():  # TensorRT frees its own memory when the last references go
                while execution_slots:
                    execution_slots.pop().close()
                self._alive = ()

    def _warm(self, slot: ExecutionSlot) -> None:
        for batch in {self._ends.batch.least, self._ends.batch.usual}:
            zeros = {n: np.zeros(self._ends.shape(n, batch), spec.dtype) for n, spec in self._ends.inputs.items()}
            for _ in range(3):
                slot.run(zeros, batch)

    def _run_rows(self, slot: ExecutionSlot, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs once. Pads fewer rows than the engine's minimum by repeating the last one, and removes the padding
        again."""
        rows = len(next(iter(inputs.values())))
        missing = self._ends.batch.least - rows
        if missing <= 0:
            return slot.run(inputs, rows)
        filled = {n: np.concatenate([tensor, np.repeat(tensor[-1:], missing, 0)]) for n, tensor in inputs.items()}
        return {name: found[:rows] for name, found in slot.run(filled, rows + missing).items()}

    def _require(self, inputs: Mapping[str, Tensor]) -> int:
        """Checks the inputs and returns their number of rows. Raises EngineError if they do not fit."""
        specs = self._ends.inputs
        rows = {len(tensor) if tensor.ndim else 0 for tensor in inputs.values()}
        fits = inputs.keys() == specs.keys() and all(
            tensor.dtype == specs[name].dtype and tensor.shape[1:] == specs[name].shape[1:]
            for name, tensor in inputs.items()
        )
        if not fits or len(rows) != 1 or 0 in rows:
            wanted = ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in specs.values())
            given = ", ".join(f"{name} {tensor.dtype} {list(tensor.shape)}" for name, tensor in inputs.items())
            raise EngineError(f"{self._name} cannot be run on {given or 'nothing'}. It expects {wanted}")
        return rows.pop()
