"""Models that plug-ins can use: which are stored here, and jobs that fetch others; what can run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sightd.daemon.administration.errors import UnknownNameError
from sightd.daemon.administration.jobs import Job, Jobs
from sightd.daemon.config.load import LoadedConfig, known_networks
from sightd.engines.errors import UnknownModelError
from sightd.engines.model import Model
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.store import ModelStore, default_directory, ensure_model
from sightd.engines.progress import Progress
from sightd.engines.sessions.backends import BackendFactory


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model of the catalogue, or one made on this machine. `stored` is the size of its file in bytes, null if it is
    not stored here; `used_by` are the plug-ins that run it now."""

    name: str
    role: str
    summary: str
    licence: str
    accuracy: str
    input: tuple[int, int]
    classes: int
    stored: int | None
    used_by: Sequence[str]


@dataclass(frozen=True, slots=True)
class BackendEntry:
    """A backend, and why it cannot be used on this machine (null: it can). `configured` is its place in
    `engines.backends`, from 0; null if it is not named there."""

    name: str
    on_gpu: bool
    missing: str | None
    configured: int | None


class ModelService:
    """Thread-safe; methods block on a disk."""

    def __init__(
        self,
        loaded: Callable[[], LoadedConfig],
        running: Callable[[], Mapping[str, Sequence[str]]],
        backends: Mapping[str, BackendFactory],
        jobs: Jobs,
        environ: Mapping[str, str],
    ) -> None:
        """`running` returns the names of the models that each plug-in runs."""
        self._loaded, self._running, self._backends = loaded, running, backends
        self._jobs, self._environ = jobs, environ

    def all(self) -> list[ModelEntry]:
        """Returns all models. Whether a stored file is intact is not checked."""
        store, users = self._store(), dict[str, list[str]]()
        for plugin, names in self._running().items():
            for name in names:
                users.setdefault(name, []).append(plugin)
        catalog = known_networks(self._loaded().config.models, self._environ)
        return [_entry(model, store, users.get(model.name, ())) for model in catalog]

    def fetch(self, name: str) -> Job:
        """Starts a job that downloads a model, or verifies the one that is stored. Raises UnknownNameError or
        BusyError."""
        try:
            model = known_networks(self._loaded().config.models, self._environ).get(name)
        except UnknownModelError as error:
            raise UnknownNameError(str(error)) from None
        return self._jobs.start("fetch", model.name, partial(self._fetched, model))

    def backends(self) -> list[BackendEntry]:
        """Returns all backends of this installation."""
        wanted = list(self._loaded().config.engines.backends)
        places: dict[str, int] = {name: place for place, name in enumerate(wanted)}
        return [
            BackendEntry(name, factory.on_gpu, factory.missing(), places.get(name))
            for name, factory in self._backends.items()
        ]

    def _fetched(self, model: Model, progress: Progress) -> str:
        options = self._loaded().config.models
        mirror = options.mirror or default_mirror(self._environ)
        return str(ensure_model(model, self._store(), Fetcher(progress, mirror, options.max_download)))

    def _store(self) -> ModelStore:
        return ModelStore(self._loaded().config.models.directory or default_directory(self._environ))


def _entry(model: Model, store: ModelStore, users: Sequence[str]) -> ModelEntry:
    try:
        stored = store.path(model).stat().st_size
    except OSError:
        stored = None
    size, classes = (model.input.width, model.input.height), sum(map(bool, model.labels))
    return ModelEntry(
        model.name, model.role, model.summary, model.licence, model.accuracy, size, classes, stored, users
    )
