"""Checks of the rules of events: names that do not exist, and conditions that no event can meet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from sightd.daemon.config.diff import chain_of
from sightd.daemon.config.model import CameraRecording, CameraSegments, Clips, Config, Segments
from sightd.daemon.config.problems import LocatedProblem, PathKey, Positions
from sightd.daemon.config.rules import UNKNOWN, EventRule
from sightd.daemon.config.sinks import SinkOptions
from sightd.daemon.config.snapshots import Snapshots
from sightd.engines.text import did_you_mean
from sightd.plugins.api import RESERVED_KINDS, SHARED_KINDS, AnyPlugin, EventSpec, PluginConfig
from sightd.plugins.configuration.declarations import declared_events

Kinds = Mapping[str, EventSpec]
_Chooses = SinkOptions | Clips | Segments | CameraRecording | CameraSegments | Snapshots


class RuleChecks:
    """Finds errors of `events.rules` and of options that name rules. Options at or below a path in `lost` are
    unknown."""

    def __init__(
        self,
        config: Config,
        positions: Positions,
        plugins: Mapping[str, type[AnyPlugin]],
        configs: Mapping[str, PluginConfig],
        lost: Collection[PathKey] = frozenset(),
    ) -> None:
        """`plugins` are the classes of all plug-ins that chains name, as far as they are known, and `configs` their
        options."""
        self._config, self._positions, self._lost = config, positions, lost
        self._plugins, self._configs = plugins, configs

    def problems(self) -> Iterator[LocatedProblem]:
        """Yields what keeps the daemon from starting."""
        for path, rule in self._rules():
            unknown = list(self._unknown_cameras(path, rule))
            yield from (*unknown, *self._without_effect(path, rule))
            if self._knows_kinds and not unknown:
                yield from self._kinds(path, rule)
        if not self._is_lost("events", "rules"):
            for path, names in self._named_rules():
                yield from self._unknown_rules(path, names)

    def warnings(self) -> Iterator[LocatedProblem]:
        """Yields what works, but probably not as intended."""
        if not self._knows_kinds:
            return
        if not self._is_lost("events", "rules"):
            yield from self._never_stored()
        for path, rule in self._rules():
            for option, fact in (("zones", "zone"), ("lines", "line")):
                known = self._values(fact, rule)
                for number, value in enumerate(getattr(rule, option) or ()):
                    if known and value not in known:
                        message = f"no {fact} {value} is configured{did_you_mean(value, known)}"
                        hint = f"configured: {', '.join(known)}. Ignore this if it comes through the API"
                        yield self._located((*path, option, number), message, hint)

    def _rules(self) -> Iterator[tuple[PathKey, EventRule]]:
        """Yields the rules of which all options are known, with their paths."""
        for name, rule in self._config.events.rules.items():
            if not self._is_lost("events", "rules", name):
                yield ("events", "rules", name), rule

    def _unknown_cameras(self, path: PathKey, rule: EventRule) -> Iterator[LocatedProblem]:
        known = self._config.cameras
        for number, camera in enumerate(rule.cameras or ()):
            if camera not in known and ("cameras",) not in self._lost:
                message = f"there is no camera {camera}{did_you_mean(camera, known)}"
                yield self._located((*path, "cameras", number), message, f"known cameras: {', '.join(known)}")

    def _without_effect(self, path: PathKey, rule: EventRule) -> Iterator[LocatedProblem]:
        for option, other, needed in (("per", "cooldown", rule.cooldown), ("timezone", "active", rule.active)):
            if option in rule.model_fields_set and getattr(rule, option) is not None and needed is None:
                yield self._located((*path, option), f"has no effect without {other}", f"add {other}:, or remove it")

    def _kinds(self, path: PathKey, rule: EventRule) -> Iterator[LocatedProblem]:
        """Yields kinds that nobody reports, and conditions on facts that their events do not have."""
        reported, elsewhere = self._reported(rule.cameras), self._reported(None)
        unknown = [
            (number, one) for number, one in enumerate(rule.kinds) if one != "*" and not _matching(one, reported)
        ]
        for number, pattern in unknown:
            yield self._located((*path, "kinds", number), *_explained(pattern, reported, elsewhere))
        about = {kind: spec for pattern in rule.kinds for kind, spec in _matching(pattern, reported).items()}
        if not unknown and about:
            yield from self._conditions(path, rule, about)

    def _conditions(self, path: PathKey, rule: EventRule, about: Kinds) -> Iterator[LocatedProblem]:
        wanted = list(_facts_wanted(rule))
        missing = [one for one in wanted if not any(_may_have(spec, one[1]) for spec in about.values())]
        for at, fact in missing:
            facts = sorted({fact for spec in about.values() for fact in spec.facts or ()})
            message = f"can never hold: events of the rule's kinds have no fact {fact}{did_you_mean(fact, facts)}"
            yield self._located((*path, *at), message, f"facts: {', '.join(facts) or 'none'}")
        if rule.per != "camera" and not any(_may_have(spec, rule.per) for spec in about.values()):
            message = f"has no effect: events of the rule's kinds have no fact {rule.per}"
            yield self._located((*path, "per"), message, "remove it")
        if missing:
            return
        for number, pattern in enumerate(rule.kinds):
            if (spec := about.get(pattern)) is None:
                continue
            if lacking := [fact for _, fact in wanted if not _may_have(spec, fact)]:
                message = f"never meets the rule's conditions: its events have no fact {lacking[0]}"
                yield self._located((*path, "kinds", number), message, "remove it, or write another rule for it")
        if not any(all(_may_have(spec, fact) for _, fact in wanted) for spec in about.values()):
            facts_wanted = " and ".join(dict.fromkeys(fact for _, fact in wanted))
            message = f"can never select an event: those of its kinds do not have {facts_wanted} together"
            yield self._located(path, message, "write a rule for each of them")

    def _named_rules(self) -> Iterator[tuple[PathKey, Sequence[str]]]:
        """Yields the options that name rules, and what they name."""
        for path, one in self._choices():
            if not isinstance(one, Snapshots) and one.rules and not self._is_lost(*path, "rules"):
                yield (*path, "rules"), one.rules

    def _choices(self) -> Iterator[tuple[PathKey, _Chooses]]:
        """Yields the sections that choose events by kind or rule."""
        recording, snapshots = self._config.recording, self._config.events.snapshots
        found: dict[PathKey, _Chooses | None] = {
            ("recording", "clips"): recording.clips,
            ("recording", "segments"): recording.segments,
            ("events", "snapshots"): snapshots,
        }
        for name, sink in self._config.delivery.sinks.items():
            found["delivery", "sinks", name] = sink
        for name, camera in self._config.cameras.items():
            own = camera.recording
            found["cameras", name, "recording"] = own
            found["cameras", name, "recording", "segments"] = None if own is None else own.segments
        yield from ((path, one) for path, one in found.items() if one is not None)

    def _never_stored(self) -> Iterator[LocatedProblem]:
        """Yields chosen kinds that are stored only by a rule, if there is none."""
        rules, reported = self._config.events.rules.values(), self._reported(None)
        missing = {kind for kind, spec in reported.items() if spec.by_rule and not _is_named(kind, rules)}
        for path, choice in self._choices():
            for number, kind in enumerate(choice.kinds or ()):
                if kind in missing and not self._is_lost(*path, "kinds"):
                    message = f"{kind} is stored only if a rule selects it, and no rule is about it"
                    hint = f"add events: {{rules: {{NAME: {{kinds: [{kind}]}}}}}} (docs/rules.md)"
                    yield self._located((*path, "kinds", number), message, hint)

    def _unknown_rules(self, path: PathKey, names: Sequence[str]) -> Iterator[LocatedProblem]:
        known = self._config.events.rules
        for number, name in enumerate(names):
            if name not in known:
                hint = f"known rules: {', '.join(known)}" if known else "add events: {rules: …} (docs/rules.md)"
                yield self._located((*path, number), f"there is no rule {name}{did_you_mean(name, known)}", hint)

    @property
    def _knows_kinds(self) -> bool:
        """Whether all chains, and the classes of all that they name, are known."""
        lost = [path for path in self._lost if path[:1] == ("cameras",)]
        if self._is_lost("chain") or any(len(path) < 3 or path[2] == "chain" for path in lost):
            return False
        cameras = self._config.cameras.values()
        return all(name in self._plugins for camera in cameras for name in chain_of(self._config, camera))

    def _chained(self, cameras: Sequence[str] | None) -> Iterator[tuple[str, str]]:
        """Yields these cameras (None: all) with each plug-in of their chains."""
        for name, camera in self._config.cameras.items():
            if cameras is None or name in cameras:
                yield from ((name, plugin) for plugin in chain_of(self._config, camera))

    def _reported(self, cameras: Sequence[str] | None) -> Kinds:
        """Returns the kinds of events that plug-ins of these cameras report."""
        plugins = dict.fromkeys(self._plugins[plugin] for _, plugin in self._chained(cameras))
        return {spec.kind: spec for plugin in plugins for spec in declared_events(plugin)}

    def _values(self, fact: str, rule: EventRule) -> list[str]:
        """Returns the values that a fact has on the rule's cameras as configured; none if that is unknown."""
        found: dict[str, None] = {}
        for camera, plugin in self._chained(rule.cameras):
            if (config := self._configs.get(plugin)) is not None:
                found |= dict.fromkeys(_fact_values(config, camera).get(fact, ()))
        return list(found)

    def _is_lost(self, *path: str | int) -> bool:
        return any(path[: len(lost)] == lost or lost[: len(path)] == path for lost in self._lost)

    def _located(self, path: PathKey, message: str, hint: str) -> LocatedProblem:
        return self._positions.located(path, message, hint)


