"""Cameras as they are configured, and changes to them, which are written to the configuration file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightd.daemon.administration.configuration import ConfigurationService
from sightd.daemon.administration.errors import NameTakenError, UnknownNameError, UnsupportedError
from sightd.daemon.common.redaction import redact
from sightd.daemon.config.diff import ConfigDiff, chain_of
from sightd.daemon.config.editing import with_option, with_order, without_option
from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.config.model import Camera
from sightd.daemon.config.source import InvalidSourceError, source_of

Values = Mapping[str, Any]
"""Options as they are written in the file; None removes one."""


@dataclass(frozen=True, slots=True)
class ConfiguredCamera:
    """A camera of the running configuration. `source` is its address without user and password, `kind` its type: rtsp,
    http, file, device or pattern. `chain` are its plug-ins; `options` are those that are not the defaults, without the
    source. `paused` is None if its analysis cannot be paused."""

    name: str
    title: str
    enabled: bool
    source: str
    kind: str
    chain: Sequence[str]
    options: Mapping[str, Any]
    paused: bool | None


class CameraSettings:
    """Thread-safe. Changes raise what `ConfigurationService.edit` raises, and EditError."""

    def __init__(
        self,
        configuration: ConfigurationService,
        loaded: Callable[[], LoadedConfig],
        paused: Callable[[str], bool | None],
        pause: Callable[[str, bool], bool],
    ) -> None:
        """`paused` returns whether the analysis of a camera is paused, None if it cannot be; `pause` changes that, and
        returns False if it cannot be."""
        self._configuration, self._loaded = configuration, loaded
        self._paused, self._pause = paused, pause

    def all(self) -> list[ConfiguredCamera]:
        """Returns the cameras in the order of the configuration."""
        loaded = self._loaded()
        return [self._camera(loaded, name, camera) for name, camera in loaded.config.cameras.items()]

    def get(self, name: str) -> ConfiguredCamera:
        """Raises UnknownNameError."""
        loaded = self._loaded()
        if name not in loaded.config.cameras:
            raise unknown_camera(name)
        return self._camera(loaded, name, loaded.config.cameras[name])

    def written(self, name: str) -> Values:
        """Returns the options of a camera as the file has them, without secrets. Blocks on a disk. Raises ConfigError
        or UnknownNameError."""
        options: Values = _cameras(self._configuration.stored().values, name)[name]
        return options

    def add(self, name: str, options: Values, who: str, *, before: str | None = None) -> ConfigDiff:
        """Adds a camera as the last one, or before another one. Raises NameTakenError."""

        def added(text: str, values: object) -> str:
            if name in _section(values):
                raise NameTakenError(f"There is a camera {name!r} already.")
            if before is not None:
                _cameras(values, before)
            return with_option(text, ("cameras", name), _without_none(options), before=before)

        return self._configuration.edit(added, who)

    def change(self, name: str, options: Values, who: str, revision: str | None = None) -> ConfigDiff:
        """Sets these options of a camera, and removes those that are None. Raises UnknownNameError."""

        def changed(text: str, values: object) -> str:
            _cameras(values, name)
            return with_options(text, values, ("cameras", name), options)

        return self._configuration.edit(changed, who, revision)

    def remove(self, name: str, who: str) -> ConfigDiff:
        """Removes a camera. Raises UnknownNameError."""

        def removed(text: str, values: object) -> str:
            _cameras(values, name)
            return without_option(text, ("cameras", name))

        return self._configuration.edit(removed, who)

    def reorder(self, names: Sequence[str], who: str) -> ConfigDiff:
        """Brings all cameras into this order. Raises UnsupportedError if others are named than there are."""

        def reordered(text: str, values: object) -> str:
            if sorted(names) != sorted(_section(values)):
                raise UnsupportedError("Name each camera of the configuration once.")
            return with_order(text, ("cameras",), names)

        return self._configuration.edit(reordered, who)

    def pause(self, name: str, paused: bool) -> None:
        """Pauses or resumes the analysis until the next start. Raises UnknownNameError, or UnsupportedError if the
        camera does not run, or its chain redacts."""
        camera = self.get(name)
        if not self._pause(name, paused):
            reason = "its chain redacts" if camera.enabled else "it is disabled"
            raise UnsupportedError(f"The analysis of camera {name!r} cannot be paused: {reason}.")

    def _camera(self, loaded: LoadedConfig, name: str, camera: Camera) -> ConfiguredCamera:
        address = camera.source.get_secret_value()
        try:
            kind = str(source_of(camera).kind)
        except InvalidSourceError:  # of a camera that is not enabled
            kind = "unknown"
        return ConfiguredCamera(
            name,
            camera.title or name,
            camera.enabled,
            redact(address),
            kind,
            tuple(chain_of(loaded.config, camera)),
            camera.model_dump(mode="json", exclude_defaults=True, exclude={"source"}),
            self._paused(name),
        )


def with_options(text: str, values: object, path: tuple[str, ...], options: Values) -> str:
    """Returns the text with options of the mapping at `path` set, or removed if they are None. `values` are those of
    the text."""
    current: Any = values
    for step in path:
        current = current.get(step) if isinstance(current, dict) else None
    for name, value in options.items():
        if value is not None:
            text = with_option(text, (*path, name), value)
        elif isinstance(current, dict) and name in current:
            text = without_option(text, (*path, name))
    return text


def unknown_camera(name: str) -> UnknownNameError:
    return UnknownNameError(f"There is no camera {name!r}.")


def _without_none(options: Values) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _section(values: object) -> Mapping[str, Any]:
    cameras = values.get("cameras") if isinstance(values, dict) else None
    return cameras if isinstance(cameras, dict) else {}


def _cameras(values: object, name: str) -> Mapping[str, Any]:
    """Returns the cameras of the file. Raises UnknownNameError if there is none of this name."""
    cameras = _section(values)
    if name not in cameras:
        raise unknown_camera(name)
    return cameras
