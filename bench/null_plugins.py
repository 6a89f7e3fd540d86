"""Plug-ins that do nothing, so that `bench.isolation` measures only the way to them and back; and an observer that
ignores everything.

They are in their own module because a plug-in's process imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sightd.plugins.api import Frame, Plugin, PluginConfig, Results

if TYPE_CHECKING:  # the plug-in's process needs neither
    from sightd.daemon.pipeline.breaker import BreakerState
    from sightd.engines.sessions.engine import Engine
    from sightd.plugins.configuration.declarations import Declarations


class Blind(Plugin[PluginConfig]):
    """Does not fetch the image, like a tracker."""

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        return [Results() for _ in frames]


class Looking(Plugin[PluginConfig]):
    """Fetches the image and does nothing with it."""

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        for frame in frames:
            frame.host()
        return [Results() for _ in frames]


class NullObserver:
    """A plug-in observer that ignores everything."""

    def took(self, phase: str, seconds: float) -> None: ...
    def fault(self, reason: str) -> None: ...
    def breaker(self, state: BreakerState) -> None: ...
    def declares(self, declarations: Declarations) -> None: ...
    def begins(self) -> None: ...
    def batch(self, size: int) -> None: ...
    def engine(self, engine: Engine) -> None: ...
    def resident(self, size: int) -> None: ...
    def used(self, cpu: float) -> None: ...
    def restarted(self) -> None: ...
