"""Streams, which run their work in order, and events, which mark a point in a stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sightd.engines.cuda.context import CudaContext, thread
from sightd.engines.cuda.errors import CudaError
from sightd.engines.cuda.graph import GraphCapture
from sightd.engines.cuda.transfers import TransferCounter


class CudaEvent:
    """A point in a stream's work, created by `CudaStream.record`. Thread-safe. Closed automatically when
    garbage-collected."""

    def __init__(self, context: CudaContext, key: int) -> None:
        self._context, self._key = context, key

    @property
    def done(self) -> bool:
        """Whether the stream has passed this point."""
        with self._context.current("querying an event"):
            return bool(self._context[self._key].query())

    def synchronize(self) -> None:
        """Sleeps until the stream has passed this point. Raises if a kernel failed."""
        with self._context.current("waiting for an event"):
            self._context[self._key].synchronize()

    def elapsed_since(self, other: CudaEvent) -> float:
        """Returns the seconds on the device between `other` and this later event. Waits for this event."""
        with self._context.current("measuring the time between two events"):
            self._context[self._key].synchronize()
            return float(self._context[self._key].time_since(other._context[other._key])) * 1e-3

    def close(self) -> None:
        self._context.drop(self._key)

    def __del__(self) -> None:
        self._context.later(partial(self._context.drop, self._key))


class CudaStream:
    """A queue of work on the device. Only one thread at a time may enqueue work; any thread may wait for it.

    `handle` is the driver's CUstream as an integer, for TensorRT, ONNX Runtime and NVDEC.
    """

    def __init__(self, context: CudaContext, transfers: TransferCounter) -> None:
        self._context, self._device_transfers = context, transfers
        self.transfers = transfers
        """Counts the copies on this stream; during a capture, those that each launch of the graph will do."""
        context.sweep()
        flags = context.api.event_flags
        with context.current("making a stream"):
            self._key = context.adopt(context.api.Stream())
            try:
                self._idle_key = context.adopt(context.api.Event(flags.BLOCKING_SYNC | flags.DISABLE_TIMING))
            except context.api.Error:
                context.drop(self._key)
                raise
        self.handle = int(context[self._key].handle)

    @property
    def native(self) -> object:
        """PyCUDA's stream. Raises CudaClosedError after `close`."""
        return self._context[self._key]

    def synchronize(self) -> None:
        """Sleeps until all work is done. Unlike the driver's own wait, it does not spin. Raises if a kernel failed."""
        with self._context.current("waiting for a stream"):
            self._context[self._idle_key].record(self.native)
            self._context[self._idle_key].synchronize()

    def wait(self, event: CudaEvent) -> None:
        """Makes work that is enqueued from now on start after `event`, which may be of another stream. Does not block
        the caller."""
        with self._context.current("making a stream wait for an event"):
            self._context[self._key].wait_for_event(event._context[event._key])

    def record(self) -> CudaEvent:
        """Returns an event that marks the end of all work enqueued so far."""
        self._context.sweep()
        with self._context.current("recording an event"):
            key = self._context.adopt(self._context.api.Event(self._context.api.event_flags.BLOCKING_SYNC))
            try:
                self._context[key].record(self.native)
            except (self._context.api.Error, CudaError):
                self._context.drop(key)
                raise
            return CudaEvent(self._context, key)

    @contextmanager
    def capture(self) -> Iterator[GraphCapture]:
        """Records this thread's work on the stream in the block instead of running it; `capture.graph` then contains
        it.

        In the block, allocating or freeing memory and waiting raise CudaError, and there is no graph. Everything that
        was captured must stay alive: buffers, pinned arrays and modules.
        """
        if thread.capturing:
            raise RuntimeError("this thread is already capturing a stream")
        capture = GraphCapture(self._context, self.handle)
        capture.begin()
        thread.capturing, self.transfers = True, TransferCounter()
        try:
            yield capture
        except BaseException:
            capture.abandon()
            raise
        else:
            capture.finish(self.transfers)
        finally:
            thread.capturing, self.transfers = False, self._device_transfers

    def close(self) -> None:
        """Closes the stream. The device still finishes its work. Idempotent."""
        self._context.drop(self._idle_key)
        self._context.drop(self._key)

    def __del__(self) -> None:
        for key in (getattr(self, "_idle_key", None), getattr(self, "_key", None)):
            if key is not None:
                self._context.later(partial(self._context.drop, key))
