"""The plug-in instances of a file: finds each one's class among the installed plug-ins and validates its options
with that class's `Config`.
"""

from __future__ import annotations

import contextlib
import functools
import pickle
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from sightd.daemon.config.interpolation import Resolved
from sightd.daemon.config.problems import ConfigError, LocatedProblem, PathKey, Positions, dotted, shown
from sightd.daemon.config.validate import salvage, validate
from sightd.engines.files import Version, version_of
from sightd.engines.models.catalog import Catalog
from sightd.engines.text import did_you_mean
from sightd.plugins.api import AnyPlugin, ConfigProblem, PluginConfig, PluginError, Tracks
from sightd.plugins.configuration import registry
from sightd.plugins.configuration.registry import check_chain


@dataclass(frozen=True, slots=True)
class PluginSource:
    """Where plug-ins come from. `find` returns a class by name or raises PluginError; `available` are the known names.

    `check_chain(names, classes)` raises PluginError if an entry of a chain requires what none before it produces.
    """

    find: Callable[[str], type[AnyPlugin]]
    check_chain: Callable[[Sequence[str], Mapping[str, type[AnyPlugin]]], None]
    available: Collection[str] = ()


@dataclass(slots=True)
class Entries:
    """Plug-in instances by name. `broken` have a reported problem; `partial` holds the valid options of those of them
    that have any."""

    configs: dict[str, PluginConfig] = field(default_factory=dict)
    partial: dict[str, PluginConfig] = field(default_factory=dict)
    classes: dict[str, type[AnyPlugin]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    problems: list[LocatedProblem] = field(default_factory=list)


class EntryReader:
    """Reads the `plugins` section and the chains, which may name a plug-in without an entry if it needs no options."""

    def __init__(self, positions: Positions, resolved: Resolved, source: PluginSource) -> None:
        self._positions, self._resolved, self._source = positions, resolved, source
        self.entries = Entries()

    def read(self, value: object) -> Entries:
        """Reads all entries and chains of a file's values. Parts of the wrong type are skipped."""
        sections = value if isinstance(value, dict) else {}
        plugins, cameras = _mapping(sections.get("plugins")), _mapping(sections.get("cameras"))
        for name, options in plugins.items():
            self._entry(name, options)
        self._chain(sections.get("chain"), ("chain",))
        for name, camera in cameras.items():
            self._chain(_mapping(camera).get("chain"), ("cameras", name, "chain"))
        return self.entries

    def _entry(self, name: str, options: object) -> None:
        path: PathKey = ("plugins", name)
        if not isinstance(options, dict):
            self.entries.broken.add(name)  # reported by the validation of the whole file
            return
        use = options.get("use")
        try:
            plugin = self._source.find(use if isinstance(use, str) else name)
        except PluginError as error:
            at = (*path, "use") if isinstance(use, str) else path
            self._unknown(name, at, use if isinstance(use, str) else name, error)
            return
        try:
            validated = validate(plugin.Config, options, self._positions, self._resolved, path)
        except Exception as error:  # noqa: BLE001 - a third party's validators; their messages may quote a secret
            self.entries.broken.add(name)
            self._add_problem(
                path,
                f"its options cannot be checked: {type(error).__name__} in {plugin.__qualname__}.Config",
                "report this to the plug-in's author: a validator must raise ValueError",
            )
            return
        self.entries.problems += validated.problems
        self.entries.classes[name] = plugin
        if validated.model is not None:
            self.entries.configs[name] = validated.model
            return
        self.entries.broken.add(name)
        rest = salvage(plugin.Config, options, self._resolved, path).model
        if rest is not None:
            self.entries.partial[name] = rest

    def problems(self, configs: Mapping[str, PluginConfig], networks: Catalog) -> Iterator[LocatedProblem]:
        """Runs the plug-ins' own checks on valid options, whose paths are absolute already."""
        for name, config in configs.items():
            path: PathKey = ("plugins", name)
            try:
                problems = (*_isolation_problems(self.entries.classes.get(name), config), *config.problems(networks))
            except Exception as error:  # noqa: BLE001 - a third party's check; its message may quote a secret
                yield self._positions.located(path, f"its options cannot be checked: {type(error).__name__} in "
                                              f"{type(config).__qualname__}.problems", "report this to the plug-in's "
                                              "author: problems() must return what is wrong")  # fmt: skip
                continue
            for problem in problems:
                at = (*path, *problem.path)
                if at not in self._resolved.failed:
                    yield self._positions.located(at, problem.message, problem.hint)

    def files(self, configs: Mapping[str, PluginConfig], networks: Catalog) -> dict[str, tuple[Version, ...]]:
        """Returns the versions of the files that each plug-in reads when it is opened; none if its options have
        problems, which are reported elsewhere."""
        found: dict[str, tuple[Version, ...]] = {}
        for name, config in configs.items():
            with contextlib.suppress(Exception):  # a third party's code, or a file that is not readable
                found[name] = tuple(version_of(path) for path in config.files(networks))
        return found

    def _chain(self, names: object, path: PathKey) -> None:
        """Requires that every name of a chain be an entry or an installed plug-in, which then gets default options."""
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return
        for index, name in enumerate(names):
            if name in names[:index]:
                self._add_problem((*path, index), f"{shown(name)} is in this chain twice", "name it once; for a second "
                           "instance add an entry under plugins: with `use`")  # fmt: skip
                return
            if name not in self.entries.configs and name not in self.entries.broken:
                self._defaults(name, (*path, index))
        if all(name in self.entries.classes for name in names):
            try:
                self._source.check_chain(names, self.entries.classes)
            except PluginError as error:
                self._add_problem(path, "; ".join(str(error).splitlines()))
            else:
                self._require_redaction_of_all(names)

    def _require_redaction_of_all(self, names: Sequence[str]) -> None:
        """Requires that plug-ins look at all of each frame if another one redacts what they find."""
        for place, name in enumerate(names):
            if not self._redacts(name):
                continue
            for source, may_skip in self._sources(name, names[:place]):
                for option in self._overlooks(source, may_skip=may_skip):
                    path: PathKey = ("plugins", source, option)
                    message = f"cannot be combined with {name}, which redacts what {source} finds: anyone who was not "
                    hint = f"remove {option}, or give the chain with {name} a plug-in of its own that looks at all of "
                    if all(problem.path != path for problem in self.entries.problems):
                        use = "each frame (another entry under plugins: with `use`)"
                        self._add_problem(path, f"{message}looked for would be shown", hint + use)

    def _overlooks(self, name: str, *, may_skip: bool) -> Sequence[str]:
        """Returns the options because of which a plug-in does not look at all of each frame; unless it `may_skip`
        frames, also those by which it does."""
        config = self.entries.configs.get(name)
        if config is None:
            return ()
        try:
            found = list(config.overlooks())
        except Exception as error:  # noqa: BLE001 - a third party's code; its message may quote a secret
            self._add_problem(("plugins", name), f"its options cannot be checked: {type(error).__name__} in "
                              f"{type(config).__qualname__}.overlooks", "report this to the plug-in's author: "
                              "overlooks() must return names of options")  # fmt: skip
            return ()
        skips = {"every": config.every > 1, "max_fps": config.max_fps is not None}
        return found if may_skip else [*found, *(option for option, is_set in skips.items() if is_set)]

    def redacting(self, chain: Sequence[str]) -> list[str]:
        """Returns the plug-ins of a chain that redact frames."""
        return [name for name in chain if self._redacts(name)]

    def tracks(self, chain: Sequence[str]) -> bool:
        """Returns whether a plug-in of a chain tracks objects, as far as the plug-ins are known."""
        classes = self.entries.classes
        return any(name not in classes or Tracks in classes[name].produces for name in chain)

    def hiding(self, chain: Sequence[str]) -> frozenset[str]:
        """Returns the plug-ins of a chain that redact frames, and those whose results these take into account: if they
        find less, more is shown."""
        return frozenset(
            hiding
            for place, name in enumerate(chain)
            if self._redacts(name)
            for hiding in (name, *(source for source, _ in self._sources(name, chain[:place])))
        )

    def _redacts(self, name: str) -> bool:
        """Whether an instance redacts, which only an instance knows; creating one loads nothing."""
        if name not in self.entries.configs:
            return False
        try:
            return bool(self.entries.classes[name](self.entries.configs[name]).redacts)
        except Exception:  # noqa: BLE001 - a third party's class; opening it will report what is wrong
            return False

    def _sources(self, name: str, earlier: Sequence[str]) -> Iterator[tuple[str, bool]]:
        """Yields the plug-ins among `earlier` whose results a plug-in takes into account, directly or through others,
        and whether they may skip frames: the plug-in is not run then, because it requires those results, and all of
        the frame is redacted."""
        classes = self.entries.classes
        required, wanted = classes[name].requires, classes[name].requires | classes[name].uses
        for source in reversed(earlier):
            plugin = classes[source]
            if not wanted & plugin.produces:
                continue
            may_skip = bool(required & plugin.produces)
            yield source, may_skip
            wanted |= plugin.requires | plugin.uses
            required |= plugin.requires if may_skip else frozenset()

    def _defaults(self, name: str, path: PathKey) -> None:
        try:
            plugin = self._source.find(name)
        except PluginError as error:
            self._unknown(name, path, name, error)
            return
        validated = validate(plugin.Config, {}, Positions(), Resolved())
        if validated.model is None:
            self.entries.broken.add(name)
            needed = ", ".join(dotted(problem.path) for problem in validated.problems)
            self._add_problem(path, f"{name} has required options", f"add plugins: {name}: with {needed}")
        else:
            self.entries.configs[name], self.entries.classes[name] = validated.model, plugin

    def _unknown(self, name: str, path: PathKey, word: str, error: PluginError) -> None:
        """Reports `name` once, however many chains contain it."""
        first = name not in self.entries.broken
        self.entries.broken.add(name)
        known = {*self._source.available, *self.entries.configs}
        if word in self._source.available:  # it is installed but cannot be loaded: the error says why
            self._add_problem(path, str(error), first=first)
            return
        self._add_problem(path, f"no plug-in {shown(word)} is installed{did_you_mean(word, known)}",
                   f"known plug-ins: {', '.join(sorted(known))}" if known else "", first=first)  # fmt: skip

    def _add_problem(self, path: PathKey, message: str, hint: str = "", *, first: bool = True) -> None:
        if first and path not in self._resolved.failed:
            self.entries.problems.append(self._positions.located(path, message, hint))


def _isolation_problems(plugin: type[AnyPlugin] | None, config: PluginConfig) -> Iterator[ConfigProblem]:
    if not config.isolate:
        if config.max_memory is not None:
            message = "applies only to a plug-in in its own process, and this one is not isolated"
            yield ConfigProblem(("max_memory",), message, "add isolate: true, or remove max_memory")
        return
    if config.max_memory == 0:
        yield ConfigProblem(
            ("max_memory",), "is zero: no process can run without memory", "write a size, for example 2GiB"
        )
    try:
        pickle.dumps((plugin, config))
    except Exception as error:  # noqa: BLE001 - a third party's class may raise anything, and quote a secret
        message = f"its class or options cannot be sent to another process ({type(error).__name__} when pickled)"
        yield ConfigProblem(("isolate",), message, "remove isolate, or report this to the plug-in's author")


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def installed_plugins() -> PluginSource:
    """Finds plug-ins by entry point; imports only those that a configuration names.

    Raises ConfigError if two packages have plug-ins of the same name.
    """
    try:
        entries = registry.available()
    except PluginError as error:
        raise ConfigError([LocatedProblem(("plugins",), str(error))]) from None
    return PluginSource(functools.cache(partial(registry.load, entries=entries)), check_chain, tuple(entries))


def plugin_configs(*, others: bool) -> dict[str, type[PluginConfig]]:
    """Returns the options of the built-in plug-ins and, with `others`, of those of other packages, by name."""
    return {
        name: registry.load(name).Config
        for name, entry in registry.available().items()
        if others or registry.is_built_in(entry)
    }
