"""Options of Kafka and NATS sinks that do not fit together are named by `sightd check`, without their secrets."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sightd.daemon.config.delivery import Delivery, problems_of
from tests.support.certificates import self_signed


def problems(kind: str, **options: Any) -> str:
    """Returns the problems of a sink as lines of path, message and hint."""
    sink = {"type": kind, "servers": ["one.example.com:9092", "[::1]:9092"], **options}
    found = problems_of(Delivery.model_validate({"sinks": {"out": sink}}))
    return "\n".join(f"{'.'.join(path)} {message}: {hint}" for path, message, hint in found)


@pytest.mark.parametrize("kind", ["kafka", "nats"])
def test_addresses_alone_are_enough(kind: str) -> None:
    assert problems(kind) == ""


@pytest.mark.parametrize("server", ["one.example.com", "nats://one:4222", "user:canary@one:4222", "one:port"])
def test_servers_are_a_host_and_a_port(server: str) -> None:
    with pytest.raises(ValidationError):
        problems("nats", servers=[server])


@pytest.mark.parametrize(("kind", "name"), [("kafka", "topic"), ("nats", "subject")])
@pytest.mark.parametrize("template", ["", "a b", "events.{id}", "events.*", "events.>", "{camera", "é"])
def test_names_have_only_characters_and_placeholders_that_they_may_have(kind: str, name: str, template: str) -> None:
    with pytest.raises(ValidationError):
        problems(kind, **{name: template})


def test_logins_are_complete_and_not_ambiguous() -> None:
    assert "sinks.out.username has no password: write password:" in problems("kafka", username="sightd")
    assert "sinks.out.password has no username" in problems("nats", password="canary")
    found = problems("nats", username="sightd", password="canary", token="canary")
    assert "sinks.out.token is given as well as username" in found
    assert "canary" not in found


@pytest.mark.parametrize("subject", [".events", "events.", "a..b"])
def test_subjects_of_nats_have_no_empty_tokens(subject: str) -> None:
    assert "sinks.out.subject has an empty token" in problems("nats", subject=subject)


def test_files_of_tls_are_read_and_belong_together(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    assert problems("kafka", tls=True, ca=pair["certificate"], **pair) == ""
    assert "sinks.out.ca has no effect without tls" in problems("kafka", ca=pair["certificate"])
    assert "sinks.out.certificate has no key" in problems("nats", tls=True, certificate=pair["certificate"])
    absent = {"certificate": str(tmp_path / "absent.pem"), "key": pair["key"]}
    assert "absent.pem" in problems("nats", tls=True, **absent)
    swapped = {"certificate": pair["key"], "key": pair["certificate"]}
    assert "not a certificate and its unencrypted key" in problems("nats", tls=True, **swapped)


@pytest.mark.parametrize(("kind", "package"), [("kafka", "confluent-kafka"), ("nats", "nats-py")])
def test_a_missing_package_is_named_with_its_extra(kind: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str, _package: str | None = None) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    assert f"requires the package {package}: run: pip install 'sightd[{kind}]'" in problems(kind)
