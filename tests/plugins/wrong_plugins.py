"""Plug-ins that the registry rejects."""

from __future__ import annotations

from typing import ClassVar

from sightd.plugins.api import Plugin, PluginConfig


class OfTomorrow(Plugin[PluginConfig]):
    """Made for a future version of the interface."""

    api_version: ClassVar[int] = 99


def not_a_class() -> None:
    """Not a valid target of an entry point."""
