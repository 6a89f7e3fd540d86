"""Runs the commands of plug-ins: what they get to work with, and their exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightd.daemon.cli.output import complain, exit_code_of, print_table
from sightd.daemon.common.progress import ProgressBar
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.control.client import ApiClient, ControlError, NoDaemonError
from sightd.daemon.control.discovery import DaemonSelection, find, service_of
from sightd.engines.errors import EngineError
from sightd.engines.text import json_text, printable
from sightd.plugins.api import ApiError, Command, PluginError, UsageError

if TYPE_CHECKING:
    from sightd.daemon.config.load import LoadedConfig
    from sightd.daemon.control.local import LocalApi
    from sightd.engines.model import Model
    from sightd.engines.sessions.engine import Engine
    from sightd.plugins.api import Mode, PluginConfig

_CODES = {
    ConfigError: 2,
    UsageError: 2,
    NoDaemonError: 3,
    ControlError: 1,
    EngineError: 3,
    PluginError: 1,
    ApiError: 1,
}
_UNAVAILABLE = 503
"""HTTP status if a model is missing."""


def run_command(command: Command, args: argparse.Namespace) -> int:
    """Runs a command of a plug-in and returns its exit code."""

    def run() -> int:
        try:
            return command.run(args, DaemonCommandContext(DaemonSelection.of(args)))
        except ApiError as error:
            if error.status != _UNAVAILABLE:
                raise
            complain(error)
            return 3

    return exit_code_of(run, _CODES)


class DaemonCommandContext:
    """A `CommandContext`. One thread."""

    def __init__(self, selection: DaemonSelection) -> None:
        self._selection = selection
        self._service = service_of(selection.config)
        self.environ: Mapping[str, str] = self._service.environment(os.environ) if self._service else os.environ
        self._loaded: LoadedConfig | None = None

    @cached_property
    def progress(self) -> ProgressBar:
        return ProgressBar()

    @contextmanager
    def api(
        self,
        kind: str,
        mode: Mode,
        *,
        plugin: str | None = None,
        choose: Callable[[Mapping[str, Any]], PluginConfig] | None = None,
    ) -> Iterator[ApiClient]:
        client = find(self._selection, os.environ)
        if client is not None:
            yield client
            return
        configs = self.configs(kind)
        config = _chosen(kind, configs, plugin) if choose is None else choose(configs)
        with self.files(kind, config, mode) as local:
            print(f"sightd: no daemon is running; working on {local}", file=sys.stderr)
            yield local

    def configs(self, kind: str, *, configured: bool = True) -> Mapping[str, Any]:
        self._loaded = self._load(kind, configured=configured)
        configs = self._loaded.plugin_configs
        return {name: config for name, config in configs.items() if (config.use or name) == kind}

    @contextmanager
    def files(self, kind: str, config: PluginConfig, mode: Mode) -> Iterator[LocalApi]:
        from sightd.daemon.app.plugin_services import open_service
        from sightd.daemon.control.local import LocalApi
        from sightd.plugins.configuration import registry

        service = open_service(kind, config, self._load_engine, self.environ, mode)
        if service is None:
            raise PluginError(f"plug-in {kind} has no service")
        local = LocalApi(kind, service, registry.load(kind).routes)
        try:
            yield local
        finally:
            local.close()

    def load_engine(self, choice: Sequence[str | Model], config: PluginConfig) -> Engine:
        return self._load_engine(choice, 1, config)

    def print(self, text: str) -> None:
        print(printable(text))

    def print_json(self, value: object) -> None:
        print(json_text(value))

    def print_table(self, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        print_table(titles, rows)

    def _load(self, kind: str | None = None, *, configured: bool = True) -> LoadedConfig:
        """Loads the selected configuration; if there is none, or without `configured`, one that has only the plug-in
        `kind`, with default options."""
        from sightd.daemon.config.load import load, load_text
        from sightd.daemon.config.plugin_entries import installed_plugins

        path = self._selection.config or (self._service.config if self._service else None)
        plugins = installed_plugins()
        if path is not None and configured:
            return load(path, environ=self.environ, plugins=plugins, cameras=False)
        text = json_text({"plugins": {} if kind is None else {kind: {}}})
        return load_text(text, Path("(command line)"), environ=self.environ, plugins=plugins, cameras=False)

    def _load_engine(self, choice: Sequence[str | Model], threads: int, config: PluginConfig) -> Engine:
        """Loads a model as the configuration in use says."""
        from sightd.daemon.pipeline.model_loading import engine_loading

        if self._loaded is None:
            self._loaded = self._load()
        used = self._loaded.config
        return engine_loading(used.models, used.engines, self.progress)(choice, threads, config)


def _chosen(kind: str, configs: Mapping[str, PluginConfig], name: str | None) -> PluginConfig:
    if name is not None and name not in configs:
        raise PluginError(f"the configuration has no {kind} plug-in {name!r}, only: {', '.join(configs) or 'none'}")
    if not configs:
        raise PluginError(f"the configuration has no {kind} plug-in")
    if name is None and len(configs) > 1:
        raise PluginError(f"the configuration has several {kind} plug-ins: choose with --plugin {' | '.join(configs)}")
    return configs[name] if name is not None else next(iter(configs.values()))
