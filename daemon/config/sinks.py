"""What the options of all sinks have in common, and the checks that several kinds of sinks share."""

from __future__ import annotations

import importlib.util
import ssl
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from sightd.daemon.config.section import KindPattern, Name, Section
from sightd.plugins.api import Span

Problem = tuple[tuple[str, ...], str, str]
"""Path below `delivery`, message and hint."""


class Retry(Section):
    """Attempts at events that a sink does not accept."""

    initial_delay: Span = Field(
        1.0,
        description="Maximum delay before the second attempt; doubled at each further one. The actual delay is random "
        "(full jitter), so that many senders do not return at the same time.",
        examples=["1s"],
    )
    max_delay: Span = Field(60.0, description="Maximum delay between attempts.", examples=["1m"])
    attempts: int = Field(
        5,
        ge=1,
        le=1000,
        description="An event that the sink has refused permanently so many times becomes a dead letter. Events that "
        "fail for another reason, such as a sink that is offline, are retried until they are delivered.",
    )


class SinkOptions(Section):
    """Options of every sink."""

    kinds: list[KindPattern] = Field(
        ["*"],
        min_length=1,
        description="Send events whose kind matches one of these patterns; `*` stands for any text.",
        examples=[["camera.*", "plugin.down"]],
    )
    cameras: list[Name] | None = Field(
        None, min_length=1, description="Only send events of these cameras; by default of all, and those of none."
    )
    rules: list[Name] | None = Field(
        None,
        min_length=1,
        description="Only send events that one of these rules of events.rules selected; by default all.",
    )
    timeout: Span = Field(10.0, description="Maximum time for one attempt, including its answer.", examples=["10s"])
    retry: Retry = Field(default_factory=Retry, description=Retry.__doc__)
    max_dead_letters: int = Field(
        1000, ge=1, le=100_000, description="Maximum number of dead letters kept; beyond this, the oldest are deleted."
    )


def missing_package(at: tuple[str, ...], module: str, package: str, extra: str) -> Iterator[Problem]:
    """Yields a problem if an optional package is not installed."""
    if importlib.util.find_spec(module) is None:
        yield (*at, "type"), f"requires the package {package}", f"run: pip install 'sightd[{extra}]'"


def ca_problems(at: tuple[str, ...], path: Path) -> Iterator[Problem]:
    """Yields what keeps a file with CA certificates from being used."""
    try:
        ssl.create_default_context(cafile=str(path))
    except OSError as error:  # SSLError is one
        reason = "not a PEM file" if isinstance(error, ssl.SSLError) else error.strerror
        hint = "correct the path (relative to this file), or let the service's user read the file"
        yield (*at, "ca"), f"cannot use {path}: {reason}", hint
