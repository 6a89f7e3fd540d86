"""What administrators change, over a file of its own and without a daemon: reloads load the file, and nothing more."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from sightd.daemon.administration.services import Administration
from sightd.daemon.config.diff import ConfigDiff, diff
from sightd.daemon.config.load import LoadedConfig, load
from sightd.daemon.config.overrides import Override
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.events.journal import Journal
from sightd.engines.sessions.factories import installed_backends
from tests.support.event_counts import EventCounts

CANARY = "Kanari3nvogel"
SITE = f"""\
# the site
cameras:
  # the door
  front: {{source: testpattern://, title: 'Front'}}
  back:
    source: rtsp://admin:{CANARY}@127.0.0.1:1/x  # not here yet
    enabled: false
    chain: [detector, tracker, zones]
plugins:
  detector:
    min_score: 0.4  # low
  zones:
    cameras:
      back: {{lines: {{drive: {{points: [[0.1, 0.6], [0.9, 0.6]]}}}}}}
chain: [detector, tracker, zones]
"""


class FileReloading:
    """Implements `Reloading`: loads the file at once. `refuses` makes it fail after that."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._overrides: dict[tuple[str, ...], Override] = {}
        self.loaded = self._load(())
        self.refuses: ConfigError | None = None

    @property
    def overrides(self) -> Sequence[Override]:
        return tuple(self._overrides.values())

    def ask(self, overrides: Sequence[Override] = (), released: Sequence[tuple[str, ...]] = ()) -> Future[ConfigDiff]:
        future: Future[ConfigDiff] = Future()
        wanted = {path: one for path, one in self._overrides.items() if path not in released}
        wanted |= {one.path: one for one in overrides}
        try:
            loaded = self._load(tuple(wanted.values()))
            if self.refuses is not None:
                raise self.refuses
        except ConfigError as error:
            future.set_exception(error)
            return future
        changes, self.loaded, self._overrides = diff(self.loaded, loaded), loaded, wanted
        future.set_result(changes)
        return future

    def _load(self, overrides: Sequence[Override]) -> LoadedConfig:
        return load(self.path, environ=os.environ, plugins=installed_plugins(), overrides=overrides)


class Site:
    """An administration in a folder, with the configuration `SITE`. `paused` are the cameras that are."""

    def __init__(self, folder: Path, text: str = SITE, environ: Mapping[str, str] | None = None) -> None:
        self.path = folder / "sightd.yaml"
        self.path.write_text(text)
        self.reloading = FileReloading(self.path)
        self.paused: set[str] = set()
        self.journal = Journal(folder / "events.db", 86400.0, 1000, EventCounts())
        state = {**os.environ, "SIGHTD_STATE_DIR": str(folder / "state"), **(environ or {})}
        self.administration = Administration(
            self.path,
            lambda: self.reloading.loaded,
            self.reloading,
            paused=lambda name: name in self.paused if name == "front" else None,
            pause=self._pause,
            events=self.journal.reader,
            running_models=lambda: {"detector": ["deimv2-femto"]},
            backends=installed_backends().factories,
            environ=state,
        )

    def _pause(self, name: str, paused: bool) -> bool:
        (self.paused.add if paused else self.paused.discard)(name)
        return name == "front"
