"""From a wish of how networks run to the session that runs one, and why it is that one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sightd.engines.errors import BackendUnavailableError
from sightd.engines.model import Model
from sightd.engines.preference import Precision, Preference
from sightd.engines.progress import Progress, silent
from sightd.engines.session import Session

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What a session is made for: a network, its ONNX file, threads for one run, precision, and "cpu" or "cuda:N"."""

    model: Model
    path: Path
    threads: int = 1
    precision: Precision = "auto"
    device: str = "cpu"
    progress: Progress = field(default=silent)


class SessionMaker(Protocol):
    """A backend. Its library is imported by `make` at the earliest."""

    @property
    def on_gpu(self) -> bool:
        """Whether it runs on "cuda:N" and not on "cpu"."""
        ...

    def missing(self) -> str | None:
        """Why it cannot run on this machine and what would change that; None where it can. Quick, never raises."""
        ...

    def make(self, request: SessionRequest) -> Session:
        """A session of just that precision and device.

        BackendUnavailableError where this backend cannot do it and another may; other EngineErrors (a broken file) are
        nobody's to mend and end the search.
        """
        ...


class Placement(Protocol):
    """Says which GPU the next network comes onto where the user does not."""

    def next(self) -> str:
        """ "cuda:N"."""
        ...


@dataclass(frozen=True, slots=True)
class Backends:
    """The backends of this installation by name. Any thread."""

    makers: Mapping[str, SessionMaker]
    placement: Placement

    def open(self, request: SessionRequest, wish: Preference) -> tuple[Session, str]:
        """The session of the first backend of the wish that can be had, and why those before it could not.

        `request`'s precision and device are replaced by the wish's. BackendUnavailableError, with each one's reason,
        where none of the list can run the network: what is not in the list is never tried.
        """
        passed: list[str] = []
        for name in wish.backends:
            try:
                session = self._try(name, request, wish)
            except BackendUnavailableError as error:
                logger.info("%s not on %s: %s", request.model.name, name, error)
                passed.append(f"{name}: {error}")
                continue
            return session, "; ".join(passed)
        raise BackendUnavailableError(
            f"{request.model.name} cannot run as the configuration wishes (precision {wish.precision}, device "
            f"{wish.device}):\n  "
            + "\n  ".join(passed)
            + "\nInstall what is missing, or allow another backend, precision or device"
        )

    def missing(self, name: str) -> str | None:
        """Why a backend cannot run anything on this machine; None where it can."""
        maker = self.makers.get(name)
        return "no part of this installation" if maker is None else maker.missing()

    def _try(self, name: str, request: SessionRequest, wish: Preference) -> Session:
        maker = self.makers.get(name)
        if maker is None:
            raise BackendUnavailableError(self.missing(name))
        if wish.device != "auto" and maker.on_gpu != wish.device.startswith("cuda:"):
            raise BackendUnavailableError(f"does not run on {wish.device}")
        if reason := maker.missing():
            raise BackendUnavailableError(reason)
        device = wish.device
        if device == "auto":
            device = self.placement.next() if maker.on_gpu else "cpu"
        return maker.make(
            SessionRequest(request.model, request.path, request.threads, wish.precision, device, request.progress)
        )
