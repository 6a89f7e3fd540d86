"""A stand-in for the NVIDIA driver, on which real PyCUDA runs, each test in its own process."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pytest

from sightd.engines.errors import EngineError
from tests.support.pycuda_env import PycudaMissingError, pycuda_path

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
Ending = Literal["clean", "clean at exit", "with faults"]
_ENDS_WITHIN = 100.0
"""Seconds that a test may take."""
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-fPIC", "-shared")


class StandIn:
    """The folder of the stand-in and the test kernels, and the process that runs tests on it. One thread; close it."""

    def __init__(self, folder: Path, path: Sequence[Path]) -> None:
        """`path` is the import path for PyCUDA."""
        self._folder, self._path = folder, path
        self._process: subprocess.Popen[str] | None = None

    def run(self, test: Callable[..., None], ends: Ending, environ: Mapping[str, str]) -> None:
        """Runs the body of an `on_stand_in` test in a new process that uses the stand-in as its driver. Raises
        AssertionError with that process's output if it fails."""
        output = self._folder / "output"
        request = {
            "module": test.__module__,
            "name": test.__name__,
            "ending": ends,
            "kernels": str(self._folder / "test_kernels.so"),
            "environ": {**self._environ(), **environ},
            "output": str(output),
        }
        output.write_bytes(b"")
        answer = self._answer(json.dumps(request))
        told = output.read_text(errors="replace")
        assert answer == "0", f"exit code {answer or 'unknown: it died, or took longer than 100 s'}\n{told}"
        assert ends == "with faults" or "PyCUDA WARNING" not in told, told

    def close(self) -> None:
        """Ends the process and what it runs."""
        if self._process is not None:
            with self._process as process:
                os.killpg(process.pid, signal.SIGKILL)
            self._process = None

    def _answer(self, request: str) -> str:
        """Returns "" if the test has not ended in time."""
        process = self._process = self._process or self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(request + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], _ENDS_WITHIN)
        answer = process.stdout.readline().strip() if ready else ""
        if not answer:
            self.close()
        return answer

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "tests.support.fake_cuda.process"],
            cwd=_ROOT,
            env=self._environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _environ(self) -> dict[str, str]:
        path = os.pathsep.join(map(str, [_ROOT, *self._path]))
        return {**os.environ, "LD_LIBRARY_PATH": str(self._folder), "PYTHONPATH": path}


def on_stand_in(ends: Ending = "clean", **environ: str) -> Callable[[Callable[[bytes], None]], Callable[..., None]]:
    """Turns a function of the test kernels' cubin into a test that runs in its own process, on the stand-in.

    Nothing may be left alive on the device when the function returns or, with "clean at exit", when the process ends;
    "with faults" is for tests that break the device on purpose. `environ` is added to that process's environment.
    """

    def decorate(body: Callable[[bytes], None]) -> Callable[..., None]:
        def test(stand_in: StandIn) -> None:
            stand_in.run(test, ends, environ)

        test.__name__, test.__module__, test.__doc__ = body.__name__, body.__module__, body.__doc__
        test.__dict__["body"] = body
        return test

    return decorate


def build_stand_in(folder: Path) -> StandIn:
    """Builds the stand-in into `folder`; close it. Skips the test if PyCUDA or a C compiler is not available."""
    try:
        path = pycuda_path(os.environ)
    except (PycudaMissingError, EngineError) as error:
        pytest.skip(str(error))
    build_shared(_HERE / "fake_cuda.c", folder / "libcuda.so.1", "-fvisibility=hidden", "-Wl,-soname,libcuda.so.1")
    build_shared(_HERE / "test_kernels.c", folder / "test_kernels.so")
    return StandIn(folder, path)


def build_shared(source: Path, library: Path, *flags: str) -> None:
    """Compiles a C file to a shared library. Skips the test if there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    subprocess.run([compiler, *_FLAGS, *flags, "-o", str(library), str(source), "-ldl", "-lpthread"], check=True)


def cubin(library: Path) -> bytes:
    """Returns what the stand-in loads as a cubin: the path of a library of host kernels (see kernel.h)."""
    return b"HOST:" + os.fsencode(library) + b"\0"
