"""A chain of plug-ins called one after the other on every frame, in the caller's thread."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType

from sightd.daemon.pipeline.opening import LoadEngine, PluginContext, opened
from sightd.engines.engine import Engine
from sightd.plugins.api import AnyPlugin, PluginConfig
from sightd.plugins.types import Canvas, Frame, Results


@dataclass(slots=True)
class _Link:
    """A plug-in of the chain, and what it is created from. `plugin` is None while it is being replaced."""

    name: str
    plugin_class: type[AnyPlugin]
    config: PluginConfig
    plugin: AnyPlugin | None
    has_network: bool

    def close(self) -> None:
        plugin, self.plugin = self.plugin, None
        if plugin is not None:
            plugin.close()


@dataclass(slots=True)
class OfflineChain:
    """Opens plug-ins with all cores for their engines and runs every one on every frame, whatever `every` says.

    A fault is raised, not skipped: analysing files must give complete results or an error.
    """

    load_engine: LoadEngine
    threads: int
    engines: list[Engine] = field(default_factory=list)
    _links: list[_Link] = field(default_factory=list)
    _closing: ExitStack = field(default_factory=ExitStack)

    def open(self, chain: Sequence[tuple[str, type[AnyPlugin], PluginConfig]]) -> None:
        """Opens the plug-ins in order. Raises PluginError or EngineError."""
        for name, plugin_class, config in chain:
            context = self._context(name, config)
            link = _Link(name, plugin_class, config, opened(plugin_class, config, context), bool(context.engines))
            for engine in context.engines:
                self._closing.callback(engine.close)
            self._closing.callback(link.close)  # after its engines: what is added last is closed first
            self.engines += context.engines
            self._links.append(link)

    def renew(self, camera: str) -> None:
        """Ends a source: the next one's results, including track numbers, are as if it were the only one.

        A plug-in without a model is replaced, which costs next to nothing; one with a model forgets.
        """
        for link in self._links:
            if link.has_network and link.plugin is not None:
                link.plugin.forget(camera)
            else:
                link.close()
                link.plugin = opened(link.plugin_class, link.config, self._context(link.name, link.config))

    @property
    def plugins(self) -> list[AnyPlugin]:
        return [link.plugin for link in self._links if link.plugin is not None]

    def _context(self, name: str, config: PluginConfig) -> PluginContext:
        return PluginContext(name, self.threads, self.load_engine, config, [])

    def run(self, frame: Frame) -> Results:
        """Returns what all plug-ins find on a frame."""
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
