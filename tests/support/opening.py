"""Plug-ins that are opened in a test and always closed after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from sightd.plugins.api import Context, Plugin

P = TypeVar("P", bound=Plugin[Any])


@contextmanager
def opening(of: Callable[[Mapping[str, Any]], P], context: Context) -> Iterator[Callable[..., P]]:
    """Yields a function that creates a plug-in with `of` from options and opens it; closes all of them at the end."""
    with ExitStack() as opened:

        def make(**options: Any) -> P:
            plugin = of(options)
            opened.callback(plugin.close)
            plugin.open(context)
            return plugin

        yield make
