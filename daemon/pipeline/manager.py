"""Opens a configuration's plug-in instances with their models and gives each its worker threads."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from sightd.daemon.isolation.opening import LoadEngine, PluginContext, no_networks, opened
from sightd.daemon.isolation.process import ProcessObserver
from sightd.daemon.isolation.protocol import NetworkLoading, OpenRequest
from sightd.daemon.isolation.proxy import IsolatedPlugin, isolated
from sightd.daemon.pipeline.camera_pipeline import CameraPipeline
from sightd.daemon.pipeline.frame_queue import FrameTask
from sightd.daemon.pipeline.supervisor import HANGS_AFTER, PluginObserver, PluginSupervisor
from sightd.daemon.pipeline.worker import RateLimit, Worker
from sightd.engines.progress import Progress, silent
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import AnyPlugin, PluginConfig, PluginError
from sightd.plugins.configuration.declarations import Declarations

log = logging.getLogger(__name__)

GPU_MAX_BATCH = 16
GPU_THREADS = 2
"""Threads of a parallel plug-in: the copies of one batch overlap the computation of another. More only split
batches."""
STOP_DEADLINE = 5.0
FORGET_DEADLINE = 2.0
"""Seconds a camera's plug-ins have to drop its state: a hung plug-in must not delay a stop or a reload."""
_AFTER_KILL = 1.0
"""Minimum seconds a worker has to return after the process of its isolated plug-in was killed."""
LOOKS_EVERY = 1.0
"""Seconds between two checks for hung plug-ins."""


class Observer(PluginObserver, ProcessObserver, Protocol):
    """Receives what happens in one plug-in instance: faults and timings, batches, engines, process."""

    def begins(self) -> None:
        """Called when an instance of this name starts, replacing any earlier one."""

    def declares(self, declarations: Declarations) -> None:
        """Called before an instance runs, with the counters and events that its class declares. Raises PluginError if
        they cannot be registered."""

    def batch(self, size: int) -> None: ...

    def engine(self, engine: Engine) -> None: ...


@dataclass(frozen=True, slots=True)
class Instance:
    """An open plug-in instance with its worker."""

    name: str
    worker: Worker
    engines: tuple[Engine, ...]
    observer: Observer

    @property
    def supervisor(self) -> PluginSupervisor:
        return self.worker.supervisor

    def check_hung(self) -> None:
        """Checks for hung calls, and checks the plug-in's own process if it has one. Call once a second, from one
        thread."""
        self.worker.check_hung()
        plugin = self.supervisor.plugin
        if isinstance(plugin, IsolatedPlugin):
            plugin.check_hung(self.observer)


