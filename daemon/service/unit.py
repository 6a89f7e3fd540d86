"""The systemd unit: how the service is started, watched, healed and kept in bounds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NOTIFY_RELOAD = 253
"""The systemd that knows `Type=notify-reload`."""
LEAST = 247
"""The one that knows `LoadCredential`."""

_UNIT = """\
# Written by `sightd service install`. Change it with `systemctl edit sightd`.
[Unit]
Description=sightd, real-time video analysis
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=10min
StartLimitBurst=20

[Service]
{type}
NotifyAccess=main
ExecStart={executable} run -c {config}
WatchdogSec=30s
# A start may download a network or build an engine: it asks for more time as long as it gets on.
TimeoutStartSec=2min
TimeoutStopSec=10s
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
# Cameras at /dev/videoN, NVIDIA GPUs.
SupplementaryGroups=video render
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


def unit(executable: Path, config: Path, systemd: int, credentials: Mapping[str, Path] | None = None) -> str:
    """The unit's text for a machine with that version of systemd; paths are absolute. `credentials` are files with
    secrets by name: the service finds their texts as `${file:/run/credentials/sightd.service/NAME}`."""
    reload = "Type=notify-reload" if systemd >= NOTIFY_RELOAD else "Type=notify\nExecReload=kill -HUP $MAINPID"
    loads = [f"LoadCredential={name}:{path}" for name, path in sorted((credentials or {}).items())]
    loads.insert(0, "# Secrets: ${file:/run/credentials/sightd.service/NAME} in the configuration.")
    return _UNIT.format(
        type=reload, executable=_escaped(executable), config=_escaped(config), credentials="\n".join(loads)
    )


def _escaped(path: Path) -> str:
    """As an argument of a command line in a unit."""
    text = str(path).replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{text}"' if any(letter in text for letter in " \t'\"\\;") else text
