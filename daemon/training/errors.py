"""What keeps a training from beginning or ending."""

from __future__ import annotations


class TrainingError(Exception):
    """The message says what is wrong with which file or option, and what to do."""
