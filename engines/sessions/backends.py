"""Selects a backend for a preference, opens a session on it, and reports why it was selected."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from sightd.engines.errors import BackendUnavailableError
from sightd.engines.model import Model
from sightd.engines.progress import Progress, silent
from sightd.engines.session import Session

BackendName: TypeAlias = Literal["tensorrt", "onnxruntime-cuda", "openvino", "onnxruntime"]
Precision: TypeAlias = Literal["auto", "fp32", "fp16", "bf16", "int8"]

DEFAULT_BACKENDS: tuple[BackendName, ...] = ("tensorrt", "onnxruntime-cuda", "onnxruntime")
"""OpenVINO is opt-in: it is faster for some models and slower for others (`bench/backends.py`)."""


@dataclass(frozen=True, slots=True)
class Preference:
    """A model runs on the first of `backends` that can run it, and never on a backend that is not listed.

    `precision` "auto" leaves the choice to the backend; any other value is strict. `device` is "auto", "cpu" or
    "cuda:N".
    """

    backends: tuple[BackendName, ...] = DEFAULT_BACKENDS
    precision: Precision = "auto"
    device: str = "auto"


PLAIN = Preference(("onnxruntime",), "auto", "cpu")
"""The reference backend, which is available on every machine."""


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """Parameters of a new session: model, ONNX file, threads per run, precision, and device ("cpu" or "cuda:N")."""

    model: Model
    path: Path
    threads: int = 1
    precision: Precision = "auto"
    device: str = "cpu"
    progress: Progress = field(default=silent)


class BackendFactory(Protocol):
    """A backend factory. It must not import its library before `make` is called."""

    @property
    def on_gpu(self) -> bool:
        """True if the backend runs on "cuda:N", False if it runs on "cpu"."""
        ...

    def missing(self) -> str | None:
        """Returns why this backend cannot run on this machine and how to fix it, or None if it can. Fast, never
        raises."""
        ...

    def make(self, request: SessionRequest) -> Session:
        """Opens a session with exactly the requested precision and device.

        Raises BackendUnavailableError if this backend cannot do it but another might. Any other EngineError (such as a
        broken file) ends the search, because no backend could do better.
        """
        ...


class Placement(Protocol):
    """Chooses the GPU for the next model if the user does not name one."""

    def next(self) -> str:
        """Returns the device as "cuda:N"."""
        ...


@dataclass(frozen=True, slots=True)
class Backends:
    """The backends of this installation by name. Thread-safe."""

    factories: Mapping[str, BackendFactory]
    placement: Placement

    def open(self, request: SessionRequest, preference: Preference) -> tuple[Session, str]:
        """Returns a session of the first preferred backend that works, and why each earlier one did not.

        Replaces the precision and device of `request` with those of the preference, and never tries a backend that the
        preference does not list. Raises BackendUnavailableError, with a reason per backend, if none can run the model.
        """
        passed: list[str] = []
        for name in preference.backends:
            try:
                session = self._try(name, request, preference)
            except BackendUnavailableError as error:
                logger.info("%s does not run on %s: %s", request.model.name, name, error)
                passed.append(f"{name}: {error}")
                continue
            return session, "; ".join(passed)
        raise BackendUnavailableError(
            f"{request.model.name} cannot run as configured "
            f"(precision {preference.precision}, device {preference.device}):\n  "
            + "\n  ".join(passed)
            + "\nInstall what is missing, or allow another backend, precision or device"
        )

    def on_gpu(self, preference: Preference) -> bool:
        """Returns whether the first preferred backend that this machine has runs on a GPU."""
        for name in preference.backends:
            factory = self.factories.get(name)
            if factory is None or factory.missing():
                continue
            if preference.device == "auto" or factory.on_gpu == preference.device.startswith("cuda:"):
                return factory.on_gpu
        return False

    def missing(self, name: str) -> str | None:
        """Returns why the backend cannot run anything on this machine, or None if it can."""
        factory = self.factories.get(name)
        return "not part of this installation" if factory is None else factory.missing()

    def _try(self, name: str, request: SessionRequest, preference: Preference) -> Session:
        factory = self.factories.get(name)
        if factory is None:
            raise BackendUnavailableError(self.missing(name))
        if preference.device != "auto" and factory.on_gpu != preference.device.startswith("cuda:"):
            raise BackendUnavailableError(f"does not run on {preference.device}")
        if reason := factory.missing():
            raise BackendUnavailableError(reason)
        device = preference.device
        if device == "auto":
            device = self.placement.next() if factory.on_gpu else "cpu"
        return factory.make(
            SessionRequest(request.model, request.path, request.threads, preference.precision, device, request.progress)
        )
