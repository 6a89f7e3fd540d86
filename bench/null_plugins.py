"""Plug-ins that do nothing, so that only the way to them and back is measured: for `bench.isolation`.

In a module of their own, since a plug-in's own process imports it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sightd.plugins.api import Plugin, PluginConfig
from sightd.plugins.types import Frame, Results


class Blind(Plugin[PluginConfig]):
    """Asks for no picture, as a tracker."""

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        return [Results() for _ in frames]


class Looking(Plugin[PluginConfig]):
    """Asks for the picture, and does nothing with it."""

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        for frame in frames:
            frame.host()
        return [Results() for _ in frames]
