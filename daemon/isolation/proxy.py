"""The daemon's proxy for a plug-in in its own process; nothing else in the daemon has to know the difference."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, NoReturn

from sightd.daemon.isolation.channel import GoneError
from sightd.daemon.isolation.client import RpcClient
from sightd.daemon.isolation.process import PluginProcess, ProcessObserver
from sightd.daemon.isolation.protocol import LoadedModel, OpenReply, OpenRequest, PluginLostError
from sightd.engines.progress import Progress
from sightd.engines.session import Backend, Tensor, TensorSpec
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import Canvas, Context, Frame, Plugin, PluginConfig, PluginError, Results

log = logging.getLogger(__name__)

QUICK = 2.0
"""Seconds within which `predict`, `draw` and `forget` must answer: the video waits for them."""
_CLOSING = 4.0
_DECLARED = ("requires", "produces", "metrics", "events", "parallel", "Config")


def remote_engine(network: LoadedModel) -> Engine:
    """Returns an engine that describes the model and cannot be run here."""
    return Engine(network.model, _RemoteSession(network.backend), network.reason)


class _RemoteSession:
    """Stand-in for a session in another process; it can be reported but not run."""

    inputs: Mapping[str, TensorSpec] = {}
    outputs: Mapping[str, TensorSpec] = {}

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raise RuntimeError("this model runs in the process of its plug-in")

    def close(self) -> None:
        """Does nothing: the other process closes its session."""


class _RunningProcess:
    """A process in which the plug-in is open."""

    def __init__(self, process: PluginProcess, opened: OpenReply) -> None:
        self.process = process
        self.opened = opened
        self.side = RpcClient(process.side)
        self.side_lock = threading.Lock()
        self.free: SimpleQueue[RpcClient] = SimpleQueue()
        for channel in process.channels:
            self.free.put(RpcClient(channel))
        self.cpu = 0.0


class IsolatedPlugin(Plugin[PluginConfig]):
    """Forwards calls to the process. If that is gone, they raise PluginLostError until another one runs: `ready`
    requests it, `check_hung` starts it, and it opens on a thread of its own. If that fails, the next `process` raises
    the reason.

    Created by `isolated`, which copies what the plug-in's class declares.
    """

    def __init__(self, order: OpenRequest, channels: int, progress: Progress) -> None:
        super().__init__(order.config)
        self._order = order
        self._channel_count = channels
        self._progress = progress
        self._lock = threading.Lock()
        self._starting: PluginProcess | None = None
        self._living: _RunningProcess | None = None
        self._lost: PluginLostError | None = None
        self._is_wanted = False
        self._closed = False
        self._hides = False

    @property
    def redacts(self) -> bool:
        return self._hides

    def open(self, context: Context) -> None:
        """Waits until the plug-in is open in its process. Raises PluginError."""
        self._begin()
        self._start()
        if self._living is None:
            raise PluginError(str(self._lost))
        self._hides = self._living.opened.redacts

    @property
    def engines(self) -> list[Engine]:
        """The engines that run in its process, for reports; they cannot be run here."""
        return [] if self._living is None else [remote_engine(network) for network in self._living.opened.networks]

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        living = self._present()
        client = living.free.get()
        try:
            return client.call("process", frames, results)  # type: ignore[return-value]  # the supervisor checks it
        except GoneError:
            self._gone(living)
        finally:
            living.free.put(client)

    def predict(self, frame: Frame, results: Results) -> Results:
        living = self._present()
        if not living.opened.predicts:
            return Results()
        return self._quickly(living, "predict", [frame], [results])  # type: ignore[return-value]  # see above

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        living = self._present()
        if living.opened.draws:
            self._quickly(living, "draw", [frame], [results], canvas=canvas)

    def forget(self, camera: str) -> None:
        if (living := self._living) is not None:  # otherwise its state is gone already
            self._quickly(living, "forget", camera=camera)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            living, self._living = self._living, None
            starting = self._starting
        if starting is not None:
            starting.end("error", "was stopped")  # the thread that waits for it closes it
        if living is not None:
            with suppress(GoneError, TimeoutError), living.side_lock:
                living.side.call("close", patience=_CLOSING)
            living.process.close()

    def ready(self) -> bool:
        """Whether the plug-in can be tried. If its process is gone, the next `check_hung` starts another."""
        with self._lock:
            if self._living is not None or self._closed:
                return True
            if self._lost is not None and self._lost.reason == "error":
                return True  # it could not be started: `process` raises that
            self._is_wanted = True
            return False

    def end_hanging(self) -> None:
        """Ends the process so that its hung call returns."""
        if (living := self._living) is not None:
            living.process.end("timeout", "was killed because a call hung")

    def check_hung(self, observer: ProcessObserver) -> None:
        """Reports the process's usage, ends it if it exceeds its memory limit, and starts another if requested. Call
        once a second, from a thread of normal priority, which the process inherits."""
        with self._lock:
            begin, self._is_wanted = self._is_wanted and self._starting is None and not self._closed, False
        if begin:
            self._begin()
            threading.Thread(
                target=self._restart, args=(observer,), name=f"open:{self._order.name}", daemon=True
            ).start()
        self._report(observer)

    def _report(self, observer: ProcessObserver) -> None:
        living, most = self._living, self.config.max_memory
        usage = None if living is None else living.process.usage()
        if living is None or usage is None:
            observer.resident(0)
            return
        resident, cpu = usage
        observer.resident(resident)
        observer.used(cpu - living.cpu)
        living.cpu = cpu
        if most is not None and resident > most:
            told = f"took {resident / 2**20:.0f} MiB of memory, above max_memory ({most / 2**20:.0f} MiB)"
            living.process.end("memory", told)

    def _begin(self) -> None:
        """Starts a process. Raises PluginError if the system cannot."""
        name = self._order.name
        try:
            process = PluginProcess(name, self._channel_count)
        except OSError as error:
            raise PluginError(f"plug-in {name} cannot be opened: its process could not be started: {error}") from error
        with self._lock:
            self._starting, closed = process, self._closed
        if closed:
            process.end("error", "was stopped")

    def _start(self) -> None:
        """Opens the plug-in in the started process; sets `_living`, or `_lost` if that fails."""
        process = self._starting
        assert process is not None
        living = lost = None
        try:
            living = _RunningProcess(process, process.open(self._order, self._progress))
        except Exception as error:  # noqa: BLE001 — also of the progress or pickling: the next caller raises it
            process.close()
            lost = PluginLostError(str(error), "error")
        except BaseException:  # the start of the daemon is interrupted
            process.close()
            raise
        with self._lock:
            self._starting = None
            closed = self._closed
            if not closed:
                self._living, self._lost = living, lost
        if closed:
            process.close()

    def _restart(self, observer: ProcessObserver) -> None:
        self._start()
        if self._living is not None:
            observer.restarted()
            log.info("plug-in %s: its process was restarted", self._order.name)

    def _present(self) -> _RunningProcess:
        with self._lock:
            living, lost = self._living, self._lost
            if living is not None:
                return living
            if lost is not None and lost.reason == "error":
                self._lost = PluginLostError(str(lost), "crashed")  # reported; the next trial starts a process
        raise lost or PluginLostError("it was closed", "error")

    def _quickly(
        self,
        living: _RunningProcess,
        method: str,
        frames: Sequence[Frame] = (),
        results: Sequence[Results] = (),
        *,
        canvas: Canvas | None = None,
        camera: str = "",
    ) -> object:
        try:
            with living.side_lock:
                return living.side.call(method, frames, results, canvas=canvas, camera=camera, patience=QUICK)
        except TimeoutError:
            living.process.end("timeout", f"was killed because {method} took longer than {QUICK:.0f} s")
            self._gone(living)
        except GoneError:
            self._gone(living)

    def _gone(self, living: _RunningProcess) -> NoReturn:
        """Raises PluginLostError with how the process ended."""
        told = f"its process {living.process.death()}"
        lost = PluginLostError(told, living.process.ended_for or "crashed")
        with self._lock:
            mine = self._living is living
            if mine:
                self._living, self._lost = None, lost
        if mine:
            living.process.close()
        raise lost


def isolated(order: OpenRequest, channels: int, progress: Progress) -> IsolatedPlugin:
    """Returns a proxy that declares what the plug-in's class declares; it is not open yet."""
    declared: dict[str, Any] = {name: getattr(order.plugin_class, name) for name in _DECLARED}
    kind: Callable[..., IsolatedPlugin] = type(f"Isolated{order.plugin_class.__name__}", (IsolatedPlugin,), declared)
    return kind(order, channels, progress)
