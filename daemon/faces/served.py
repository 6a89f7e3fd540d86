"""The galleries that the daemon's API serves: those of the face plug-ins that run. A reload may change them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sightd.daemon.config.diff import plugins_in_use
from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.faces.service import FaceService, NoFacesError, open_face_service
from sightd.daemon.isolation.opening import LoadEngine
from sightd.plugins.face.config import FaceConfig

log = logging.getLogger(__name__)

_RETRY_EVERY = 2.0
"""Seconds between two attempts."""
_LOG_EVERY = 5
"""Attempts between two log records of a persistent error."""


class StateWatch:
    """Retries state writes that failed until the disk accepts them, so no restart is needed.

    Runs on its own thread. `close` is idempotent."""

    def __init__(self, what: str, recover: Callable[[], str | None], told: Callable[[bool], None]) -> None:
        """`recover` retries failed writes and returns the remaining error or None; `told` is called with whether all is
        well."""
        self._what, self._recover, self._told = what, recover, told
        self.fault: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)
        self._thread.start()

    def close(self, deadline: float) -> None:
        """Stops the thread; abandons it if it waits for the disk longer than `deadline` seconds."""
        self._stop.set()
        self._thread.join(deadline)

    def _run(self) -> None:
        looks = 0
        while True:
            try:
                fault = self._recover()
            except Exception as error:  # noqa: BLE001 — the thread's outermost loop: any error is reported and retried
                fault = f"{type(error).__name__}: {error}"
            if fault is not None and looks % _LOG_EVERY == 0:
                log.error("%s cannot be written: %s", self._what, fault)
            elif fault is None and self.fault is not None:
                log.info("%s can be written again", self._what)
            looks = 0 if fault is None else looks + 1
            self.fault = fault
            self._told(fault is None)
            if self._stop.wait(_RETRY_EVERY):
                return


@dataclass(frozen=True, slots=True)
class ServedGallery:
    """The gallery of a face plug-in, with its configuration."""

    config: FaceConfig
    face_service: FaceService


class ServedFaces:
    """Galleries by plug-in. `opened`, `discard`, `serve` and `close` must not run at the same time; the rest may be
    called from any thread."""

    def __init__(self, load_engine: LoadEngine, environ: Mapping[str, str], writable: Callable[[bool], None]) -> None:
        """`writable` is called when it changes whether the galleries can be written, with the new value."""
        self._load_engine, self._environ, self._writable = load_engine, environ, writable
        self._served: Mapping[str, ServedGallery] = {}
        self._watch: StateWatch | None = None

    @property
    def fault(self) -> str | None:
        """Why nobody can be enrolled now; None if enrolment is possible."""
        watch = self._watch
        return None if watch is None else watch.fault

    @property
    def face_services(self) -> Mapping[str, FaceService]:
        """Galleries by plug-in name."""
        return {name: served.face_service for name, served in self._served.items()}

    def face_service(self, plugin: str | None = None) -> FaceService:
        """Returns the gallery of a plug-in, or the only one. Raises NoFacesError if there is none, or if it must be
        chosen."""
        face_services = self.face_services
        if not face_services:
            raise NoFacesError("the daemon runs no face plug-in: add one to a chain, then `sightd reload`")
        if plugin is not None and plugin not in face_services:
            raise NoFacesError(f"the daemon runs no face plug-in {plugin!r}, only: {', '.join(face_services)}")
        if plugin is None and len({face_service.gallery.database.path for face_service in face_services.values()}) > 1:
            raise NoFacesError(f"the daemon has several galleries: choose with --plugin {' | '.join(face_services)}")
        return face_services[plugin] if plugin is not None else next(iter(face_services.values()))

    def opened(self, loaded: LoadedConfig) -> Mapping[str, ServedGallery]:
        """Opens the galleries of a configuration, ready to be served; those that are already served are reused. Raises
        GalleryError if one cannot be opened."""
        found: dict[str, ServedGallery] = {}
        try:
            for name, config in plugins_in_use(loaded).items():
                if isinstance(config, FaceConfig):
                    found[name] = self._opened(name, config)
        except BaseException:
            self.discard(found)
            raise
        return found

    def discard(self, opened: Mapping[str, ServedGallery]) -> None:
        """Closes those galleries in `opened` that are not served."""
        for name, one in opened.items():
            if self._served.get(name) is not one:
                one.face_service.close()

    def serve(self, opened: Mapping[str, ServedGallery]) -> None:
        """Serves the galleries that `opened` returned from now on, and closes those that are no longer served."""
        before, self._served = self._served, opened
        self.discard(before)
        if opened and self._watch is None:
            self._watch = StateWatch("the gallery of faces", self._recover, self._writable)

    def close(self, within: float = 4.0) -> None:
        """Waits up to `within` seconds for a write in progress, then closes the galleries. Idempotent."""
        if self._watch is not None:
            self._watch.close(within)
        self.serve({})

    def _opened(self, name: str, config: FaceConfig) -> ServedGallery:
        served = self._served.get(name)
        if served is not None and served.config == config:
            return served
        return ServedGallery(config, open_face_service(config, self._load_engine, self._environ, may_stand_in=True))

    def _recover(self) -> str | None:
        faults = [face_service.gallery.database.recover() for face_service in self.face_services.values()]
        return next((fault for fault in faults if fault is not None), None)
