"""The service under a real systemd: installed, watched, reloaded, upgraded and removed."""

from __future__ import annotations

import json
import time

import pytest

from tests.systemd.machine import PYTHON, SIGHTD, Machine, install, until
from tests.systemd.roots import OLD
from tests.systemd.service import CONFIG, PATTERN, UNIT, Service


def test_it_is_installed_runs_and_is_removed_without_a_trace(service: Service, machine: Machine) -> None:
    service.configure()
    service.install()
    assert service.show("ActiveState") == "active"
    assert machine.out("systemctl", "is-enabled", UNIT) == "enabled"
    service.wait_ready()
    until(lambda: "1 of 1 cameras live" in service.show("StatusText"), "STATUS= shows the state")
    assert service.shell(f"stat -c %u /proc/{service.pid}") != "0"
    assert "active (running)" in machine.out(SIGHTD, "service", "status")
    machine.run(SIGHTD, "service", "uninstall")
    assert service.processes() == []
    assert machine.run("systemctl", "cat", UNIT, check=False).returncode != 0
    assert service.shell("ls /run/sightd 2>/dev/null || true") == ""
    assert "events.db" in service.shell("ls /var/lib/sightd/"), "its state stays"
    assert service.show("StatusText") == ""


def test_systemd_finds_no_fault_in_the_installed_unit(service: Service, machine: Machine) -> None:
    service.configure()
    service.install()
    done = machine.run("systemd-analyze", "verify", f"/etc/systemd/system/{UNIT}")
    assert "sightd" not in done.stdout + done.stderr


@pytest.mark.parametrize("group", ["render", "video"])
def test_it_starts_on_a_machine_that_lacks_a_group(group: str, service: Service, machine: Machine) -> None:
    machine.run("sh", "-c", f"cp /etc/group /root/group; groupdel {group}; ! getent group {group}")
    try:
        service.configure()
        service.install()
        service.wait_ready()
        assert group not in service.show("SupplementaryGroups").split()
    finally:
        machine.run("cp", "/root/group", "/etc/group")


def test_a_reload_follows_the_file_and_fails_if_it_is_refused(service: Service, machine: Machine) -> None:
    service.configure()
    service.install()
    service.wait_ready()
    pid = service.pid
    service.configure(cameras={"a": PATTERN, "b": PATTERN})
    machine.run("systemctl", "reload", UNIT)
    until(lambda: service.get("/b.jpg")[0] == 200, "the new camera is shown")
    assert service.show("ActiveState") == "active"
    service.configure(cameras={"a": {**PATTERN, "fsp": 5}})
    done = machine.run("systemctl", "reload", UNIT, check=False)
    assert done.returncode != 0
    assert f"{CONFIG}:" in service.journal
    assert 'did you mean "fps"' in service.journal
    assert (service.show("ActiveState"), service.pid) == ("active", pid), "what ran runs on"
    assert service.get("/b.jpg")[0] == 200
    assert "was refused" in service.get("/healthz")[1]
    service.configure(cameras={"b": PATTERN})
    machine.run("systemctl", "reload", UNIT)
    assert service.get("/a.jpg")[0] == 404
    assert (service.show("ActiveState"), service.pid) == ("active", pid)


def test_a_signal_reloads_it_too(service: Service, machine: Machine) -> None:
    service.configure()
    service.install()
    service.wait_ready()
    service.configure(cameras={"b": PATTERN})
    machine.run("systemctl", "kill", "--signal=HUP", "--kill-who=main", UNIT)
    until(lambda: service.get("/b.jpg")[0] == 200, "the new camera is shown")
    until(lambda: service.show("ActiveState") == "active", "the reload has ended")


def test_a_kill_is_followed_by_another_start_and_loses_no_event(service: Service, machine: Machine) -> None:
    service.configure()
    service.install()
    service.wait_ready()
    before = service.events()
    assert [one["kind"] for one in before][:1] == ["daemon.started"]
    pid = service.pid
    machine.run("systemctl", "kill", "--signal=KILL", UNIT)
    until(lambda: service.pid not in (0, pid) and service.show("ActiveState") == "active", "it runs again")
    service.wait_ready()
    assert service.show("NRestarts") == "1"
    after = service.events()
    assert after[: len(before)] == before
    assert [one["kind"] for one in after].count("daemon.started") == 2


def test_a_faulty_file_ends_it_once_and_for_all(service: Service, machine: Machine) -> None:
    service.configure()
    service.install()
    machine.write(CONFIG, "cameras: {a: {sorce: x}}\n")
    machine.run("systemctl", "restart", UNIT, check=False)
    until(lambda: service.show("ActiveState") == "failed", "it has failed")
    assert (service.show("ExecMainStatus"), service.show("NRestarts")) == ("2", "0")


