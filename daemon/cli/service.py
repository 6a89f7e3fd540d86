"""`sightd service`: installs, removes and checks the systemd service."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.output import exit_code_of

_EXAMPLES = """examples:
  sudo sightd service install -c /etc/sightd/sightd.yaml
  sudo sightd service install -c /etc/sightd/sightd.yaml --credential camera=/etc/sightd/camera-password
  sightd service install -c /etc/sightd/sightd.yaml --print       print the unit instead of installing it
  sightd service status
  sudo systemctl reload sightd                                     reload the configuration
  sudo sightd service uninstall                                    keeps the state in /var/lib/sightd

The service runs as its own user, starts at boot and is restarted after a failure. A credential is a file that only root
needs to read; the configuration refers to it as ${file:/run/credentials/sightd.service/NAME}.

The exit code is 0 on success (status: if it is active), 1 if an action was refused, 2 if the configuration is invalid,
3 if it is not active.
"""


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "service",
        help="install, check or remove the systemd service",
        description="Manages the systemd service of sightd.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    install = actions.add_parser("install", help="install the unit, start it now and at every boot")
    install.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="configuration file")
    install.add_argument(
        "--credential", action="append", default=[], type=_credential, metavar="NAME=FILE", help="a secret"
    )
    install.add_argument("--print", action="store_true", dest="printed", help="print the unit and change nothing")
    install.set_defaults(do=_install)
    actions.add_parser("uninstall", help="stop the service and remove the unit").set_defaults(do=_uninstall)
    actions.add_parser("status", help="show its state").set_defaults(do=_status)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the action."""
    from sightd.daemon.app.unit import InstallationError, SystemdError
    from sightd.daemon.config.problems import ConfigError

    codes = {ConfigError: 2, InstallationError: 1, SystemdError: 1}
    try:
        return exit_code_of(lambda: args.do(args), codes)
    except OSError as error:
        print(f"sightd: {error.filename}: {error.strerror} (try sudo)", file=sys.stderr)
        return 1


def _credential(text: str) -> tuple[str, Path]:
    name, _, file = text.partition("=")
    if not file or not name.replace("-", "").replace("_", "").isalnum():
        raise argparse.ArgumentTypeError("NAME=FILE; the name consists of letters, digits and hyphens")
    return name, Path(file).absolute()


def _install(args: argparse.Namespace) -> int:
    from sightd.daemon.app.unit import InstallationError, install, missing_groups, unit_text
    from sightd.daemon.config.problems import ConfigError

    config, credentials = args.config.absolute(), dict(args.credential)
    if args.printed:
        print(unit_text(config, credentials), end="")
        return 0
    unit_text(config, credentials)  # reports invalid paths first
    try:
        control = _has_control_socket(config, credentials)
    except ConfigError as error:
        raise InstallationError(f"the configuration is invalid; nothing was installed:\n{error}") from error
    path = install(unit_text(config, credentials, control=control))
    print(f"{path}: installed and started; check it with `sightd service status`")
    if missing := missing_groups():
        print(
            f"this machine has no group {' and no group '.join(missing)}: install the service again after "
            "installing a driver that creates it",
            file=sys.stderr,
        )
    return 0


def _has_control_socket(config: Path, credentials: Mapping[str, Path]) -> bool:
    """Whether this configuration enables the control socket. Raises ConfigError if the service would not start with
    it."""
    import os

    from sightd.daemon.app.unit import CREDENTIALS
    from sightd.daemon.config.load import load
    from sightd.daemon.config.plugin_entries import installed_plugins

    files = {CREDENTIALS / name: path for name, path in credentials.items()}
    return load(config, environ=os.environ, plugins=installed_plugins(), files=files).config.control.enabled


def _uninstall(args: argparse.Namespace) -> int:
    from sightd.daemon.app.unit import uninstall

    print("removed; the state is kept in /var/lib/sightd" if uninstall() else "not installed")
    return 0


def _status(args: argparse.Namespace) -> int:
    from sightd.daemon.app.unit import properties

    found = properties("LoadState", "ActiveState", "SubState", "StatusText", "NRestarts", "MainPID", "ExecMainStatus")
    if found.get("LoadState") == "not-found":
        print("not installed: sudo sightd service install -c FILE")
        return 3
    active = found.get("ActiveState", "unknown")
    print(f"{active} ({found.get('SubState', '')}), restarted {found.get('NRestarts', '0')} times")
    if found.get("StatusText"):
        print(found["StatusText"])
    if active != "active":
        print(f"the last exit code was {found.get('ExecMainStatus', '?')}; see journalctl -u sightd")
        return 3
    return 0
