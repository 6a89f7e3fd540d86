"""Plug-ins that do nothing, so that `bench.isolation` measures only the way to them and back.

They are in their own module because a plug-in's process imports it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sightd.plugins.api import Plugin, PluginConfig
from sightd.plugins.types import Frame, Results


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
