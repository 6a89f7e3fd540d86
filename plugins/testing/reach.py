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
        held = waiting.pop()
        # The collector passes over the keys of a dictionary that has only strings for keys.
        keys = list(held) if isinstance(held, dict) else []
        for item in [*gc.get_referents(held), *keys]:
            if id(item) in seen or isinstance(item, _OUTSIDE):
                continue
            seen.add(id(item))
            if isinstance(item, kinds):
                yield item
            waiting.append(item)
