"""Checks of the NVIDIA GPU. None is needed, unless a camera's `decoder` asks for it: without one all is the CPU's."""

from __future__ import annotations

import re

from sightd.daemon.doctor.finding import Finding, System

_CPU = "not here, the CPU is used"


def driver(system: System) -> Finding:
    """The kernel driver's version."""
    try:
        text = (system.proc / "driver/nvidia/version").read_text()
    except OSError:
        return Finding("nvidia driver", "note", _CPU)
    version = re.search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", text)
    return Finding("nvidia driver", "ok", version[1] if version else "there")


def encoder(system: System) -> Finding:
    """NVENC, which encodes the streams where it is there."""
    if problem := system.nvenc_problem():
        return Finding("nvenc", "note", f"{problem}; x264 encodes on the CPU")
    return Finding("nvenc", "ok", "encodes the streams")


def decoder(system: System, *, needed: bool) -> Finding:
    """NVDEC, which decodes cameras that ask for it; `needed` where one does, for then it does not start without."""
    problem = system.nvdec_problem()
    if problem is None:
        return Finding("nvdec", "ok", "decodes where a camera has `decoder: nvdec`")
    if needed:
        return Finding("nvdec", "missing", problem, "or write `decoder: cpu` in the cameras' entries", backend=True)
    return Finding("nvdec", "note", f"{problem}; the CPU decodes")


def module(system: System, name: str, label: str) -> Finding:
    """A Python package of the `gpu` extra."""
    try:
        found = system.import_module(name)
    except (ImportError, OSError) as error:
        known = isinstance(error, ModuleNotFoundError)
        why = _CPU if known else f"{str(error).splitlines()[0]}; the CPU is used"
        return Finding(label, "note", why, f"with an NVIDIA GPU: {system.pip} 'sightd[gpu]'" if known else "")
    return Finding(label, "ok", str(getattr(found, "__version__", None) or getattr(found, "VERSION_TEXT", "there")))
