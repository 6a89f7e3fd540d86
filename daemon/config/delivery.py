"""Options of the section `delivery`: the sinks that events are sent to."""

from __future__ import annotations

import importlib.util
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints

from sightd.daemon.config.section import HostName, Name, Section
from sightd.plugins.api import Span

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
KindPattern = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.*?-]{1,128}$")]
TopicPrefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=128)]

_HEADER_VALUE = re.compile(r"[\x20-\x7e]+")
_OWN_HEADERS = ("connection", "content-encoding", "content-length", "content-type", "host", "idempotency-key",
                "sightd-signature", "transfer-encoding", "upgrade")  # fmt: skip


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
    timeout: Span = Field(10.0, description="Maximum time for one attempt, including its answer.", examples=["10s"])
    retry: Retry = Field(default_factory=Retry, description=Retry.__doc__)
    max_dead_letters: int = Field(
        1000, ge=1, le=100_000, description="Maximum number of dead letters kept; beyond this, the oldest are deleted."
    )


class WebhookOptions(SinkOptions):
    """Sends each event as an HTTP POST request."""

    type: Literal["webhook"] = Field(description="Sends each event as an HTTP POST request.")
    url: SecretStr = Field(
        description="http:// or https:// URL. It may contain user and password, and is never logged.",
        examples=["https://hooks.example.com/sightd"],
    )
    secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="Key of the signature in the header Sightd-Signature; preferably ${env:NAME} or ${file:PATH}. "
        "Without it, requests are not signed.",
        examples=["${file:/run/credentials/sightd.service/webhook}"],
    )
    headers: dict[HeaderName, SecretStr] = Field(
        default_factory=dict,
        description="Additional headers of each request.",
        examples=[{"Authorization": "Bearer ${env:HOOK_TOKEN}"}],
    )
    ca: Path | None = Field(None, description="PEM file with the CA of an https:// server; by default the system's.")


class MqttOptions(SinkOptions):
    """Publishes each event to an MQTT 5 broker with QoS 1 (requires pip install 'sightd[mqtt]')."""

    type: Literal["mqtt"] = Field(
        description="Publishes each event to an MQTT 5 broker with QoS 1 (requires pip install 'sightd[mqtt]')."
    )
    host: HostName = Field(description="Host of the broker.", examples=["broker.example.com"])
    port: int | None = Field(
        None, ge=1, le=65535, description="TCP port of the broker; by default 1883, or 8883 with tls."
    )
    username: str | None = Field(None, min_length=1, description="User name at the broker.")
    password: SecretStr | None = Field(
        None, description="Password at the broker; preferably ${env:NAME} or ${file:PATH}.", examples=["${env:MQTT}"]
    )
    tls: bool = Field(False, description="Connect with TLS; the certificate and its host name are verified.")
    ca: Path | None = Field(None, description="PEM file with the CA of the broker; by default the system's.")
    prefix: TopicPrefix = Field("sightd", description="First levels of all topics.")


class JsonlOptions(SinkOptions):
    """Writes each event as a line of JSON."""

    type: Literal["jsonl"] = Field(description="Writes each event as a line of JSON.")
    path: Path | None = Field(
        None, description="File to append to; it may be renamed for rotation. By default standard output."
    )


Sink = Annotated[WebhookOptions | MqttOptions | JsonlOptions, Field(discriminator="type")]


class Delivery(Section):
    """Sends events to other programs, at least once and in order (docs/delivery.md)."""

    instance: Name | None = Field(
        None,
        description="Name of this sightd in MQTT topics and in idempotency keys; unique among those that send to the "
        "same receiver. By default made of the machine's host name.",
    )
    sinks: dict[Name, Sink] = Field(
        default_factory=dict, description="Sinks by name. The position of each in the journal is kept by this name."
    )


def writes_to_stdout(delivery: Delivery) -> bool:
    """Returns whether a sink writes events to standard output."""
    return any(isinstance(sink, JsonlOptions) and sink.path is None for sink in delivery.sinks.values())


Problem = tuple[tuple[str, ...], str, str]
"""Path below `delivery`, message and hint."""


def problems_of(delivery: Delivery) -> Iterator[Problem]:
    """Yields what keeps sinks from starting; quotes no secret."""
    writing: dict[Path | None, str] = {}
    for name, sink in delivery.sinks.items():
        at = ("sinks", name)
        if isinstance(sink, WebhookOptions):
            yield from _webhook(at, sink)
        elif isinstance(sink, MqttOptions):
            yield from _mqtt(at, sink)
        elif (other := writing.setdefault(sink.path, name)) != name:
            yield (*at, "type"), f"writes to the same output as {other}", "write another path"
        if sink.retry.initial_delay > sink.retry.max_delay and "initial_delay" in sink.retry.model_fields_set:
            hint = "lower initial_delay, or raise max_delay"
            yield (*at, "retry", "initial_delay"), "is greater than max_delay", hint


def _webhook(at: tuple[str, ...], sink: WebhookOptions) -> Iterator[Problem]:
    url = sink.url.get_secret_value()
    if reason := _url_fault(url):
        yield (*at, "url"), reason, "write https://HOST/PATH"
    elif sink.ca is not None:
        yield from _ca(at, sink.ca)
    for name, value in sink.headers.items():
        if name.lower() in _OWN_HEADERS:
            yield (*at, "headers", name), "is set by sightd itself", "remove it"
        elif not _HEADER_VALUE.fullmatch(value.get_secret_value()):
            yield (*at, "headers", name), "is empty or contains characters other than printable ASCII", "correct it"


def _url_fault(url: str) -> str | None:
    """Returns what is wrong with a webhook's URL, without any part of it; None if it can be used."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a valid URL"
    if parts.scheme not in ("http", "https"):
        return "does not start with http:// or https://"
    if not parts.hostname or port == 0:
        return "has no host, or an invalid port"
    return None if url.isascii() and url.isprintable() and " " not in url else "contains invalid characters"


def _mqtt(at: tuple[str, ...], sink: MqttOptions) -> Iterator[Problem]:
    if importlib.util.find_spec("paho") is None:
        yield (*at, "type"), "requires the package paho-mqtt", "run: pip install 'sightd[mqtt]'"
    if sink.password is not None and sink.username is None:
        yield (*at, "password"), "has no username", "write username:"
    if sink.ca is not None and not sink.tls:
        yield (*at, "ca"), "has no effect without tls", "write tls: true"
    elif sink.ca is not None:
        yield from _ca(at, sink.ca)


def _ca(at: tuple[str, ...], path: Path) -> Iterator[Problem]:
    try:
        ssl.create_default_context(cafile=str(path))
    except OSError as error:  # SSLError is one
        reason = "not a PEM file" if isinstance(error, ssl.SSLError) else error.strerror
        hint = "correct the path (relative to this file), or let the service's user read the file"
        yield (*at, "ca"), f"cannot use {path}: {reason}", hint
