"""`sightd plugins`: lists the installed plug-ins, shows their options, and checks them against the plug-in contract."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import yaml

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.output import exit_code_of
from sightd.daemon.cli.plugin_commands import installed_commands
from sightd.daemon.common.progress import ProgressBar
from sightd.engines.errors import EngineError
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_models import with_custom_models
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.store import ModelStore, default_directory
from sightd.engines.progress import Progress
from sightd.engines.sessions.loader import EngineLoader, LoadOptions
from sightd.engines.text import json_text
from sightd.plugins.api import AnyPlugin, MetricSpec, PluginError
from sightd.plugins.configuration.declarations import Declarations
from sightd.plugins.configuration.registry import available, load, package_of
from sightd.plugins.configuration.routes import first_part
from sightd.plugins.testing import check_plugin

_EXAMPLES = """\
examples:
  sightd plugins list
  sightd plugins options tracker
  sightd plugins check tracker --set max_lost=2s
"""


def add(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "plugins",
        help="list the installed plug-ins, show their options, check them",
        description="Lists installed plug-ins, shows their options, or checks one against the plug-in contract.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list installed plug-ins and what they do")
    listing.add_argument("--json", action="store_true", help="print JSON, with each route and metric")
    options = actions.add_parser("options", help="show the options of a plug-in")
    options.add_argument("name", metavar="NAME", help="name of an installed plug-in")
    check = actions.add_parser("check", help="run the conformance kit against a plug-in")
    check.add_argument("name", metavar="NAME", help="name of an installed plug-in")
    check.add_argument(
        "--set",
        metavar="OPTION=VALUE",
        dest="settings",
        action="append",
        default=[],
        help="an option of the plug-in, as in the configuration file; can be repeated",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    return exit_code_of(lambda: _run(args), {PluginError: 2, EngineError: 1})


def _run(args: argparse.Namespace) -> int:
    if args.action == "list":
        return _list_json() if args.json else _list()
    if args.action == "options":
        return _options(load(args.name))
    return _check(load(args.name), _settings(args.settings))


def _list() -> int:
    broken = 0
    for name, entry in available().items():
        print(f"{name}  ({package_of(entry)})")
        try:
            plugin = load(name)
        except PluginError as error:
            broken += 1
            print(f"    BROKEN: {error}")
            continue
        print(f"    {_summary(plugin)}")
        used = f"; uses {_names(plugin.uses)}" if plugin.uses else ""
        print(f"    requires {_names(plugin.requires)}{used}; produces {_names(plugin.produces)}")
        for line in _offers(plugin):
            print(f"    {line}")
    return 1 if broken else 0


def _offers(plugin: type[AnyPlugin]) -> Iterator[str]:
    declared = Declarations.of(plugin)
    if declared.counters:
        yield f"metrics: {', '.join(map(_metric, declared.counters.values()))}"
    if declared.kinds:
        yield f"events: {', '.join(sorted(declared.kinds))}"
    if plugin.routes:
        paths = sorted({f"/api/v1/{first_part(route.path)}" for route in plugin.routes})
        yield f"routes: {len(plugin.routes)} at {', '.join(paths)}"
    if commands := _commands(plugin):
        yield f"commands: {', '.join(f'sightd {name}' for name in commands)}"


def _list_json() -> int:
    found = [_form(name, entry) for name, entry in available().items()]
    print(json_text(found))
    return 1 if any("error" in one for one in found) else 0


def _form(name: str, entry: EntryPoint) -> dict[str, object]:
    form: dict[str, object] = {"name": name, "package": package_of(entry)}
    try:
        plugin = load(name)
    except PluginError as error:
        return {**form, "error": str(error)}
    declared = Declarations.of(plugin)
    return {
        **form,
        "description": _summary(plugin),
        "requires": sorted(kind.__name__ for kind in plugin.requires),
        "uses": sorted(kind.__name__ for kind in plugin.uses),
        "produces": sorted(kind.__name__ for kind in plugin.produces),
        "metrics": [_metric(spec) for spec in declared.metrics],
        "events": sorted(declared.kinds),
        "routes": [
            {"method": route.method, "path": f"/api/v1{route.path}", "role": route.role, "summary": route.summary}
            for route in plugin.routes
        ],
        "commands": _commands(plugin),
    }


def _metric(spec: MetricSpec) -> str:
    labels = ["camera", *([] if spec.label is None else [spec.label])]
    return f"{spec.metric}{{{','.join(labels)}}}"


def _commands(plugin: type[AnyPlugin]) -> list[str]:
    """Returns the commands whose module is in the plug-in's package."""
    package = plugin.__module__.rpartition(".")[0] or plugin.__module__
    return [
        name for name, entry in installed_commands(()).entries.items() if f"{entry.module}.".startswith(f"{package}.")
    ]


def _summary(plugin: type[AnyPlugin]) -> str:
    return (plugin.__doc__ or "no description").strip().splitlines()[0].replace("`", "")


def _names(kinds: frozenset[type]) -> str:
    return ", ".join(sorted(kind.__name__ for kind in kinds)) or "nothing"


def _options(plugin: type[AnyPlugin]) -> int:
    schema = plugin.Config.model_json_schema()
    for name, field in schema["properties"].items():
        kind = _kind(field)
        print(f"{name}: {kind}{_default(plugin, name, kind)}")
        print(f"    {field.get('description', '')}")
    return 0


def _kind(field: dict[str, Any]) -> str:
    """Describes an option's type and limits briefly, from its JSON schema."""
    if "const" in field:
        return str(field["const"])
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "anyOf" in field:
        if "pattern" in field["anyOf"][0]:
            return f"text such as {' or '.join(field.get('examples', ['0']))}"
        return " or ".join(_kind(one) for one in field["anyOf"] if one.get("type") != "null")
    return " ".join([str(field.get("type", "value")), *_limits(field)])


def _limits(field: dict[str, Any]) -> Iterator[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    for key, sign in signs.items():
        if key in field:
            yield f"{sign} {field[key]:g}"


def _default(plugin: type[AnyPlugin], name: str, kind: str) -> str:
    field = plugin.Config.model_fields[name]
    if field.is_required():
        return ", required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return ""
    seconds = isinstance(value, float) and "text" in kind
    return f", default {value:g}s" if seconds else f", default {value}"


def _settings(settings: list[str]) -> dict[str, Any]:
    """Parses `name=value` options; each value is YAML, as in the configuration file."""
    options: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not (name and equals):
            raise PluginError(f'--set {setting}: write it as OPTION=VALUE, such as "min_score=0.3"')
        try:
            options[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise PluginError(f"--set {name}: the value is not valid YAML: {error}") from error
    return options


def _check(plugin: type[AnyPlugin], options: dict[str, Any]) -> int:
    with ProgressBar() as progress:
        report = check_plugin(plugin, options, engine=_engines(progress).load)
    print(report)
    return 0 if report.ok else 1


def _engines(progress: Progress) -> EngineLoader:
    """Loads models as the daemon does: stored ones first, otherwise downloaded."""
    store = ModelStore(default_directory(os.environ))
    options = LoadOptions(default_mirror(os.environ), threads=os.cpu_count() or 1, progress=progress)
    return EngineLoader(with_custom_models(Catalog.load(), store.directory), store, options)
