"""Plug-ins that a test opens and that are closed after it, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from sightd.plugins.api import Context, Plugin

P = TypeVar("P", bound=Plugin[Any])


@contextmanager
def opening(of: Callable[[Mapping[str, Any]], P], context: Context) -> Iterator[Callable[..., P]]:
    """What opens a plug-in that `of` makes from options."""
    with ExitStack() as opened:

        def make(**options: Any) -> P:
            plugin = of(options)
            opened.callback(plugin.close)
            plugin.open(context)
            return plugin

        yield make
