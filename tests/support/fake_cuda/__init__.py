"""A stand-in for the NVIDIA driver: real PyCUDA runs on it in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from sightd.engines.errors import EngineError
from tests.support.pycuda_env import PycudaMissingError, pycuda_path

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
Ending = Literal["clean", "clean at exit", "with faults"]
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-fPIC", "-shared")


@dataclass(frozen=True, slots=True)
class StandIn:
    """Where the stand-in and the test kernels lie, and what PyCUDA needs to be found."""

    folder: Path
    path: Sequence[Path]

    def run(self, test: Callable[..., None], ends: Ending, environ: Mapping[str, str]) -> None:
        """Runs the body of a test of `on_stand_in` in a new process that has the stand-in for its driver;
        AssertionError with that process's own words where it fails."""
        kernels = str(self.folder / "test_kernels.so")
        arguments = [test.__module__, test.__name__, kernels, ends]
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-m", "tests.support.fake_cuda.process", *arguments],
            cwd=_ROOT,
            env={
                **os.environ,
                "LD_LIBRARY_PATH": str(self.folder),
                "PYTHONPATH": os.pathsep.join(map(str, [_ROOT, *self.path])),
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert ends == "with faults" or "PyCUDA WARNING" not in done.stderr, done.stderr


def on_stand_in(ends: Ending = "clean", **environ: str) -> Callable[[Callable[[bytes], None]], Callable[..., None]]:
    """Makes a function of the test kernels' cubin a test that runs in a process of its own, on the stand-in.

    Nothing may be left alive on the device when it returns, or, `ends` says so, when the process ends; "with faults" is
    for those that break the device on purpose. `environ` goes to that process.
    """

    def decorate(body: Callable[[bytes], None]) -> Callable[..., None]:
        def test(stand_in: StandIn) -> None:
            stand_in.run(test, ends, environ)

        test.__name__, test.__module__, test.__doc__ = body.__name__, body.__module__, body.__doc__
        test.__dict__["body"] = body
        return test

    return decorate


def build_stand_in(folder: Path) -> StandIn:
    """Builds the stand-in into `folder`; skips the test where PyCUDA or a C compiler cannot be had."""
    try:
        path = pycuda_path(os.environ)
    except (PycudaMissingError, EngineError) as error:
        pytest.skip(str(error))
    build_shared(_HERE / "fake_cuda.c", folder / "libcuda.so.1", "-fvisibility=hidden", "-Wl,-soname,libcuda.so.1")
    build_shared(_HERE / "test_kernels.c", folder / "test_kernels.so")
    return StandIn(folder, path)


def build_shared(source: Path, library: Path, *flags: str) -> None:
    """Compiles a C file to a shared library; skips the test where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    subprocess.run([compiler, *_FLAGS, *flags, "-o", str(library), str(source), "-ldl", "-lpthread"], check=True)


def cubin(library: Path) -> bytes:
    """What the stand-in loads for a cubin: the path of a library of host kernels (see kernel.h)."""
    return b"HOST:" + os.fsencode(library) + b"\0"
