"""The options of the describe plug-in."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from sightd.engines.models.catalog import Catalog
from sightd.plugins.api import ConfigProblem, Duration, PluginConfig, Size, Span
from sightd.plugins.describe.locality import is_local_host

PROMPT = (
    "This is an image from a fixed camera. Describe in one short sentence who or what is in it and what happens. "
    "Mention only what is clearly visible."
)
_COMPLETIONS = "/chat/completions"


class DescribeConfig(PluginConfig):
    """Asks a vision language model about events and objects. Only `url` is required."""

    url: str = Field(
        description="Address of an API like OpenAI's, up to its version: llama.cpp, Ollama and vLLM offer one. Images "
        "are sent to /chat/completions below it.",
        examples=["http://127.0.0.1:8080/v1", "http://127.0.0.1:11434/v1"],
    )
    model: str | None = Field(
        None,
        min_length=1,
        description="Model name that the endpoint knows; not needed if it serves only one.",
        examples=["qwen2.5vl:3b"],
    )
    token: SecretStr | None = Field(
        None,
        description="API token, preferably ${file:PATH} or ${env:NAME}; sent as `Authorization: Bearer`.",
        examples=["${file:/run/secrets/describe}"],
    )
    allow_remote: bool = Field(
        False,
        description="Images may leave this machine and its private network. Required if the endpoint's address is "
        "neither loopback, private nor link-local.",
    )
    ca_file: Path | None = Field(
        None,
        description="Certificate authorities (PEM) that an https endpoint is verified against, instead of the "
        "system's.",
    )
    prompt: str = Field(PROMPT, min_length=1, max_length=4000, description="The question about each image.")
    max_tokens: int = Field(80, ge=1, le=4096, description="Maximum length of an answer, in tokens of the model.")
    events: list[str] = Field(
        [], description="Kinds of events of earlier plug-ins to describe.", examples=[["motion.began"]]
    )
    classes: list[str] = Field(
        ["person"],
        description="Object classes to describe. With a tracker, each track is described; without one, the most "
        "certain object of each class.",
        examples=[["person", "car"]],
    )
    min_score: Annotated[float, Field(ge=0, le=1)] = Field(0.5, description="Minimum score of an object.")
    min_age: Duration = Field(
        0.5, description="Minimum age of a track: at first, only part of an object is in the frame."
    )
    cooldown: Duration = Field(
        600.0,
        description="Time after which the same track is described again, or an event of the same kind and track. "
        "Without a tracker, objects of the same class.",
        examples=["10m"],
    )
    margin: float = Field(
        0.2, ge=0, le=2, description="Margin around the object, on each side, as a fraction of its longer side."
    )
    max_side: int = Field(512, ge=32, le=4096, description="Maximum width and height of the images sent, in pixels.")
    quality: int = Field(80, ge=10, le=100, description="JPEG quality of the images sent.")
    max_per_minute: int = Field(6, ge=1, le=600, description="Maximum requests per minute, for all cameras together.")
    max_queue: int = Field(
        8, ge=1, le=64, description="Maximum number of images that wait; the oldest is dropped if another arrives."
    )
    timeout: Span = Field(60.0, description="Maximum duration of a request.")
    max_answer: Size = Field(65536, gt=0, le=2**24, description="Maximum size of an answer.", examples=["64KiB"])

    @field_validator("url")
    @classmethod
    def _is_usable(cls, url: str) -> str:
        if fault := _fault_of(url):
            raise ValueError(fault)
        return url.rstrip("/")

    @field_validator("token")
    @classmethod
    def _fits_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not re.fullmatch(r"[!-~]+", token.get_secret_value()):
            raise ValueError("must be printable ASCII characters without spaces")
        return token

    @model_validator(mode="after")
    def _describes_something(self) -> Self:
        if not self.events and not self.classes:
            raise ValueError("name at least one kind of event in events, or one class in classes")
        return self

    @property
    def host(self) -> str:
        """The endpoint's host: a name or an IP address."""
        return urlsplit(self.url).hostname or ""

    @property
    def address(self) -> str:
        """Where requests are sent."""
        return self.url + _COMPLETIONS

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is local by its name or address; see `locality`."""
        return is_local_host(self.host)

    def tls(self) -> ssl.SSLContext:
        """Returns a context that verifies the endpoint's certificate and name. Raises OSError (ssl.SSLError too) if
        `ca_file` cannot be used."""
        return ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))

    def files(self, networks: Catalog) -> list[Path]:
        """Returns the certificates."""
        return [] if self.ca_file is None else [self.ca_file]

    def problems(self, networks: Catalog) -> list[ConfigProblem]:
        """Returns a problem if images would leave the private network without permission, or `ca_file` is unusable."""
        return list(self._problems())

    def _problems(self) -> Iterator[ConfigProblem]:
        if not self.is_local and not self.allow_remote:
            yield ConfigProblem(
                ("url",),
                "images of your cameras would leave this machine and its private network",
                "add allow_remote: true if you want that, or use an endpoint on this machine",
            )
        if self.ca_file is None:
            return
        try:
            self.tls()
        except OSError as error:
            reason = "contains no usable certificate" if isinstance(error, ssl.SSLError) else error.strerror or error
            yield ConfigProblem(("ca_file",), f"{self.ca_file}: {reason}", "name a PEM file with certificates")


def _fault_of(url: str) -> str:
    """Returns why a URL cannot be used; empty if it can. Does not quote it: it may contain a password."""
    example = "write it like http://127.0.0.1:8080/v1"
    if not re.fullmatch(r"[!-~]+", url):
        return f"contains spaces or characters other than ASCII: {example}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        return f"is no http:// or https:// address: {example}"
    if "@" in parts.netloc:
        return "contains a user or password: write the API token in `token`"
    if parts.query or parts.fragment:
        return f'must not contain "?" or "#": {example}'
    if parts.path.rstrip("/").endswith(_COMPLETIONS):
        return f"leave out {_COMPLETIONS}: {example}"
    return ""
