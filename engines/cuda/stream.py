"""Streams, which run their work in order, events, which mark a point in a stream, and graphs of a stream's work.

A graph is recorded once and then launched with a single call. PyCUDA does not support graphs, so `cuda.bindings`
creates them on the same context and stream handle.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sightd.engines.cuda.context import CudaContext, thread
from sightd.engines.cuda.errors import CudaError


class TransferCounter:
    """The sum of all transfers of a device since it was opened. Thread-safe. Copies within the device are not
    counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.bytes_to_device = 0
        self.bytes_to_host = 0
        self.copies = 0

    def add(self, *, to_device: int = 0, to_host: int = 0, copies: int = 1) -> None:
        with self._lock:
            self.bytes_to_device += to_device
            self.bytes_to_host += to_host
            self.copies += copies

    def add_all(self, other: TransferCounter) -> None:
        self.add(to_device=other.bytes_to_device, to_host=other.bytes_to_host, copies=other.copies)


_CANNOT = (
    "During a capture, do not allocate or free memory, do not wait for anything, and use only page-locked host memory"
)


class CudaGraph:
    """Captured work that can be launched repeatedly with the same addresses. Closed automatically when
    garbage-collected."""

    def __init__(self, context: CudaContext, key: int, transfers: TransferCounter) -> None:
        self._context, self._key, self._transfers = context, key, transfers
        self._bindings = context.bindings()

    def launch(self, stream: CudaStream) -> None:
        """Enqueues the whole graph on `stream` in one call. A graph must not run more than once at a time."""
        with self._context.current("launching a graph"):
            checked(self._bindings.cuGraphLaunch(self._context[self._key], stream.handle), "launching a graph")
        stream.transfers.add_all(self._transfers)

    def close(self) -> None:
        self._context.drop(self._key)

    def __del__(self) -> None:
        self._context.later(partial(self._context.drop, self._key))


class GraphCapture:
    """Returned by `CudaStream.capture`; `graph` is available after its block."""

    def __init__(self, context: CudaContext, handle: int) -> None:
        self._context, self._handle = context, handle
        self._bindings = context.bindings()
        self._graph: CudaGraph | None = None

    @property
    def graph(self) -> CudaGraph:
        if self._graph is None:
            raise CudaError("a captured graph is available only after the capture block ended without an error")
        return self._graph

    def begin(self) -> None:
        """Starts the capture in thread-local mode, so that other threads can still allocate memory."""
        mode = self._bindings.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        with self._context.current("beginning a capture"):
            checked(self._bindings.cuStreamBeginCapture(self._handle, mode), "beginning a capture")

    def finish(self, transfers: TransferCounter) -> None:
        """Ends the capture and instantiates its graph."""
        with self._context.current("ending a capture"):
            graph = checked(self._bindings.cuStreamEndCapture(self._handle), f"ending a capture ({_CANNOT})")
            try:
                executable = checked(self._bindings.cuGraphInstantiate(graph, 0), "instantiating a graph")
            finally:
                self._bindings.cuGraphDestroy(graph)
            key = self._context.adopt(executable, self._bindings.cuGraphExecDestroy)
        self._graph = CudaGraph(self._context, key, transfers)

    def abandon(self) -> None:
        """Ends the capture after an error in its block. The stream can be used again, and nothing is left behind."""
        with self._context.current("abandoning a capture"):
            result, graph = self._bindings.cuStreamEndCapture(self._handle)
            if int(result) == 0 and int(graph):
                self._bindings.cuGraphDestroy(graph)


def checked(answer: tuple[Any, ...], doing: str) -> Any:
    """Returns the value of a `cuda.bindings` call. Raises CudaError if the driver reported an error."""
    result, *values = answer
    if int(result) != 0:
        raise CudaError(f"{doing}: {result.name}")
    return values[0] if values else None


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
