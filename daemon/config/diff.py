"""Differences between two configurations, so that a reload changes only what differs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sightd.daemon.config.delivery import Delivery
from sightd.daemon.config.model import Camera, Config, Output, Render
from sightd.daemon.config.section import Section
from sightd.plugins.api import PluginConfig

if TYPE_CHECKING:  # loading checks cameras with what is here
    from sightd.daemon.config.load import LoadedConfig

_FIXED = ("access", "rtsp", "http", "webrtc", "control", "engines", "models", "events", "recording")
"""Sections that are read only at start-up, apart from `events.rules`."""


@dataclass(frozen=True, slots=True)
class ConfigDiff:
    """Names, in order. A camera is `changed` if anything that defines it is, including a plug-in of its chain that is
    `replaced`; plug-ins that are `adjusted` take over their new options while they run. `fixed`
    are sections that differ and require a restart, `renewed` the servers that switch to a renewed certificate, `sinks`
    and `event_rules` those that are added, removed or have other options."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    adjusted: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    renewed: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()
    event_rules: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        cameras, plugins = (
            (self.added, self.changed, self.removed),
            (self.opened, self.replaced, self.adjusted, self.closed),
        )
        return any((*cameras, *plugins, self.renewed, self.sinks, self.event_rules))

    def __str__(self) -> str:
        parts = {
            "cameras added": self.added,
            "cameras changed": self.changed,
            "cameras removed": self.removed,
            "plug-ins opened": self.opened,
            "plug-ins replaced": self.replaced,
            "plug-ins adjusted": self.adjusted,
            "plug-ins closed": self.closed,
            "certificates renewed": self.renewed,
            "sinks changed": self.sinks,
            "event rules changed": self.event_rules,
        }
        return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names) or "nothing changed"


def diff(old: LoadedConfig, new: LoadedConfig) -> ConfigDiff:
    """Compares two configurations."""
    cameras_before, cameras = enabled(old.config), enabled(new.config)
    plugins_before, plugins = plugins_in_use(old), plugins_in_use(new)
    both = plugins.keys() & plugins_before.keys()
    differing = {name for name in both if plugins[name] != plugins_before[name]}
    renewed = {name for name in both if old.plugin_files.get(name) != new.plugin_files.get(name)}
    adjusted = {name for name in differing - renewed if _differ_live(plugins_before[name], plugins[name])}
    replaced = (differing | renewed) - adjusted

    def is_changed(name: str) -> bool:
        chain = chain_of(new.config, cameras[name])
        return bool(replaced & set(chain)) or _made_of(old.config, name) != _made_of(new.config, name)

    return ConfigDiff(
        added=tuple(name for name in cameras if name not in cameras_before),
        changed=tuple(name for name in cameras if name in cameras_before and is_changed(name)),
        removed=tuple(name for name in cameras_before if name not in cameras),
        opened=tuple(name for name in plugins if name not in plugins_before),
        replaced=tuple(name for name in plugins if name in replaced),
        adjusted=tuple(name for name in plugins if name in adjusted),
        closed=tuple(name for name in plugins_before if name not in plugins),
        fixed=tuple(name for name in _FIXED if _read_once(old.config, name) != _read_once(new.config, name)),
        sinks=changed_sinks(old.config.delivery, new.config.delivery),
        event_rules=_differing(old.config.events.rules, new.config.events.rules),
    )


def _differ_live(old: PluginConfig, new: PluginConfig) -> bool:
    """Whether a plug-in with the options `old` can take over `new` while it runs."""
    if type(old) is not type(new) or old.use != new.use or new.isolate:
        return False
    options = type(new).model_fields
    return {name for name in options if getattr(old, name) != getattr(new, name)} <= new.live_options


def _read_once(config: Config, section: str) -> Section:
    """Returns a section without the options that a reload applies."""
    options: Section = getattr(config, section)
    return options.model_copy(update={"rules": {}}) if section == "events" else options


def with_fixed_sections(wanted: Config, running: Config, fixed: Collection[str]) -> Config:
    """Returns `wanted` with these sections as they are in `running`, except for what a reload applies."""
    kept = {name: getattr(running, name) for name in fixed}
    if "events" in kept:
        kept["events"] = running.events.model_copy(update={"rules": wanted.events.rules})
    return wanted.model_copy(update=kept)


def changed_sinks(old: Delivery, new: Delivery) -> tuple[str, ...]:
    """Returns the sinks that are added, removed or have other options; all if what they have in common has
    changed."""
    if (old.instance, old.public_url) != (new.instance, new.public_url):
        return tuple(dict.fromkeys((*old.sinks, *new.sinks)))
    return _differing(old.sinks, new.sinks)


def _differing(old: Mapping[str, object], new: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name))


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
