"""Rules for what a plug-in class declares, and for how it opens and closes."""

from __future__ import annotations

from pydantic import ValidationError

from sightd.engines.errors import EngineError
from sightd.plugins.api import API_VERSION, Plugin, PluginConfig, PluginError
from sightd.plugins.testing.context import StubContext, no_network
from sightd.plugins.testing.subject import BrokenRuleError, Rule, Subject


def _is_a_plugin(subject: Subject) -> None:
    if not (isinstance(subject.plugin, type) and issubclass(subject.plugin, Plugin)):
        raise BrokenRuleError("is not a class derived from sightd.plugins.api.Plugin")
    if subject.plugin.api_version != API_VERSION:
        raise BrokenRuleError(f"api_version is {subject.plugin.api_version}, this sightd has {API_VERSION}")


def _says_what_it_is(subject: Subject) -> None:
    if not (subject.plugin.__dict__.get("__doc__") or "").strip():
        raise BrokenRuleError("the class has no docstring; its first line is shown by `sightd plugins list`")


def _describes_its_options(subject: Subject) -> None:
    config = subject.plugin.Config
    if not (isinstance(config, type) and issubclass(config, PluginConfig)):
        raise BrokenRuleError("Config is not derived from sightd.plugins.api.PluginConfig")
    if config.model_config.get("extra") != "forbid":
        raise BrokenRuleError("Config accepts options that it does not know; leave `extra` at forbid")
    bare = [name for name, field in config.model_fields.items() if not field.description]
    if bare:
        raise BrokenRuleError(f"no description for {', '.join(bare)}; write Field(..., description=...)")


def _declares_needs_and_gives(subject: Subject) -> None:
    for name in ("needs", "gives"):
        kinds = getattr(subject.plugin, name)
        if not isinstance(kinds, frozenset) or not all(isinstance(kind, type) for kind in kinds):
            raise BrokenRuleError(f"{name} is not a frozenset of result types")


def _takes_its_options(subject: Subject) -> None:
    try:
        subject.config()
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_url=False))
        raise BrokenRuleError("; ".join(faults)) from None


def _opens_and_closes(subject: Subject) -> None:
    for _ in range(2):
        with subject.opened():
            pass


def _closes_after_failed_open(subject: Subject) -> None:
    instance = subject.plugin(subject.config())
    try:
        instance.open(StubContext(subject.plugin.__name__, no_network))
    except Exception as error:  # noqa: BLE001 - any exception of a third-party plug-in is to be judged
        instance.close()
        _verify_failure(error)
    else:
        instance.close()


def _verify_failure(error: Exception) -> None:
    if not isinstance(error, (PluginError, EngineError)):
        raise BrokenRuleError(
            f"open raised {type(error).__name__} when no model was available; it must raise PluginError or EngineError"
        )


DECLARATION: dict[str, Rule] = {
    "is a plug-in of this interface": _is_a_plugin,
    "says what it is": _says_what_it_is,
    "describes its options": _describes_its_options,
    "declares what it needs and gives": _declares_needs_and_gives,
    "takes the options given": _takes_its_options,
}

OPENING: dict[str, Rule] = {
    "opens and closes, and again": _opens_and_closes,
    "closes after an open that failed": _closes_after_failed_open,
}
