"""All that administrators can read and change over the API, made of the parts of a running daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sightd.daemon.administration.cameras import CameraSettings
from sightd.daemon.administration.configuration import ConfigurationService, Reloading
from sightd.daemon.administration.jobs import Jobs
from sightd.daemon.administration.models import ModelService
from sightd.daemon.administration.plugins import PluginSettings
from sightd.daemon.administration.rules import RuleSettings
from sightd.daemon.config.history import ConfigHistory
from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.events.journal_reader import JournalReader
from sightd.engines.files import state_directory
from sightd.engines.sessions.backends import BackendFactory


class Administration:
    """The services by subject; all are thread-safe, and may block. `close` cancels jobs."""

    def __init__(
        self,
        path: Path,
        loaded: Callable[[], LoadedConfig],
        reloading: Reloading,
        *,
        paused: Callable[[str], bool | None],
        pause: Callable[[str, bool], bool],
        events: JournalReader,
        running_models: Callable[[], Mapping[str, Sequence[str]]],
        backends: Mapping[str, BackendFactory],
        environ: Mapping[str, str],
    ) -> None:
        """`path` is the configuration file, `loaded` returns what runs of it. `paused` and `pause` are as
        `CameraSettings` has them, `running_models` and `backends` as `ModelService` has them."""
        history = ConfigHistory(state_directory(environ) / "configuration")
        self.configuration = ConfigurationService(path, loaded, reloading, history, environ)
        self.cameras = CameraSettings(self.configuration, loaded, paused, pause)
        self.plugins = PluginSettings(self.configuration, loaded, reloading)
        self.rules = RuleSettings(self.configuration, loaded, events)
        self.jobs = Jobs()
        self.models = ModelService(loaded, running_models, backends, self.jobs, environ)

    def close(self, within: float) -> None:
        """Cancels all jobs, and waits up to `within` seconds for them."""
        self.jobs.close(within)
