"""Root file systems of Debian releases with everything that sightd needs, created once and kept in the cache.

A root contains the distribution's packages (installed by config/install-system-packages.sh) and a virtual environment
with the Python packages that this and the old version need, but not sightd itself. It never changes after its creation:
a machine boots with an overlay. Checkouts that need different packages have separate roots; the least recently used
ones are deleted.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sightd.engines.files import cache_directory
from tests.support.host import debian_mirror, pip_settings, pip_variable

ROOT = Path(__file__).parents[2]
OLD = "7ae9db0"
"""The version from which services are upgraded."""
VENV = "/opt/sightd/.venv"
"""Path of the virtual environment in the root."""
_INSTALLER = ROOT / "config" / "install-system-packages.sh"
_LOCK = ROOT / "requirements.lock"
_BASE = "systemd,systemd-sysv,dbus,ca-certificates,python3,python3-venv"
_DEVELOPMENT = ("hypothesis", "mypy", "pytest", "ruff", "types-")
"""Packages of requirements.lock that a service does not need."""
_VERSION = 1
"""Increase it when the build steps here change."""
KEPT = 3
"""Number of roots per release that stay in the cache, some 1.6 GB each; more only while they are in use."""
_LIMIT = 1200
"""Timeout of each step, s."""


class RootError(Exception):
    """A root cannot be created here, for example without a mirror of the distribution."""


def missing_tools() -> str | None:
    """Returns why no machine can be booted here; None if one can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [
        name
        for name in ("debootstrap", "systemd-nspawn", "nsenter", "setpriv", "unshare")
        if shutil.which(name) is None
    ]
    return f"needs {' and '.join(missing)} (make test-systemd installs them)" if missing else None


@contextmanager
def root_of(release: str) -> Iterator[Path]:
    """Yields the root of a release, from the cache or created now, which takes minutes. No other process deletes it
    meanwhile. Raises RootError with the reason."""
    folder = cache_directory(os.environ) / "systemd-roots"
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / f"{release}-{_key()}"
    with ExitStack() as use:
        with _locked(folder / f"{release}.lock"):
            use.enter_context(in_use(root))
            if not root.exists():
                part = folder / f"{release}-part"
                _make(release, part)
                part.rename(root)
            delete_oldest(folder, release)
        yield root


@contextmanager
def in_use(root: Path) -> Iterator[None]:
    """Keeps a root from being deleted, and records that it was used now."""
    with _use(root).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(lock.fileno())
        yield


def delete_oldest(folder: Path, release: str) -> None:
    """Deletes all but the KEPT most recently used roots of a release, and none that is in use. The caller holds the
    release's lock."""
    roots = [one for one in folder.glob(f"{release}-*") if one.is_dir()]
    for root in sorted(roots, key=_used_at, reverse=True)[KEPT:]:
        with _use(root).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(root)
            _use(root).unlink()


def _use(root: Path) -> Path:
    """Returns the file that is locked while the root is in use; its modification time is the time of last use."""
    return root.with_name(f"{root.name}.use")


def _used_at(root: Path) -> float:
    return (_use(root) if _use(root).exists() else root).stat().st_mtime


def _make(release: str, part: Path) -> None:
    bootstrap = ["debootstrap", "--variant=minbase", f"--include={_BASE}", release, str(part), *debian_mirror()]
    _do(["unshare", "--mount", *bootstrap])  # a leftover mount ends with the namespace
    (part / "etc/dpkg/dpkg.cfg.d/fast").write_text("force-unsafe-io\n")  # an incomplete root is created again
    shutil.copy(_INSTALLER, part / "root" / "install.sh")
    (part / "root" / "packages.txt").write_text("\n".join(_packages()))
    settings = pip_settings()
    inside = ["systemd-nspawn", "--quiet", "--keep-unit", "--register=no", "--resolv-conf=bind-host"]
    inside += [f"--bind-ro={path}" for path in _borrowed(settings.values())]
    inside += [f"--setenv={pip_variable(name)}={value}" for name, value in settings.items()]
    script = (
        f"set -eu; sh /root/install.sh; python3 -m venv --system-site-packages {VENV}; "
        f"{VENV}/bin/pip install --quiet --no-deps --requirement /root/packages.txt; apt-get clean"
    )
    _do([*inside, f"--directory={part}", "sh", "-c", script])


def _packages() -> list[str]:
    """Returns the pins of requirements.lock, and those of the old version that it no longer has."""
    pins = _pins(_LOCK.read_text())
    old = subprocess.run(
        ["git", "-C", str(ROOT), "show", f"{OLD}:{_LOCK.name}"], capture_output=True, text=True, check=False, timeout=60
    )
    return list({**_pins(old.stdout), **pins}.values())


def _pins(lock: str) -> dict[str, str]:
    """Returns pins by name, without hashes: pip checked them when this test's environment was created."""
    lines = (line.removesuffix("\\").strip() for line in lock.splitlines())
    wanted = (line for line in lines if "==" in line and not line.startswith(("--hash", *_DEVELOPMENT)))
    return {line.partition("==")[0]: line for line in wanted}


def _borrowed(settings: Iterable[str]) -> list[Path]:
    """Returns the files and folders that the values of pip's settings refer to."""
    words = [word for value in settings for word in value.split()]
    paths = [(Path(word.removeprefix("file://")), word) for word in words]
    return sorted(
        {
            path if path.is_file() else _folder_of(path, word)
            for path, word in paths
            if path.is_absolute() and path.exists()
        }
    )


def _folder_of(path: Path, word: str) -> Path:
    """Returns the folder to mount: an index on disk may refer to files next to it."""
    return path.parent if word.startswith("file://") and path.parent != Path("/") else path


def _key() -> str:
    content = [_INSTALLER.read_bytes(), "\n".join(_packages()).encode(), f"{_BASE} {_VERSION}".encode()]
    return hashlib.sha256(b"\0".join(content)).hexdigest()[:12]


def _do(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_LIMIT
        )
    except subprocess.TimeoutExpired:
        raise RootError(f"{command[0]} took more than {_LIMIT} s") from None
    if done.returncode != 0:
        told = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise RootError(f"{command[0]} ended with {done.returncode}:\n{told}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Locks a release; also removes what an interrupted run left behind."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        part = path.with_name(f"{path.stem}-part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            yield
        finally:
            shutil.rmtree(part, ignore_errors=True)
