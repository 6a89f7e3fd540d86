"""Loads a model from a list of preferred ones, and explains why it was chosen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sightd.engines.cuda.gpus import Gpu, Gpus
from sightd.engines.errors import EngineError, ModelFileError, ModelUnavailableError
from sightd.engines.model import Model
from sightd.engines.models.catalog import AUTO, CPU_DETECTORS, GPU_DETECTORS, Catalog
from sightd.engines.models.custom_file import with_input_name
from sightd.engines.models.fetch import DEFAULT_MAX_DOWNLOAD, Fetcher
from sightd.engines.models.store import ModelStore, ensure_model
from sightd.engines.preprocess import IMAGE_TYPES
from sightd.engines.progress import Progress, silent
from sightd.engines.session import DeviceSession, Session, zeros
from sightd.engines.sessions.backends import Backends, Preference, SessionRequest
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.factories import installed_backends

logger = logging.getLogger(__name__)

_ORDINALS = ("first", "second", "third", "fourth", "fifth")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How models are fetched and run.

    `mirror` is the mirror folder; `fetch` says whether models that are not stored may be fetched; `max_download` limits
    the size of a fetched file, in bytes. `threads` is the number of threads that share one run of a model; `preference`
    says which backends may be used. `progress` receives the progress of downloads and engine builds.
    """

    mirror: Path | None = None
    fetch: bool = True
    max_download: int = DEFAULT_MAX_DOWNLOAD
    threads: int = 1
    preference: Preference = field(default=Preference())
    progress: Progress = field(default=silent)


@dataclass(frozen=True, slots=True)
class EngineLoader:
    """Creates engines of the models of a catalogue. Pass the `gpus` of `backends`, so that no device is opened
    twice."""

    catalog: Catalog
    store: ModelStore
    options: LoadOptions = field(default=LoadOptions())
    backends: Backends = field(default_factory=installed_backends)
    gpus: Gpus = field(default_factory=Gpus)

    def load(self, choice: Sequence[str | Model]) -> Engine:
        """Returns the engine of the first model in `choice` that is stored on this machine, warmed up. "auto" stands
        for the detectors that suit a CPU or a GPU, according to what would run them.

        If none is stored, fetches them in order until one succeeds; so a restarted daemon starts quickly and needs no
        network. Runs the model once on zeros, so that lazy initialisation does not delay the first frame. Looks up all
        names first and raises UnknownModelError if the catalogue lacks one. Raises ModelUnavailableError if no model
        can be obtained, ModelFileError if the file does not match its catalogue entry, and BackendUnavailableError if
        no preferred backend can run it.
        """
        models = [model for item in choice for model in self._models(item)]
        if not models:
            raise EngineError("no model given: `model` takes a name, or a list of names in order of preference")
        for index, model in enumerate(models):
            if path := self.store.find(model):
                return self._open(model, path, _stored_reason(models, index))
        if not self.options.fetch:
            missing = " or ".join(model.name for model in models)
            raise ModelUnavailableError(
                f"{missing} is not stored in {self.store.directory}, and downloading is disabled. Run `sightd models "
                f"fetch {models[0].name}`"
            )
        return self._fetched(models)

    def _models(self, item: str | Model) -> list[Model]:
        if isinstance(item, Model):
            return [item]
        if item != AUTO:
            return [self.catalog.get(item)]
        names = GPU_DETECTORS if self.backends.on_gpu(self.options.preference) else CPU_DETECTORS
        return [self.catalog.get(name) for name in names]

    def _fetched(self, models: Sequence[Model]) -> Engine:
        options = self.options
        fetcher = Fetcher(options.progress, options.mirror, options.max_download)
        failures: list[EngineError] = []
        passed: list[str] = []
        for index, model in enumerate(models):
            try:
                path = ensure_model(model, self.store, fetcher)
            except EngineError as error:
                failures.append(error)
                passed.append(f"{model.name} was not available ({error.summary})")
                if index + 1 < len(models):
                    logger.warning("%s; trying %s", passed[-1], models[index + 1].name)
                continue
            record = self.store.record(model)
            reason = f"{_rank(models, index)}, just downloaded from {record.origin if record else 'its source'}"
            return self._open(model, path, "; ".join([reason, *passed]))
        raise ModelUnavailableError("\n".join(str(error) for error in failures))

    def _open(self, model: Model, path: Path, reason: str) -> Engine:
        model = with_input_name(model, path)
        request = SessionRequest(model, path, self.options.threads, progress=self.options.progress)
        session, passed = self.backends.open(request, self.options.preference)
        try:
            _require_input(model, session)
            session.run(zeros(session.inputs, {model.input.tensor: model.input.shape(1)}))
        except BaseException:
            session.close()
            raise
        if passed:
            reason = f"{reason}; not on {passed}"
        gpu, missing = self._gpu_of(session)
        return Engine(model, session, f"{reason}; {missing}" if missing else reason, gpu)

    def _gpu_of(self, session: Session) -> tuple[Gpu | None, str]:
        """Returns the session's GPU with kernels, or None. If a GPU was expected, the second value says why it is
        missing."""
        if not isinstance(session, DeviceSession):
            return None, ""
        try:
            return self.gpus.get(session.backend.device), ""
        except EngineError as error:
            missing = f"pre- and post-processing run on the CPU: {error}"
            logger.warning("%s runs only the model; %s", session.backend.device, missing)
            return None, missing


def _stored_reason(models: Sequence[Model], index: int) -> str:
    passed = [model.name for model in models[:index]]
    if not passed:
        return _rank(models, index)
    absent = " and ".join(passed) + (" is" if len(passed) == 1 else " are")
    return f"{_rank(models, index)}; {absent} not stored (run: sightd models fetch {' '.join(passed)})"


def _rank(models: Sequence[Model], index: int) -> str:
    name = models[index].name
    if len(models) == 1:
        return f"{name}: the only choice"
    ordinal = _ORDINALS[index] if index < len(_ORDINALS) else f"{index + 1}th"
    return f"{name}: {ordinal} choice"


def _require_input(model: Model, session: Session) -> None:
    """Raises ModelFileError unless the file has the input that the model's catalogue entry states."""
    spec = model.input
    found = session.inputs.get(spec.tensor)
    if found is None:
        raise ModelFileError(f"{model.name}: the file has no input {spec.tensor!r}, only {sorted(session.inputs)}")
    wanted = spec.shape(1)[1:]
    if len(found.shape) != 4 or any(a not in (None, b) for a, b in zip(found.shape[1:], wanted, strict=True)):
        sides = ", ".join(map(str, wanted))
        raise ModelFileError(
            f"{model.name}: the input of the file is {list(found.shape)}, but [batch, {sides}] is declared"
        )
    if found.dtype not in IMAGE_TYPES:
        raise ModelFileError(
            f"{model.name}: the input of the file is {found.dtype}, which cannot be filled with an image: export it as "
            "float32, float16 or uint8"
        )
    if spec.size_tensor and spec.size_tensor not in session.inputs:
        raise ModelFileError(f"{model.name}: the file has no input {spec.size_tensor!r}, only {sorted(session.inputs)}")
