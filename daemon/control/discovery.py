"""Finds the daemon that a command refers to: by options that name it, or by the installed systemd service."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from sightd.daemon.config.yaml import MAX_BYTES, YamlSyntaxError, parse
from sightd.daemon.control.api import DaemonClient
from sightd.daemon.control.client import (
    CONNECT,
    ControlError,
    DeniedError,
    NoDaemonError,
    SocketEndpoint,
    denied,
    url_endpoint,
)
from sightd.daemon.serve.control_address import (
    SERVICE_SOCKET,
    UnsafeDirectoryError,
    check_private,
    connected,
    default_socket,
    service_runtime,
    user_runtime,
    user_sockets,
)
from sightd.plugins.api import UsageError

UNIT_FOLDER = Path("/etc/systemd/system")
STATE = Path("/var/lib/sightd")
"""StateDirectory=sightd; with DynamicUser= it is a link into /var/lib/private."""
_UNIT = "sightd.service"


@dataclass(frozen=True, slots=True)
class InstalledService:
    """The installed service. `environ` holds the unit's Environment= settings."""

    config: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def runs(self, config: Path) -> bool:
        """Returns whether the service runs this configuration file."""
        return os.path.realpath(config) == os.path.realpath(self.config)

    def environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """Returns a command's environment (`own`) with the unit's settings, and the service's state directory instead
        of the user's."""
        kept = {name: value for name, value in own.items() if name != "SIGHTD_STATE_DIR"}
        return {**kept, "STATE_DIRECTORY": str(STATE), **self.environ}


def installed_service(folder: Path | None = None) -> InstalledService | None:
    """Reads the unit and its drop-ins. Returns None if the service is not installed, or if its unit runs something
    else."""
    command: list[str] = []
    environ: dict[str, str] = {}
    for key, value in _settings(UNIT_FOLDER if folder is None else folder):
        if key == "ExecStart":
            command = _words(value)
        elif key == "Environment":
            environ |= dict(word.split("=", 1) for word in _words(value) if "=" in word) if value else {}
    config = _config_of(command)
    return None if config is None else InstalledService(config, environ)


def service_of(config: Path | None) -> InstalledService | None:
    """Returns the installed service if a command that names `config` (None: no file) is about it."""
    service = installed_service()
    return service if service is not None and (config is None or service.runs(config)) else None


def local_setup(config: Path | None) -> tuple[Path | None, Mapping[str, str]]:
    """Returns the configuration file and the environment of a command that works without a daemon: those of the
    installed service if the command is about it, else `config` and the environment of this process."""
    service = service_of(config)
    if service is None:
        return config, os.environ
    return config or service.config, service.environment(os.environ)


def _settings(folder: Path) -> Iterator[tuple[str, str]]:
    for file in (folder / _UNIT, *sorted((folder / f"{_UNIT}.d").glob("*.conf"))):
        try:
            text = file.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            continue
        for line in text.replace("\\\n", " ").splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.lstrip().startswith(("#", ";")):
                yield key.strip(), value.strip()


def _words(value: str) -> list[str]:
    """Splits a command line of a unit into words, quoted and escaped as in systemd.service(5); none if it is
    malformed."""
    try:
        words = shlex.split(value)
    except ValueError:
        return []
    return [word.replace("%%", "%").replace("$$", "$") for word in words]


def _config_of(command: list[str]) -> Path | None:
    for number, word in enumerate(command):
        if word in ("-c", "--config") and number + 1 < len(command):
            return Path(command[number + 1])
        if word.startswith("--config="):
            return Path(word.partition("=")[2])
    return None


log = logging.getLogger(__name__)

_LONGEST_TOKEN = 4096
"""Maximum bytes of a token file."""


@dataclass(frozen=True, slots=True)
class DaemonSelection:
    """The selected daemon, as given on the command line."""

    config: Path | None = None
    socket: Path | None = None
    url: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None

    @staticmethod
    def of(args: argparse.Namespace) -> DaemonSelection:
        """Reads the options of `sightd.plugins.api.add_daemon_options`, if there are any. Raises UsageError for options
        that cannot be combined."""
        choice = DaemonSelection(*(getattr(args, one.name, None) for one in fields(DaemonSelection)))
        if choice.url is None and (choice.token_file or choice.ca_file):
            raise UsageError("--token-file and --ca-file require --url")
        if sum(one is not None for one in (choice.config, choice.socket, choice.url)) > 1:
            raise UsageError("use only one of -c, --socket and --url")
        return choice


def client_for(choice: DaemonSelection, environ: Mapping[str, str]) -> DaemonClient:
    """Like `find`, but raises NoDaemonError if no daemon runs."""
    client = find(choice, environ)
    if client is None:
        service = installed_service()
        places = list(_candidates(choice, service, environ))
        if _may_be_own(choice, service):
            places.append(user_runtime(environ) / "control-*.sock")
        of = "" if choice.config is None else f" with {choice.config}"
        raise NoDaemonError(f"no sightd daemon runs{of} (looked for {', '.join(map(str, places))})")
    return client


