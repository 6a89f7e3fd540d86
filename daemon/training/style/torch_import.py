"""Imports PyTorch, if it is installed."""

from __future__ import annotations

from typing import Any

from sightd.daemon.training.errors import TrainingError


def import_torch() -> Any:
    """Returns the module. Raises TrainingError with how to install it."""
    try:
        import torch
    except ImportError:
        raise TrainingError(
            "training a style requires PyTorch, which is not installed: .venv/bin/pip install "
            "'sightd[train]' (without an NVIDIA GPU, the CPU build saves gigabytes; see PyTorch's "
            "instructions)"
        ) from None
    return torch
