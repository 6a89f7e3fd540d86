"""`sightd rules`: lists the rules for events, and tries them on a film."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.output import complain, exit_code_of, print_table
from sightd.daemon.common.progress import ProgressBar
from sightd.daemon.config.diff import chain_of
from sightd.daemon.config.load import LoadedConfig, load
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.config.rules import EventRule
from sightd.daemon.control.discovery import local_setup
from sightd.daemon.events.event import describe
from sightd.daemon.events.rules import EventRules, kinds_by_rule
from sightd.engines.errors import EngineError
from sightd.engines.text import did_you_mean, json_text
from sightd.plugins.api import PluginError, UsageError
from sightd.plugins.configuration import registry

if TYPE_CHECKING:
    from sightd.daemon.config.model import Deinterlace
    from sightd.daemon.tools.analyze.rule_trial import DecidedEvent, TrialTally
    from sightd.daemon.tools.media import MediaError, MediaSequence

_EPILOG = """\
examples:
  sightd rules list -c sightd.yaml
  sightd rules test street.mp4 -c sightd.yaml --camera gate
  sightd rules test street.mp4 -c sightd.yaml --camera gate --begins 2026-03-02T18:30 --json

Without -c, the configuration is that of the installed service. `test` sends nothing and stores nothing.
"""
_TEST_EPILOG = """\
The film goes through the chain of a camera, and every frame is analysed. For each event the command prints whether it
would be stored, which rules select it, and which conditions keep the other rules from it: the names of their options,
or "beginning" for an update or end whose beginning the schedule or a cool-down held back. Cool-downs use the film's
time. Without --begins, schedules (`active`) are always met.