def test_a_second_daemon_on_its_state_is_refused(service: Service, machine: Machine) -> None:
    service.configure()
    service.install()
    service.wait_ready()
    machine.write(
        "/root/other.yaml", "cameras: {a: {source: 'testpattern://'}}\nchain: []\nrtsp: {port: 0}\nhttp: {port: 0}\n"
    )
    before = service.events()
    done = machine.run("env", "STATE_DIRECTORY=/var/lib/sightd", SIGHTD, "run", "-c", "/root/other.yaml", check=False)
    assert done.returncode == 1
    assert f"in use by another sightd (process {service.pid}, configuration {CONFIG})" in done.stderr
    assert service.events() == before


_STOPPED_THREAD = """
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
for request in (0x4206, 0x4207):  # PTRACE_SEIZE, PTRACE_INTERRUPT
    if libc.ptrace(request, int(sys.argv[1]), 0, 0):
        sys.exit(f"ptrace: {ctypes.get_errno()}")
time.sleep(120)
"""


def test_a_loop_that_stands_still_is_noticed_and_the_service_started_again(service: Service, machine: Machine) -> None:
    service.configure()
    service.install()
    service.override(WatchdogSec="6s")
    machine.run("systemctl", "restart", UNIT)
    service.wait_ready()
    pid = service.pid
    thread = service.shell(f"grep -lx http-server /proc/{pid}/task/*/comm").split("/")[-2]
    machine.begin(PYTHON, "-c", _STOPPED_THREAD, thread)
    until(lambda: service.pid not in (0, pid) and service.show("ActiveState") == "active", "it runs again", 120)
    assert service.show("NRestarts") == "1"
    service.wait_ready()


def test_a_process_that_hangs_as_a_whole_is_started_again(service: Service, machine: Machine) -> None:
    service.configure()
    service.install()
    service.override(WatchdogSec="4s", TimeoutAbortSec="2s")
    machine.run("systemctl", "restart", UNIT)
    service.wait_ready()
    pid = service.pid
    machine.run("kill", "-STOP", str(pid))
    until(lambda: service.pid not in (0, pid) and service.show("ActiveState") == "active", "it runs again", 120)


def test_a_machine_that_was_paused_is_no_reason_to_start_again(service: Service, machine: Machine) -> None:
    service.configure()
    service.install()
    service.override(WatchdogSec="6s")
    machine.run("systemctl", "restart", UNIT)
    service.wait_ready()
    pid = service.pid
    with machine.paused():
        time.sleep(16)  # longer than a loop may hang, and longer than the watchdog's time
    service.wait_ready()
    until(lambda: "the process was suspended" in service.journal, "it was noticed")
    time.sleep(8)  # longer than the watchdog's time
    assert (service.pid, service.show("NRestarts")) == (pid, "0")


_VIEWERS = """
import threading, time, urllib.request
import av

def mjpeg():
    answer = urllib.request.urlopen("http://127.0.0.1:8080/a.mjpg", timeout=60)
    while answer.read(4096):
        seen.add("mjpeg")

def rtsp():
    with av.open("rtsp://127.0.0.1:8554/a", options={"rtsp_transport": "tcp"}, timeout=60) as container:
        for _ in container.demux(video=0):
            seen.add("rtsp")

seen = set()
for view in (mjpeg, rtsp):
    threading.Thread(target=view, daemon=True).start()
while len(seen) < 2:
    time.sleep(0.1)
open("/root/watching", "w").close()
time.sleep(120)
"""


def test_a_stop_with_viewers_is_quick_and_clean(service: Service, machine: Machine) -> None:
    service.configure()
    service.install()
    service.wait_ready()
    machine.run("rm", "-f", "/root/watching")
    machine.begin(PYTHON, "-c", _VIEWERS)
    until(lambda: machine.run("test", "-e", "/root/watching", check=False).returncode == 0, "both viewers watch")
    begun = time.monotonic()
    machine.run("systemctl", "stop", UNIT)
    assert time.monotonic() - begun < 15
    assert (service.show("Result"), service.show("ExecMainStatus")) == ("success", "0")
    assert service.processes() == []


def test_a_start_that_hangs_can_be_stopped(service: Service, machine: Machine) -> None:
    hangs = "import time\ntime.sleep(1000)\n"
    machine.write("/opt/hangs/hangs-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: hangs\nVersion: 1.0\n")
    machine.write("/opt/hangs/hangs-1.0.dist-info/entry_points.txt", "[sightd.plugins]\nhangs = hangs:Hangs\n")
    body = "".join(f"        {line}\n" for line in hangs.splitlines())
    machine.write(
        "/opt/hangs/hangs.py",
        f"from sightd.plugins.api import Plugin\n\n\nclass Hangs(Plugin):\n    def open(self, context):\n{body}",
    )
    service.configure()
    service.install()
    service.wait_ready()
    service.override(Environment="PYTHONPATH=/opt/hangs")
    service.configure(chain=["hangs"])
    machine.run("systemctl", "restart", "--no-block", UNIT)
    starting = "starting: opening plug-in hangs"
    until(lambda: starting in service.get("/healthz")[1], "the start hangs")
    begun = time.monotonic()
    machine.run("systemctl", "stop", UNIT)
    assert time.monotonic() - begun < 15
    assert "stopped during start-up" in service.journal


