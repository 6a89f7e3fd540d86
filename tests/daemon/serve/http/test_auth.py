"""Who is admitted over HTTP, and with which rights."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.config.diff import ConfigDiff
from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.config.model import Http
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.auth import AT_ONCE, Access
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from tests.daemon.serve.http.test_app import View
from tests.support.face_services import open_test_face_service, with_face_routes

TOKENS = {role: f"a-token-of-somebody-to-{role}" for role in ("view", "operate", "admin")}


def reloaded() -> Future[ConfigDiff]:
    done: Future[ConfigDiff] = Future()
    done.set_result(ConfigDiff())
    return done


@contextmanager
def serving(folder: Path, tokens: dict[str, str]) -> Iterator[httpx.Client]:
    """Yields a client without a token, of a server with these tokens and a gallery in `folder`."""
    metrics = Metrics(CollectorRegistry(), "1.2.3")
    options = {role: {"role": role, "token": token} for role, token in tokens.items()}
    access = Access(AccessOptions.model_validate({"tokens": options}), metrics.refused)
    face_service = open_test_face_service(folder / "faces.db")
    app = with_face_routes(create_app(View(), metrics.exposition, 1, access, reloaded), face_service, access)
    server = HttpServer(Http(port=0), app)
    server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20) as client:
        yield client
    server.close()
    face_service.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[httpx.Client]:
    """A server with tokens for one test, which may use up its guesses and read its counters."""
    with serving(tmp_path, TOKENS) as client:
        yield client


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server with tokens, for tests that change nothing in it."""
    with serving(tmp_path_factory.mktemp("guarded"), TOKENS) as client:
        yield client


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server without tokens, for tests that change nothing in it."""
    with serving(tmp_path_factory.mktemp("unguarded"), {}) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def rejections(client: httpx.Client, reason: str) -> float:
    text = client.get("/metrics", headers=bearer(TOKENS["admin"])).text
    line = next(line for line in text.splitlines() if line.startswith("sightd_access_refused_total") and reason in line)
    return float(line.split()[-1])


VIEWED = ["/front.jpg", "/readyz", "/metrics", "/api/v1/openapi.json", "/api/v1/status"]
OPERATED = [("GET", "/api/v1/faces"), ("GET", "/api/v1/unknown-faces"), ("POST", "/api/v1/unknown-faces/1/name")]
ADMINISTERED = [
    ("GET", "/api/v1/export-faces"),
    ("DELETE", "/api/v1/faces/Ada"),
    ("DELETE", "/api/v1/unknown-faces/1"),
    ("POST", "/api/v1/calibrate-faces"),
    ("POST", "/api/v1/import-faces"),
    ("POST", "/api/v1/reload"),
]


@pytest.mark.parametrize(
    "path",
    [
        *VIEWED,
        "/front.mjpg",
        "/api/v1/faces",
        "/api/v1/reload",
        "/nothing/here",
        "/healthz/",
        "/heal%09thz",
        "/consoles",
        "/index.html",
    ],
)
def test_without_a_token_nothing_is_revealed(shared: httpx.Client, path: str) -> None:
    answer = shared.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Basic realm="sightd"')
    assert set(answer.json()) == {"detail"}
    assert "front" not in answer.text


def test_the_process_can_be_looked_after_without_a_token(shared: httpx.Client) -> None:
    answer = shared.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"healthy": True})


@pytest.mark.parametrize("role", list(TOKENS))
def test_a_token_comes_as_bearer_and_as_a_password_under_its_name(guarded: httpx.Client, role: str) -> None:
    assert guarded.get("/metrics", headers=bearer(TOKENS[role])).status_code == 200
    assert guarded.get("/metrics", auth=(role, TOKENS[role])).status_code == 200
    assert guarded.get("/metrics", auth=("somebody", TOKENS[role])).status_code == 401


@pytest.mark.parametrize(
    "header", ["Bearer", "Basic", "Basic !!", "Basic dmlldw==", "Digest x", f"Bearer {TOKENS['view']} x"]
)
def test_what_is_no_token_opens_nothing(guarded: httpx.Client, header: str) -> None:
    assert guarded.get("/metrics", headers={"Authorization": header}).status_code == 401


def test_each_role_reaches_so_far(guarded: httpx.Client) -> None:
    def status(role: str, method: str, path: str) -> int:
        return guarded.request(method, path, headers=bearer(TOKENS[role])).status_code

    assert {status("view", "GET", path) for path in ("/readyz", "/metrics", "/api/v1/openapi.json")} == {200}
    assert {status("view", *one) for one in (*OPERATED, *ADMINISTERED)} == {403}
    assert 403 not in {status("operate", *one) for one in OPERATED}
    assert {status("operate", *one) for one in ADMINISTERED} == {403}
    assert 403 not in {status("admin", *one) for one in (*OPERATED, *ADMINISTERED)}
    assert rejections(guarded, "role") == len(OPERATED) + 2 * len(ADMINISTERED)


def test_a_role_that_does_not_reach_is_reported(shared: httpx.Client) -> None:
    answer = shared.post("/api/v1/reload", headers=bearer(TOKENS["view"]))
    assert answer.json()["detail"] == 'This requires the role "admin"; view has the role "view".'


def test_who_guesses_waits_even_with_the_right_one(guarded: httpx.Client) -> None:
    wrong = [guarded.get("/metrics", headers=bearer(f"guess {n}")).status_code for n in range(AT_ONCE)]
    assert wrong == [401] * AT_ONCE
    answer = guarded.get("/metrics", headers=bearer(TOKENS["admin"]))
    assert (answer.status_code, 1 <= int(answer.headers["retry-after"]) <= 6) == (429, True)


def forwarded_guesses(server: HttpServer) -> list[int]:
    base = f"http://127.0.0.1:{server.port}/metrics"
    return [
        httpx.get(base, headers={"X-Forwarded-For": f"192.0.2.{n}", **bearer(f"guess {n}")}).status_code
        for n in range(AT_ONCE + 1)
    ]


@pytest.mark.parametrize(("proxies", "last"), [([], 429), (["127.0.0.1"], 401), (["192.0.2.77"], 429)])
def test_only_a_proxy_that_is_named_says_where_somebody_comes_from(proxies: list[str], last: int) -> None:
    access = Access(AccessOptions.model_validate({"tokens": {"a": {"role": "view", "token": TOKENS["view"]}}}))
    app = create_app(View(), Metrics(CollectorRegistry(), "1.2.3").exposition, 1, access)
    server = HttpServer(Http.model_validate({"port": 0, "proxies": proxies}), app)
    server.start()
    try:
        assert forwarded_guesses(server) == [401] * AT_ONCE + [last]
    finally:
        server.close()


@pytest.mark.parametrize(("host", "status"), [("127.0.0.2", 200), ("LOCALHOST", 200), ("localhost.evil.example", 403)])
def test_without_tokens_any_name_of_the_loopback_will_do(unguarded: httpx.Client, host: str, status: int) -> None:
    assert unguarded.get("/readyz", headers={"Host": host}).status_code == status


def test_a_browser_that_is_led_by_a_foreign_page_changes_nothing(guarded: httpx.Client) -> None:
    """The browser sends its Basic credentials by itself; the header it cannot send, and CORS never allows it."""
    led = guarded.post("/api/v1/reload", auth=("admin", TOKENS["admin"]), headers={"Origin": "https://evil.example"})
    assert (led.status_code, "X-Sightd" in led.json()["detail"]) == (403, True)
    asked = guarded.options("/api/v1/reload", headers={"Origin": "https://evil.example"})
    assert not [name for name in asked.headers if name.startswith("access-control")]
    own = guarded.post("/api/v1/reload", auth=("admin", TOKENS["admin"]), headers={"X-Sightd": "1"})
    assert own.status_code == 200


def test_who_changed_what_is_in_the_log_by_the_tokens_name(
    guarded: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        guarded.patch("/api/v1/faces/Ada Lovelace", headers=bearer(TOKENS["operate"]), json={"name": "Ada"})
    assert "operate (operate): PATCH /api/v1/faces/{name}, answered 404" in caplog.messages
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("sightd")]
    assert not [line for line in ours if "Lovelace" in line]


def test_no_token_is_in_the_log(guarded: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        for token in (*TOKENS.values(), "a-guess-4711"):
            guarded.post("/api/v1/reload", headers=bearer(token))
            guarded.get("/metrics", auth=("admin", token))
    assert caplog.text
    assert not [token for token in (*TOKENS.values(), "a-guess-4711") if token in caplog.text]


def test_the_body_of_a_rejected_client_is_not_waited_for(shared: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", shared.base_url.port or 0), timeout=10) as connection:
        connection.sendall(b"POST /api/v1/compare-faces HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n{")
        assert connection.recv(4096).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("path", ["/api/v1/compare-faces", "/api/v1/reload", "/api/v1/unknown-faces/1/name"])
def test_the_body_of_a_client_with_too_low_a_role_is_not_waited_for(shared: httpx.Client, path: str) -> None:
    with socket.create_connection(("127.0.0.1", shared.base_url.port or 0), timeout=10) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKENS['view']}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 900000\r\n\r\n{{".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/..%2f..%2fetc%2fpasswd.jpg",
        "/%2e%2e/%2e%2e/etc/passwd.mjpg",
        "//etc/passwd",
        "/api/v1/faces/..%2f..%2fetc%2fpasswd",
        "/front.jpg%00.png",
        "/api/v1/unknown-faces/..%2f1.png",
    ],
)
def test_no_path_leads_to_a_file(shared: httpx.Client, path: str) -> None:
    with socket.create_connection(("127.0.0.1", shared.base_url.port or 0), timeout=10) as connection:
        request = (
            f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKENS['admin']}\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split()[1] in (b"404", b"422")
    assert b"root:" not in answer


def test_without_tokens_programs_of_this_machine_may_do_all(unguarded: httpx.Client) -> None:
    assert unguarded.get("/api/v1/export-faces").status_code == 200
    assert unguarded.post("/api/v1/reload", headers={"X-Sightd": "1"}).status_code == 200
    assert unguarded.get("/healthz").json()["detail"]


@pytest.mark.parametrize("path", ["/front.jpg", "/front.mjpg", "/metrics", "/api/v1/faces"])
@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Forwarded": "for=192.0.2.1"}, {"X-Forwarded-For": "192.0.2.1"}, {"Via": "1.1 proxy"}],
)
def test_without_tokens_a_foreign_name_or_a_proxy_shows_nothing(
    unguarded: httpx.Client, path: str, headers: dict[str, str]
) -> None:
    """A foreign page's host name that resolves to this machine, and requests by others through a local proxy."""
    answer = unguarded.get(path, headers=headers)
    assert (answer.status_code, set(answer.json())) == (403, {"detail"})


@pytest.mark.parametrize("path", ["/healthz", "/", "/metrics", "/api/v1/faces", "/nothing"])
@pytest.mark.parametrize("host", ["[::1", "127.0.0.1:http", "evil.example:1:2", "a b", "a/b", "user@127.0.0.1", "[1]2"])
def test_a_host_header_that_cannot_be_parsed_is_refused(
    unguarded: httpx.Client, shared: httpx.Client, path: str, host: str
) -> None:
    """A lenient parser could take a foreign name for this machine's."""
    for client in (unguarded, shared):
        assert client.get(path, headers={"Host": host} | bearer(TOKENS["admin"])).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]", "[::1]:8080", "LOCALHOST:"])
def test_every_way_to_write_this_machine_is_understood(unguarded: httpx.Client, host: str) -> None:
    assert unguarded.get("/healthz", headers={"Host": host}).status_code == 200
    assert unguarded.get("/metrics", headers={"Host": host}).status_code == 200


def test_without_tokens_too_a_foreign_page_changes_nothing(unguarded: httpx.Client) -> None:
    assert unguarded.post("/api/v1/reload").status_code == 403
