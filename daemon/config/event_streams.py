"""Options of the sinks that append events to streams of other systems: Kafka and NATS JetStream."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints

from sightd.daemon.config.sinks import Problem, SinkOptions, ca_problems, missing_package

ServerAddress = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9._-]{1,253}|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$")]
TopicTemplate = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9._-]|\{(instance|kind|camera)\})+$", max_length=200)
]

_TEMPLATE_HELP = "{instance}, {kind} and {camera} stand for those of the event, `_` for none"


class StreamOptions(SinkOptions):
    """Options of both kinds of sinks."""

    servers: list[ServerAddress] = Field(
        min_length=1, description="Servers to connect to first, as HOST:PORT.", examples=[["broker.example.com:9092"]]
    )
    username: str | None = Field(None, min_length=1, description="User name at the servers.")
    password: SecretStr | None = Field(
        None, description="Password at the servers; preferably ${env:NAME} or ${file:PATH}."
    )
    tls: bool = Field(False, description="Connect with TLS; the certificate and its host name are verified.")
    ca: Path | None = Field(None, description="PEM file with the CA of the servers; by default the system's.")
    certificate: Path | None = Field(None, description="PEM file with a client certificate, if the servers want one.")
    key: Path | None = Field(None, description="PEM file with the unencrypted key of the certificate.")


class KafkaOptions(StreamOptions):
    """Produces each event to a Kafka topic, acknowledged by all in-sync replicas (requires pip install
    'sightd[kafka]')."""

    type: Literal["kafka"] = Field(
        description="Produces each event to a Kafka topic, acknowledged by all in-sync replicas (requires pip install "
        "'sightd[kafka]')."
    )
    topic: TopicTemplate = Field(
        "sightd.{instance}.events",
        description=f"Topic: {_TEMPLATE_HELP}. The camera is the record's key, so that the events of a camera stay in "
        "order.",
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism of the login with username and password."
    )


class NatsOptions(StreamOptions):
    """Publishes each event to a stream of NATS JetStream (requires pip install 'sightd[nats]')."""

    type: Literal["nats"] = Field(
        description="Publishes each event to a stream of NATS JetStream (requires pip install 'sightd[nats]')."
    )
    subject: TopicTemplate = Field(
        "sightd.{instance}.events.{kind}", description=f"Subject: {_TEMPLATE_HELP}. A stream must exist that takes it."
    )
    token: SecretStr | None = Field(
        None, description="Token instead of user name and password; preferably ${env:NAME} or ${file:PATH}."
    )


def stream_problems(at: tuple[str, ...], sink: KafkaOptions | NatsOptions) -> Iterator[Problem]:
    """Yields what keeps such a sink from starting; quotes no secret."""
    if isinstance(sink, KafkaOptions):
        yield from missing_package(at, "confluent_kafka", "confluent-kafka", "kafka")
    else:
        yield from missing_package(at, "nats", "nats-py", "nats")
        yield from _nats(at, sink)
    if (sink.username is None) != (sink.password is None):
        given, other = ("password", "username") if sink.username is None else ("username", "password")
        yield (*at, given), f"has no {other}", f"write {other}:"
    yield from _tls(at, sink)


def _nats(at: tuple[str, ...], sink: NatsOptions) -> Iterator[Problem]:
    if re.search(r"^\.|\.\.|\.$", sink.subject):
        yield (*at, "subject"), "has an empty token", "write names between all dots"
    if sink.token is not None and sink.username is not None:
        yield (*at, "token"), "is given as well as username", "remove one of them"


def _tls(at: tuple[str, ...], sink: StreamOptions) -> Iterator[Problem]:
    files = {"ca": sink.ca, "certificate": sink.certificate, "key": sink.key}
    if not sink.tls:
        for name in (name for name, path in files.items() if path is not None):
            yield (*at, name), "has no effect without tls", "write tls: true"
        return
    if sink.ca is not None:
        yield from ca_problems(at, sink.ca)
    if sink.certificate is not None and sink.key is not None:
        yield from _pair(at, sink.certificate, sink.key)
    elif sink.certificate is not None or sink.key is not None:
        given, other = ("certificate", "key") if sink.key is None else ("key", "certificate")
        yield (*at, given), f"has no {other}", f"write {other}:"


def _pair(at: tuple[str, ...], certificate: Path, key: Path) -> Iterator[Problem]:
    try:
        ssl.create_default_context().load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        reason = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
        yield (
            (*at, "certificate"),
            f"cannot use {certificate} with {key}: {reason or 'not a certificate and its unencrypted key'}",
            "correct the paths (relative to this file), or let the service's user read the files",
        )
