"""Reads class names from a text file, one per line."""

from __future__ import annotations

from pathlib import Path

from sightd.engines.regular_file import read_regular
from sightd.plugins.api import PluginError

_MOST_BYTES = 2**20


def labels_in(path: Path) -> list[str]:
    """Returns the names in order. Raises PluginError if the file cannot be read or is empty, or if a line is empty."""
    try:
        text = read_regular(path, _MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8"
        raise PluginError(
            f"labels file {path} cannot be read ({why}): give a UTF-8 text with one name a line"
        ) from None
    labels = [line.strip() for line in text.rstrip().splitlines()]
    if "" in labels:
        raise PluginError(f"labels file {path} has no name in line {labels.index('') + 1}: each class needs its line")
    if not labels:
        raise PluginError(f"labels file {path} is empty: write one name a line, in the network's order")
    return labels
