"""What the registry refuses."""

from __future__ import annotations

from typing import ClassVar

from sightd.plugins.api import Plugin, PluginConfig


class OfTomorrow(Plugin[PluginConfig]):
    """Made for an interface that is not yet."""

    api_version: ClassVar[int] = 99


def not_a_class() -> None:
    """Not what an entry point should name."""