def test_credentials_are_read_whatever_their_files_are_called(service: Service, machine: Machine) -> None:
    secret, path = "Kanari3nvogel-0123456789", "/etc/sightd/100% %h my secret"
    if machine.release != "bookworm":  # since version 255 systemd itself fails on blanks
        machine.write(path, f"{secret}\n", "600")
        service.configure()
        done = machine.run(SIGHTD, "service", "install", "-c", CONFIG, "--credential", f"token={path}", check=False)
        assert (done.returncode, "because the path contains a space. Rename the file" in done.stderr) == (1, True)
        path = path.replace(" ", "_")
    machine.write(path, f"{secret}\n", "600")
    token = "${file:/run/credentials/sightd.service/token}"
    service.configure(access={"tokens": {"me": {"role": "admin", "token": token}}})
    service.install("--credential", f"token={path}")
    until(lambda: service.get("/readyz", secret)[0] == 200, "the token is taken")
    assert service.get("/readyz")[0] == 401
    assert secret not in service.journal
    assert secret not in machine.out("systemctl", "cat", UNIT)
    machine.run("systemctl", "reload", UNIT)


def test_an_isolated_plug_in_runs_in_the_hardened_service(service: Service, machine: Machine) -> None:
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    machine.run("cp", "-r", "/sources/new/examples/motion", "/var/tmp/example")
    machine.run(*pip, "/var/tmp/example")
    service.configure(chain=["motion"], plugins={"motion": {"isolate": True}})
    service.install()
    service.wait_ready()
    children = [line for line in service.processes() if "sightd.daemon.isolation.server" in line]
    assert len(children) == 1
    assert json.loads(service.get("/readyz")[1])["plugins"]["motion"]["breaker"] == "closed"
    machine.run("systemctl", "stop", UNIT)
    assert service.processes() == []


def test_root_enrols_a_face_into_the_service(service: Service, machine: Machine) -> None:
    if machine.run("sh", "-c", "ls /cache/models/yunet.onnx /cache/models/sface.onnx", check=False).returncode != 0:
        pytest.skip("needs the models yunet and sface: sightd models fetch yunet sface")
    if machine.run("test", "-e", "/cache/samples/single_face.jpg", check=False).returncode != 0:
        pytest.skip("needs a photo: sightd samples fetch single_face.jpg")
    machine.run("sh", "-c", "rm -rf /opt/models; cp -r /cache/models /opt/models; chmod -R a+rX /opt/models")
    service.configure(chain=["face"], plugins={"face": {}}, models={"directory": "/opt/models", "fetch": False})
    service.install()
    service.wait_ready()
    machine.run(SIGHTD, "faces", "add", "Ada", "/cache/samples/single_face.jpg")
    assert "Ada" in service.get("/api/v1/faces")[1], "the service itself knows her"
    assert "Ada" in machine.out(SIGHTD, "faces", "list")


def test_an_upgrade_keeps_the_state_and_brings_the_new_unit(service: Service, machine: Machine) -> None:
    if machine.run("test", "-e", "/sources/old/pyproject.toml", check=False).returncode != 0:
        pytest.skip(f"needs the commit {OLD} in the repository")
    machine.run("sh", "-c", "getent group render || groupadd --system render")  # the old unit needs this group
    try:
        install(machine, "old")
        service.configure()
        service.install()
        until(lambda: service.get("/healthz")[0] == 200, "the old version runs")
        machine.run("systemctl", "restart", UNIT)
        until(lambda: service.get("/healthz")[0] == 200, "the old version runs again")
        assert "ExecReload=/" not in service.shell(f"cat /etc/systemd/system/{UNIT}")
        install(machine, "new")
        machine.run("systemctl", "restart", UNIT)  # the new program with the old unit
        service.wait_ready()
        service.install()
        service.wait_ready()
    finally:
        install(machine, "new")
    assert "ExecReload=/" in service.shell(f"cat /etc/systemd/system/{UNIT}")
    started = [one for one in service.events() if one["kind"] == "daemon.started"]
    assert len(started) == 4
    assert [one["id"] for one in started] == sorted(one["id"] for one in started)
    machine.run("systemctl", "reload", UNIT)
