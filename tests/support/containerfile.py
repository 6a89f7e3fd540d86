"""Builds a Containerfile without a container engine: runs its steps in a chroot, on an overlay of a Debian made by
debootstrap. Supports the instructions that the project's Containerfile uses; others are an error."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sightd.engines.files import cache_directory, locked
from tests.support.host import debian_mirror, pip_settings, pip_variable

_LIMIT = 900
"""Timeout of a step, s."""
_PASSED_ON = {"cert", "index-url", "extra-index-url", "find-links", "constraint", "default-timeout"}
"""The pip settings that are passed on to the build."""
_IGNORED = {"EXPOSE"}


class NoBaseError(Exception):
    """The base system cannot be created on this machine."""


@dataclass(slots=True)
class Image:
    """The result of a Containerfile, and how to run it."""

    root: Path
    environ: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    folder: str = "/"
    user: str = "0:0"
    volumes: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def process(self, command: Sequence[str], environ: Mapping[str, str] | None = None) -> list[str]:
        """Returns the command that runs `command` in the image, as its user."""
        user, _, group = self.user.partition(":")
        change = f"cd {shlex.quote(self.folder)} && exec {shlex.join(command)}"
        drop = ["--no-new-privs", "--bounding-set=-all"] if user != "0" else []
        variables = [f"{name}={value}" for name, value in {**self.environ, **(environ or {})}.items()]
        return [
            "setpriv", "--pdeathsig=KILL", "chroot", str(self.root), "setpriv", f"--reuid={user}", f"--regid={group}",
            "--clear-groups", *drop, "env", "-i", *variables, "sh", "-c", change,
        ]  # fmt: skip


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yields instruction names and arguments. Joins lines that end with a backslash and skips comments."""
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, arguments = line.partition(" ")
        yield name, arguments.strip()


@contextmanager
def built(context: Path, scratch: Path) -> Iterator[Image]:
    """Builds `context`/Containerfile. The image exists until the context ends. Raises NoBaseError with the reason if
    there is no base system."""
    base = _base()
    with ExitStack() as mounts:
        root = scratch / "root"
        _mount_overlay(base, scratch, root, mounts)
        image = Image(root)
        variables = _borrow_settings(image, mounts)
        for name, arguments in instructions((context / "Containerfile").read_text()):
            _carry_out(image, name, arguments, context, variables)
        yield image


def _carry_out(image: Image, name: str, arguments: str, context: Path, variables: dict[str, str]) -> None:
    match name:
        case "FROM":
            assert re.search(r"\bdebian:12", arguments), f"the base of the tests is Debian 12, not {arguments}"
        case "RUN":
            _run(image.process(["sh", "-ec", arguments], variables))
        case "COPY":
            *sources, target = shlex.split(arguments)
            for source in sources:
                _copy(context / source, image.root / str(Path(image.folder, target)).lstrip("/"), target)
        case "ARG":
            key, _, value = arguments.partition("=")
            variables[key] = value.strip('"')
        case "ENV":
            image.environ |= dict(word.split("=", 1) for word in shlex.split(arguments))
        case "WORKDIR":
            image.folder = arguments
            (image.root / arguments.lstrip("/")).mkdir(parents=True, exist_ok=True)
        case "USER":
            image.user = arguments
        case "VOLUME":
            image.volumes = arguments.split()
        case "HEALTHCHECK":
            image.health = json.loads(arguments.partition("CMD ")[2])
        case "ENTRYPOINT":
            image.entrypoint = json.loads(arguments)
        case "CMD":
            image.command = json.loads(arguments)
        case _:
            assert name in _IGNORED, f"{name} is not known here"


def _copy(source: Path, path: Path, target: str) -> None:
    if source.is_dir():
        shutil.copytree(source, path, dirs_exist_ok=True, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        path = path / source.name if target.endswith("/") else path
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)


def _base() -> Path:
    """Returns the root of a minimal Debian 12, which is created once and cached."""
    folder = cache_directory(os.environ) / "test-roots"
    root = folder / "bookworm-minimal"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".minimal.lock", "a minimal Debian"):
        if not root.is_dir():
            part = folder / "bookworm-minimal-part"
            shutil.rmtree(part, ignore_errors=True)
            command = [
                "unshare",
                "--mount",
                "debootstrap",
                "--variant=minbase",
                "bookworm",
                str(part),
                *debian_mirror(),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIMIT)
            if done.returncode != 0:
                raise NoBaseError(f"debootstrap: {(done.stdout + done.stderr).strip().splitlines()[-1:]}")
            part.rename(root)
    return root


def _mount_overlay(base: Path, scratch: Path, root: Path, mounts: ExitStack) -> None:
    for folder in (scratch / "layers", root):
        folder.mkdir()
    _mount(["-t", "tmpfs", "tmpfs", str(scratch / "layers")], mounts)  # an overlay cannot be on top of an overlay
    upper, work = scratch / "layers" / "upper", scratch / "layers" / "work"
    upper.mkdir()
    work.mkdir()
    _mount(["-t", "overlay", "overlay", "-o", f"lowerdir={base},upperdir={upper},workdir={work}", str(root)], mounts)
    _mount(["-t", "proc", "proc", str(root / "proc")], mounts)
    _mount(["--bind", "/dev", str(root / "dev")], mounts)


def _borrow_settings(image: Image, mounts: ExitStack) -> dict[str, str]:
    """Copies what is needed to reach this machine's package indexes: its name servers, and pip's settings, returned as
    environment variables. Files and folders that the settings refer to are placed under /run/host."""
    shutil.copy("/etc/resolv.conf", image.root / "etc/resolv.conf")
    variables = {}
    for name, value in pip_settings().items():
        if name in _PASSED_ON:
            words = [_lent(image, word, mounts) for word in value.split()]
            variables[pip_variable(name)] = " ".join(words)
    return variables


def _lent(image: Image, word: str, mounts: ExitStack) -> str:
    """Returns a word of a setting as the image must read it; makes the file or folder it names available."""
    scheme = "file://" if word.startswith("file://") else ""
    path = Path(word.removeprefix(scheme))
    if not path.is_absolute() or not path.exists():
        return word
    # An index on disk may refer to files next to it.
    lent = path.parent if scheme and path.parent != Path("/") else path
    target = image.root / "run/host" / str(lent).lstrip("/")
    if lent.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(lent, target)
    elif not target.is_dir():
        target.mkdir(parents=True)
        _mount(["--bind", "-o", "ro", str(lent), str(target)], mounts)
    return f"{scheme}/run/host{path}"


def _mount(arguments: list[str], mounts: ExitStack) -> None:
    _run(["mount", *arguments])
    mounts.callback(subprocess.run, ["umount", "--lazy", arguments[-1]], check=False)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_LIMIT
    )
    assert done.returncode == 0, f"{shlex.join(command)}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
