"""The systemd unit: start, watchdog, restarts and sandboxing of the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

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
# A start may download a network or build an engine: it asks for more time as long as it gets on.
TimeoutStartSec=2min
TimeoutStopSec=20s
Restart=on-failure
RestartSec=2s
# The configuration has faults: another start would find the same.
RestartPreventExitStatus=2
# A core file would hold pictures and passwords.
LimitCORE=0

DynamicUser=yes
StateDirectory=sightd
StateDirectoryMode=0700
CacheDirectory=sightd
# The control socket: root and the service's own user, others as control.groups says.
RuntimeDirectory=sightd
{credentials}
# Cameras at /dev/videoN, NVIDIA GPUs. A group that does not exist would keep the service from starting.
{groups}
DevicePolicy=closed
DeviceAllow=char-video4linux rw
DeviceAllow=char-drm rw
DeviceAllow=char-nvidia rw
DeviceAllow=char-nvidia-frontend rw
DeviceAllow=char-nvidia-uvm rw
DeviceAllow=char-nvidia-caps rw

# No MemoryDenyWriteExecute and no PrivateDevices: CUDA and GStreamer write code as they run, and need their devices.
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
