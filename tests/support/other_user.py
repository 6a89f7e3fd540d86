"""Processes of another user of this machine, which only root can start."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

UID, GID = 64501, 64502
"""IDs without a user or group name."""
_PYTHON = "/usr/bin/python3"
"""The system Python: the virtual environment may be where other users cannot reach it."""
_GET = """
import http.client, json, socket, sys
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.settimeout(10)
try:
    connection.sock.connect(sys.argv[1])
except OSError as error:
    print(json.dumps([0, type(error).__name__]))
    sys.exit()
connection.request(sys.argv[2], sys.argv[3])
answer = connection.getresponse()
print(json.dumps([answer.status, answer.read().decode()]))
"""


_HOLD = """
import select, socket, sys
held = []
for _ in range(int(sys.argv[2])):
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].connect(sys.argv[1])
wanted = set(held)
while len(wanted) > int(sys.argv[3]):
    ended = select.select(list(wanted), [], [], 20.0)[0]
    if not ended:
        break
    wanted -= set(ended)
print(len(wanted), flush=True)
sys.stdin.read()
"""


def need_root() -> None:
    if os.geteuid() != 0 or not Path(_PYTHON).exists():
        pytest.skip("only root can start processes of another user")


def as_other(command: Sequence[str | Path], groups: Sequence[int] = ()) -> subprocess.CompletedProcess[str]:
    """Runs a program as user UID, in group GID and `groups`."""
    return subprocess.run(
        list(command), user=UID, group=GID, extra_groups=list(groups), cwd="/", env={}, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip


def asked(path: Path, method: str, target: str, groups: Sequence[int] = ()) -> tuple[int, str]:
    """Sends a request to a Unix socket as the other user. Returns status and body; (0, the error's name) if it cannot
    connect."""
    done = as_other([_PYTHON, "-I", "-c", _GET, path, method, target], groups)
    assert done.returncode == 0, done.stderr
    status, body = json.loads(done.stdout)
    return status, body


@contextmanager
def holding(path: Path, count: int, expected: int) -> Iterator[int]:
    """Opens `count` connections as the other user that send nothing, and waits until the daemon has closed all but
    `expected`. Yields how many are left."""
    command = [_PYTHON, "-I", "-c", _HOLD, str(path), str(count), str(expected)]
    with subprocess.Popen(
        command, user=UID, group=GID, extra_groups=[], cwd="/", env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate()


@contextmanager
def open_folder() -> Iterator[Path]:
    """Yields a temporary folder that other users may enter, like /run/sightd."""
    folder = Path(tempfile.mkdtemp(prefix="sightd-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