def find(choice: DaemonSelection, environ: Mapping[str, str]) -> DaemonClient | None:
    """Returns a client for the selected daemon; None if none runs, so that a command may work on its files.

    Raises DeniedError if one runs that this user may not reach, NoDaemonError if the one named by --socket does not
    run, ControlError if several run and none is named.
    """
    if choice.url is not None:
        endpoint = url_endpoint(choice.url, _token(choice.token_file), choice.ca_file)
        if endpoint.scheme == "http" and choice.token_file is not None:
            _warn_of_plain_text(endpoint.host)
        return DaemonClient(endpoint)
    if choice.socket is not None:
        if not _listens(choice.socket):
            raise NoDaemonError(f"no sightd daemon listens at {choice.socket}")
        return DaemonClient(SocketEndpoint(choice.socket))
    refused: list[Path] = []
    service = installed_service()
    for path in _candidates(choice, service, environ):
        try:
            if _listens(path):
                return DaemonClient(SocketEndpoint(path))
        except DeniedError:
            refused.append(path)
    own = [path for path in user_sockets(environ) if _listens(path)] if _may_be_own(choice, service) else []
    if len(own) > 1:
        raise ControlError(
            f"{len(own)} of your daemons are running: choose one with -c FILE, or with --socket: "
            f"{', '.join(map(str, own))}"
        )
    if own:
        return DaemonClient(SocketEndpoint(own[0]))
    if refused:
        raise DeniedError(denied(refused[0]))
    return None


def _may_be_own(choice: DaemonSelection, service: InstalledService | None) -> bool:
    """Returns whether any daemon of the user may be meant."""
    return choice.config is None and service is None


def _candidates(
    choice: DaemonSelection, service: InstalledService | None, environ: Mapping[str, str]
) -> Iterator[Path]:
    """Yields the sockets at which the daemon may listen, most likely first."""
    if choice.config is None:
        if folder := service_runtime(environ):  # a command run by the service's own unit
            yield folder / SERVICE_SOCKET.name
        yield (_configured(service.config) if service else None) or SERVICE_SOCKET
        return
    if configured := _configured(choice.config):
        yield configured
        return
    if service is not None and service.runs(choice.config):
        yield SERVICE_SOCKET
    own = default_socket(choice.config, environ)
    if service_runtime(environ) is not None or _is_private(own.parent, os.geteuid()):
        yield own
    owner = _owner(choice.config)
    if os.geteuid() == 0 and owner:  # the owner's daemon, if any: the file is theirs, so they can be trusted with it
        theirs = default_socket(choice.config, {}, owner)
        if _is_private(theirs.parent, owner):
            yield theirs


def _warn_of_plain_text(host: str) -> None:
    from sightd.daemon.config.section import is_loopback  # expensive, and rarely needed

    if not is_loopback(host):
        log.warning("sightd: the token is sent unencrypted over the network to %s; use https", host)


def _owner(config: Path) -> int | None:
    try:
        return config.stat().st_uid
    except OSError:
        return None


def _is_private(folder: Path, uid: int) -> bool:
    """Returns whether nobody but this user or root could have put a socket there. True if the folder does not exist or
    cannot be examined."""
    try:
        check_private(folder, uid)
    except UnsafeDirectoryError:
        return False
    except OSError:
        return True
    return True


def _configured(config: Path) -> Path | None:
    """Returns `control.socket` of a configuration file; None if it is not set or the file cannot be read. Errors in the
    file are reported elsewhere."""
    try:
        if not config.is_file():
            return None
        with config.open("rb") as file:
            value = parse(file.read(MAX_BYTES).decode("utf-8-sig")).value
    except (OSError, UnicodeDecodeError, YamlSyntaxError):
        return None
    control = value.get("control") if isinstance(value, dict) else None
    path = control.get("socket") if isinstance(control, dict) else None
    return config.absolute().parent / path if isinstance(path, str) and path else None


def _listens(path: Path) -> bool:
    """Returns whether a daemon accepts connections at `path`. Raises DeniedError if this user may not connect."""
    try:
        connected(path, CONNECT).close()
    except PermissionError as error:
        raise DeniedError(denied(path)) from error
    except (TimeoutError, BlockingIOError):  # it runs, but is slow
        return True
    except OSError:
        return False
    return True


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        with file.open("rb") as stream:  # may be a pipe, as of a password manager; the limit stops an endless device
            token = stream.read(_LONGEST_TOKEN).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise UsageError(f"--token-file {file}: {reason}") from None
    if not token or not token.isascii() or not token.isprintable():
        raise UsageError(f"--token-file {file}: contains no token")
    return token
