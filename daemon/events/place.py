"""Where the journal of events lies where nobody says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sightd.daemon.config.model import Events
from sightd.plugins.state import state_directory

FILE = "events.db"


def journal_of(options: Events, environ: Mapping[str, str]) -> Path:
    """The journal's file: the configuration's, or among the state."""
    return options.path or state_directory(environ) / FILE