def _fact_values(config: PluginConfig, camera: str) -> Mapping[str, Collection[str]]:
    try:
        return config.fact_values(camera)
    except Exception:  # noqa: BLE001 - a third party's code; without it there is no warning
        return {}


def _matching(pattern: str, kinds: Kinds) -> Kinds:
    return {kind: spec for kind, spec in kinds.items() if fnmatchcase(kind, pattern)}


def _is_named(kind: str, rules: Iterable[EventRule]) -> bool:
    return any(fnmatchcase(kind, pattern) for rule in rules for pattern in rule.kinds)


def _may_have(spec: EventSpec, fact: str) -> bool:
    return spec.facts is None or fact in spec.facts


def _explained(pattern: str, reported: Kinds, elsewhere: Kinds) -> tuple[str, str]:
    """Returns message and hint for a pattern that no event of the rule's cameras matches."""
    hint = f"they report: {', '.join(sorted(reported)) or 'nothing'}"
    if pattern.partition(".")[0] in RESERVED_KINDS and pattern not in SHARED_KINDS:
        return "is an event of sightd itself, which is always stored; rules are about those of plug-ins", "remove it"
    if _matching(pattern, elsewhere):
        return f"no plug-in in the chain of the rule's cameras reports {pattern}", hint
    message = f"no plug-in in a chain of this configuration reports {pattern}{did_you_mean(pattern, elsewhere)}"
    return message, hint


def _facts_wanted(rule: EventRule) -> Iterator[tuple[PathKey, str]]:
    """Yields the facts that an event needs in order to be selected, with the option that asks for it."""
    for option, fact in (("zones", "zone"), ("lines", "line"), ("classes", "class"), ("min_score", "score")):
        if getattr(rule, option) is not None:
            yield (option,), fact
    if rule.persons is not None and UNKNOWN not in map(str.casefold, rule.persons):
        yield ("persons",), "person"
    for fact in rule.at_least:
        yield ("at_least", fact), fact
