"""The sub-commands of `sightd`, one per module: `add` declares arguments, `run` executes and returns the exit code."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, TypeAlias

from sightd.engines.printable import printable_lines

if TYPE_CHECKING:
    SubParsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
else:
    SubParsers = object


def complain(error: object) -> None:
    """Prints an error on standard error, with unprintable characters escaped."""
    print(f"sightd: {printable_lines(str(error))}", file=sys.stderr)
