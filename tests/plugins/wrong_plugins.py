"""Plug-ins that the registry rejects."""

from __future__ import annotations

from typing import ClassVar

from sightd.plugins.api import CounterSpec, Events, EventSpec, Plugin, PluginConfig


class OfTomorrow(Plugin[PluginConfig]):
    """Made for a future version of the interface."""

    api_version: ClassVar[int] = 99


class CountsByText(Plugin[PluginConfig]):
    """Declares a counter by its name only."""

    metrics: ClassVar[tuple[CounterSpec, ...]] = ("queues",)  # type: ignore[assignment]


class SaysNothingHappens(Plugin[PluginConfig]):
    """Gives events and declares no kind of them."""

    produces: ClassVar[frozenset[type]] = frozenset({Events})


class GivesNoEvents(Plugin[PluginConfig]):
    """Declares a kind of events and does not give them."""

    events: ClassVar[tuple[EventSpec, ...]] = (EventSpec("queue.long", "A queue became long."),)


def not_a_class() -> None:
    """Not a valid target of an entry point."""
