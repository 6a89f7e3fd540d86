"""The galleries that the daemon's API serves: those of the face plug-ins that run. A reload may change them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sightd.daemon.config.changes import plugins_in_use
from sightd.daemon.config.load import Loaded
from sightd.daemon.faces.desk import FaceDesk, NoFacesError
from sightd.daemon.faces.opening import open_desk
from sightd.daemon.pipeline.opening import LoadEngine
from sightd.daemon.state_watch import StateWatch
from sightd.plugins.face.config import FaceConfig


@dataclass(frozen=True, slots=True)
class Served:
    """The gallery of a face plug-in, with its configuration."""

    config: FaceConfig
    desk: FaceDesk


class ServedFaces:
    """Galleries by plug-in. `opened`, `discard`, `serve` and `close` must not run at the same time; the rest may be
    called from any thread."""

    def __init__(self, load_engine: LoadEngine, environ: Mapping[str, str], writable: Callable[[bool], None]) -> None:
        """`writable` is called when it changes whether the galleries can be written, with the new value."""
        self._load_engine, self._environ, self._writable = load_engine, environ, writable
        self._served: Mapping[str, Served] = {}
        self._watch: StateWatch | None = None

    @property
    def fault(self) -> str | None:
        """Why nobody can be enrolled now; None if enrolment is possible."""
        watch = self._watch
        return None if watch is None else watch.fault

    @property
    def desks(self) -> Mapping[str, FaceDesk]:
        """Galleries by plug-in name."""
        return {name: served.desk for name, served in self._served.items()}

    def desk(self, plugin: str | None = None) -> FaceDesk:
        """Returns the gallery of a plug-in, or the only one. Raises NoFacesError if there is none, or if it must be
        chosen."""
        desks = self.desks
        if not desks:
            raise NoFacesError("the daemon runs no face plug-in: add one to a chain, then `sightd reload`")
        if plugin is not None and plugin not in desks:
            raise NoFacesError(f"the daemon runs no face plug-in {plugin!r}, only: {', '.join(desks)}")
        if plugin is None and len({desk.gallery.database.path for desk in desks.values()}) > 1:
            raise NoFacesError(f"the daemon has several galleries: choose with --plugin {' | '.join(desks)}")
        return desks[plugin] if plugin is not None else next(iter(desks.values()))

    def opened(self, loaded: Loaded) -> Mapping[str, Served]:
        """Opens the galleries of a configuration, ready to be served; those that are already served are reused. Raises
        GalleryError if one cannot be opened."""
        found: dict[str, Served] = {}
        try:
            for name, config in plugins_in_use(loaded).items():
                if isinstance(config, FaceConfig):
                    found[name] = self._opened(name, config)
        except BaseException:
            self.discard(found)
            raise
        return found

    def discard(self, opened: Mapping[str, Served]) -> None:
        """Closes those galleries in `opened` that are not served."""
        for name, one in opened.items():
            if self._served.get(name) is not one:
                one.desk.close()

    def serve(self, opened: Mapping[str, Served]) -> None:
        """Serves the galleries that `opened` returned from now on, and closes those that are no longer served."""
        before, self._served = self._served, opened
        self.discard(before)
        if opened and self._watch is None:
            self._watch = StateWatch("the gallery of faces", self._mend, self._writable)

    def close(self, within: float = 4.0) -> None:
        """Waits up to `within` seconds for a write in progress, then closes the galleries. Idempotent."""
        if self._watch is not None:
            self._watch.close(within)
        self.serve({})

    def _opened(self, name: str, config: FaceConfig) -> Served:
        served = self._served.get(name)
        if served is not None and served.config == config:
            return served
        return Served(config, open_desk(config, self._load_engine, self._environ, may_stand_in=True))

    def _mend(self) -> str | None:
        faults = [desk.gallery.database.mend() for desk in self.desks.values()]
        return next((fault for fault in faults if fault is not None), None)
