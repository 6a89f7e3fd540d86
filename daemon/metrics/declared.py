"""Counters that plug-ins declare, registered when the first of these plug-ins is opened."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter

from sightd.plugins.api import CounterSpec, PluginError


class DeclaredCounters:
    """The metric families of the counters that plug-ins declare. They stay registered, without series, when the plug-in
    is closed. Thread-safe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._families: dict[str, tuple[CounterSpec, Counter, str]] = {}

    def declare(self, plugin: str, specs: Iterable[CounterSpec]) -> None:
        """Registers the families `sightd_<name>_total` of a plug-in; idempotent.

        Raises PluginError if another plug-in has declared the name differently, or sightd itself has such a metric.
        """
        with self._lock:
            for spec in specs:
                known = self._families.get(spec.name)
                if known is None:
                    self._families[spec.name] = (spec, self._registered(plugin, spec), plugin)
                elif known[0] != spec:
                    raise PluginError(
                        f"plug-in {plugin} declares the metric sightd_{spec.name}_total with another help text, label "
                        f"or values than plug-in {known[2]}; its author must choose another name"
                    )

    def family(self, name: str) -> tuple[CounterSpec, Counter]:
        """Returns a declared counter. Raises KeyError if there is none of that name."""
        spec, family, _ = self._families[name]
        return spec, family

    def _registered(self, plugin: str, spec: CounterSpec) -> Counter:
        name, labels = f"sightd_{spec.name}_total", ("camera",) if spec.label is None else ("camera", spec.label)
        try:
            return Counter(name, spec.help, labels, registry=self._registry)
        except ValueError as error:
            raise PluginError(
                f"plug-in {plugin} declares the metric {name}, which cannot be registered: {error}; its author must "
                "choose another name"
            ) from None
