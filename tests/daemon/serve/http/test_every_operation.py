"""Every operation of the API is exercised by a test, and none fails on malformed input."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.daemon.serve.http.test_auth import TOKENS, bearer
from tests.daemon.serve.http.test_roles import Whole, whole  # noqa: F401 — a fixture

pytestmark = pytest.mark.computing

HERE, TESTS = Path(__file__).parent, Path(__file__).parents[3]
METHODS = ("get", "put", "post", "delete", "patch")
ELSEWHERE = {
    "DELETE /api/v1/whep/sessions/{session}": ("test_routes_whep.py", "http.delete, address"),
    "DELETE /api/v1/unknown-faces": ("../../cli/test_faces_of_daemon.py", '"unknown", "forget", "--all"'),
    "GET /api/v1/events/statistics": ("test_routes_events.py", "/statistics"),
    "GET /api/v1/events/export": ("test_routes_events.py", "/export"),
    "GET /api/v1/events/{number}/clean.jpg": ("test_routes_event_media.py", "clean.jpg"),
    "GET /api/v1/events/{number}/snapshot.jpg": ("test_routes_event_media.py", "snapshot.jpg"),
    "POST /api/v1/cameras/probe": ("test_routes_finding.py", "cameras/probe"),
    "POST /api/v1/discovery": ("test_routes_finding.py", 'site.post("discovery"'),
    "POST /api/v1/reembed-faces": ("../../cli/test_faces_of_daemon.py", '"see-again"'),
}
"""Operations that tests call in a way that is not recognised here: the file, and a text that it has."""
LONG = "x" * 300
BODIES: list[bytes] = [b"[]", b'"\\ud800"', b'{"text": null, "x": [[[[1]]]]}', b"\xff{"]
HEADERS = bearer(TOKENS["admin"]) | {"If-Match": '"none"', "Content-Type": "application/json"}


@pytest.fixture
def operations(whole: Whole) -> list[tuple[str, str]]:  # noqa: F811
    paths = whole.app.openapi()["paths"]
    return [(method.upper(), path) for path, ones in paths.items() for method in ones if method in METHODS]


def addresses(path: str) -> list[str]:
    """Returns addresses of an operation with parameters that nobody expects."""
    odd = ("%00", "..%2f" + LONG, "99999999999999999999", "%F0%9F%92%A9%20")
    if "{" not in path:
        return [path, f"{path}?limit=-1&lines=x&camera={LONG}&since=nan&persist=perhaps&before=%00"]
    return [re.sub(r"\{[^}]+\}", one, path) for one in odd]


def test_malformed_input_is_refused_and_never_a_fault_of_the_server(
    whole: Whole,  # noqa: F811
    operations: list[tuple[str, str]],
) -> None:
    """503 is what some operations answer that wait for something that is not there."""
    wrong: list[tuple[str, str, int]] = []
    for method, path in operations:
        bodies = BODIES if method in ("PUT", "POST", "PATCH") else [b""]
        odd = addresses(path)
        for number in range(max(len(bodies), len(odd))):
            address, body = odd[number % len(odd)], bodies[number % len(bodies)]
            sent = "HEAD" if method == "GET" else method  # streams end after their headers
            status = whole.client.request(sent, address, content=body, headers=HEADERS).status_code
            if status >= 500 and status != 503:
                wrong.append((method, address, status))
    assert not wrong, "\n".join(map(str, wrong))


def test_every_operation_is_called_by_a_test(operations: list[tuple[str, str]]) -> None:
    """Looks for calls and tuples in the tests' code with the operation's path and method; or for a method of the Python
    client that a test calls. What is asserted of the answer is for the reader to judge."""
    called = set(calls_in(TESTS)) | set(calls_of_client())
    missing = {f"{method} {path}" for method, path in operations if not is_called(method, path, called)}
    assert missing == ELSEWHERE.keys()
    for operation, (file, text) in ELSEWHERE.items():
        assert text in (HERE / file).read_text(), operation


def is_called(method: str, path: str, called: set[tuple[str, str]]) -> bool:
    parts = re.split(r"\{[^}]+\}", path.removeprefix("/api/v1"))
    wanted = re.compile(r"(/api/v1)?" + r"[^/?]+".join(map(re.escape, parts)) + r"(\?.*)?")
    return any(one == method and wanted.fullmatch(text) for one, text in called)


def calls_in(folder: Path) -> Iterator[tuple[str, str]]:
    """Yields (method, path) of the calls and tuples in all tests. GET is the method of those that name none."""
    for file in folder.rglob("*.py"):
        text = file.read_text()
        if file.name in (Path(__file__).name, "test_roles.py") or not ("/api/v1" in text or file.parent == HERE):
            continue
        tree = ast.parse(text)
        constants = dict(_constants(tree))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Call, ast.Tuple, ast.List)):
                yield from _called(node, constants)


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yields the names and values of a module's texts."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield from ((node.targets[0].id, text) for text in _texts(node.value, {}))


def _called(node: ast.Call | ast.Tuple | ast.List, constants: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    parts = [*node.args, *(one.value for one in node.keywords)] if isinstance(node, ast.Call) else node.elts
    texts = [found for part in parts for found in _texts(part, constants)]
    paths = [text[max(0, text.find("/api/v1")) :] for text in texts if text.startswith("/") or "/api/v1" in text]
    named = {text for text in texts if text.lower() in METHODS and text.isupper()}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        named.add(node.func.attr.upper())
    for path in paths:
        for method in named or {"GET"}:
            yield method, path


def _texts(node: ast.expr, constants: Mapping[str, str]) -> Iterator[str]:
    """Yields a text, also of a constant; an f-string with "x" for what it inserts; and the texts that a `+` or a call
    puts together."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in constants:
        yield constants[node.id]
    elif isinstance(node, ast.JoinedStr):
        inner = [one.value if isinstance(one, ast.FormattedValue) else one for one in node.values]
        yield "".join(next(_texts(one, constants), "x") for one in inner)
    elif isinstance(node, ast.Call):
        for part in node.args:
            yield from _texts(part, constants)
    elif isinstance(node, ast.BinOp):
        yield next(_texts(node.left, constants), "x") + next(_texts(node.right, constants), "x")