class PluginManager:
    """Owns all plug-in instances. An instance is opened and added before the first camera that uses it starts, and
    removed after the last one has stopped. `close` is called after all cameras have stopped.

    On a CPU, a `parallel` plug-in gets one thread per core, but no more than there are cameras, and its engine an equal
    share of the cores: batches save nothing there, but running one inference per core does. On a GPU, where batches do
    save time, it gets two.
    """

    def __init__(
        self,
        load_engine: LoadEngine,
        observe: Callable[[str], Observer],
        *,
        networks: NetworkLoading = no_networks,
        progress: Progress = silent,
        cores: int = len(os.sched_getaffinity(0)),
        hangs_after: float = HANGS_AFTER,
    ) -> None:
        """`networks` is the counterpart of `load_engine` for isolated plug-ins, whose processes load their own models;
        `progress` receives the progress of that."""
        self._load_engine = load_engine
        self._networks = networks
        self._progress = progress
        self._observe = observe
        self._cores = cores
        self._instances: dict[str, Instance] = {}
        self._pipelines: dict[str, CameraPipeline] = {}
        self._hangs_after = hangs_after
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._look, name="plugin-watch", daemon=True)

    @property
    def instances(self) -> Mapping[str, Instance]:
        return self._instances

    def open(self, name: str, plugin_class: type[AnyPlugin], config: PluginConfig, cameras: int) -> Instance:
        """Opens an instance shared by `cameras` cameras, to be passed to `add`. Raises PluginError or EngineError;
        nothing is left open then.

        Any other exception of the plug-in becomes a PluginError that names it.
        """
        threads = max(1, min(self._cores, cameras)) if plugin_class.parallel else 1
        context = PluginContext(name, max(1, self._cores // threads), self._load_engine, config, [])
        open_in = self._isolated if config.isolate else self._here
        plugin = open_in(plugin_class, context, threads)
        with ExitStack() as undo:  # runs the callbacks in reverse order
            for engine in context.engines:
                undo.callback(engine.close)
            undo.callback(plugin.close)
            observer = self._observe(name)
            observer.declares(Declarations.of(plugin_class))
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
            on_gpu = any(engine.session.backend.device != "cpu" for engine in context.engines)
            worker = Worker(
                self._supervisor(name, plugin, observer),
                RateLimit.of(config),
                threads=min(threads, GPU_THREADS) if on_gpu else threads,
                max_batch=config.max_batch or (GPU_MAX_BATCH if on_gpu else 1),
                max_wait=config.max_wait,
                on_batch=observer.batch,
                pass_on=self._pass_on,
                inline=not (context.engines or config.isolate or config.max_wait or (config.max_batch or 1) > 1),
            )
            undo.callback(worker.stop, STOP_DEADLINE)
            worker.start()
            undo.pop_all()
            return Instance(name, worker, tuple(context.engines), observer)

    def add(self, instance: Instance) -> None:
        """Makes the instance available to cameras that start from now on."""
        instance.observer.begins()
        for engine in instance.engines:
            instance.observer.engine(engine)
        self._instances[instance.name] = instance
        if self._watch.ident is None:
            self._watch.start()

    def reconfigure(self, name: str, config: PluginConfig) -> None:
        """Has an instance take over options that differ in `live_options` only. Raises PluginError; it continues with
        its previous options then."""
        plugin = self._instances[name].supervisor.plugin
        try:
            plugin.reconfigure(config)
        except PluginError:
            raise
        except Exception as error:
            raise PluginError(f"it cannot take over its options: {type(error).__name__}: {error}") from error

    def remove(self, name: str) -> None:
        """Closes an instance that no camera uses any more."""
        self.discard(self._instances.pop(name))

    def discard(self, instance: Instance, until: float | None = None) -> None:
        """Stops its worker, then closes the plug-in and its engines. A worker that hangs beyond `until` (a monotonic
        time; by default STOP_DEADLINE from now) is logged and left behind."""
        until = time.monotonic() + STOP_DEADLINE if until is None else until
        stopped, plugin = instance.worker.stop(max(0.0, until - time.monotonic())), instance.supervisor.plugin
        if not stopped and isinstance(plugin, IsolatedPlugin):
            plugin.end_hanging()
            stopped = instance.worker.stop(max(_AFTER_KILL, until - time.monotonic()))
        if not stopped:
            log.error("plug-in %s did not stop in time; abandoning it", instance.name)
            return
        instance.supervisor.close()
        if isinstance(plugin, IsolatedPlugin):
            instance.observer.resident(0)
        for engine in instance.engines:
            engine.close()

    def pipeline(
        self,
        camera: str,
        chain: Sequence[str],
        on_analysed: Callable[[FrameTask, float], None] = lambda _task, _seconds: None,
        on_forgotten: Callable[[], None] = lambda: None,
    ) -> CameraPipeline:
        """Creates the pipeline of a camera through the plug-ins of its chain. `on_analysed` is called on worker threads
        with the finished task and the seconds since the frame was offered; `on_forgotten` on the thread of the output,
        after `CameraPipeline.forget_past`."""
        workers = [self._instances[name].worker for name in chain]
        pipeline = CameraPipeline(camera, workers, on_analysed, on_forgotten=on_forgotten)
        self._pipelines[camera] = pipeline
        return pipeline

    def forget(self, camera: str, within: float | None = None) -> None:
        """Drops a camera's pipeline and all state that plug-ins keep for it. Waits up to FORGET_DEADLINE, or `within`
        seconds if that is less."""
        pipeline = self._pipelines.pop(camera, None)
        if pipeline is None:
            return
        pipeline.close()
        patience = FORGET_DEADLINE if within is None else min(FORGET_DEADLINE, within)
        if any(worker.supervisor.busy_for > FORGET_DEADLINE for worker in pipeline.chain):
            patience = 0.0  # a hung call may hold what `forget` waits for: do not wait again
        thread = threading.Thread(target=_forget, args=(pipeline, camera), name=f"forget:{camera}", daemon=True)
        thread.start()
        thread.join(patience)
        if thread.is_alive():
            log.error("camera %s: a plug-in has not released the camera yet; not waiting for it", camera)

    def close(self, within: float | None = None) -> None:
        """Closes all instances. Leaves behind those whose workers still run after `within` seconds in total (None:
        STOP_DEADLINE)."""
        until = time.monotonic() + (STOP_DEADLINE if within is None else within)
        self._closed.set()
        if self._watch.is_alive():
            self._watch.join(max(0.0, until - time.monotonic()) / 2)
        instances = list(self._instances.values())
        self._instances.clear()
        for instance in instances:
            instance.worker.request_stop()
        for instance in instances:
            self.discard(instance, until)

    def _look(self) -> None:
        while not self._closed.wait(LOOKS_EVERY):
            for instance in list(self._instances.values()):
                try:
                    instance.check_hung()
                except Exception:  # top of the thread, which watches all plug-ins
                    log.exception("plug-in %s could not be supervised; retrying", instance.name)

    def _here(self, plugin_class: type[AnyPlugin], context: PluginContext, threads: int) -> AnyPlugin:
        return opened(plugin_class, context.config, context)

    def _isolated(self, plugin_class: type[AnyPlugin], context: PluginContext, threads: int) -> AnyPlugin:
        """Opens the plug-in in a process of its own. Raises PluginError; the process has ended then."""
        level = logging.getLogger().level
        order = OpenRequest(context.name, plugin_class, context.config, context.engine_threads, self._networks, level)
        plugin = isolated(order, threads, self._progress)
        try:
            plugin.open(context)
        except BaseException:
            plugin.close()
            raise
        context.engines += plugin.engines
        return plugin

    def _supervisor(self, name: str, plugin: AnyPlugin, observer: Observer) -> PluginSupervisor:
        if not isinstance(plugin, IsolatedPlugin):
            return PluginSupervisor(name, plugin, observer, hangs_after=self._hangs_after)
        return PluginSupervisor(
            name, plugin, observer, hangs_after=self._hangs_after, ready=plugin.ready, end=plugin.end_hanging
        )

    def _pass_on(self, task: FrameTask) -> None:
        pipeline = self._pipelines.get(task.frame.camera)
        if pipeline is None:
            task.supersede()
        else:
            pipeline.advance(task)


def _forget(pipeline: CameraPipeline, camera: str) -> None:
    for worker in pipeline.chain:
        worker.forget(camera)
        worker.supervisor.forget(camera)
