"""Checks the backends that run models."""

from __future__ import annotations

from collections.abc import Sequence

from sightd.daemon.doctor.finding import Finding, System


def backends(system: System, wished: Sequence[str]) -> Finding:
    """Reports the first configured backend that this machine has, and why not those before it."""
    passed: list[str] = []
    for name in wished:
        reason = system.backend_missing(name)
        if reason is None:
            return Finding("backend", "ok", name + (f", not {'; '.join(passed)}" if passed else ""))
        passed.append(f"{name}: {reason}")
    fix = "install one of them, or add onnxruntime to engines.backends"
    return Finding("backend", "missing", "; ".join(passed), fix, backend=True)
