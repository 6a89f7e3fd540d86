"""A machine with systemd: a root booted in its own container, with the checkout's sightd installed."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.systemd.roots import ROOT, VENV

SIGHTD = f"{VENV}/bin/sightd"
PYTHON = f"{VENV}/bin/python"
_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""Command prefix: the kernel kills the command when this process ends, however it ends."""
_BOOTS_WITHIN = 120.0
_ENVIRON = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}


class Machine:
    """Runs commands in a booted container, as root unless they say otherwise."""

    def __init__(self, release: str, leader: int) -> None:
        self.release = release
        self.leader = leader
        """Process ID of its systemd, as seen from the host."""

    def run(
        self, *command: str, within: float = 120.0, check: bool = True, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end. Raises AssertionError with its output if it fails and `check` is set."""
        done = subprocess.run(
            self._entering(command),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            env=_ENVIRON,
            timeout=within,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def out(self, *command: str, within: float = 120.0) -> str:
        """Runs a command and returns its stripped output."""
        return self.run(*command, within=within).stdout.strip()

    def begin(self, *command: str) -> subprocess.Popen[bytes]:
        """Starts a command in the background; it ends with the machine or with this process."""
        return subprocess.Popen(
            self._entering(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_ENVIRON,
        )

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Writes a file, creating the folders above it."""
        quoted, folder = shlex.quote(path), shlex.quote(str(Path(path).parent))
        self.run("sh", "-c", f"mkdir -p {folder} && cat > {quoted} && chmod {mode} {quoted}", stdin=text)

    def read(self, path: str) -> str:
        return self.run("cat", path).stdout

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pauses all processes of the machine, like a paused virtual machine. Its systemd resumes a second after the
        others; otherwise the order in which their messages arrive would be random."""
        inside = [pid for pid in _namespace(self.leader) if pid != self.leader]
        for pid in (self.leader, *inside):
            _signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in inside:
                _signal(pid, signal.SIGCONT)
            time.sleep(1)
            _signal(self.leader, signal.SIGCONT)

    def _entering(self, command: Sequence[str]) -> list[str]:
        return [*_WITH_US, "nsenter", f"--target={self.leader}", "--all", "--", *command]


@contextmanager
def booted(release: str, root: Path, binds: Sequence[str] = ()) -> Iterator[Machine]:
    """Boots a root, which stays unchanged, with only a loopback network. `binds` are mounted read-only ("FROM:TO").
    Nothing is left afterwards, even if this process is killed."""
    name = f"sightd-test-{os.getpid()}-{release}"
    with tempfile.TemporaryDirectory(prefix="sightd-machine-") as folder, (Path(folder) / "console").open("wb") as log:
        process = subprocess.Popen(
            [
                *_WITH_US,
                "systemd-nspawn",
                "--quiet",
                "--keep-unit",
                "--register=no",
                "--boot",
                "--private-network",
                "--volatile=overlay",
                f"--directory={root}",
                f"--machine={name}",
                *(f"--bind-ro={one}" for one in binds),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            start_new_session=True,  # keeps Ctrl-C from reaching it
        )
        try:
            yield Machine(release, _leader(process, Path(log.name)))
        finally:
            _end(process)
            with contextlib.suppress(OSError):
                (Path("/run/systemd/nspawn/propagate") / name).rmdir()


def install(machine: Machine, version: str) -> None:
    """Installs sightd from the source tree /sources/`version` as pip does, by building a wheel."""
    copy = f"/var/tmp/{version}"
    machine.run("sh", "-c", f"rm -rf {copy}; cp -r /sources/{version} {copy}")
    pip = [f"{VENV}/bin/pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    machine.run(*pip, "--force-reinstall", copy, within=300)


def source_tree(target: Path, commit: str | None = None) -> Path | None:
    """Copies the current files of the checkout, or those of a commit, to `target`. Returns None if the commit is not
    available."""
    target.mkdir()
    if commit is None:
        listed = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split(b"\0")
        for name in filter(None, listed):
            path = ROOT / os.fsdecode(name)
            if path.is_file() or path.is_symlink():  # src/sightd links to folders
                copy = target / os.fsdecode(name)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy, follow_symlinks=False)
        return target
    try:
        archive = _git("archive", "--format=tar", commit)
    except subprocess.CalledProcessError:
        return None
    subprocess.run(["tar", "-x", "-C", str(target)], input=archive, check=True, timeout=60)
    return target


def until(condition: Callable[[], bool], what: str, within: float = 60.0) -> None:
    """Returns once the condition holds. Raises AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.2)


def _git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=True, timeout=60).stdout


def _leader(process: subprocess.Popen[bytes], console: Path) -> int:
    """Waits until the machine has booted and returns the process ID of its systemd."""
    deadline = time.monotonic() + _BOOTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        for child in _children(process.pid):
            state = subprocess.run(
                ["nsenter", f"--target={child}", "--all", "systemctl", "is-system-running"],
                capture_output=True,
                text=True,
                env=_ENVIRON,
                timeout=30,
                check=False,
            ).stdout.strip()
            if state in ("running", "degraded"):
                return child
        time.sleep(0.2)
    raise AssertionError(
        "the machine did not boot:\n" + "\n".join(console.read_text(errors="replace").splitlines()[-30:])
    )


def _children(pid: int) -> list[int]:
    """Returns the children that are the first process of a container."""
    with contextlib.suppress(OSError):
        children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return [child for child in children if _is_first(child)]
    return []


def _is_first(pid: int) -> bool:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return line.split()[1:] == [str(pid), "1"]
    return False


def _namespace(leader: int) -> list[int]:
    """Returns all processes of a container."""
    space = Path(f"/proc/{leader}/ns/pid").readlink()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "ns" / "pid").readlink() == space:
                found.append(int(entry.name))
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the container: killing the first process of a PID namespace kills all others in it."""
    for child in _children(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(20)
