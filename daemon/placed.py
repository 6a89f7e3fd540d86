"""Faults that show only when a part is opened, told as one of the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sightd.daemon.config.load import Loaded
from sightd.daemon.config.problems import ConfigError, PathKey, Problem, dotted
from sightd.daemon.encode.choice import EncoderMissingError
from sightd.engines.errors import EngineError
from sightd.plugins.api import PluginError


@contextmanager
def placed(loaded: Loaded, path: PathKey) -> Iterator[None]:
    """A plug-in, network or encoder that cannot be had within becomes a ConfigError at `path` of the file."""
    try:
        yield
    except (PluginError, EngineError, EncoderMissingError) as error:
        place = loaded.positions.value(path)
        raise ConfigError([Problem(*place, dotted(path), str(error), "", str(loaded.path))]) from error
