"""The services of the plug-ins that run, for the daemon's API. A reload may change them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from sightd.daemon.config.diff import plugins_in_use
from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.isolation.opening import LoadEngine
from sightd.engines.errors import EngineError
from sightd.plugins.api import (
    Mode,
    PluginConfig,
    PluginError,
    PluginService,
    RefusedError,
    Route,
    ServiceContext,
    Storage,
)
from sightd.plugins.configuration import registry

log = logging.getLogger(__name__)

_RETRY_EVERY = 2.0
"""Seconds between two attempts."""
_LOG_EVERY = 5
"""Attempts between two log records of a persistent error."""


class NoServiceError(RefusedError):
    """No plug-in of this kind runs, or it is not clear which one is meant."""

    status: ClassVar[int] = 409


class StateWatch:
    """Retries state writes that failed until the disk accepts them, so no restart is needed.

    Runs on its own thread. `close` is idempotent."""

    def __init__(self, what: str, recover: Callable[[], str | None], report: Callable[[bool], None]) -> None:
        """`recover` retries failed writes and returns the remaining error or None; `report` is called with whether all
        is well."""
        self._what, self._recover, self._report = what, recover, report
        self.fault: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)
        self._thread.start()

    def close(self, deadline: float) -> None:
        """Stops the thread; abandons it if it waits for the disk longer than `deadline` seconds."""
        self._stop.set()
        self._thread.join(deadline)

    def _run(self) -> None:
        looks = 0
        while True:
            try:
                fault = self._recover()
            except Exception as error:  # noqa: BLE001 — the thread's outermost loop: any error is reported and retried
                fault = f"{type(error).__name__}: {error}"
            if fault is not None and looks % _LOG_EVERY == 0:
                log.error("%s cannot be written: %s", self._what, fault)
            elif fault is None and self.fault is not None:
                log.info("%s can be written again", self._what)
            looks = 0 if fault is None else looks + 1
            self.fault = fault
            self._report(fault is None)
            if self._stop.wait(_RETRY_EVERY):
                return


@dataclass(frozen=True, slots=True)
class ServedPlugin:
    """A plug-in instance with a service. `kind` is the plug-in's own name."""

    kind: str
    config: PluginConfig
    service: PluginService


class PluginServices:
    """Services by plug-in instance. `opened`, `discard`, `serve` and `close` must not run at the same time; the rest
    may be called from any thread."""

    def __init__(
        self, load_engine: LoadEngine, environ: Mapping[str, str], writable: Callable[[str, bool], None]
    ) -> None:
        """`writable` is called with `Storage.label` and whether these files can be written, after each attempt."""
        self._load_engine, self._environ, self._writable = load_engine, environ, writable
        self._served: Mapping[str, ServedPlugin] = {}
        self._watches: dict[str, tuple[Storage, StateWatch]] = {}

    @property
    def faults(self) -> Sequence[str]:
        """What cannot be done now because a file cannot be written, and why."""
        return [
            f"{storage.effect}: {watch.fault}"
            for storage, watch in list(self._watches.values())
            if watch.fault is not None
        ]

    @property
    def storages(self) -> Mapping[str, Storage]:
        """Where the services keep their state, by plug-in instance."""
        return {name: storage for name, served in self._served.items() if (storage := served.service.storage())}

    def service(self, kind: str, plugin: str | None = None) -> PluginService:
        """Returns the service of a plug-in instance, or of the only one of its kind. Raises NoServiceError if there is
        none, or if it must be chosen."""
        found = {name: served.service for name, served in self._served.items() if served.kind == kind}
        if not found:
            raise NoServiceError(f"the daemon runs no {kind} plug-in: add {kind} to a chain, then `sightd reload`")
        if plugin is not None and plugin not in found:
            raise NoServiceError(f"the daemon runs no {kind} plug-in {plugin!r}, only: {', '.join(found)}")
        if plugin is None and (several := _several(kind, list(found.values()))):
            raise NoServiceError(f"the daemon has several {several}: choose with --plugin {' | '.join(found)}")
        return found[plugin] if plugin is not None else next(iter(found.values()))

    def opened(self, loaded: LoadedConfig) -> Mapping[str, ServedPlugin]:
        """Opens the services of a configuration, ready to be served; those that are already served are reused. Raises
        PluginError or EngineError if one cannot be opened."""
        found: dict[str, ServedPlugin] = {}
        try:
            for name, config in plugins_in_use(loaded).items():
                if one := self._opened(name, config):
                    found[name] = one
        except BaseException:
            self.discard(found)
            raise
        return found

    def discard(self, opened: Mapping[str, ServedPlugin]) -> None:
        """Closes those services in `opened` that are not served."""
        for name, one in opened.items():
            if self._served.get(name) is not one:
                one.service.close()

    def serve(self, opened: Mapping[str, ServedPlugin]) -> None:
        """Serves what `opened` returned from now on, and closes services that are no longer served."""
        before, self._served = self._served, opened
        self.discard(before)
        for storage in self.storages.values():
            label = storage.label
            if label not in self._watches:
                what = f"the {storage.kind} of {label}"
                watch = StateWatch(what, partial(self._recover, label), partial(self._writable, label))
                self._watches[label] = storage, watch

    def close(self, within: float = 4.0) -> None:
        """Waits up to `within` seconds for writes in progress, then closes the services. Idempotent."""
        until = time.monotonic() + within
        for _, watch in self._watches.values():
            watch.close(max(0.0, until - time.monotonic()))
        self.serve({})

    def _opened(self, name: str, config: PluginConfig) -> ServedPlugin | None:
        served = self._served.get(name)
        if served is not None and served.config == config:
            return served
        kind = config.use or name
        service = open_service(kind, config, self._load_engine, self._environ, Mode.SERVE)
        return None if service is None else ServedPlugin(kind, config, service)

    def _recover(self, label: str) -> str | None:
        faults = [
            served.service.recover()
            for served in self._served.values()
            if (storage := served.service.storage()) and storage.label == label
        ]
        return next((fault for fault in faults if fault is not None), None)


def open_service(
    kind: str, config: PluginConfig, load_engine: LoadEngine, environ: Mapping[str, str], mode: Mode
) -> PluginService | None:
    """Opens the service of the plug-in `kind` with these options; None if it offers none. Raises PluginError or
    EngineError."""
    plugin = registry.load(kind)
    context = ServiceContext(environ, lambda choice: load_engine(choice, 1, config))
    try:
        return plugin.open_service(config, context, mode)
    except (PluginError, EngineError):
        raise
    except Exception as error:
        raise PluginError(f"the service of plug-in {kind} cannot be opened: {type(error).__name__}: {error}") from error


def offered_routes(loaded: LoadedConfig) -> dict[str, Sequence[Route]]:
    """Returns the routes of each kind of plug-in in use. Raises PluginError if one cannot be imported."""
    installed = registry.available()
    kinds = dict.fromkeys(config.use or name for name, config in plugins_in_use(loaded).items())
    return {kind: routes for kind in kinds if (routes := registry.load(kind, installed).routes)}


def _several(kind: str, services: Sequence[PluginService]) -> str:
    """Returns a plural for messages, such as "galleries"; empty if all services keep their state in the same file."""
    storages = [service.storage() for service in services]
    places: set[Path | int] = {index if one is None else one.path for index, one in enumerate(storages)}
    if len(places) == 1:
        return ""
    if None in storages:
        return f"{kind} plug-ins"
    kinds = storages[0].kind if storages[0] else kind
    return f"{kinds[:-1]}ies" if kinds.endswith("y") else f"{kinds}s"
