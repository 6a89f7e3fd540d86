"""Turns errors raised while opening a component into configuration errors with a file position."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sightd.daemon.config.load import Loaded
from sightd.daemon.config.problems import ConfigError, PathKey, Problem, dotted
from sightd.daemon.encode.choice import EncoderMissingError
from sightd.daemon.serve.errors import TlsError
from sightd.engines.errors import EngineError
from sightd.plugins.api import PluginError


@contextmanager
def placed(loaded: Loaded, path: PathKey) -> Iterator[None]:
    """Re-raises a plug-in, model, encoder or certificate error of the block as a ConfigError at `path` of the file."""
    try:
        yield
    except (PluginError, EngineError, EncoderMissingError, TlsError) as error:
        place = loaded.positions.value(path)
        raise ConfigError([Problem(*place, dotted(path), str(error), "", str(loaded.path))]) from error
