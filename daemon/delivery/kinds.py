"""Creates the sink that its options describe. A module that needs an optional package is imported only for its sink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightd.daemon.config.delivery import JsonlOptions, MqttOptions, WebhookOptions
from sightd.daemon.config.event_streams import KafkaOptions, NatsOptions
from sightd.daemon.config.notifications import NotifyOptions, notification_template
from sightd.daemon.config.sinks import SinkOptions
from sightd.daemon.delivery.home_view import Home
from sightd.daemon.delivery.jsonl import LinesInFile, LinesOnStdout
from sightd.daemon.delivery.notification import NotificationWriter
from sightd.daemon.delivery.notify import Notify
from sightd.daemon.delivery.sink import Sink
from sightd.daemon.delivery.webhook import Webhook
from sightd.daemon.events.event import Event


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What all sinks have in common. `instance` makes the events' ids unique, `public_url` is where people reach the
    API, `picture_of` returns the file with an event's annotated snapshot, None if there is none (yet), and `home` is
    what Home Assistant gets to know."""

    instance: str
    public_url: str | None
    picture_of: Callable[[Event], Path | None]
    home: Home | None = None


def open_sink(name: str, options: SinkOptions, context: SinkContext) -> Sink:
    """Returns a new sink; connects to nothing. Raises KeyError for options that belong to no kind of sink."""
    return _KINDS[type(options)](name, options, context)


def _webhook(_name: str, options: WebhookOptions, context: SinkContext) -> Sink:
    return Webhook(options, context.instance)


def _mqtt(name: str, options: MqttOptions, context: SinkContext) -> Sink:
    from sightd.daemon.delivery.mqtt import Mqtt

    return Mqtt(name, options, context.instance, context.home)


def _jsonl(_name: str, options: JsonlOptions, _context: SinkContext) -> Sink:
    return LinesOnStdout(options) if options.path is None else LinesInFile(options.path)


def _kafka(name: str, options: KafkaOptions, context: SinkContext) -> Sink:
    from sightd.daemon.delivery.kafka import Kafka

    return Kafka(name, options, context.instance)


def _nats(name: str, options: NatsOptions, context: SinkContext) -> Sink:
    from sightd.daemon.delivery.nats import Nats

    return Nats(name, options, context.instance)


def _notify(_name: str, options: NotifyOptions, context: SinkContext) -> Sink:
    title, body = (text and notification_template(text) for text in (options.title, options.body))
    writer = NotificationWriter(title or None, body or None, context.instance, context.public_url)
    return Notify(options, writer, context.picture_of)


_KINDS: dict[type[SinkOptions], Callable[[str, Any, SinkContext], Sink]] = {
    WebhookOptions: _webhook,
    MqttOptions: _mqtt,
    JsonlOptions: _jsonl,
    NotifyOptions: _notify,
    KafkaOptions: _kafka,
    NatsOptions: _nats,
}
