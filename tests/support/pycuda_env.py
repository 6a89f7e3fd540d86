"""PyCUDA and cuda.bindings for tests on machines that have no GPU, no CUDA toolkit and no PyCUDA.

PyCUDA is available only as source. It is compiled once, against the headers of NVIDIA's wheels, into its own cache
folder, so the project's virtual environment does not change. `python -m tests.support.pycuda_env` does this ahead of
the tests; it takes about a minute on two cores. $SIGHTD_PYCUDA_WHEEL names a PyCUDA wheel to use instead of compiling.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from sightd.engines.files import cache_directory, locked

_LOCK = Path(__file__).with_name("pycuda.lock")
_BUILD_WITHIN = 900
# Only tests run it: compiling without optimisation takes a third of the time.
_SITECONF = """\
CUDA_ROOT = {root!r}
CUDA_INC_DIR = [{include!r}]
CUDA_ENABLE_CURAND = False
CXXFLAGS = ["-O0", "-g0", "-w"]
LDFLAGS = ["-L" + {stub!r}]
"""
# The linker needs only libcuda's name.
_STUB = "void cuInit(void) {}\n"


class PycudaMissingError(Exception):
    """PyCUDA is not available on this machine; the message says why."""


def pycuda_path(environ: Mapping[str, str]) -> list[Path]:
    """Returns the folders that must be on a Python process's path to import PyCUDA and cuda.bindings; none if both are
    installed. Compiles PyCUDA if that was not done before; raises PycudaMissingError if it cannot be compiled."""
    if importlib.util.find_spec("pycuda") and importlib.util.find_spec("cuda"):
        return []
    wheel = environ.get("SIGHTD_PYCUDA_WHEEL", "")
    identity = _LOCK.read_bytes() + _SITECONF.encode() + str(Path(wheel).resolve() if wheel else "").encode()
    name = f"pycuda-{sys.implementation.cache_tag}-{os.uname().machine}-{hashlib.sha256(identity).hexdigest()[:12]}"
    target = cache_directory(environ) / "test-tools" / name
    with locked(target.with_suffix(".lock"), "PyCUDA for the tests"):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent) as work:
                _build(Path(work), wheel)
                (Path(work) / "site").rename(target)
    return [target]


def _build(work: Path, wheel: str) -> None:
    """Installs PyCUDA and cuda.bindings into `work`/site."""
    compiler = shutil.which("g++")
    if not wheel and compiler is None:
        raise PycudaMissingError("g++ is not installed, so PyCUDA cannot be compiled")
    downloads = work / "downloads"
    _pip("download", "--require-hashes", "--no-build-isolation", "--dest", str(downloads), "--requirement", str(_LOCK))
    source = wheel or str(_source(work, downloads))
    bindings = [str(path) for path in downloads.glob("cuda_*.whl")]
    _pip("install", "--no-index", "--no-build-isolation", "--target", str(work / "site"), source, *bindings)


def _source(work: Path, downloads: Path) -> Path:
    """Returns the folder of PyCUDA's source, prepared for compiling without a CUDA toolkit."""
    headers, stub = work / "headers", work / "stub"
    for path in downloads.glob("nvidia_*.whl"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(headers)
    stub.mkdir()
    (stub / "stub.c").write_text(_STUB)
    library = stub / "libcuda.so"
    _run("g++", "-x", "c", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(library), str(stub / "stub.c"))
    archive_path = next(downloads.glob("pycuda-*.tar.gz"))
    shutil.unpack_archive(archive_path, work)
    source = work / archive_path.name.removesuffix(".tar.gz")
    include = next(headers.rglob("cuda.h")).parent
    (source / "siteconf.py").write_text(
        _SITECONF.format(root=str(headers), include=str(include), stub=str(stub)),
    )
    return source


def _pip(command: str, *arguments: str) -> None:
    _run(sys.executable, "-m", "pip", command, "--quiet", "--no-deps", *arguments)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_WITHIN, check=False)
    except subprocess.TimeoutExpired as error:
        raise PycudaMissingError(f"PyCUDA was not made within {_BUILD_WITHIN} s") from error
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "rror" in line] or [done.stderr]
        raise PycudaMissingError(f"PyCUDA cannot be made: {' | '.join(lines[:4])[:600]}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        pycuda_path(os.environ)
    except PycudaMissingError as error:
        logging.warning("%s; tests that need it are skipped", error)
