"""Options of sinks that send notifications to people."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints

from sightd.daemon.config.event_template import EventTemplate, TemplateError
from sightd.daemon.config.sinks import Problem, SinkOptions, missing_package

Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://.")
_CHECKING = 60.0
"""Seconds for Apprise to look at the URLs; it takes about one."""


class NotifyOptions(SinkOptions):
    """Sends notifications to people, through Apprise (requires pip install 'sightd[notify]')."""

    type: Literal["notify"] = Field(
        description="Sends notifications to people, through Apprise (requires pip install 'sightd[notify]')."
    )
    urls: list[SecretStr] = Field(
        min_length=1,
        max_length=20,
        description="Apprise URLs of the services, such as ntfys://, tgram:// or mailtos://; preferably ${env:NAME} or "
        "${file:PATH}, because they contain passwords. They are never logged.",
        examples=[["${env:NTFY_URL}"]],
    )
    title: Text | None = Field(
        None,
        description="Title, a template like a webhook's `body`: {text} is the event in words. By default the event in "
        "words, such as: Person entered yard (camera gate).",
        examples=["{camera}: {text}"],
    )
    body: Text | None = Field(
        None,
        description="Text, a template; {snapshot} and {clip} are links. By default the time, what else is known, and "
        "the links.",
        examples=["{time} {clip}"],
    )
    max_per_minute: int = Field(
        10,
        ge=2,
        le=600,
        description="Maximum number of notifications a minute. If more happens, the last of them summarises all events "
        "that wait.",
    )
    picture: bool = Field(True, description="Attach the event's annotated snapshot, if it has one.")


def notification_problems(at: tuple[str, ...], sink: NotifyOptions) -> Iterator[Problem]:
    """Yields what keeps such a sink from starting; quotes no part of a URL but its scheme."""
    missing = list(missing_package(at, "apprise", "apprise", "notify"))
    yield from missing
    urls = [url.get_secret_value() for url in sink.urls]
    if not missing:
        yield from _urls(at, urls)
    for name, text in (("title", sink.title), ("body", sink.body)):
        try:
            notification_template(text or "")
        except TemplateError as error:
            yield (*at, name), str(error), "correct the template"


def notification_template(text: str) -> EventTemplate:
    """Returns the template of a title or body. Raises TemplateError."""
    return EventTemplate(text, "none")


def scheme_of(url: str) -> str | None:
    """Returns the scheme of a URL, which is no secret; None if it has none."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else None


def _urls(at: tuple[str, ...], urls: Sequence[str]) -> Iterator[Problem]:
    for number, (url, usable) in enumerate(zip(urls, _usable(tuple(urls)), strict=True)):
        if (scheme := scheme_of(url)) is None:
            yield (*at, "urls", str(number)), "is not a URL", "write an Apprise URL, such as ntfys://HOST/TOPIC"
        elif not usable:
            hint = "see Apprise's documentation for the form of this service's URLs"
            yield (*at, "urls", str(number)), f"({scheme}://…) is not a URL that Apprise can use", hint


@lru_cache(maxsize=8)
def _usable(urls: tuple[str, ...]) -> list[bool]:
    """Returns which URLs Apprise can use. Asks a process of its own, because Apprise has hundreds of modules."""
    command = [sys.executable, "-P", "-m", "sightd.daemon.config.apprise_urls"]
    try:
        done = subprocess.run(command, input=json.dumps(urls).encode(), capture_output=True, check=True,
                              timeout=_CHECKING)  # fmt: skip
        found: list[bool] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return [True] * len(urls)  # the sink itself reports what is wrong
    return found
