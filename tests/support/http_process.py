"""An HTTP server in a process of its own, which stores each request before it answers."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.server_process import ServerProcess


@dataclass(frozen=True, slots=True)
class StoredRequest:
    path: str
    headers: Mapping[str, str]
    body: bytes


class HttpProcess(ServerProcess):
    """Answers POST and PUT with status 200. What it has stored remains when it is killed."""

    def __init__(self, folder: Path) -> None:
        super().__init__("HTTP server", {"PYTHONPATH": str(Path(__file__).resolve().parents[2])})
        self._file = folder / "requests.jsonl"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def command(self) -> Sequence[str | Path]:
        return [sys.executable, "-m", "tests.support.http_process", str(self.port), self._file]

    def requests(self) -> list[StoredRequest]:
        """Returns the requests that were stored, in their order."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        found = (json.loads(line) for line in lines)
        return [StoredRequest(one["path"], one["headers"], base64.b64decode(one["body"])) for one in found]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    file: Path

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if len(body) < int(self.headers["Content-Length"]):
            self.close_connection = True  # the client was killed
            return
        request = {"path": self.path, "headers": dict(self.headers), "body": base64.b64encode(body).decode()}
        with self.file.open("a") as file:
            file.write(json.dumps(request) + "\n")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


if __name__ == "__main__":
    _Handler.file = Path(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Handler).serve_forever()
