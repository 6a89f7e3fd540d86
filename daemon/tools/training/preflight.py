"""Checks before a training starts: the name of its result, and PyTorch; and the error of every training."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable
from typing import Any


class TrainingError(Exception):
    """The message says what is wrong with which file or option, and what to do."""


_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def name_from(text: str) -> str:
    """Makes a name from that of a file or folder: lower-case letters, digits, hyphens. Raises TrainingError if none is
    left."""
    name = re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")[:63]
    if not name:
        raise TrainingError(f"cannot derive a name from {text!r}: specify one with --name")
    return name


def checked(name: str, taken: Container[str], others: Iterable[str] = ()) -> str:
    """Returns the name. Raises TrainingError if it is not valid, is one of the built-in names (`taken`), or belongs to
    a custom model of another kind (`others`)."""
    if not _NAME.fullmatch(name):
        raise TrainingError(
            f"{name!r} is not a valid name; use at most 63 lower-case letters, digits, '.', '_' and '-'"
        )
    if name in taken:
        raise TrainingError(f"{name!r} is built in: choose another name with --name")
    if name in others:
        raise TrainingError(f"{name!r} is already used by another kind of model: choose another name with --name")
    return name


def import_torch() -> Any:
    """Returns the module. Raises TrainingError with how to install it.

    Idle threads of its pool sleep: by default they spin, which multiplies the CPU time if other programs run as well.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when the module is loaded
    try:
        import torch
    except ImportError:
        raise TrainingError(
            "this training requires PyTorch, which is not installed: .venv/bin/pip install "
            "'sightd[train]' (without an NVIDIA GPU, the CPU build saves gigabytes; see PyTorch's "
            "instructions)"
        ) from None
    return torch
