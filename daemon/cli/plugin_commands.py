"""Commands that installed packages add to `sightd`. A package is imported only to run or list its commands."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from sightd.daemon.cli.arguments import SubParsers
from sightd.engines.text import printable
from sightd.plugins.api import COMMAND_ENTRY_POINT_GROUP, Command


class CommandError(Exception):
    """A command of a package cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class InstalledCommands:
    """Commands by name. `clashes` has a message for each name that cannot be used, and `unused` one for each command of
    a package that is hidden by one of sightd's own."""

    entries: Mapping[str, EntryPoint]
    clashes: Mapping[str, str]
    unused: tuple[str, ...]

    def __contains__(self, name: str) -> bool:
        return name in self.entries or name in self.clashes

    def load(self, name: str) -> Command:
        """Imports a command. Raises CommandError."""
        if name in self.clashes:
            raise CommandError(self.clashes[name])
        entry = self.entries[name]
        whose = f'command "{name}" ({entry.value} of {_package(entry)})'
        try:
            loaded: object = entry.load()
        except Exception as error:
            raise CommandError(f"{whose} cannot be loaded: {type(error).__name__}: {error}") from error
        if not isinstance(loaded, Command):
            raise CommandError(f"{whose} is not a sightd.plugins.api.Command")
        return loaded

    def summaries(self) -> Iterator[tuple[str, str]]:
        """Yields each command's name and summary, or why it cannot be used, by name. Imports them all."""
        for name in sorted({*self.entries, *self.clashes}):
            try:
                yield name, printable(self.load(name).summary)
            except CommandError as error:
                yield name, f"not available: {printable(str(error))}"


def installed_commands(taken: Collection[str]) -> InstalledCommands:
    """Finds the commands of all packages. The names `taken` are those of sightd's own, which win."""
    entries: dict[str, EntryPoint] = {}
    clashes: dict[str, str] = {}
    unused: list[str] = []
    for entry in sorted(entry_points(group=COMMAND_ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        if entry.name in taken:
            unused.append(f'command "{entry.name}" of {_package(entry)} is not used: sightd has a command of that name')
            continue
        other = entries.setdefault(entry.name, entry)
        if other.value != entry.value:
            clashes[entry.name] = (
                f'two packages have a command "{entry.name}": {_package(other)} and {_package(entry)}; '
                "uninstall one of them"
            )
    kept = {name: entry for name, entry in entries.items() if name not in clashes}
    return InstalledCommands(kept, clashes, tuple(map(printable, unused)))


def add_command(commands: SubParsers, name: str, command: Command) -> None:
    """Declares a command and its arguments. Raises CommandError if it cannot do so."""
    parser = commands.add_parser(name, help=command.summary, formatter_class=argparse.RawDescriptionHelpFormatter)

    def run(args: argparse.Namespace) -> int:
        from sightd.daemon.cli.command_context import run_command  # expensive, and not needed for help

        return run_command(command, args)

    try:
        command.add(parser)
    except Exception as error:
        raise CommandError(f'command "{name}" cannot declare its arguments: {type(error).__name__}: {error}') from error
    parser.set_defaults(run=run)


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
