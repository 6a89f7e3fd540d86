"""Turns errors raised while opening a component into configuration errors with a file position."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.config.problems import ConfigError, ConfigProblem, PathKey, dotted
from sightd.daemon.encode.choice import EncoderMissingError
from sightd.daemon.serve.errors import TlsError
from sightd.engines.errors import EngineError
from sightd.plugins.api import PluginError


@contextmanager
def as_config_error(loaded: LoadedConfig, path: PathKey) -> Iterator[None]:
    """Re-raises a plug-in, model, encoder or certificate error of the block as a ConfigError at `path` of the file."""
    try:
        yield
    except (PluginError, EngineError, EncoderMissingError, TlsError) as error:
        place = loaded.positions.value(path)
        raise ConfigError([ConfigProblem(*place, dotted(path), str(error), "", str(loaded.path))]) from error