exit codes: 0 a rule selected an event, 1 none did, or the film cannot be read completely, 2 wrong usage or an invalid
configuration, 3 a required component is missing
"""
_CONDITIONS = ("cameras", "zones", "lines", "classes", "persons", "min_score", "at_least", "active", "timezone")


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "rules",
        help="list the rules for events, and try them on a film",
        description="Shows what the rules for events (events.rules) select.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the rules", description="Lists the rules of a configuration.")
    test = actions.add_parser(
        "test",
        help="try the rules on a film",
        description="Runs a film through the chain of a camera, and shows what the rules would do with its events.",
        epilog=_TEST_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    test.add_argument("film", type=Path, metavar="FILM", help="a video file")
    test.add_argument("--camera", metavar="NAME", help="the camera that it comes from, if there are several")
    test.add_argument(
        "--begins",
        type=_time,
        metavar="TIME",
        help="when the film begins, such as 2026-03-02T18:30: in local time, or with an offset such as +01:00",
    )
    test.add_argument("--deinterlace", choices=["auto", "on", "off"], default="auto", help="as for sightd analyze")
    for action, run in ((listing, _list), (test, _test)):
        action.add_argument("-c", "--config", type=Path, metavar="FILE", help="configuration file")
        action.add_argument("--json", action="store_true", help="print JSON, one object per line")
        action.set_defaults(run=lambda args, run=run: exit_code_of(lambda: run(args), _CODES))


_CODES: Mapping[type[Exception], int] = {ConfigError: 2, UsageError: 2, PluginError: 3, EngineError: 3}


def _time(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a date and time such as 2026-03-02T18:30") from None


def _loaded(config: Path | None) -> LoadedConfig:
    """Loads a configuration, of the installed service by default, and prints its warnings."""
    path, environ = local_setup(config)
    if path is None:
        raise UsageError("no service is installed; name a configuration: -c FILE")
    loaded = load(path, environ=environ, plugins=installed_plugins())
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if not loaded.config.events.rules:
        raise UsageError(f"{path} has no rules: add events: {{rules: …}} (docs/rules.md)")
    return loaded


def _list(args: argparse.Namespace) -> None:
    rules = _loaded(args.config).config.events.rules
    if args.json:
        for name, rule in rules.items():
            print(json_text({"name": name, **rule.model_dump(mode="json", exclude_defaults=True)}))
    else:
        rows = [(name, " ".join(rule.kinds), _cooldown(rule), _conditions(rule)) for name, rule in rules.items()]
        print_table(("RULE", "KINDS", "COOL-DOWN", "CONDITIONS"), rows)


def _cooldown(rule: EventRule) -> str:
    return "-" if rule.cooldown is None else f"{rule.cooldown:g} s per {rule.per}"


def _conditions(rule: EventRule) -> str:
    values = {name: getattr(rule, name) for name in _CONDITIONS if getattr(rule, name) not in (None, {})}
    return ", ".join(f"{name} {_shown(value)}" for name, value in values.items()) or "-"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {number:g}" for name, number in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _test(args: argparse.Namespace) -> int:
    from sightd.daemon.app.logs import configure
    from sightd.daemon.tools.analyze.rule_trial import TrialTally, film_of
    from sightd.daemon.tools.media import MediaError

    loaded = _loaded(args.config)
    configure(loaded.config.log.model_copy(update={"level": "warning"}), sys.stderr, os.environ)
    tally, complete = TrialTally.of(loaded.config.events.rules), True
    events: list[DecidedEvent] = []
    try:
        film = film_of(args.film, _camera(args.camera, loaded), args.begins)
    except MediaError as error:
        complain(error)
        return 1
    for one in _decided(film, loaded, args.deinterlace):
        if isinstance(one, MediaError):
            complain(one)
            complete = False
            continue
        tally.add(one.decision)
        if args.json:
            print(json_text(one.for_json()))
        else:
            events.append(one)
    if args.json:
        print(json_text(tally.for_json()))
    else:
        _print(events, tally)
    return 0 if tally.selected and complete else 1


def _camera(name: str | None, loaded: LoadedConfig) -> str:
    """Returns the camera that the film comes from."""
    cameras = loaded.config.cameras
    if name is None and len(cameras) > 1:
        raise UsageError(f"{loaded.path} has several cameras: choose with --camera {' | '.join(cameras)}")
    name = name or next(iter(cameras))
    if name not in cameras:
        raise UsageError(f"{loaded.path} has no camera {name}{did_you_mean(name, cameras)}")
    if not chain_of(loaded.config, cameras[name]):
        raise UsageError(f"the chain of camera {name} is empty, so it has no events")
    return name


def _decided(
    film: MediaSequence, loaded: LoadedConfig, deinterlace: Deinterlace
) -> Iterator[DecidedEvent | MediaError]:
    """Yields the events of a film of the camera whose name it has. Raises PluginError or EngineError."""
    from sightd.daemon.pipeline.model_loading import engine_loading
    from sightd.daemon.tools.analyze.job import OfflineChain
    from sightd.daemon.tools.analyze.rule_trial import decided

    config, rules = loaded.config, EventRules()
    chosen = {name: loaded.plugin_configs[name] for name in chain_of(config, config.cameras[film.name])}
    links = [(name, registry.load(options.use or name), options) for name, options in chosen.items()]
    rules.apply(config.events.rules, kinds_by_rule(plugin for _, plugin, _ in links))
    loading, analysing = ProgressBar(), ProgressBar(unit="frames")
    cores = len(os.sched_getaffinity(0))
    with OfflineChain(engine_loading(config.models, config.engines, loading), cores) as chain:
        with loading:
            chain.open(links)
        with analysing:
            yield from decided(film, chain, rules, deinterlace, analysing)


def _print(events: Sequence[DecidedEvent], tally: TrialTally) -> None:
    """Prints the events as a table, and the numbers of each rule."""
    if events:
        print_table(("TIME", "STORED", "SELECTED BY", "HELD BACK BY", "EVENT"), map(_row, events))
        print()
    rows = [
        (name, str(rule.selected), ", ".join(f"{reason} {count}" for reason, count in rule.held_back.items()) or "-")
        for name, rule in tally.rules.items()
    ]
    print_table(("RULE", "SELECTED", "HELD BACK BY"), rows)
    print(f"\n{tally.events} events, {tally.stored} stored")


def _row(one: DecidedEvent) -> tuple[str, ...]:
    decision = one.decision
    held_back = "; ".join(f"{rule}: {', '.join(unmet)}" for rule, unmet in decision.held_back.items())
    event = describe(replace(one.event, camera=None))
    stored = "yes" if decision.stored else "no"
    return _clock(one.at), stored, " ".join(decision.selected_by) or "-", held_back or "-", event


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}:{rest:04.1f}"
