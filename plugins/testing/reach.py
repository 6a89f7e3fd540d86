"""Finds what an object keeps alive, by the garbage collector's references."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType

_OUTSIDE = (type, ModuleType, FunctionType, BuiltinFunctionType, FrameType, threading.Thread)
"""Types not followed: they lead from an object into the program as a whole."""


def reachable(root: object, kinds: tuple[type, ...]) -> Iterator[object]:
    """Yields every object of those kinds reachable from `root` by references, without following the program's code."""
    seen = {id(root)}
    waiting = [root]
    while waiting:
        held = waiting.pop()
        # The collector skips the keys of a dictionary whose keys are all strings.
        keys = list(held) if isinstance(held, dict) else []
        for item in [*gc.get_referents(held), *keys]:
            if id(item) in seen or isinstance(item, _OUTSIDE):
                continue
            seen.add(id(item))
            if isinstance(item, kinds):
                yield item
            waiting.append(item)
