"""The CUDA context of one device: made current on whatever thread calls, and the owner of all that is made in it."""

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
    """Which context of ours is current on this thread, and whether a stream is being captured on it."""

    current: Context | None = None
    capturing: bool = False


thread = _Thread()


class Context:
    """A device's primary context, which TensorRT and ONNX Runtime share.

    PyCUDA's objects (streams, events, modules) are destroyed where their last reference goes, and that must be a
    thread on which the context is current; otherwise they leak. So the context alone refers to them (no local variable
    that an exception's traceback would keep), and what is forgotten instead of closed waits in `_forgotten` until
    somebody calls in.
    """

    def __init__(self, api: Any, bindings: Callable[[], Any], ordinal: int) -> None:
        """`api` is PyCUDA's driver module; `bindings` loads `cuda.bindings.driver` where graphs are wanted."""
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
        """Makes the context current for a `with` block, and PyCUDA's exceptions ours; `doing` says what failed.

        Cheap where it is current already. CudaClosedError after `close`.
        """
        return Activation(self, doing)

    def adopt(self, native: Any, destroy: Callable[[Any], None] | None = None) -> int:
        """Becomes the only owner of a native object; the key is for `__getitem__` and `drop`. What destroys it, with
        the context current, is `destroy` or that its last reference goes."""
        key = next(self._keys)
        self._natives[key] = native, destroy
        return key

    def __getitem__(self, key: int) -> Any:
        try:
            return self._natives[key][0]
        except KeyError:
            raise CudaClosedError(f"cuda:{self.ordinal}: used after it, or its device, was closed") from None

    def drop(self, key: int) -> None:
        """Destroys what was adopted; a second time, or after `close`, nothing happens."""
        if self.native is None or key not in self._natives:
            return
        with self.current("destroying an object"):
            native, destroy = self._natives.pop(key, (None, None))
            if destroy is not None:
                destroy(native)
            del native

    def later(self, action: Callable[[], None]) -> None:
        """For finalizers, which may run on any thread at any moment: `action` is done at the next `sweep`."""
        self._forgotten.append(action)

    def sweep(self) -> None:
        """Destroys what was forgotten. Called where new things are made, as long as nothing is being captured, which
        destroying something would break."""
        while not thread.capturing and self.native is not None:
            try:
                action = self._forgotten.popleft()  # another thread may sweep, too
            except IndexError:
                return
            action()

    def wait(self) -> None:
        """Waits until the device has done all its work, before that work's memory goes. A fault that shows here is
        logged: whoever waits only wants to close."""
        try:
            with self.current("waiting for the device"):
                self.api.Context.synchronize()
        except CudaError as error:
            logger.warning("%s", error)

    def keep(self, reason: str) -> None:
        """Has `close` leave the primary context alone, because memory of it is still being used."""
        self._kept = reason

    def close(self) -> None:
        """Destroys all that is left and releases the primary context; no other thread may be inside a call."""
        if self.native is None:
            return
        for key in reversed(list(self._natives)):
            self.drop(key)
        native, self.native = self.native, None
        if self._kept:
            logger.warning("cuda:%d: its context stays until this process ends: %s", self.ordinal, self._kept)
            # PyCUDA would give it back when its object goes, even at the end of the process: it never may.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(native))
            return
        self._release(native)

    def _release(self, native: Any) -> None:
        """PyCUDA leaves a released primary context on the stack of the thread that released it. So a thread does it
        that ends at once, and its stack with it."""

        def release() -> None:
            native.push()
            native.detach()

        releaser = threading.Thread(target=release, name=f"cuda-{self.ordinal}-release", daemon=True)
        releaser.start()
        releaser.join(_RELEASE_WITHIN)
        if releaser.is_alive():
            raise CudaError(f"cuda:{self.ordinal}: the driver does not release the device; restart this process")


class Activation:
    """`with` this, a context is current on the thread; see `Context.current`. Blocks may nest, of several devices
    too, and must be left by the thread that entered them."""

    __slots__ = ("_before", "_context", "_doing")

    def __init__(self, context: Context, doing: str) -> None:
        self._context, self._doing = context, doing
        self._before: Context | None = None

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
