"""Creates the sink that its options describe. A module that needs an optional package is imported only for its sink."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sightd.daemon.config.delivery import JsonlOptions, MqttOptions, WebhookOptions
from sightd.daemon.config.event_streams import KafkaOptions, NatsOptions
from sightd.daemon.config.sinks import SinkOptions
from sightd.daemon.delivery.home_view import Home
from sightd.daemon.delivery.jsonl import LinesInFile, LinesOnStdout
from sightd.daemon.delivery.sink import Sink
from sightd.daemon.delivery.webhook import Webhook


def open_sink(name: str, options: SinkOptions, instance: str, home: Home | None = None) -> Sink:
    """Returns a new sink; connects to nothing. `home` is what Home Assistant gets to know. Raises KeyError for
    options that belong to no kind of sink."""
    if isinstance(options, MqttOptions):
        return _mqtt(name, options, instance, home)
    return _KINDS[type(options)](name, options, instance)


def _webhook(_name: str, options: WebhookOptions, instance: str) -> Sink:
    return Webhook(options, instance)


def _mqtt(name: str, options: MqttOptions, instance: str, home: Home | None) -> Sink:
    from sightd.daemon.delivery.mqtt import Mqtt

    return Mqtt(name, options, instance, home)


def _jsonl(_name: str, options: JsonlOptions, _instance: str) -> Sink:
    return LinesOnStdout(options) if options.path is None else LinesInFile(options.path)


def _kafka(name: str, options: KafkaOptions, instance: str) -> Sink:
    from sightd.daemon.delivery.kafka import Kafka

    return Kafka(name, options, instance)


def _nats(name: str, options: NatsOptions, instance: str) -> Sink:
    from sightd.daemon.delivery.nats import Nats

    return Nats(name, options, instance)


_KINDS: dict[type[SinkOptions], Callable[[str, Any, str], Sink]] = {
    WebhookOptions: _webhook,
    JsonlOptions: _jsonl,
    KafkaOptions: _kafka,
    NatsOptions: _nats,
}
