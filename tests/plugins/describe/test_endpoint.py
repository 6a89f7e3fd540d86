"""Requests to an endpoint: what is sent, and how each way in which it can misbehave ends, against a real server."""

from __future__ import annotations

import re
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightd.plugins.describe import endpoint as endpoint_module
from sightd.plugins.describe.config import PROMPT, DescribeConfig
from sightd.plugins.describe.crop import jpeg_of
from sightd.plugins.describe.endpoint import ChatEndpoint, EndpointError, Outcome
from tests.support.certificates import self_signed
from tests.support.chat_endpoint import (
    Reply,
    breaking_off,
    chat_server,
    hanging,
    saying,
    trickling,
    with_status,
)

TOKEN = "Kanari3nvogel"
JPEG = jpeg_of(np.full((40, 60, 3), 200, np.uint8), 80)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def endpoint(url: str, **options: Any) -> ChatEndpoint:
    return ChatEndpoint(DescribeConfig.model_validate({"url": url, "timeout": "30s", **options}))


def failure(*script: Reply, **options: Any) -> EndpointError:
    """Returns the error of a request that is answered with `script`."""
    with chat_server(*script) as server, pytest.raises(EndpointError) as raised:
        endpoint(server.url, token=TOKEN, **options).ask(JPEG)
    assert TOKEN not in str(raised.value)
    return raised.value


def test_a_request_has_prompt_image_token_and_limits() -> None:
    with chat_server(saying("A wall.")) as server:
        assert endpoint(server.url, token=TOKEN, model="small", max_tokens=9).ask(JPEG) == "A wall."
    [received] = server.received
    assert received.path == "/v1/chat/completions"
    assert received.headers["Authorization"] == f"Bearer {TOKEN}"
    assert (received.text, received.jpeg) == (PROMPT, JPEG)
    others = {name: value for name, value in received.form.items() if name != "messages"}
    assert others == {"model": "small", "max_tokens": 9, "stream": False}


def test_without_a_token_and_a_model_neither_is_sent() -> None:
    with chat_server(saying("A wall.")) as server:
        assert endpoint(server.url).ask(JPEG) == "A wall."
    assert "Authorization" not in server.received[0].headers
    assert "model" not in server.received[0].form


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (with_status(200, b"<html>"), "it is not JSON"),
        (with_status(200, b"{}"), "it has no text"),
        (with_status(204), "it is not JSON"),
        (saying("x" * 70_000), r"larger than max_answer \(65,536 bytes\)"),
    ],
    ids=["broken JSON", "no answer", "nothing", "huge"],
)
def test_an_answer_that_cannot_be_used_is_invalid(reply: Reply, message: str) -> None:
    error = failure(reply)
    assert error.outcome is Outcome.INVALID
    assert re.search(message, str(error))


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (with_status(401), "401 Unauthorized"),
        (with_status(404, b'{"error": {"message": "model not found, try pulling it"}}'), "not found, try pulling it"),
        (with_status(500, f'{{"error": "bad key {TOKEN}"}}'.encode()), "bad key ***"),
        (with_status(799), "unknown status 799"),
    ],
)
def test_a_wrong_status_is_reported_with_what_the_endpoint_says(reply: Reply, message: str) -> None:
    error = failure(reply)
    assert error.outcome is Outcome.STATUS
    assert message in str(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with chat_server(saying("wrong place")) as other:
        error = failure(with_status(status, Location=f"{other.url}/chat/completions"))
    assert error.outcome is Outcome.STATUS
    assert "redirects are not followed" in str(error)
    assert not other.received


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [
        (429, "7", 7.0),
        (503, "100000", 300.0),
        (429, "999999999999999999", None),
        (429, "-1", None),
        (429, "soon", None),
        (429, timedelta(hours=-1), 0.0),
        (429, timedelta(hours=1), 300.0),
    ],
)
def test_an_endpoint_that_asks_for_a_pause_gets_one(status: int, value: str | timedelta, seconds: float | None) -> None:
    if isinstance(value, timedelta):
        value = format_datetime(datetime.now(UTC) + value)
    error = failure(with_status(status, Retry_After=value))
    assert (error.outcome, error.retry_after) == (Outcome.THROTTLED, seconds)


def test_without_a_time_there_is_none() -> None:
    assert failure(with_status(429)).retry_after is None


@pytest.mark.parametrize("reply", [hanging, trickling], ids=["silent", "byte by byte"])
def test_a_request_ends_at_its_time_limit(reply: Reply) -> None:
    error = failure(reply, timeout="300ms")
    assert error.outcome is Outcome.TIMEOUT
    assert "no answer within 0.3 s" in str(error)


def test_an_answer_that_breaks_off_is_not_used() -> None:
    assert failure(breaking_off).outcome is Outcome.UNREACHABLE


def test_an_endpoint_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(EndpointError, match="Connection refused") as raised:
        endpoint(f"http://127.0.0.1:{port}/v1").ask(JPEG)
    assert raised.value.outcome is Outcome.UNREACHABLE


def test_a_request_in_progress_is_ended_from_another_thread_and_so_is_every_later_one() -> None:
    with chat_server(hanging) as server:
        asked = endpoint(server.url, timeout="10m")
        errors: list[EndpointError] = []

        def ask() -> None:
            with pytest.raises(EndpointError) as raised:
                asked.ask(JPEG)
            errors.append(raised.value)

        thread = threading.Thread(target=ask)
        thread.start()
        while not server.received:
            time.sleep(0.005)
        asked.abort()
        thread.join(20)
        ask()
    assert len(errors) == 2
    assert len(server.received) == 1


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, str]:
    return self_signed(tmp_path)


def test_a_certificate_is_verified(pair: dict[str, str]) -> None:
    with chat_server(saying("A wall."), tls=pair) as server:
        with pytest.raises(EndpointError, match=r"certificate is not trusted.*name its authority in ca_file") as raised:
            endpoint(server.url).ask(JPEG)
        assert raised.value.outcome is Outcome.UNREACHABLE
        assert not server.received
        assert endpoint(server.url, ca_file=pair["certificate"]).ask(JPEG) == "A wall."


def test_a_request_over_tls_ends_at_its_time_limit(pair: dict[str, str]) -> None:
    with chat_server(hanging, tls=pair) as server, pytest.raises(EndpointError) as raised:
        endpoint(server.url, ca_file=pair["certificate"], timeout="500ms").ask(JPEG)
    assert raised.value.outcome is Outcome.TIMEOUT


def test_nothing_is_sent_if_a_local_name_leads_to_a_remote_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback counts as remote here, because tests reach nothing else."""
    monkeypatch.setattr(endpoint_module, "is_local_address", lambda _address: False)
    with chat_server(saying("A wall.")) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        with pytest.raises(EndpointError, match=r"127\.0\.0\.1 is not an address of a private network") as raised:
            endpoint(url).ask(JPEG)
        assert raised.value.outcome is Outcome.REFUSED
        assert not server.received
        assert endpoint(url, allow_remote=True).ask(JPEG) == "A wall."


def test_a_local_endpoint_is_not_reached_through_a_proxy_and_a_remote_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with chat_server(saying("proxy")) as proxy, chat_server(saying("local")) as server:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        assert endpoint(server.url).ask(JPEG) == "local"
        assert endpoint(server.url, allow_remote=True).ask(JPEG) == "local"
        assert endpoint("http://vision.example.com/v1", allow_remote=True).ask(JPEG) == "proxy"
    assert [one.path for one in proxy.received] == ["http://vision.example.com/v1/chat/completions"]
