"""Generated requests to every operation of the API, by every role: none is a fault of the server.

Slow: about a hundred operations, and as many examples of each as the limit below says. The seed is fixed, so that a
failure can be repeated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.daemon.serve.http.test_auth import TOKENS, bearer
from tests.daemon.serve.http.test_roles import Whole, whole  # noqa: F401 — a fixture

pytestmark = [pytest.mark.slow, pytest.mark.computing, pytest.mark.timeout(1800)]

EXAMPLES = 12
STREAMS = ("/stream", ".mjpg")
"""Answers that do not end: HEAD is sent instead of GET, which ends after the headers."""


@pytest.fixture
def operations(whole: Whole) -> Iterator[Any]:  # noqa: F811
    schema: Any = schemathesis.openapi.from_dict(whole.app.openapi())
    return (result.ok() for result in schema.get_all_operations())


@pytest.mark.parametrize("role", list(TOKENS))
def test_no_generated_request_is_a_fault_of_the_server(
    whole: Whole,  # noqa: F811
    operations: Iterator[Any],
    role: str,
) -> None:
    tried, wrong = 0, list[str]()

    def send(case: Any) -> None:
        nonlocal tried
        sent = case.as_transport_kwargs(base_url="http://127.0.0.1:8080")
        method = "HEAD" if case.method == "GET" and case.path.endswith(STREAMS) else case.method
        headers = {**{key: str(value) for key, value in sent.get("headers", {}).items()}, **bearer(TOKENS[role])}
        parts = {key: sent[key] for key in ("params", "json", "data") if sent.get(key) is not None}
        content = {"content": parts.pop("data")} if isinstance(parts.get("data"), (bytes, str)) else {}
        try:
            answer = whole.client.request(method, sent["url"], headers=headers, **content, **parts)
        except (UnicodeError, ValueError, TypeError):  # what no client can send
            return
        tried += 1
        if answer.status_code >= 500 and answer.status_code != 503:
            wrong.append(f"{method} {sent['url']} {parts} {content}: {answer.status_code}")
        elif answer.status_code >= 400 and method != "HEAD":
            body = json.loads(answer.content)
            assert "error" in body or "detail" in body, (method, sent["url"], body)

    for operation in operations:
        run = given(case=operation.as_strategy())(send)
        run = settings(max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
                       suppress_health_check=list(HealthCheck))(run)  # fmt: skip
        seed(17)(run)()
    assert tried > 500
    assert not wrong, "\n".join(wrong[:20])
