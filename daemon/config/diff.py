"""Differences between two configurations, so that a reload changes only what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sightd.daemon.config.delivery import Delivery
from sightd.daemon.config.model import Camera, Config, Output, Render
from sightd.plugins.api import PluginConfig

if TYPE_CHECKING:  # loading checks cameras with what is here
    from sightd.daemon.config.load import LoadedConfig

_FIXED = ("access", "rtsp", "http", "control", "engines", "models", "events", "recording")
"""Sections that are read only at start-up."""


@dataclass(frozen=True, slots=True)
class ConfigDiff:
    """Names, in order. A camera is `changed` if anything that defines it is, including a plug-in of its chain. `fixed`
    are sections that differ and require a restart, `renewed` the servers that switch to a renewed certificate, `sinks`
    those that are added, removed or have other options."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    renewed: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        cameras, plugins = (self.added, self.changed, self.removed), (self.opened, self.replaced, self.closed)
        return any((*cameras, *plugins, self.renewed, self.sinks))

    def __str__(self) -> str:
        parts = {
            "cameras added": self.added,
            "cameras changed": self.changed,
            "cameras removed": self.removed,
            "plug-ins opened": self.opened,
            "plug-ins replaced": self.replaced,
            "plug-ins closed": self.closed,
            "certificates renewed": self.renewed,
            "sinks changed": self.sinks,
        }
        return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names) or "nothing changed"


def diff(old: LoadedConfig, new: LoadedConfig) -> ConfigDiff:
    """Compares two configurations."""
    cameras_before, cameras = enabled(old.config), enabled(new.config)
    plugins_before, plugins = plugins_in_use(old), plugins_in_use(new)
    replaced = {
        name
        for name in plugins.keys() & plugins_before.keys()
        if plugins[name] != plugins_before[name] or old.plugin_files.get(name) != new.plugin_files.get(name)
    }

    def is_changed(name: str) -> bool:
        chain = chain_of(new.config, cameras[name])
        return bool(replaced & set(chain)) or _made_of(old.config, name) != _made_of(new.config, name)

    return ConfigDiff(
        added=tuple(name for name in cameras if name not in cameras_before),
        changed=tuple(name for name in cameras if name in cameras_before and is_changed(name)),
        removed=tuple(name for name in cameras_before if name not in cameras),
        opened=tuple(name for name in plugins if name not in plugins_before),
        replaced=tuple(name for name in plugins if name in replaced),
        closed=tuple(name for name in plugins_before if name not in plugins),
        fixed=tuple(name for name in _FIXED if getattr(old.config, name) != getattr(new.config, name)),
        sinks=changed_sinks(old.config.delivery, new.config.delivery),
    )


def changed_sinks(old: Delivery, new: Delivery) -> tuple[str, ...]:
    """Returns the sinks that are added, removed or have other options; all if the instance has another name."""
    names = dict.fromkeys((*old.sinks, *new.sinks))
    renamed = old.instance != new.instance
    return tuple(name for name in names if renamed or old.sinks.get(name) != new.sinks.get(name))


def enabled(config: Config) -> Mapping[str, Camera]:
    """Returns the enabled cameras."""
    return {name: camera for name, camera in config.cameras.items() if camera.enabled}


def chain_of(config: Config, camera: Camera) -> Sequence[str]:
    """Returns the plug-ins that a camera's frames go through."""
    return config.chain if camera.chain is None else camera.chain


def render_of(config: Config, camera: Camera) -> Render:
    return camera.render or config.render


def output_of(config: Config, camera: Camera) -> Output:
    return camera.output or config.output


def plugins_in_use(loaded: LoadedConfig) -> Mapping[str, PluginConfig]:
    """Returns the plug-ins that an enabled camera's chain names, in the file's order."""
    named = {name for camera in enabled(loaded.config).values() for name in chain_of(loaded.config, camera)}
    return {name: options for name, options in loaded.plugin_configs.items() if name in named}


def _made_of(config: Config, name: str) -> tuple[object, ...]:
    camera = config.cameras[name]
    own = camera.model_copy(update={"chain": None, "render": None, "output": None})
    return own, tuple(chain_of(config, camera)), render_of(config, camera), output_of(config, camera)
