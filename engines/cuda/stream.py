"""Streams, which run their work in order, and events, which mark a point in a stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sightd.engines.cuda.context import Context, thread
from sightd.engines.cuda.errors import CudaError
from sightd.engines.cuda.graph import Capture
from sightd.engines.cuda.transfers import TransferCounter


class Event:
    """A point in a stream's work, made by `Stream.record`; from any thread. Closed when it is forgotten, too."""

    def __init__(self, context: Context, key: int) -> None:
        self._context, self._key = context, key

    @property
    def done(self) -> bool:
        """Whether the stream has come past this point."""
        with self._context.current("asking an event"):
            return bool(self._context[self._key].query())

    def synchronize(self) -> None:
        """Sleeps until the stream has come past this point; a kernel's fault shows here."""
        with self._context.current("waiting for an event"):
            self._context[self._key].synchronize()

    def elapsed_since(self, other: Event) -> float:
        """Seconds on the device between `other` and this later event, for which it waits."""
        with self._context.current("timing two events"):
            self._context[self._key].synchronize()
            return float(self._context[self._key].time_since(other._context[other._key])) * 1e-3

    def close(self) -> None:
        self._context.drop(self._key)

    def __del__(self) -> None:
        self._context.later(partial(self._context.drop, self._key))


class Stream:
    """A queue of work on the device; one thread at a time gives it work, any may wait for it.

    `handle` is the driver's CUstream as an integer, for TensorRT, ONNX Runtime and NVDEC.
    """

    def __init__(self, context: Context, transfers: TransferCounter) -> None:
        self._context, self._device_transfers = context, transfers
        self.transfers = transfers
        """Where copies given to this stream are counted; during a capture, those that each launch will do."""
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
        """PyCUDA's stream. CudaClosedError after `close`."""
        return self._context[self._key]

    def synchronize(self) -> None:
        """Sleeps until all work is done, leaving the core to others (the driver's own wait would spin); a kernel's
        fault shows here."""
        with self._context.current("waiting for a stream"):
            self._context[self._idle_key].record(self.native)
            self._context[self._idle_key].synchronize()

    def wait(self, event: Event) -> None:
        """Work given from now on starts after `event`, of this or another stream; the caller does not wait."""
        with self._context.current("making a stream wait"):
            self._context[self._key].wait_for_event(event._context[event._key])

    def record(self) -> Event:
        """Marks the point where all work given so far is done."""
        self._context.sweep()
        with self._context.current("recording an event"):
            key = self._context.adopt(self._context.api.Event(self._context.api.event_flags.BLOCKING_SYNC))
            try:
                self._context[key].record(self.native)
            except (self._context.api.Error, CudaError):
                self._context.drop(key)
                raise
            return Event(self._context, key)

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        """Inside the block, this thread's work on the stream is noted down instead of done; `capture.graph` has it
        afterwards. Inside, memory may be neither allocated nor freed, and nothing be waited for: CudaError, and no
        graph. What was captured must stay: buffers, pinned arrays and modules."""
        if thread.capturing:
            raise RuntimeError("a stream is being captured on this thread already")
        capture = Capture(self._context, self.handle)
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
        """Twice is safe. Work under way is finished by the device."""
        self._context.drop(self._idle_key)
        self._context.drop(self._key)

    def __del__(self) -> None:
        for key in (getattr(self, "_idle_key", None), getattr(self, "_key", None)):
            if key is not None:
                self._context.later(partial(self._context.drop, key))
