"""The plug-ins installed here, as the loader and the schema need them."""

from __future__ import annotations

from sightd.daemon.config.entries import PluginSource
from sightd.daemon.config.problems import ConfigError, ConfigProblem
from sightd.plugins import registry
from sightd.plugins.api import PluginConfig, PluginError
from sightd.plugins.chain import check_chain

_OWN_PACKAGE = "sightd"


def installed_plugins() -> PluginSource:
    """Finds plug-ins by entry point; imports only those that a configuration names.

    Raises ConfigError if two packages have plug-ins of the same name.
    """
    try:
        available = tuple(registry.available())
    except PluginError as error:
        raise ConfigError([ConfigProblem(0, 0, "plugins", str(error))]) from None
    return PluginSource(registry.load, check_chain, available)


def plugin_configs(*, others: bool) -> dict[str, type[PluginConfig]]:
    """Returns the options of the built-in plug-ins and, with `others`, of those of other packages, by name."""
    return {
        name: registry.load(name).Config
        for name, entry in registry.available().items()
        if others or (entry.dist is not None and entry.dist.name == _OWN_PACKAGE)
    }
