"""CUDA graphs: the work of a stream, recorded once and then launched with a single call.

PyCUDA does not support graphs, so `cuda.bindings` creates them on the same context and stream handle.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sightd.engines.cuda.context import CudaContext
from sightd.engines.cuda.errors import CudaError
from sightd.engines.cuda.transfers import TransferCounter

if TYPE_CHECKING:
    from sightd.engines.cuda.stream import CudaStream

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
