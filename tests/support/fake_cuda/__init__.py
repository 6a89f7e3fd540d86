"""A stand-in for the NVIDIA driver, on which real PyCUDA runs in its own process."""

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
    """The folder of the stand-in and the test kernels, and the import path for PyCUDA."""

    folder: Path
    path: Sequence[Path]

    def run(self, test: Callable[..., None], ends: Ending, environ: Mapping[str, str]) -> None:
        """Runs the body of an `on_stand_in` test in a new process that uses the stand-in as its driver. Raises
        AssertionError with that process's output if it fails."""
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
    """Builds the stand-in into `folder`. Skips the test if PyCUDA or a C compiler is not available."""
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
