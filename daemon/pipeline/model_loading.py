"""Builds the function that loads models for plug-ins, and selects the check a new engine must pass."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sightd.daemon.config.load import known_networks
from sightd.daemon.config.model import Engines, Models
from sightd.engines.cuda.gpus import Gpus
from sightd.engines.model import Model
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.store import ModelStore, default_directory
from sightd.engines.progress import Progress, silent
from sightd.engines.sessions.backends import Preference
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.factories import installed_backends
from sightd.engines.sessions.loader import EngineLoader, LoadOptions
from sightd.engines.sessions.tensorrt.verify import Verifier, verifier_for
from sightd.plugins.api import PluginConfig
from sightd.plugins.configuration import registry

if TYPE_CHECKING:
    from sightd.daemon.isolation.opening import LoadEngine


def verifier_of(model: Model) -> Verifier:
    """Returns the verifier for the model's role, with the box reader that a package registers for it.

    Raises BackendUnavailableError if there is no verifier for the role, PluginError if the box reader is unusable.
    """
    return verifier_for(model.role, registry.box_reader_for(model))


def engine_loading(
    models: Models, engines: Engines, progress: Progress = silent, gpus: Gpus | None = None
) -> LoadEngine:
    """Returns a function that loads the first available model of a preference list, with a given number of threads, on
    the backend set by the plug-in's options or the `engines` section."""
    store = ModelStore(models.directory or default_directory(os.environ))
    mirror = models.mirror or default_mirror(os.environ)
    options = LoadOptions(mirror, models.fetch, models.max_download, progress=progress)
    gpus = Gpus() if gpus is None else gpus
    backends = installed_backends(verifier_of, gpus)

    def load(choice: Sequence[str | Model], threads: int, config: PluginConfig) -> Engine:
        catalog = known_networks(models, os.environ)  # read each time: a reload may name models trained since the start
        of_plugin = replace(options, threads=threads, preference=preference_of(engines, config))
        return EngineLoader(catalog, store, of_plugin, backends, gpus).load(choice)

    return load


def preference_of(engines: Engines, config: PluginConfig) -> Preference:
    """Backend preference from the plug-in's options; the `engines` section fills in what they leave out."""
    return Preference(
        tuple(config.backends or engines.backends),
        config.precision or engines.precision,
        config.device or engines.device,
    )
