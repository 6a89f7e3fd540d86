"""Options of the section `delivery`: the sinks that events are sent to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints

from sightd.daemon.config.event_streams import KafkaOptions, NatsOptions, stream_problems
from sightd.daemon.config.event_template import Escaping, EventTemplate, TemplateError
from sightd.daemon.config.notifications import NotifyOptions, notification_problems
from sightd.daemon.config.section import HostName, Name, Section
from sightd.daemon.config.sinks import Problem, SinkOptions, ca_problems, missing_package

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
TopicPrefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=128)]

_HEADER_VALUE = re.compile(r"[\x20-\x7e]+")
_OWN_HEADERS = ("connection", "content-encoding", "content-length", "content-type", "host", "idempotency-key",
                "sightd-signature", "transfer-encoding", "upgrade")  # fmt: skip


class WebhookBody(Section):
    """What a webhook's requests contain instead of the event as JSON."""

    template: str = Field(
        min_length=1,
        max_length=16384,
        description="Text with placeholders: {NAME} stands for a field of the event (or {text}, the event in "
        "words), escaped as the content type needs it; {facts.NAME} for a fact; {NAME:json} for the value as "
        "JSON, with quotes. Other braces stand for themselves.",
        examples=['{"text": "{kind} at {camera}", "score": {score:json}}'],
    )
    content_type: Literal["application/json", "application/x-www-form-urlencoded", "text/plain"] = Field(
        "application/json", description="Media type of the request."
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
    body: WebhookBody | None = Field(None, description="What to send instead of the event as JSON.")


class HomeAssistant(Section):
    """What Home Assistant gets over this broker."""

    discovery_prefix: TopicPrefix = Field(
        "homeassistant", description="First levels of the topics of Home Assistant's MQTT discovery."
    )
    commands: bool = Field(
        False,
        description="Whether Home Assistant, and everybody who may publish at this broker, may pause the analysis of "
        "cameras and set thresholds.",
    )


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
    home_assistant: bool | HomeAssistant = Field(
        False, description="Publish devices, entities and states for Home Assistant; true, or a section with options."
    )

    @property
    def discovery(self) -> HomeAssistant | None:
        """Returns the options for Home Assistant; None if it gets nothing."""
        given = self.home_assistant
        return given if isinstance(given, HomeAssistant) else HomeAssistant() if given else None


class JsonlOptions(SinkOptions):
    """Writes each event as a line of JSON."""

    type: Literal["jsonl"] = Field(description="Writes each event as a line of JSON.")
    path: Path | None = Field(
        None, description="File to append to; it may be renamed for rotation. By default standard output."
    )


Sink = Annotated[
    WebhookOptions | MqttOptions | JsonlOptions | NotifyOptions | KafkaOptions | NatsOptions,
    Field(discriminator="type"),
]


class Delivery(Section):
    """Sends events to other programs, at least once and in order (docs/delivery.md)."""

    instance: Name | None = Field(
        None,
        description="Name of this sightd in MQTT topics and in idempotency keys; unique among those that send to the "
        "same receiver. By default made of the machine's host name.",
    )
    public_url: str | None = Field(
        None,
        description="http:// or https:// URL at which people reach sightd's API, perhaps through a proxy. With it, "
        "notifications contain links to snapshots and clips, which need a login as the API does.",
        examples=["https://sightd.example.com"],
    )
    sinks: dict[Name, Sink] = Field(
        default_factory=dict, description="Sinks by name. The position of each in the journal is kept by this name."
    )


def writes_to_stdout(delivery: Delivery) -> bool:
    """Returns whether a sink writes events to standard output."""
    return any(isinstance(sink, JsonlOptions) and sink.path is None for sink in delivery.sinks.values())


def problems_of(delivery: Delivery) -> Iterator[Problem]:
    """Yields what keeps sinks from starting; quotes no secret."""
    writing: dict[Path | None, str] = {}
    if delivery.public_url is not None and (reason := _url_fault(delivery.public_url)):
        yield ("public_url",), reason, "write https://HOST"
    for name, sink in delivery.sinks.items():
        at = ("sinks", name)
        if isinstance(sink, WebhookOptions):
            yield from _webhook(at, sink)
        elif isinstance(sink, MqttOptions):
            yield from _mqtt(at, sink)
        elif isinstance(sink, (KafkaOptions, NatsOptions)):
            yield from stream_problems(at, sink)
        elif isinstance(sink, NotifyOptions):
            yield from notification_problems(at, sink)
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
        yield from ca_problems(at, sink.ca)
    if sink.body is not None:
        try:
            event_template(sink.body)
        except TemplateError as error:
            yield (*at, "body", "template"), str(error), "correct the template"
    for name, value in sink.headers.items():
        if name.lower() in _OWN_HEADERS:
            yield (*at, "headers", name), "is set by sightd itself", "remove it"
        elif not _HEADER_VALUE.fullmatch(value.get_secret_value()):
            yield (*at, "headers", name), "is empty or contains characters other than printable ASCII", "correct it"


_ESCAPINGS: Mapping[str, Escaping] = {
    "application/json": "json", "application/x-www-form-urlencoded": "form", "text/plain": "none",
}  # fmt: skip


def event_template(body: WebhookBody) -> EventTemplate:
    """Returns the template of a webhook's requests. Raises TemplateError."""
    return EventTemplate(body.template, _ESCAPINGS[body.content_type])


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
    yield from missing_package(at, "paho", "paho-mqtt", "mqtt")
    if sink.password is not None and sink.username is None:
        yield (*at, "password"), "has no username", "write username:"
    if sink.ca is not None and not sink.tls:
        yield (*at, "ca"), "has no effect without tls", "write tls: true"
    elif sink.ca is not None:
        yield from ca_problems(at, sink.ca)
