"""A viewer in its own process, so that load in the test does not affect the frame ages it measures.

Run as a program, it writes a line of JSON for each frame of the given address, until its reader goes away.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import astuple
from pathlib import Path
from types import TracebackType

from tests.support.barcode import Bar
from tests.support.viewer import Seen, Viewer, Watching

_ROOT = Path(__file__).resolve().parents[2]


class DistantViewer(Watching):
    """Watches `address` over RTSP; a context manager."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._read, name="distant-viewer", daemon=True)

    def __enter__(self) -> DistantViewer:
        command = [sys.executable, "-m", "tests.support.distant_viewer", self._address]
        self._process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._thread.join(10)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                told = json.loads(line)
                if isinstance(told, str):
                    self._end(told)
                    return
                at, (width, height), bar, latency = told
                self._add(Seen(at, (width, height), None if bar is None else Bar(*bar), latency))
        self._end("killed")


def main(address: str) -> None:
    with Viewer(address) as viewer:
        told = 0
        while viewer.error is None:
            news = viewer.look(told + 1)[told:]
            sys.stdout.writelines(json.dumps(astuple(one)) + "\n" for one in news)
            told += len(news)
            sys.stdout.flush()
        sys.stdout.write(json.dumps(viewer.error) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
