"""The service on a booted machine, as an administrator sees it."""

from __future__ import annotations

import json
from typing import Any

import yaml

from tests.systemd.machine import PYTHON, SIGHTD, Machine, until

UNIT = "sightd.service"
CONFIG = "/etc/sightd/sightd.yaml"
PATTERN = {"source": "testpattern://", "width": 320, "height": 240, "fps": 10}
WITHOUT_A_SERVICE = f"""
systemctl stop {UNIT}
systemctl disable {UNIT}
rm -rf /etc/systemd/system/{UNIT}* /etc/systemd/system/multi-user.target.wants/{UNIT}
systemctl daemon-reload
systemctl reset-failed
rm -rf /etc/sightd /var/lib/sightd /var/lib/private/sightd /var/cache/sightd /var/cache/private/sightd
"""

_ASK = """
import json, sys, urllib.error, urllib.request
request = urllib.request.Request("http://127.0.0.1:8080" + sys.argv[1], headers=json.loads(sys.argv[2]))
try:
    answer = urllib.request.urlopen(request, timeout=20)
except urllib.error.HTTPError as error:
    answer = error
except OSError as error:
    print(json.dumps([0, str(error)]))
    sys.exit()
print(json.dumps([answer.status, answer.read().decode(errors="replace")]))
"""


class Service:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def clean(self) -> None:
        self.machine.run("sh", "-c", WITHOUT_A_SERVICE, check=False)

    def configure(self, **sections: Any) -> None:
        """Writes the configuration: a test-pattern camera and the given sections."""
        self.machine.write(CONFIG, yaml.safe_dump({"cameras": {"a": PATTERN}, "chain": [], **sections}))

    def install(self, *options: str) -> None:
        """Runs `sightd service install` and returns once the service runs."""
        self.machine.run(SIGHTD, "service", "install", "-c", CONFIG, *options)

    def override(self, **settings: str) -> None:
        """Adds settings of the unit in a drop-in file, as `systemctl edit` does."""
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        self.machine.write(f"/etc/systemd/system/{UNIT}.d/test.conf", f"[Service]\n{lines}")
        self.machine.run("systemctl", "daemon-reload")

    def show(self, name: str) -> str:
        """Returns a property of the unit."""
        return self.machine.out("systemctl", "show", UNIT, f"--property={name}", "--value")

    @property
    def pid(self) -> int:
        """Process ID of its main process, as seen inside the machine."""
        return int(self.show("MainPID"))

    @property
    def journal(self) -> str:
        return self.machine.out("journalctl", f"--unit={UNIT}", "--no-pager", "--output=cat")

    def get(self, path: str, token: str = "") -> tuple[int, str]:
        """Returns status and text of a response of the web server; status 0 if there is none."""
        headers = json.dumps({"Authorization": f"Bearer {token}"} if token else {})
        status, text = json.loads(self.machine.out(PYTHON, "-c", _ASK, path, headers))
        return int(status), str(text)

    def wait_ready(self) -> None:
        until(lambda: self.get("/readyz")[0] == 200, f"the service is ready; {self.get('/readyz')}\n{self.journal}")

    def processes(self) -> list[str]:
        """Returns the command lines of all its processes."""
        group = f"/sys/fs/cgroup/system.slice/{UNIT}/cgroup.procs"
        script = f"for p in $(cat {group}); do tr '\\0' ' ' </proc/$p/cmdline; echo; done"
        return self.machine.run("sh", "-c", script, check=False).stdout.splitlines()

    def events(self) -> list[dict[str, Any]]:
        """Returns the journal's events, read as root."""
        return [json.loads(line) for line in self.machine.out(SIGHTD, "events", "--json").splitlines()]

    def shell(self, script: str) -> str:
        return self.machine.out("sh", "-c", script)
