"""The error that keeps a training from starting or finishing."""

from __future__ import annotations


class TrainingError(Exception):
    """The message says what is wrong with which file or option, and what to do."""
