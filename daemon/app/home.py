"""The daemon as home automation sees it: cameras, zones and numbers now, and what may be changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightd.daemon.app.cameras import CameraManager, CameraRun
from sightd.daemon.common.process import installed_version
from sightd.daemon.config.diff import chain_of, enabled, plugins_in_use
from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.config.overrides import Override
from sightd.daemon.delivery.home_view import CameraView, DaemonView, LineView, Threshold
from sightd.daemon.events.event import Event, EventKind
from sightd.daemon.serve.view import Readiness
from sightd.engines.files import read_regular
from sightd.plugins.api import AnyPlugin, Detections, Faces, JsonOptions, Results, Tracks, json_of, label_of
from sightd.plugins.configuration import registry

Adjust = Callable[[Sequence[Override]], "Future[Any]"]
"""Sets options until the next start, by a reload whose outcome the future yields."""

_ADJUSTABLE = "min_score"
"""The option of plug-ins that can be set."""
_OF_CAMERAS = "camera."
_LARGEST_PICTURE = 4 << 20
"""Bytes of a snapshot."""


class DaemonHome:
    """Implements `daemon.delivery.home_view.Home`. Thread-safe."""

    def __init__(
        self,
        cameras: CameraManager,
        loaded: Callable[[], LoadedConfig],
        readiness: Callable[[], Readiness],
        adjust: Adjust | None,
        picture_of: Callable[[Event], Path | None],
    ) -> None:
        """`adjust` is None if nothing can be reloaded; `picture_of` returns the file with an event's annotated
        snapshot."""
        self._picture_of = picture_of
        self._cameras, self._loaded, self._readiness, self._adjust = cameras, loaded, readiness, adjust
        self._changing: Future[Any] | None = None
        self._fixed: tuple[LoadedConfig | None, Mapping[str, _Fixed]] = None, {}

    def view(self) -> DaemonView:
        loaded, runs, readiness = self._loaded(), self._cameras.runs, self._readiness()
        return DaemonView(
            installed_version(),
            readiness.ready,
            readiness.reasons,
            [self._camera(loaded, name, runs.get(name)) for name in enabled(loaded.config)],
            list(_thresholds(loaded)) if self._adjust is not None else [],
            [str(kind) for kind in EventKind if not kind.startswith(_OF_CAMERAS)],
        )

    def picture(self, event: Event) -> bytes | None:
        path = self._picture_of(event)
        try:
            return None if path is None else read_regular(path, _LARGEST_PICTURE)
        except OSError:
            return None

    def pause(self, camera: str, paused: bool) -> bool:
        return self._cameras.pause(camera, paused)

    def adjust(self, threshold: Threshold, value: float) -> bool:
        if self._adjust is None or (self._changing is not None and not self._changing.done()):
            return False
        override = Override(("plugins", threshold.plugin, threshold.option), value, "Home Assistant")
        self._changing = self._adjust([override])
        return True

    def _camera(self, loaded: LoadedConfig, name: str, run: CameraRun | None) -> CameraView:
        fixed = self._fixed_of(loaded)[name]
        connected = run is not None and run.is_shown
        results = run.results if run is not None and connected else None
        return CameraView(
            name,
            loaded.config.cameras[name].title or name,
            fixed.chain,
            connected,
            None if run is None or not fixed.chain or not run.can_pause else run.paused,
            fixed.recognises,
            fixed.kinds,
            bool(fixed.chain) and _is_pictured(loaded, name),
            *_zones_and_lines(results),
            _objects(results),
            _persons(results),
        )

    def _fixed_of(self, loaded: LoadedConfig) -> Mapping[str, _Fixed]:
        known, fixed = self._fixed
        if known is not loaded:
            fixed = {name: _fixed(loaded, chain_of(loaded.config, one)) for name, one in enabled(loaded.config).items()}
            self._fixed = loaded, fixed
        return fixed


@dataclass(frozen=True, slots=True)
class _Fixed:
    """What depends only on the configuration of a camera."""

    chain: Sequence[str]
    recognises: bool
    kinds: Sequence[str]


def _fixed(loaded: LoadedConfig, chain: Sequence[str]) -> _Fixed:
    plugins = [_plugin_class(loaded, plugin) for plugin in chain]
    kinds = [str(kind) for kind in EventKind if kind.startswith(_OF_CAMERAS)]
    kinds += [spec.kind for plugin in plugins for spec in plugin.events]
    return _Fixed(tuple(chain), any(Faces in plugin.produces for plugin in plugins), tuple(dict.fromkeys(kinds)))


def _plugin_class(loaded: LoadedConfig, name: str) -> type[AnyPlugin]:
    return registry.load(loaded.plugin_configs[name].use or name)


def _is_pictured(loaded: LoadedConfig, camera: str) -> bool:
    options = loaded.config.events.snapshots
    return options is not None and (options.cameras is None or camera in options.cameras)


def _thresholds(loaded: LoadedConfig) -> Iterator[Threshold]:
    """Yields the options that can be set: not of plug-ins on which redaction depends, because a higher threshold would
    show what they hide."""
    for name, options in plugins_in_use(loaded).items():
        if name in loaded.hiding:
            continue
        value = getattr(options, _ADJUSTABLE, None)
        if isinstance(value, float):
            yield Threshold(name, _ADJUSTABLE, value, 0.0, 1.0)


def _objects(results: Results | None) -> Mapping[str, int] | None:
    if results is None:
        return None
    tracks = results.get(Tracks)
    found = results.get(Detections) if tracks is None else tracks
    if found is None:
        return None
    return Counter(label_of(found.labels, class_id) for class_id in found.class_ids.tolist())


def _persons(results: Results | None) -> tuple[str, ...] | None:
    faces = None if results is None else results.get(Faces)
    return None if faces is None else tuple(name for name in faces.identities if name is not None)


def _zones_and_lines(
    results: Results | None,
) -> tuple[Mapping[str, Mapping[str, int]] | None, Mapping[str, LineView] | None]:
    """Returns the objects in each zone by class, and the crossings of each line, of the result that has the JSON form
    of the zones plug-in."""
    for result in results or ():
        if isinstance(result, (Tracks, Detections, Faces)):
            continue
        form: Mapping[str, Any] = json_of(result, results, JsonOptions()) if results is not None else {}
        if isinstance(form.get("zones"), Mapping) and isinstance(form.get("lines"), Mapping):
            zones = {name: zone["inside_by_class"] for name, zone in form["zones"].items()}
            lines = {
                name: LineView({"in": line["in"], "out": line["out"]}, line["by_class"])
                for name, line in form["lines"].items()
            }
            return zones, lines
    return None, None
