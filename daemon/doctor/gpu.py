"""Checks of the NVIDIA GPU. None is needed unless a camera's `decoder` asks for it: otherwise the CPU does
everything."""

from __future__ import annotations

import re

from sightd.daemon.doctor.finding import Finding, System

_CPU = "not available; the CPU is used"


def driver(system: System) -> Finding:
    """Checks the kernel driver and reports its version."""
    try:
        text = (system.proc / "driver/nvidia/version").read_text()
    except OSError:
        return Finding("nvidia driver", "note", _CPU)
    version = re.search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", text)
    return Finding("nvidia driver", "ok", version[1] if version else "there")


def encoder(system: System) -> Finding:
    """Checks NVENC, which encodes the streams if it is available."""
    if problem := system.nvenc_problem():
        return Finding("nvenc", "note", f"{problem}; x264 encodes on the CPU")
    return Finding("nvenc", "ok", "used to encode the streams")


def decoder(system: System, *, needed: bool) -> Finding:
    """Checks NVDEC, which decodes cameras that ask for it; `needed` if one does, because it does not start without
    NVDEC."""
    problem = system.nvdec_problem()
    if problem is None:
        return Finding("nvdec", "ok", "used by cameras with `decoder: nvdec`")
    if needed:
        return Finding("nvdec", "missing", problem, "or set `decoder: cpu` for the cameras", backend=True)
    return Finding("nvdec", "note", f"{problem}; the CPU decodes")


def module(system: System, name: str, label: str) -> Finding:
    """Checks a Python package of the `gpu` extra."""
    try:
        found = system.import_module(name)
    except (ImportError, OSError) as error:
        known = isinstance(error, ModuleNotFoundError)
        why = _CPU if known else f"{str(error).splitlines()[0]}; the CPU is used"
        return Finding(label, "note", why, f"with an NVIDIA GPU: {system.pip} 'sightd[gpu]'" if known else "")
    return Finding(label, "ok", str(getattr(found, "__version__", None) or getattr(found, "VERSION_TEXT", "there")))
