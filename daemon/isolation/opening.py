"""Opens a plug-in and loads its models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sightd.daemon.common.process import lower_thread_priority, name_this_thread
from sightd.engines.errors import EngineError
from sightd.engines.model import Model
from sightd.engines.progress import Progress
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import AnyPlugin, PluginConfig, PluginError

LoadEngine = Callable[[Sequence[str | Model], int, PluginConfig], Engine]
"""Loads the first available model of a preference list, to run on that many threads with a plug-in's options."""


def no_networks(progress: Progress) -> LoadEngine:
    """Returns a loader for plug-ins without models: it raises EngineError."""

    def load(choice: Sequence[str | Model], threads: int, config: PluginConfig) -> Engine:
        raise EngineError("no model loader was given")

    return load


@dataclass(slots=True)
class PluginContext:
    """The context that a plug-in gets when it opens. Remembers the engines it loaded, to report and to close them."""

    name: str
    engine_threads: int
    load_engine: LoadEngine
    config: PluginConfig
    engines: list[Engine]

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        engine = self.load_engine(choice, self.engine_threads, self.config)
        self.engines.append(engine)
        return engine


def opened(make: Callable[[PluginConfig], AnyPlugin], config: PluginConfig, context: PluginContext) -> AnyPlugin:
    """Creates a plug-in and opens it. Raises PluginError or EngineError; the plug-in and its engines are closed
    then."""
    try:
        plugin = make(config)
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
    """Runs `call` in a low-priority thread: the threads that an engine's session starts inherit both its priority
    (sched(7)) and its name."""
    raised: list[BaseException] = []

    def run() -> None:
        name_this_thread(f"network:{name}")
        lower_thread_priority()
        try:
            call()
        except BaseException as error:  # noqa: BLE001 — passed to the caller's thread, which raises it
            raised.append(error)

    thread = threading.Thread(target=run, name=f"open:{name}", daemon=True)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
