"""The systemd service: its unit file, and how it is installed, removed and queried."""

from __future__ import annotations

import grp
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

UNIT = "sightd.service"


class SystemdError(Exception):
    """systemd is missing or refuses; the message says what to do."""


def systemd_version() -> int:
    """Version of the installed systemd. Raises SystemdError if there is none."""
    found = re.search(r"systemd (\d+)", _run("systemd-analyze", "--version"))
    if found is None:
        raise SystemdError("systemd-analyze does not report its version")
    return int(found[1])


def require_running() -> None:
    """Raises SystemdError unless systemd runs this machine."""
    if not Path("/run/systemd/system").is_dir():
        raise SystemdError(
            "this machine was not booted with systemd (a container?): print the unit with `sightd "
            "service install --print`, or start `sightd run` by other means"
        )


def systemctl(*arguments: str) -> str:
    """Runs systemctl and returns its output. Raises SystemdError if it fails."""
    return _run("systemctl", *arguments)


def properties(*names: str) -> dict[str, str]:
    """Properties of the service by name; they are empty if it is not installed."""
    text = systemctl("show", UNIT, *(f"--property={name}" for name in names))
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _run(program: str, *arguments: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise SystemdError(f"{program} was not found: this system does not use systemd")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise SystemdError(f"{program} {' '.join(arguments)}: {reason}")
    return done.stdout


GROUPS = ("video", "render")
"""Groups that own cameras and GPUs. Not every machine has both, and a unit that names a missing group cannot start."""
CREDENTIALS = Path("/run/credentials/sightd.service")
"""Where the service finds its credentials."""
LEAST = 247
"""Oldest supported systemd: the first with `LoadCredential`."""

_UNIT = """\
# Written by `sightd service install`. Change it with `systemctl edit sightd`.
[Unit]
Description=sightd, real-time video analysis
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=10min
StartLimitBurst=20

[Service]
Type=notify
NotifyAccess=main
ExecStart={executable} run -c {config}
{reload}
WatchdogSec=30s
# Downloading models and building engines take long: the daemon extends the timeout while it makes progress.
TimeoutStartSec=2min
TimeoutStopSec=20s
Restart=on-failure
RestartSec=2s
# Exit code 2: the configuration is invalid, so a restart would not help.
RestartPreventExitStatus=2
# Core dumps would contain images and passwords.
LimitCORE=0

DynamicUser=yes
StateDirectory=sightd
StateDirectoryMode=0700
CacheDirectory=sightd
# The control socket: for root, the service's own user, and the groups in control.groups.
RuntimeDirectory=sightd
{credentials}
# Cameras at /dev/videoN and GPUs. The service would not start with a group that does not exist.
{groups}
DevicePolicy=closed
DeviceAllow=char-video4linux rw
DeviceAllow=char-drm rw
DeviceAllow=char-nvidia rw
DeviceAllow=char-nvidia-frontend rw
DeviceAllow=char-nvidia-uvm rw
DeviceAllow=char-nvidia-caps rw

# Without MemoryDenyWriteExecute and PrivateDevices: CUDA and GStreamer generate code and need device files.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
UMask=0077

[Install]
WantedBy=multi-user.target
"""


class UnitPathError(ValueError):
    """A path cannot be written in a unit; the message says why."""


def unit(
    executable: Path,
    config: Path,
    credentials: Mapping[str, Path] | None = None,
    *,
    groups: Sequence[str] = GROUPS,
    control: bool = True,
) -> str:
    """Returns the unit's text; paths must be absolute. Raises UnitPathError if one cannot be written in a unit.

    `credentials` maps names to files with secrets; the configuration refers to them as
    `${file:/run/credentials/sightd.service/NAME}`. `groups` are those of `GROUPS` that exist. `control` says whether
    the daemon has its control socket, through which a reload fails visibly if the file is refused; `Type=notify-reload`
    could only send a signal.
    """
    program = _argument(executable, is_program=True)
    loads = [f"LoadCredential={name}:{_credential(path)}" for name, path in sorted((credentials or {}).items())]
    loads.insert(0, "# Secrets: ${file:/run/credentials/sightd.service/NAME} in the configuration.")
    return _UNIT.format(
        executable=program,
        config=_argument(config),
        reload=f"ExecReload={program} reload" if control else "ExecReload=kill -HUP $MAINPID",
        groups=f"SupplementaryGroups={' '.join(groups)}" if groups else f"# SupplementaryGroups={' '.join(GROUPS)}",
        credentials="\n".join(loads),
    )


def _argument(path: Path, *, is_program: bool = False) -> str:
    """Quotes the path as a command-line argument. systemd expands variables everywhere but in the program's own
    path."""
    if is_program and any(letter in str(path) for letter in "'\"\\"):
        raise UnitPathError(
            f"{path} contains quotes or backslashes, which systemd does not allow in program paths. Rename it"
        )
    text = _checked(path).replace("\\", "\\\\").replace("%", "%%").replace('"', '\\"')
    text = text if is_program else text.replace("$", "$$")
    return f'"{text}"' if any(letter in text for letter in " '\"\\;") else text


def _credential(path: Path) -> str:
    """Escapes the path for LoadCredential=, which takes the rest of the line literally but expands specifiers."""
    text = _checked(path)
    if text != text.rstrip() or text.endswith("\\"):
        raise UnitPathError(f"{path} ends in a space or a backslash, which is not possible in a unit. Rename it")
    return text.replace("%", "%%")


def _checked(path: Path) -> str:
    text = str(path.resolve() if ".." in path.parts else path)  # systemd rejects ".."
    if not text.isprintable():
        raise UnitPathError(
            f"{text!r} contains characters that are not possible in a unit: control characters or invalid "
            "UTF-8. Rename it"
        )
    return text


_SPLITS_CREDENTIALS = 255
"""First systemd version that fails on a credential path with a space ("Failed to deserialize"): it passes the path to
the process that starts the service as separate words."""
FOLDER = Path("/etc/systemd/system")


class InstallationError(Exception):
    """The service cannot be installed this way; the message says what to change."""


def missing_groups() -> list[str]:
    """Groups that own cameras and GPUs but do not exist on this machine."""
    return [name for name in GROUPS if not _is_group(name)]


def unit_text(
    config: Path, credentials: Mapping[str, Path], executable: Path | None = None, *, control: bool = True
) -> str:
    """Returns the unit for this installation. Raises InstallationError if the service could not run, SystemdError if
    systemd is too old or missing."""
    known = systemd_version()
    if known < LEAST:
        raise SystemdError(f"systemd {known} is too old: at least {LEAST} is required")
    program = executable or Path(sys.executable).parent / "sightd"
    for what, path in {"the program": program, "the configuration": config, **_named(credentials)}.items():
        if not path.is_absolute() or not path.exists():
            raise InstallationError(f"{what} {path} does not exist or is not an absolute path")
    for what, path in {"the program": program, "the configuration": config}.items():  # systemd reads the credentials
        if blocked := _blocked(path):
            raise InstallationError(
                f"{what} {path} cannot be reached by the service, which runs as a separate user without "
                f"access to {blocked}. Move it to a folder that other users can read, such as /opt/sightd or "
                "/etc/sightd"
            )
    for name, path in credentials.items():
        if known >= _SPLITS_CREDENTIALS and " " in str(path):
            raise InstallationError(
                f"systemd {known} cannot load the credential {name} from {path}, because the path contains a "
                "space. Rename the file"
            )
    missing = missing_groups()
    try:
        groups = [name for name in GROUPS if name not in missing]
        return unit(program, config, credentials, groups=groups, control=control)
    except UnitPathError as error:
        raise InstallationError(str(error)) from error


def install(text: str, folder: Path = FOLDER) -> Path:
    """Writes the unit, makes systemd load it, and starts the service now and at each boot. Returns the unit's path."""
    require_running()
    path = folder / UNIT
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
    systemctl("daemon-reload")
    systemctl("enable", UNIT)
    systemctl("restart", UNIT)
    return path


def uninstall(folder: Path = FOLDER) -> bool:
    """Stops the service and removes its unit, but keeps its state. Returns False if it was not installed."""
    require_running()
    path = folder / UNIT
    if not path.exists():
        return False
    systemctl("disable", "--now", UNIT)
    path.unlink()
    systemctl("daemon-reload")
    return True


def _is_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _named(credentials: Mapping[str, Path]) -> dict[str, Path]:
    return {f"the credential {name}": path for name, path in credentials.items()}


def _blocked(path: Path) -> Path | None:
    """Returns the first parent directory that other users cannot enter, the file if they cannot read it, or None. Home
    directories are hidden from the service."""
    resolved = path.resolve()
    for folder in reversed(resolved.parents):
        if folder in (Path("/home"), Path("/root"), Path("/run/user")) or not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None if resolved.stat().st_mode & stat.S_IROTH else resolved
