"""Rules for events: changes to them, which are written to the configuration file, and trials with stored events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightd.daemon.administration.cameras import Values
from sightd.daemon.administration.configuration import ConfigurationService
from sightd.daemon.administration.errors import UnknownNameError
from sightd.daemon.config.diff import ConfigDiff
from sightd.daemon.config.editing import with_option, without_option
from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.config.rules import EventRule
from sightd.daemon.events.event import Event
from sightd.daemon.events.journal_reader import JournalReader
from sightd.daemon.events.rules import EventTime, Rule

MOST_TRIED = 2000
"""Stored events that a rule is tried with: the newest."""
_MOST_SELECTED = 50
_SECTION = ("events", "rules")


@dataclass(frozen=True, slots=True)
class Trial:
    """What a rule would do with the newest stored events: how many it was tried with, how many of them it names and
    selects, the conditions that held others back with their number, and the newest that it selects. Without its
    cool-down."""

    tried: int
    named: int
    selected: int
    held_back: Mapping[str, int]
    events: Sequence[Event]


class RuleSettings:
    """Thread-safe. Changes raise what `ConfigurationService.edit` raises, and EditError."""

    def __init__(
        self, configuration: ConfigurationService, loaded: Callable[[], LoadedConfig], events: JournalReader
    ) -> None:
        self._configuration, self._loaded, self._events = configuration, loaded, events

    def all(self) -> dict[str, dict[str, Any]]:
        """Returns the options of each rule that are not the defaults, by name."""
        rules = self._loaded().config.events.rules
        return {name: rule.model_dump(mode="json", exclude_defaults=True) for name, rule in rules.items()}

    def get(self, name: str) -> dict[str, Any]:
        """Raises UnknownNameError."""
        rules = self.all()
        if name not in rules:
            raise _unknown(name)
        return rules[name]

    def put(self, name: str, options: Values, who: str) -> ConfigDiff:
        """Adds a rule, or replaces the one of this name."""
        given = {key: value for key, value in options.items() if value is not None}
        return self._configuration.edit(lambda text, _: with_option(text, (*_SECTION, name), given), who)

    def remove(self, name: str, who: str) -> ConfigDiff:
        """Raises UnknownNameError."""

        def removed(text: str, _values: object) -> str:
            try:
                return without_option(text, (*_SECTION, name))
            except (KeyError, TypeError):
                raise _unknown(name) from None

        return self._configuration.edit(removed, who)

    def trial(self, options: EventRule) -> Trial:
        """Tries a rule with the newest stored events. Blocks on a disk."""
        rule, held_back = Rule.of("trial", options), dict[str, int]()
        tried, named, selected = 0, 0, list[Event]()
        for event in reversed(self._events.latest(MOST_TRIED)):
            tried += 1
            if not rule.names(event.kind):
                continue
            named += 1
            unmet = [str(one) for one in rule.unmet(event.camera, event.facts)]
            if not rule.is_active(EventTime(event.at)):
                unmet.append("active")
            for condition in unmet:
                held_back[condition] = held_back.get(condition, 0) + 1
            if not unmet:
                selected.append(event)
        return Trial(tried, named, len(selected), held_back, selected[:_MOST_SELECTED])


def _unknown(name: str) -> UnknownNameError:
    return UnknownNameError(f"There is no rule {name!r}.")
