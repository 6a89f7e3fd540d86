"""Commands of plug-ins: what a package adds to the `sightd` command line.

A command is registered under the entry-point group `sightd.commands`: its name, and the `Command` that it is. Keep the
module light, and import what a run needs in `run`: `sightd --help` imports it for its summary.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sightd.engines.model import Model
    from sightd.engines.progress import Progress
    from sightd.engines.sessions.engine import Engine
    from sightd.plugins.api.plugin import PluginConfig
    from sightd.plugins.api.service import Mode

COMMAND_ENTRY_POINT_GROUP = "sightd.commands"

WHICH_DAEMON = """\
Which daemon: with -c FILE the one that runs this configuration; otherwise the installed service or, if none is
installed, the only daemon that you run yourself. --url reaches one elsewhere, with a token of its access.tokens in
--token-file.
"""
"""Describes `add_daemon_options`, for the end of a command's help."""


def add_daemon_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that select a daemon: -c, --socket, --url, --token-file and --ca-file. `CommandContext` reads
    them."""
    group = parser.add_argument_group("which daemon")
    group.add_argument("-c", "--config", type=Path, metavar="FILE", help="the daemon that runs this configuration")
    group.add_argument("--socket", type=Path, metavar="PATH", help="the daemon with this control socket")
    group.add_argument("--url", metavar="URL", help="a daemon's web server: https://HOST:PORT or http://HOST:PORT")
    group.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token for --url")
    group.add_argument("--ca-file", type=Path, metavar="FILE", help="PEM file with CA certificates to verify --url")


class ApiAnswer(Protocol):
    """An answer of the API that is a success."""

    @property
    def status(self) -> int: ...

    @property
    def media_type(self) -> str:
        """The Content-Type, without parameters."""
        ...

    @property
    def data(self) -> bytes: ...


class ApiClient(Protocol):
    """Requests to the API: of a daemon, or of a service that this process has opened. Any thread.

    Values of `query` may be lists. `body` is sent as JSON, bytes as they are. `timeout` is in seconds. Both methods
    raise ApiError for answers that are not a success, and other exceptions if the daemon cannot be asked.
    """

    def json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] = ...,
        body: object = None,
        timeout: float = ...,
    ) -> Any:
        """Returns the parsed answer; None if it is empty."""
        ...

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] = ...,
        body: object = None,
        timeout: float = ...,
        most: int = ...,
    ) -> ApiAnswer:
        """Returns the whole answer, of at most `most` bytes."""
        ...


class CommandContext(Protocol):
    """What sightd passes to a command's `run`, together with its arguments."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment; if the command is about the installed service, with the settings of its unit."""
        ...

    @property
    def progress(self) -> Progress:
        """Shows progress on standard error."""
        ...

    def api(
        self,
        kind: str,
        mode: Mode,
        *,
        plugin: str | None = None,
        choose: Callable[[Mapping[str, Any]], PluginConfig] | None = None,
    ) -> AbstractContextManager[ApiClient]:
        """Enters the API of the selected daemon; if none runs, that of the service of a plug-in in the configuration,
        opened on its files in this process, and says so on standard error.

        `kind` is the plug-in's name in `sightd.plugins`, `plugin` the name of one of its instances. `choose` returns
        the instance to open, given those of `configs`; by default it is the one named, or the only one.
        """
        ...

    def configs(self, kind: str, *, configured: bool = True) -> Mapping[str, Any]:
        """Returns the options of the plug-in's instances by name: those in the selected configuration, or one with
        default options if no configuration is selected, or if `configured` is false."""
        ...

    def files(self, kind: str, config: PluginConfig, mode: Mode) -> AbstractContextManager[ApiClient]:
        """Enters the API of the plug-in's service with these options, opened on its files in this process."""
        ...

    def load_engine(self, choice: Sequence[str | Model], config: PluginConfig) -> Engine:
        """Loads the first available model of `choice`, with one thread and the plug-in's backend options; the caller
        closes the engine. Raises EngineError."""
        ...

    def print(self, text: str) -> None:
        """Prints a line, with unprintable characters escaped."""
        ...

    def print_json(self, value: object) -> None: ...

    def print_table(self, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Prints rows in aligned columns, with unprintable characters escaped."""
        ...


@dataclass(frozen=True, slots=True)
class Command:
    """A command of `sightd`, described in a few words by `summary`.

    `add` declares the arguments on a parser, whose `description` and `epilog` (shown as it is) it may set. `run`
    returns the exit code. These exceptions of `run` are printed and end with a code: UsageError and errors in the
    configuration with 2; PluginError and ApiError with 1; EngineError, an ApiError with status 503, and a daemon that
    was named and does not answer with 3.
    """

    summary: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, CommandContext], int]
