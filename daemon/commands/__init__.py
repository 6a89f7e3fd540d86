"""The sub-commands of `sightd`, one a file: `add` declares its arguments, `run` does it and gives the exit code."""

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
    """Says on standard error what went wrong; a terminal gets nothing that does not print."""
    print(f"sightd: {printable_lines(str(error))}", file=sys.stderr)
