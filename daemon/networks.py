"""From the configuration's `models` to the function that gives plug-ins their networks."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sightd.daemon.config.model import Engines, Models
from sightd.daemon.judges import judge_of
from sightd.daemon.known_networks import known_networks
from sightd.daemon.pipeline.opening import LoadEngine
from sightd.engines.cuda.gpus import Gpus
from sightd.engines.engine import Engine
from sightd.engines.loader import EngineLoader
from sightd.engines.makers import installed_backends
from sightd.engines.mirror import default_mirror
from sightd.engines.model import Model
from sightd.engines.preference import Preference
from sightd.engines.progress import Progress, silent
from sightd.engines.store import ModelStore, default_directory
from sightd.plugins.api import PluginConfig


def engine_loading(
    models: Models, engines: Engines, progress: Progress = silent, gpus: Gpus | None = None
) -> LoadEngine:
    """A function that loads the first model of a preference that can be had, for so many threads, on the backend that
    the plug-in's options and the `engines` section wish.
    """
    store = ModelStore(models.directory or default_directory(os.environ))
    mirror = models.mirror or default_mirror(os.environ)
    gpus = Gpus() if gpus is None else gpus
    backends = installed_backends(judge_of, gpus)

    def load(choice: Sequence[str | Model], threads: int, config: PluginConfig) -> Engine:
        loader = EngineLoader(
            known_networks(models, os.environ),  # read each time: a reload may name what was trained since the start
            store,
            mirror,
            models.fetch,
            threads,
            progress,
            models.max_download,
            wish_of(engines, config),
            backends,
            gpus,
        )
        return loader.load(choice)

    return load


def wish_of(engines: Engines, config: PluginConfig) -> Preference:
    """What a plug-in's options say of how its networks run, and the `engines` section where they say nothing."""
    return Preference(
        tuple(config.backends or engines.backends),
        config.precision or engines.precision,
        config.device or engines.device,
    )
