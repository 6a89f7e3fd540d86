"""The result of a check, and the machine as checks see it."""

from __future__ import annotations

import errno
import importlib
import os
import resource
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

State = Literal["ok", "note", "missing", "in use"]
"""Good; absent or poor, but the daemon runs without it; needed and missing; needed and in use by another program."""
IN_USE: State = "in use"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `fix` says what to do; `backend` marks what video or models cannot run without."""

    name: str
    state: State
    found: str
    fix: str = ""
    backend: bool = False

    @property
    def failed(self) -> bool:
        """Whether the daemon cannot run because of it."""
        return self.state in ("missing", IN_USE)


def can_listen(host: str, port: int) -> str:
    """Returns why nobody can listen there; "" if it is possible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address)
    except OSError as error:
        return IN_USE if error.errno == errno.EADDRINUSE else str(error.strerror or error)
    return ""


def backend_missing(name: str) -> str | None:
    """Returns why a backend for models cannot run here; None if it can."""
    from sightd.daemon.pipeline.model_loading import verifier_of  # imported only when needed: it needs ONNX Runtime
    from sightd.engines.sessions.factories import installed_backends

    return installed_backends(verifier_of).missing(name)


def nvenc_problem() -> str | None:
    """Returns why NVENC cannot encode here; None if it can."""
    from sightd.daemon.encode import codecs  # imported only when needed: it needs PyAV

    return codecs.nvenc_problem()


def nvdec_problem() -> str | None:
    """Returns why NVDEC cannot decode here; None if it can. Opens it as the daemon does."""
    from sightd.engines.cuda.gpus import Gpus, no_gpu
    from sightd.engines.cuda.nvdec import open_nvdec
    from sightd.engines.errors import EngineError

    if problem := no_gpu():  # first, because without a GPU no part of CUDA is loaded
        return problem
    try:
        open_nvdec(Gpus(), "cuda:0").close()
    except EngineError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True)
class System:
    """The machine. Every access to it is a field, so that a test can substitute another machine."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    python: tuple[int, ...] = tuple(sys.version_info[:3])
    executable: str = sys.executable
    proc: Path = Path("/proc")
    import_module: Callable[[str], Any] = importlib.import_module
    can_listen: Callable[[str, int], str] = can_listen
    backend_missing: Callable[[str], str | None] = backend_missing
    nvenc_problem: Callable[[], str | None] = nvenc_problem
    nvdec_problem: Callable[[], str | None] = nvdec_problem
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    cores: Callable[[], int] = lambda: len(os.sched_getaffinity(0))
    limit: Callable[[int], tuple[int, int]] = resource.getrlimit
    writable: Callable[[Path], bool] = lambda path: os.access(path, os.W_OK | os.X_OK)
    served: Mapping[str, int] = field(default_factory=dict)
    """Ports of the daemon that runs the examined configuration, by server (`rtsp`, `http`); empty if it does not
    run."""

    @property
    def pip(self) -> str:
        """The command that installs packages into the environment that sightd runs in."""
        return f"{self.executable} -m pip install"
