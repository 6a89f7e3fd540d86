"""A chain of plug-ins called one after the other on every frame, in the caller's thread."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType

from daemon.pipeline.host import LoadEngine, PluginContext, opened
from engines.engine import Engine
from plugins.api import AnyPlugin, PluginConfig
from plugins.types import Canvas, Frame, Results


@dataclass(slots=True)
class OfflineChain:
    """Opens plug-ins with all cores for their networks and runs every one on every frame, whatever `every` says.

    A fault is raised, not passed over: whoever analyses files wants complete results or an error.
    """

    load_engine: LoadEngine
    threads: int
    plugins: list[AnyPlugin] = field(default_factory=list)
    engines: list[Engine] = field(default_factory=list)
    _closing: ExitStack = field(default_factory=ExitStack)

    def open(self, chain: Sequence[tuple[str, type[AnyPlugin], PluginConfig]]) -> None:
        """Opens the plug-ins in order. Raises PluginError or EngineError."""
        for name, plugin_class, config in chain:
            context = PluginContext(name, self.threads, self.load_engine, config, [])
            plugin = opened(plugin_class, config, context)
            for engine in context.engines:
                self._closing.callback(engine.close)
            self._closing.callback(plugin.close)  # after its networks: what is entered last is closed first
            self.engines += context.engines
            self.plugins.append(plugin)

    def run(self, frame: Frame) -> Results:
        """What all plug-ins find on a frame."""
        results = Results()
        for plugin in self.plugins:
            results = results.merged(plugin.process([frame], [results])[0])
        return results

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        for plugin in self.plugins:
            plugin.draw(canvas, frame, results)

    def forget(self, camera: str) -> None:
        for plugin in self.plugins:
            plugin.forget(camera)

    def __enter__(self) -> OfflineChain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()
