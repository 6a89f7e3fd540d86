"""Default path of the event journal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sightd.daemon.config.model import Events
from sightd.plugins.state import state_directory

FILE = "events.db"


def journal_of(options: Events, environ: Mapping[str, str]) -> Path:
    """Returns the journal's file: the configured one, or one in the state directory."""
    return options.path or state_directory(environ) / FILE
