"""Makes the plug-in instances of a configuration ready: opens them with their networks and gives each its worker."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from daemon.pipeline.gate import Gate
from daemon.pipeline.guard import HANGS_AFTER, Guard, PluginObserver
from daemon.pipeline.line import Line
from daemon.pipeline.ticket import Ticket
from daemon.pipeline.worker import Worker, yield_to_the_picture
from daemon.thread_names import name_this_thread
from engines.engine import Engine
from engines.errors import EngineError
from engines.model import Model
from plugins.api import AnyPlugin, PluginConfig, PluginError
from plugins.types import Results

log = logging.getLogger(__name__)

GPU_MAX_BATCH = 16
GPU_THREADS = 2
"""Of a parallel plug-in: the copies of one batch hide behind the arithmetic of another. More only split batches."""
STOP_DEADLINE = 5.0
LOOKS_EVERY = 1.0
"""Seconds between two looks at whether a plug-in hangs."""


class Observer(PluginObserver, Protocol):
    """Who is told of one plug-in instance: its faults and times, its batches, its networks."""

    def batch(self, size: int) -> None: ...

    def engine(self, engine: Engine) -> None: ...


LoadEngine = Callable[[Sequence[str | Model], int, PluginConfig], Engine]
"""Loads the first model of a preference that can be had, to run on so many threads, as a plug-in's options wish."""


@dataclass(slots=True)
class PluginContext:
    """What a plug-in is given when it opens; remembers the networks it took, to close and to report them."""

    name: str
    engine_threads: int
    load_engine: LoadEngine
    config: PluginConfig
    engines: list[Engine]

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        engine = self.load_engine(choice, self.engine_threads, self.config)
        self.engines.append(engine)
        return engine


@dataclass(frozen=True, slots=True)
class Instance:
    """A plug-in instance that is open, with its worker."""

    name: str
    worker: Worker
    engines: tuple[Engine, ...]

    @property
    def guard(self) -> Guard:
        return self.worker.guard


class PluginHost:
    """Owns all plug-in instances. One is opened and added before the first camera that uses it starts, removed after
    the last one has stopped; `close` after all have.

    On a CPU a plug-in that is `parallel` gets a thread for each core, but not more than there are cameras, and
    its network as many threads as are left for each: batches save nothing there, one session's run per core does. On a
    GPU, where batches do save, it gets two.
    """

    def __init__(
        self,
        load_engine: LoadEngine,
        observe: Callable[[str], Observer],
        *,
        cores: int = len(os.sched_getaffinity(0)),
        hangs_after: float = HANGS_AFTER,
    ) -> None:
        self._load_engine = load_engine
        self._observe = observe
        self._cores = cores
        self._instances: dict[str, Instance] = {}
        self._lines: dict[str, Line] = {}
        self._hangs_after = hangs_after
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._look, name="plugin-watch", daemon=True)

    @property
    def instances(self) -> Mapping[str, Instance]:
        return self._instances

    def open(self, name: str, plugin_class: type[AnyPlugin], config: PluginConfig, cameras: int) -> Instance:
        """Opens an instance that `cameras` cameras share, to be added. Raises PluginError or EngineError; nothing is
        left open.

        Whatever else the plug-in raises becomes a PluginError that names it.
        """
        lanes = max(1, min(self._cores, cameras)) if plugin_class.parallel else 1
        context = PluginContext(name, max(1, self._cores // lanes), self._load_engine, config, [])
        plugin = opened(plugin_class, config, context)
        observer = self._observe(name)
        for engine in context.engines:
            log.info(
                "plug-in %s runs %s on %s (%s, %s): %s",
                name,
                engine.model.name,
                engine.session.backend.name,
                engine.session.backend.device,
                engine.session.backend.precision,
                engine.reason,
            )
            observer.engine(engine)
        on_gpu = any(engine.session.backend.device != "cpu" for engine in context.engines)
        worker = Worker(
            Guard(name, plugin, observer, hangs_after=self._hangs_after),
            Gate.of(config),
            threads=min(lanes, GPU_THREADS) if on_gpu else lanes,
            max_batch=config.max_batch or (GPU_MAX_BATCH if on_gpu else 1),
            max_wait=config.max_wait,
            on_batch=observer.batch,
            pass_on=self._pass_on,
        )
        worker.start()
        return Instance(name, worker, tuple(context.engines))

    def add(self, instance: Instance) -> None:
        """Has cameras that start from now on use it."""
        self._instances[instance.name] = instance
        if self._watch.ident is None:
            self._watch.start()

    def remove(self, name: str) -> None:
        """Ends an instance that no camera uses any more."""
        self.discard(self._instances.pop(name))

    def discard(self, instance: Instance) -> None:
        """Stops its worker, then closes plug-in and networks. A worker that hangs is left and told."""
        if not instance.worker.stop(STOP_DEADLINE):
            log.error("plug-in %s did not stop within %.0f s and is left behind", instance.name, STOP_DEADLINE)
            return
        instance.guard.close()
        for engine in instance.engines:
            engine.close()

    def line(
        self,
        camera: str,
        chain: Sequence[str],
        on_analysed: Callable[[Results, float], None] = lambda _results, _seconds: None,
    ) -> Line:
        """The way of a camera through the plug-ins of its chain. `on_analysed` is told on workers' threads what was
        found and how long it took since the frame was handed in."""
        line = Line(camera, [self._instances[name].worker for name in chain], on_analysed)
        self._lines[camera] = line
        return line

    def forget(self, camera: str) -> None:
        """Lets go of a camera's line and of all state that plug-ins keep of it."""
        line = self._lines.pop(camera, None)
        if line is None:
            return
        line.close()
        for worker in line.chain:
            worker.gate.forget(camera)
            worker.guard.forget(camera)

    def close(self) -> None:
        """Ends all instances."""
        self._closed.set()
        if self._watch.is_alive():
            self._watch.join(STOP_DEADLINE)
        for name in list(self._instances):
            self.remove(name)

    def _look(self) -> None:
        while not self._closed.wait(LOOKS_EVERY):
            for instance in list(self._instances.values()):
                instance.worker.look()

    def _pass_on(self, ticket: Ticket) -> None:
        line = self._lines.get(ticket.frame.camera)
        if line is None:
            ticket.supersede()
        else:
            line.advance(ticket)


def opened(plugin_class: type[AnyPlugin], config: PluginConfig, context: PluginContext) -> AnyPlugin:
    """A plug-in, made and opened. Raises PluginError or EngineError; it is closed then, and so are its networks."""
    try:
        plugin = plugin_class(config)
        try:
            _call_quietly_scheduled(lambda: plugin.open(context), context.name)
        except BaseException:
            plugin.close()
            raise
    except BaseException as error:
        for engine in context.engines:
            engine.close()
        if isinstance(error, (PluginError, EngineError)) or not isinstance(error, Exception):
            raise
        raise PluginError(f"plug-in {context.name} cannot be opened: {type(error).__name__}: {error}") from error
    return plugin


def _call_quietly_scheduled(call: Callable[[], None], name: str) -> None:
    """Runs `call` in a thread of low priority: the threads that a network's session makes inherit both that (sched(7))
    and its name."""
    raised: list[BaseException] = []

    def run() -> None:
        name_this_thread(f"network:{name}")
        yield_to_the_picture()
        try:
            call()
        except BaseException as error:  # noqa: BLE001 — handed over to the caller's thread, which raises it
            raised.append(error)

    thread = threading.Thread(target=run, name=f"open:{name}", daemon=True)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
