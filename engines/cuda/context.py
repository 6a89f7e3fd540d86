"""The CUDA context of a device: makes it current on the calling thread, and owns everything created in it."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections import deque
from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import Any, Literal

from sightd.engines.cuda.errors import CudaClosedError, CudaError, translated

logger = logging.getLogger(__name__)

_RELEASE_WITHIN = 10.0


class _Thread(threading.local):
    """Per thread: which of our contexts is current, and whether a stream is being captured."""

    current: CudaContext | None = None
    capturing: bool = False


thread = _Thread()


class CudaContext:
    """A device's primary context, which is shared with TensorRT and ONNX Runtime.

    PyCUDA's objects (streams, events, modules) are destroyed when their last reference goes. This must happen on a
    thread on which the context is current; otherwise they leak. So only the context refers to them (not, for example, a
    local variable that an exception's traceback would keep alive). The cleanup of objects that were garbage-collected
    without being closed is queued in `_forgotten` until the next `sweep`.
    """

    def __init__(self, api: Any, bindings: Callable[[], Any], ordinal: int) -> None:
        """Opens the device. `api` is PyCUDA's driver module; `bindings` loads `cuda.bindings.driver` when graphs are
        used."""
        self.api, self.bindings, self.ordinal = api, bindings, ordinal
        self._natives: dict[int, tuple[Any, Callable[[Any], None] | None]] = {}
        self._keys = count()
        self._forgotten: deque[Callable[[], None]] = deque()
        self._kept = ""
        try:
            self.native: Any = api.Device(ordinal).retain_primary_context()
        except api.Error as error:
            raise translated(f"cuda:{ordinal}: opening the device", error) from error

    def current(self, doing: str) -> Activation:
        """Returns a context manager that makes the context current and translates PyCUDA's exceptions to ours.

        `doing` describes the operation in messages. Cheap if the context is already current. Entering it raises
        CudaClosedError after `close`.
        """
        return Activation(self, doing)

    def adopt(self, native: Any, destroy: Callable[[Any], None] | None = None) -> int:
        """Takes sole ownership of a native object and returns its key for `__getitem__` and `drop`. The object is
        destroyed with the context current, by `destroy` if given, else by dropping its last reference."""
        key = next(self._keys)
        self._natives[key] = native, destroy
        return key

    def __getitem__(self, key: int) -> Any:
        try:
            return self._natives[key][0]
        except KeyError:
            raise CudaClosedError(f"cuda:{self.ordinal}: used after it, or its device, was closed") from None

    def drop(self, key: int) -> None:
        """Destroys an adopted object. Does nothing if it was dropped before, or after `close`."""
        if self.native is None or key not in self._natives:
            return
        with self.current("destroying an object"):
            native, destroy = self._natives.pop(key, (None, None))
            if destroy is not None:
                destroy(native)
            del native

    def later(self, action: Callable[[], None]) -> None:
        """Queues `action` for the next `sweep`. For finalizers, which may run on any thread at any time."""
        self._forgotten.append(action)

    def sweep(self) -> None:
        """Runs the queued cleanup actions. Called when new objects are created, but does nothing during a capture,
        which destroying an object would break."""
        while not thread.capturing and self.native is not None:
            try:
                action = self._forgotten.popleft()  # another thread may sweep at the same time
            except IndexError:
                return
            action()

    def wait(self) -> None:
        """Waits until the device has finished all work, before the memory of that work is freed. Only logs errors,
        because the caller is about to close the device."""
        try:
            with self.current("waiting for the device"):
                self.api.Context.synchronize()
        except CudaError as error:
            logger.warning("%s", error)

    def keep(self, reason: str) -> None:
        """Makes `close` keep the primary context, because memory in it is still in use."""
        self._kept = reason

    def close(self) -> None:
        """Destroys all remaining objects and releases the primary context. No other thread may be inside a call.
        Idempotent."""
        if self.native is None:
            return
        for key in reversed(list(self._natives)):
            self.drop(key)
        native, self.native = self.native, None
        if self._kept:
            logger.warning(
                "cuda:%d: the context could not be destroyed and stays until this process exits: %s",
                self.ordinal,
                self._kept,
            )
            # PyCUDA would release it when its object is destroyed, even at process exit; prevent that for good.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(native))
            return
        self._release(native)

    def _release(self, native: Any) -> None:
        """Releases the context on a temporary thread, because PyCUDA leaves a released primary context on the context
        stack of the thread that released it."""

        def release() -> None:
            native.push()
            native.detach()

        releaser = threading.Thread(target=release, name=f"cuda-{self.ordinal}-release", daemon=True)
        releaser.start()
        releaser.join(_RELEASE_WITHIN)
        if releaser.is_alive():
            raise CudaError(f"cuda:{self.ordinal}: the driver does not release the device; restart this process")


class Activation:
    """Context manager that makes a context current on the thread; see `CudaContext.current`. Blocks may be nested, also
    for several devices, and must be left by the thread that entered them."""

    __slots__ = ("_before", "_context", "_doing")

    def __init__(self, context: CudaContext, doing: str) -> None:
        self._context, self._doing = context, doing
        self._before: CudaContext | None = None

    def __enter__(self) -> None:
        context = self._context
        if context.native is None:
            raise CudaClosedError(f"cuda:{context.ordinal}: {self._doing}: the device is closed")
        self._before = thread.current
        if self._before is not context:
            try:
                context.native.push()
            except context.api.Error as error:
                raise translated(f"cuda:{context.ordinal}: {self._doing}", error) from error
            thread.current = context

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        context = self._context
        if self._before is not context:
            thread.current = self._before
            context.api.Context.pop()
        if isinstance(error, context.api.Error):
            raise translated(f"cuda:{context.ordinal}: {self._doing}", error) from error.with_traceback(None)
        return False
