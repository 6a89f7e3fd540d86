"""How the console's files are sent: open to everyone, and asked for again only if they have changed."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.routes_console import POLICY, static_files
from tests.support.console import ConsoleServer

pytestmark = pytest.mark.waiting

TOKENS = {"tokens": {"owner": {"role": "admin", "token": "a-token-of-thirty-two-characters"}}}
TYPES = {
    "/": "text/html; charset=utf-8",
    "/console/app.js": "text/javascript; charset=utf-8",
    "/console/style.css": "text/css; charset=utf-8",
    "/console/icon.svg": "image/svg+xml",
    "/console/i18n/de.json": "application/json",
    "/console/vendor/LICENSE-preact.txt": "text/plain; charset=utf-8",
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client without a token, of a server that requires one."""
    access = Access(AccessOptions.model_validate(TOKENS))
    with (
        ConsoleServer(tmp_path_factory.mktemp("console"), access=access) as server,
        httpx.Client(base_url=server.url(""), timeout=10) as client,
    ):
        yield client


@pytest.mark.parametrize("path", list(TYPES))
def test_a_file_is_sent_without_a_token_with_its_type_and_policy(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, TYPES[path])
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    assert POLICY.startswith("default-src 'none'; ")
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


@pytest.mark.parametrize("known", ['"other", {}', "{}"])
def test_a_file_that_has_not_changed_is_not_sent_again(client: httpx.Client, known: str) -> None:
    first = client.get("/console/app.js")
    again = client.get("/console/app.js", headers={"If-None-Match": known.format(first.headers["etag"])})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert client.get("/console/app.js", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_file_is_compressed_for_those_who_accept_it(client: httpx.Client) -> None:
    with client.stream("GET", "/console/style.css", headers={"Accept-Encoding": "gzip"}) as answer:
        sent = b"".join(answer.iter_raw())
    assert gzip.decompress(sent) == static_files()["style.css"].content


@pytest.mark.parametrize("path", ["nothing.js", "", "..%2fhttp%2fapp.py", "%2e%2e/http/app.py", "vendor", "/app.js"])
def test_nothing_but_the_consoles_own_files_is_sent(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/console/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")


def test_every_file_of_the_folder_can_be_requested(client: httpx.Client) -> None:
    folder = Path(__file__).parents[4] / "daemon" / "serve" / "console"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(static_files())


def test_nothing_is_changed_without_a_token(client: httpx.Client) -> None:
    assert client.post("/", headers={"X-Sightd": "1"}).status_code == 401
    assert client.delete("/console/app.js").status_code == 401
