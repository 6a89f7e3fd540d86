"""Options of the plug-ins that are configured, and changes to them: in the configuration file, or until the next
start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightd.daemon.administration.cameras import Values, with_options
from sightd.daemon.administration.configuration import RELOAD_PATIENCE, ConfigurationService, Reloading
from sightd.daemon.administration.errors import BusyError, UnknownNameError, UnsupportedError
from sightd.daemon.common.redaction import MARK
from sightd.daemon.config.diff import ConfigDiff, chain_of
from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.config.overrides import Override

_MASKED = "**********"
"""How pydantic writes a secret as JSON."""


@dataclass(frozen=True, slots=True)
class OptionEntry:
    """An option of a plug-in now. `is_set`: the file sets it, or it is adjusted; `adjusted`: it has this value only
    until the next start; `live`: it can be changed without restarting the plug-in."""

    value: Any
    is_set: bool
    adjusted: bool
    live: bool


@dataclass(frozen=True, slots=True)
class PluginEntry:
    """A plug-in instance. `kind` is the plug-in that it is an instance of; `cameras` are those whose chain has it;
    `redacting`: the redaction of a camera depends on it, so that it cannot be adjusted. `options_schema` is the JSON
    schema of its options."""

    name: str
    kind: str
    cameras: Sequence[str]
    redacting: bool
    options: Mapping[str, OptionEntry]
    options_schema: Mapping[str, Any]


class PluginSettings:
    """Thread-safe. Changes raise what `ConfigurationService.edit` raises, and EditError."""

    def __init__(
        self,
        configuration: ConfigurationService,
        loaded: Callable[[], LoadedConfig],
        reloading: Reloading,
    ) -> None:
        self._configuration, self._loaded, self._reloading = configuration, loaded, reloading

    def all(self) -> list[PluginEntry]:
        """Returns the plug-in instances in the order of the configuration."""
        loaded = self._loaded()
        adjusted = {one.path for one in self._reloading.overrides}
        return [_entry(loaded, name, adjusted) for name in loaded.plugin_configs]

    def get(self, name: str) -> PluginEntry:
        """Raises UnknownNameError."""
        for entry in self.all():
            if entry.name == name:
                return entry
        raise UnknownNameError(f"The configuration has no plug-in {name!r}.")

    def change(self, name: str, options: Values, who: str, *, persist: bool, revision: str | None = None) -> ConfigDiff:
        """Sets options, None to their defaults: in the file, or only until the next start. Raises UnknownNameError,
        and UnsupportedError if the redaction of a camera depends on the plug-in and the change is not in the file."""
        self.get(name)
        paths = [("plugins", name, option) for option in options]
        if persist:
            return self._configuration.edit(
                lambda text, values: with_options(text, values, ("plugins", name), options), who, revision, paths
            )
        if name in self._loaded().hiding:
            raise UnsupportedError(f"What a camera redacts depends on {name!r}: change it in the file (persist=true).")
        values = dict(zip(paths, options.values(), strict=True))
        overrides = [Override(path, value, who) for path, value in values.items() if value is not None]
        released = [path for path, value in values.items() if value is None]
        try:
            return self._reloading.ask(overrides, released).result(RELOAD_PATIENCE)
        except TimeoutError:
            raise BusyError("The change is still in progress; see the log for its result.") from None


def _entry(loaded: LoadedConfig, name: str, adjusted: set[tuple[str, ...]]) -> PluginEntry:
    cameras, config = loaded.config.cameras.items(), loaded.plugin_configs[name]
    kind = config.use or name
    live = frozenset[str]() if config.isolate else config.live_options
    values = _unmasked(config.model_dump(mode="json"))
    options = {
        option: OptionEntry(
            values[option], option in config.model_fields_set, ("plugins", name, option) in adjusted, option in live
        )
        for option in type(config).model_fields
    }
    return PluginEntry(
        name,
        kind,
        [camera for camera, one in cameras if name in chain_of(loaded.config, one)],
        name in loaded.hiding,
        options,
        type(config).model_json_schema(),
    )


def _unmasked(value: Any) -> Any:
    """Returns the value with sightd's own placeholder for secrets."""
    if isinstance(value, dict):
        return {key: _unmasked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unmasked(item) for item in value]
    return MARK if value == _MASKED else value
