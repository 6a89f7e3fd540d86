"""From the configuration's `models` to the function that gives plug-ins their networks."""

from __future__ import annotations

import os
from collections.abc import Sequence

from daemon.config.model import Models
from daemon.known_networks import known_networks
from daemon.pipeline.host import LoadEngine
from engines.engine import Engine
from engines.loader import EngineLoader
from engines.mirror import default_mirror
from engines.model import Model
from engines.progress import Progress, silent
from engines.store import ModelStore, default_directory


def engine_loading(models: Models, progress: Progress = silent) -> LoadEngine:
    """A function that loads the first model of a preference that can be had, for so many threads."""
    catalog = known_networks(models, os.environ)
    store = ModelStore(models.directory or default_directory(os.environ))
    mirror = models.mirror or default_mirror(os.environ)

    def load(choice: Sequence[str | Model], threads: int) -> Engine:
        loader = EngineLoader(catalog, store, mirror, models.fetch, threads, progress, models.max_download)
        return loader.load(choice)

    return load
