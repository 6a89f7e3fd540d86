"""Kernel sources compiled by g++ into shared libraries, cached under a hash of everything that went into them."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import pytest

from sightd.engines import cuda
from sightd.engines.files import cache_directory

KERNELS = Path(cuda.__file__).parent / "kernels"
SHIM = Path(__file__).parent
_FLAGS = ("-std=c++20", "-O2", "-shared", "-fPIC", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror")
_KEPT = 14 * 24 * 3600.0
"""Seconds an unused library is kept; not deleted at once because another checkout may be using it."""
_KERNEL = re.compile(r'extern "C" __global__ void (\w+)\(')


@cache
def library(source: str) -> ctypes.CDLL:
    """Loads the host build of kernels/<source>.cu, with `host_<kernel>` and `sizes_of_<kernel>` for each of its
    kernels."""
    text = (KERNELS / f"{source}.cu").read_text()
    wrapper = [
        f"#define FIBRES {int('__syncthreads' in text)}",
        '#include "launch.h"',
        f'#include "{source}.cu"',
        *(f"EXPORT({kernel})" for kernel in kernels_of(source)),
    ]
    return ctypes.CDLL(str(compiled(source, "\n".join(wrapper) + "\n")))


def packed_library(source: str) -> Path:
    """Builds kernels/<source>.cu for the stand-in driver, which finds the kernels by their own names."""
    text, kernels = (KERNELS / f"{source}.cu").read_text(), kernels_of(source)
    wrapper = [
        f"#define FIBRES {int('__syncthreads' in text)}",
        '#include "launch.h"',
        *(f"#define {kernel} device_{kernel}" for kernel in kernels),
        f'#include "{source}.cu"',
        *(f"#undef {kernel}" for kernel in kernels),
        *(f"EXPORT_PACKED({kernel}, device_{kernel})" for kernel in kernels),
    ]
    return compiled(f"{source}-packed", "\n".join(wrapper) + "\n")


def kernels_of(source: str) -> list[str]:
    """Returns the names of the kernels that kernels/<source>.cu defines."""
    return _KERNEL.findall((KERNELS / f"{source}.cu").read_text())


def compiled(name: str, text: str) -> Path:
    """Compiles C++ text, which may include kernel sources, to a shared library. Skips the test if there is no g++."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("compiling the kernels for the host needs g++ (Debian package g++)")
    sources = sorted([*KERNELS.glob("*.cu*"), *SHIM.glob("*.h")])
    parts = [text, _version(compiler), *_FLAGS, *(f"{path.name}\n{path.read_text()}" for path in sources)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    target = cache_directory(os.environ) / "test-kernels" / f"{name}-{key}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        for old in target.parent.glob("*.so"):
            if time.time() - old.stat().st_mtime > _KEPT:
                old.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            source, made = Path(folder) / f"{name}.cpp", Path(folder) / f"{name}.so"
            source.write_text(text)
            command = [compiler, *_FLAGS, f"-I{KERNELS}", f"-I{SHIM}", "-o", str(made), str(source)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
            assert done.returncode == 0, done.stderr
            made.replace(target)
    return target


@cache
def _version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
