"""What an object holds on to, found as the garbage collector finds it."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType

_OUTSIDE = (type, ModuleType, FunctionType, BuiltinFunctionType, FrameType, threading.Thread)
"""Roads that lead out of an object into the program as a whole."""


def reachable(root: object, kinds: tuple[type, ...]) -> Iterator[object]:
    """Everything of those kinds that is reached from `root` by references, without going into the program's code."""
    seen = {id(root)}
    waiting = [root]
    while waiting:
        for item in gc.get_referents(waiting.pop()):
            if id(item) in seen or isinstance(item, _OUTSIDE):
                continue
            seen.add(id(item))
            if isinstance(item, kinds):
                yield item
            waiting.append(item)
