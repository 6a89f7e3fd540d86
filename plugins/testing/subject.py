"""The plug-in under test: a fresh instance for each check, with its models loaded only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sightd.engines.engine import Engine
from sightd.engines.model import Model
from sightd.plugins.api import AnyPlugin, PluginConfig
from sightd.plugins.testing.context import EngineLoader, StubContext
from sightd.plugins.testing.scene import Scene
from sightd.plugins.types import Frame, Results


class BrokenRuleError(AssertionError):
    """A plug-in breaks a rule of the contract. The message says how."""


class Subject:
    """A plug-in class with its options and a loader for its models. `close` closes the engines."""

    def __init__(self, plugin: type[AnyPlugin], options: Mapping[str, Any], load: EngineLoader | None) -> None:
        self.plugin = plugin
        self.options = dict(options)
        self._networks = StubContext(plugin.__name__, load)
        self._loaded: dict[tuple[str | Model, ...], Engine] = {}

    def config(self) -> PluginConfig:
        return self.plugin.Config.model_validate(self.options)

    @contextmanager
    def opened(self) -> Iterator[AnyPlugin]:
        """Yields a new, opened instance and closes it afterwards."""
        instance = self.plugin(self.config())
        try:
            instance.open(StubContext(self.plugin.__name__, self._engine))
            yield instance
        finally:
            instance.close()

    def _engine(self, choice: Sequence[str | Model]) -> Engine:
        key = tuple(choice)
        if key not in self._loaded:
            self._loaded[key] = self._networks.engine(choice)
        return self._loaded[key]

    def given(self, scene: Scene, index: int) -> Results:
        """Returns what earlier plug-ins would have found on a frame of the scene."""
        return scene.results(index, self.plugin.needs)

    def run(self, instance: AnyPlugin, scene: Scene, indices: Sequence[int]) -> list[Results]:
        """Processes frames of one camera one after the other, each in its own batch."""
        return [self.one(instance, scene.frame(index), self.given(scene, index)) for index in indices]

    def one(self, instance: AnyPlugin, frame: Frame, given: Results) -> Results:
        return self.batch(instance, [frame], [given])[0]

    def batch(self, instance: AnyPlugin, frames: Sequence[Frame], given: Sequence[Results]) -> list[Results]:
        """Calls `process` and checks that it returns one Results per frame."""
        found = instance.process(frames, given)
        if not isinstance(found, Sequence) or len(found) != len(frames):
            raise BrokenRuleError(f"process gave {_amount(found)} for {len(frames)} frames")
        for one in found:
            if not isinstance(one, Results):
                raise BrokenRuleError(f"process gave a {type(one).__name__} where Results belong")
        return list(found)

    def close(self) -> None:
        self._networks.close()


def _amount(found: object) -> str:
    return f"{len(found)} results" if isinstance(found, Sequence) else f"a {type(found).__name__}"


Rule = Callable[[Subject], None]
"""A rule. Raises if the plug-in breaks it, preferably BrokenRuleError."""