def calls_of_client() -> Iterator[tuple[str, str]]:
    """Yields (method, path) of the methods of the Python client that its tests call."""
    used = set(re.findall(r"client\.(\w+)\(", (TESTS / "daemon" / "control" / "test_api.py").read_text()))
    source = ast.parse((TESTS.parent / "daemon" / "control" / "api.py").read_text())
    verbs = {"_get": "GET", "_list": "GET", "_post": "POST"}
    for function in ast.walk(source):
        if not isinstance(function, ast.FunctionDef) or function.name not in used:
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                texts = [text.removeprefix("x") for part in node.args for text in _texts(part, {})]
                method = next((text for text in texts if text.lower() in METHODS), verbs.get(node.func.attr))
                if method is not None:
                    yield from ((method, text) for text in texts if text.startswith("/"))


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('api("PUT", "/cameras/order")', ("PUT", "/cameras/order")),
        ('client.get(f"/api/v1/jobs/{number}?x=1")', ("GET", "/api/v1/jobs/x?x=1")),
        ('ROUTES = [("DELETE", "/rules/" + name)]', ("DELETE", "/rules/x")),
        ('client.post(url("/api/v1/reload"))', ("POST", "/api/v1/reload")),
    ],
)
def test_calls_are_recognised(code: str, found: tuple[str, str]) -> None:
    assert found in {
        one
        for node in ast.walk(ast.parse(code))
        if isinstance(node, (ast.Call, ast.Tuple, ast.List))
        for one in _called(node, {})
    }
